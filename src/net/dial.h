/* From a host name to an open connection: resolve, race the addresses, ask the proxy for a tunnel if
 * there is one, shake hands.
 *
 * Names are resolved on the thread pool and cached for DIAL_DNS_TTL_MS per loop. Addresses are
 * raced as RFC 8305 says: alternating families, a new attempt every DIAL_STAGGER_MS or as soon as
 * one fails; the first to connect wins, the others are closed.
 */
#ifndef SPAREKEY_NET_DIAL_H
#define SPAREKEY_NET_DIAL_H

#include <stdint.h>

#include "net/conn.h"
#include "net/proxy.h"

#ifdef __cplusplus
extern "C" {
#endif

#define DIAL_DNS_TTL_MS    30000
#define DIAL_STAGGER_MS    250
#define DIAL_ADDRESSES_MAX 16
#define DIAL_NAMES_MAX     64 /* cached per loop; the oldest goes first */

struct dial_target {
    const char *host; /* the service's, copied */
    uint16_t port;
    struct tls_context *tls; /* NULL: plain */
    struct proxy *proxy;     /* NULL: directly */
};

/* Begins; conn->ops->opened tells the end, from the loop, never from inside this call. `timeout_ms`
 * covers everything including the TLS handshake. The connection must be IDLE; conn_close on it
 * cancels. */
void conn_dial(struct conn *conn, const struct dial_target *target, int64_t timeout_ms);

/* Forgets cached names of this loop. */
void dial_cache_clear(struct net_loop *loop);

/* Answers `host` with these addresses (AF_INET or AF_INET6; their ports are ignored) instead of
 * asking DNS, until dial_cache_clear: pinned names and tests. At most DIAL_ADDRESSES_MAX.
 * STATUS_NO_MEMORY, STATUS_INVALID. */
NODISCARD
enum status dial_cache_pin(struct net_loop *loop, const char *host,
                           const struct sockaddr *const *addresses, int count);

#ifdef __cplusplus
}
#endif
#endif
