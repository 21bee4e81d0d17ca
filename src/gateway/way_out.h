/* How connections to services leave this host: directly, or through the proxy of HTTPS_PROXY. */
#ifndef SPAREKEY_GATEWAY_WAY_OUT_H
#define SPAREKEY_GATEWAY_WAY_OUT_H

#include "net/proxy.h"
#include "settings/settings.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The proxy of these settings for one loop, or NULL when there is none. STATUS_NO_MEMORY. */
NODISCARD
enum status way_out_proxy(const struct settings *settings, struct proxy **ret_proxy);

/* `proxy` if connections to the service go through it; else NULL. Borrowed. */
struct proxy *way_out_for(struct proxy *proxy, const struct settings *settings,
                          const struct service_url *service);

#ifdef __cplusplus
}
#endif
#endif
