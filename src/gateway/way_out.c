#include "gateway/way_out.h"

#include <string.h>

_Static_assert(PROXY_LOGIN_MAX_BYTES <= PROXY_LOGIN_MAX, "what settings take, net/proxy.h takes");

enum status way_out_proxy(const struct settings *settings, struct proxy **ret_proxy)
{
    char login[PROXY_LOGIN_MAX_BYTES + 1];

    *ret_proxy = NULL;
    if (!settings->proxy)
        return STATUS_OK;
    size_t len = settings_proxy_login(settings, login);
    enum status status = proxy_new(settings->proxy_host.host, settings->proxy_host.port,
                                   slice_of(login, len), ret_proxy);
    explicit_bzero(login, sizeof login);
    return status;
}

struct proxy *way_out_for(struct proxy *proxy, const struct settings *settings,
                          const struct service_url *service)
{
    return proxy && settings_proxied(settings, service) ? proxy : NULL;
}
