/* The calling side of HTTP/1.1: one request to one service, over kept-alive connections.
 *
 *     upstream_send ─▶ (idle connection, or dial) ─▶ request out ─▶ head ─▶ body* ─▶ complete
 *                              └──────────────── failed(transport) ◀──── anything wrong
 *
 * An upstream is a service as seen by one worker: its address, its TLS context and its idle
 * connections, newest used first. A call is one request on it, embedded in the caller's object.
 *
 * Always true:
 * - exactly one of `complete` and `failed` ends a call, unless upstream_cancel did; none of them is
 *   called from inside upstream_send;
 * - a connection that is reset before any byte of the answer, and had served before, was stale: a
 *   request that may reach the service twice is sent once more on a fresh connection, unseen;
 * - the request's bytes are borrowed until the call ends: they are read again for such a replay;
 * - a connection goes back to the idle list only after a whole answer that allows it, when no byte
 *   came behind that; it is there before `complete` is called.
 */
#ifndef SPAREKEY_NET_UPSTREAM_H
#define SPAREKEY_NET_UPSTREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "net/conn.h"
#include "net/http1.h"

#ifdef __cplusplus
extern "C" {
#endif

#define UPSTREAM_IDLE_MAX 256   /* idle connections kept per worker and service */
#define UPSTREAM_IDLE_MS  60000 /* an idle connection older than this is closed */
/* A request that may not be sent twice takes no connection that idled longer: a peer that closes
 * idle connections does so after 5 s or more, and the request would be lost with it. */
#define UPSTREAM_FRESH_MS  4000
#define UPSTREAM_PARTS_MAX 6      /* pieces of one request */
#define UPSTREAM_REASON    96     /* bytes of a reason in words */
#define UPSTREAM_SEND_STEP 262144 /* of a large body, so much is handed to the socket at a time */

struct upstream_conn;
struct upstream_call;

struct upstream_ops {
    void (*head)(struct upstream_call *call, const struct http_head *head);
    void (*body)(struct upstream_call *call, const char *data, size_t len);
    void (*complete)(struct upstream_call *call);
    /* STATUS_DNS, _CONNECT, _TLS: nothing was sent. STATUS_RESET, _EOF, _TIMEOUT, _PROTOCOL, _LIMIT,
     * _IO, _NO_MEMORY: after sending; `call->answered` tells whether a head had arrived.
     * `call->upstream->failure` has the reason in words, during the call. */
    void (*failed)(struct upstream_call *call, enum status status);
    /* All bytes of one read have been handed over: the moment to flush what was passed on. Not
     * called when the call ended within that read. May be NULL. */
    void (*flush)(struct upstream_call *call);
};

struct upstream_timeouts {
    int64_t connect_ms;    /* name, TCP and TLS together */
    int64_t first_byte_ms; /* from the request sent to the answer's head */
    int64_t idle_ms;       /* between bytes of the answer */
};

struct upstream {
    struct net_loop *loop;
    char *host; /* owned */
    uint16_t port;
    struct tls_context *tls; /* borrowed; NULL = plain */
    struct proxy *proxy;     /* borrowed; NULL = directly, as after upstream_init */
    struct upstream_timeouts timeouts;
    int64_t idle_keep_ms; /* UPSTREAM_IDLE_MS; may be changed after upstream_init */
    struct list idle;     /* newest first */
    struct list busy;
    struct wheel_timer sweep; /* closes connections that idled too long */
    bool stopping;
    uint32_t
        trust; /* counts upstream_trust and upstream_reroute: connections made before are not reused */
    /* Read by other threads, with relaxed loads: */
    uint32_t idle_count, busy_count;
    uint32_t conn_count;                /* all, closing ones too: upstream_fini waits for 0 */
    uint64_t dialled, reused, replayed; /* counters for tests and metrics */
    char failure[UPSTREAM_REASON];      /* of the call that failed last; empty: not known */
};

/* `host` is copied. STATUS_NO_MEMORY. */
NODISCARD
enum status upstream_init(struct upstream *upstream, struct net_loop *loop, const char *host,
                          uint16_t port, struct tls_context *tls,
                          const struct upstream_timeouts *timeouts);

/* Another TLS context from now on (borrowed). Calls in progress finish under the old one; what was
 * verified by it is not reused. */
void upstream_trust(struct upstream *upstream, struct tls_context *tls);

/* Another way out from now on (borrowed, NULL = directly). Calls in progress finish on the old one;
 * idle connections are closed. */
void upstream_reroute(struct upstream *upstream, struct proxy *proxy);

/* Closes idle connections now; busy ones close when their call ends, and are not reused. */
void upstream_stop(struct upstream *upstream);
/* Legal when no call is in progress and its connections' `closed` have run. */
void upstream_fini(struct upstream *upstream);

struct upstream_call {
    struct upstream *upstream;
    const struct upstream_ops *ops;
    struct upstream_conn *conn; /* NULL when no call is in progress */
    struct iovec parts[UPSTREAM_PARTS_MAX];
    uint8_t part_count;
    bool head_request; /* method HEAD: the answer has no body */
    bool may_replay;   /* the request may reach the service twice: see UPSTREAM_FRESH_MS */
    bool secret;       /* the bytes hold a secret: copies are wiped */
    bool answered;     /* a head has arrived */
    bool sent; /* some byte of the request was given to a socket (not counting a stale one) */
    bool replayed;
};

/* Begins. `call->parts`, `part_count`, `head_request`, `may_replay` and `secret` are set by the caller.
 * STATUS_NO_MEMORY: nothing was begun. */
NODISCARD
enum status upstream_send(struct upstream *upstream, struct upstream_call *call,
                          const struct upstream_ops *ops);

/* Ends the call silently; its connection is closed. Harmless when none is in progress. */
void upstream_cancel(struct upstream_call *call);

/* Back-pressure: stop and start reading the answer. */
void upstream_pause(struct upstream_call *call);
void upstream_resume(struct upstream_call *call);

/* After `head`, the request's bytes are needed no more (no replay can happen): the caller may free
 * them. Returns false while some of them are still to be sent. */
bool upstream_release_request(struct upstream_call *call);

#ifdef __cplusplus
}
#endif
#endif
