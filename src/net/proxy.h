/* The way out through an HTTP proxy: CONNECT (RFC 9110, section 9.3.6), then the service's own TLS
 * through the tunnel, so that the proxy sees the service's name and nothing else.
 *
 *   conn_dial ─▶ TCP to the proxy ─▶ tunnel_begin ──"CONNECT host:port"──▶ 2xx ─▶ TLS to the service
 *
 * A proxy is shared by the connections of one loop and counted without atomics: it belongs to the
 * loop's thread. The proxy itself is spoken to in plain HTTP.
 */
#ifndef SPAREKEY_NET_PROXY_H
#define SPAREKEY_NET_PROXY_H

#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"
#include "net/loop.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PROXY_LOGIN_MAX  512  /* bytes of "user:password" */
#define PROXY_ANSWER_MAX 8192 /* bytes of the head of its answer */

struct proxy;

/* `login`: "user:password", sent as Basic credentials (RFC 7617); empty = none. Both are copied.
 * STATUS_NO_MEMORY; STATUS_LIMIT for a login that is too long. */
NODISCARD
enum status proxy_new(const char *host, uint16_t port, struct slice login,
                      struct proxy **ret_proxy);
struct proxy *proxy_ref(struct proxy *proxy); /* NULL is allowed */
void proxy_unref(struct proxy *proxy);        /* NULL is allowed; the last one wipes the login */

const char *proxy_host(const struct proxy *proxy);
uint16_t proxy_port(const struct proxy *proxy);

/* A request for a tunnel under way. */
struct tunnel;

/* STATUS_OK: bytes written to `fd` go to the service; the descriptor is the receiver's. Else it is
 * closed, and `why` (static storage) says what the proxy did: STATUS_CONNECT it refused,
 * STATUS_PROTOCOL it does not speak HTTP, STATUS_RESET or STATUS_EOF it hung up. */
typedef void tunnel_done(void *context, int fd, enum status status, const char *why);

struct tunnel_ask {
    const struct proxy *proxy; /* borrowed during tunnel_begin */
    const char *host;          /* the service's, copied */
    uint16_t port;
    tunnel_done *done;
    void *context;
};

/* Asks over the connected socket `fd`, which is the tunnel's from here on. `done` is called once,
 * from the loop, and the tunnel is gone by then. There is no time limit: the dial has one.
 * STATUS_NO_MEMORY, STATUS_IO: nothing was begun, the descriptor is the caller's. */
NODISCARD
enum status tunnel_begin(struct net_loop *loop, int fd, const struct tunnel_ask *ask,
                         struct tunnel **ret_tunnel);

/* Ends it without a word and closes the descriptor. NULL is allowed. */
void tunnel_cancel(struct tunnel *tunnel);

#ifdef __cplusplus
}
#endif
#endif
