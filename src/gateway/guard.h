/* The guard: may this client use the keys? (DESIGN.md §4)
 *
 * With client tokens configured, the token decides. Without them the gateway trusts whoever can
 * reach its loopback address, and then a web page in the user's browser must not be one of them:
 * a foreign Host (DNS rebinding) or a foreign Origin (cross-site request) is refused. A page of
 * another port of this machine may use the keys (somebody develops it), but not change them.
 */
#ifndef SPAREKEY_GATEWAY_GUARD_H
#define SPAREKEY_GATEWAY_GUARD_H

#include "gateway/headers.h"
#include "settings/settings.h"

#ifdef __cplusplus
extern "C" {
#endif

enum guard_answer { GUARD_PASS, GUARD_TOKEN, GUARD_ADMIN, GUARD_HOST, GUARD_ORIGIN };

enum guard_answer guard_check(const struct settings *settings, const struct request_facts *facts);

/* The same for who changes things: with client tokens set, the admin token decides, and without one
 * nobody may. Without tokens no page may but the gateway's own: an Origin must equal the Host with
 * its port, and Sec-Fetch-Site be same-origin or none. */
enum guard_answer guard_check_admin(const struct settings *settings,
                                    const struct request_facts *facts);

/* The same for a page that holds nothing: with client tokens anybody, else as who changes things. */
enum guard_answer guard_check_page(const struct settings *settings,
                                   const struct request_facts *facts);

/* Whether "host[:port]" names this machine's loopback, or the address `listen_host`. */
bool guard_host_is_local(struct slice host, struct slice listen_host);

#ifdef __cplusplus
}
#endif
#endif
