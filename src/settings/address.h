/* URLs of services and addresses to listen on. */
#ifndef SPAREKEY_SETTINGS_ADDRESS_H
#define SPAREKEY_SETTINGS_ADDRESS_H

#include "settings/arena.h"
#include "settings/settings.h"

#ifdef __cplusplus
extern "C" {
#endif

#define URL_EXPECTED "an http:// or https:// URL, as https://api.openai.com/v1"
#define WEBHOOK_EXPECTED                                                                           \
    "an https:// URL, or an http:// one of this machine, as https://hooks.example.com/services/T0"
#define PROXY_EXPECTED  "http://[USER:PASSWORD@]HOST:PORT, as http://proxy.example.com:3128"
#define LISTEN_EXPECTED "ADDRESS:PORT, as 127.0.0.1:7539, [::1]:7539 or localhost:0"

/* Strings go into `arena`. STATUS_INVALID with what is wrong in `*ret_why` (static storage, does
 * not quote the text); STATUS_NO_MEMORY. RFC 3986 §3, of it what a base URL may have: no
 * credentials, no query, no fragment. */
NODISCARD
enum status url_parse(struct slice text, struct arena *arena, const char **ret_why,
                      struct service_url *ret_url);

/* Numeric addresses and "localhost"; a port alone means 127.0.0.1. Same errors. */
NODISCARD
enum status listen_parse(struct slice text, struct arena *arena, const char **ret_why,
                         struct listen_address *ret_address);

/* Whether only this machine reaches the address. */
bool listen_is_loopback(const struct listen_address *address);

#ifdef __cplusplus
}
#endif
#endif
