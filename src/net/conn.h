/* A byte stream to a peer: TCP, or TLS over TCP, with the same face.
 *
 *   IDLE ──dial──▶ OPENING ──▶ OPEN ──peer's end / error──▶ ENDED ──conn_close──▶ CLOSING ──▶ closed()
 *     └──accept────────────────▲ └────────────────conn_close──────────────────────▲
 *
 * Embedded in its owner's object (container_of gets back), so a connection is one allocation.
 *
 * Always true:
 * - bytes given to `received` are valid during that call only;
 * - `ended` is called at most once, nothing is received after it; the owner still calls conn_close;
 * - after conn_close only `closed` is called, exactly once, and then the memory is the owner's to
 *   free. conn_close is legal inside any callback and more than once;
 * - conn_write takes all bytes: what the socket does not take at once is copied to the connection's
 *   queue. Back-pressure is the owner's: stop feeding when conn_queued() passes CONN_HIGH_WATER,
 *   go on at `drained`.
 *
 * TLS: certificate and host verification, SNI, resumption and ALPN "http/1.1" are the tls_context's
 * business (net/tls.h); a connection without one is plain and pays nothing for the possibility.
 */
#ifndef SPAREKEY_NET_CONN_H
#define SPAREKEY_NET_CONN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>
#include <uv.h>

#include "base/list.h"
#include "base/status.h"
#include "net/loop.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CONN_HIGH_WATER 262144 /* queued bytes beyond which the owner should stop feeding */
#define CONN_LOW_WATER                                                                             \
    65536 /* `drained` is called when the queue falls to this after passing HIGH */

enum conn_state { CONN_IDLE, CONN_OPENING, CONN_OPEN, CONN_ENDED, CONN_CLOSING, CONN_CLOSED };

struct conn_ops {
    /* The dial ended. STATUS_OK: open. STATUS_DNS, _CONNECT, _TLS, _TIMEOUT: the connection is
     * ENDED and must be closed. For an accepted TLS connection: the handshake ended. */
    void (*opened)(struct conn *conn, enum status status);
    void (*received)(struct conn *conn, char *data, size_t len);
    /* STATUS_EOF: the peer finished. Else STATUS_RESET, STATUS_TLS, STATUS_IO. */
    void (*ended)(struct conn *conn, enum status status);
    void (*drained)(struct conn *conn);
    void (*closed)(struct conn *conn);
};

struct tls_session; /* one connection's TLS; private to tls.c */
struct tls_context;
struct dial;

struct conn {
    uv_tcp_t tcp;
    struct net_loop *loop;
    const struct conn_ops *ops;
    struct tls_session *tls;    /* NULL = plain */
    struct dial *dial;          /* a dial under way, private to dial.c */
    struct conn_linger *linger; /* a conn_finish under way, private */
    struct list writes;         /* chunks the socket did not take yet, private */
    size_t queued;              /* bytes in them */
    uint64_t enqueued;          /* bytes that ever were in them, private */
    struct list deferred;       /* in loop->deferred while something waits to be told, private */
    int error;                  /* libuv's code of what went wrong, 0 unknown */
    const char *reason;         /* in words, of static storage, where no code says it; or NULL */
    enum status pending;        /* why writing is over, while `broken`; private */
    enum status opened_as;      /* for `opened`, while it waits to be told; private */
    enum conn_state state;
    uint8_t deferrals; /* what waits to be told, private */
    bool reading, above_high, peer_finished, broken;
};

/* Prepares caller's memory; does no system call. */
void conn_init(struct conn *conn, struct net_loop *loop, const struct conn_ops *ops);

/* Takes over a connected socket (accepted, or dialled by net/dial.c): sets TCP_NODELAY, starts
 * reading. With `tls` a server-side handshake begins and `opened` follows; else the connection is
 * OPEN on return and `opened` is not called. On failure the descriptor is closed and the
 * connection stays IDLE. */
NODISCARD
enum status conn_accept(struct conn *conn, int fd, struct tls_context *tls);

/* Likewise for a connected client-side socket; with `tls` the handshake for `host` begins and
 * `opened` follows. Used by net/dial.c, which calls `opened` itself for plain connections. */
NODISCARD
enum status conn_adopt(struct conn *conn, int fd, struct tls_context *tls, const char *host);

#define CONN_PARTS_MAX    16 /* more parts than this are legal, but leave a cork in their own writev */
#define CONN_WRITE_SECRET 1u /* wipe copies of these bytes after they were sent */

/* Sends, in order. After return the caller's memory is free for reuse. Legal in OPEN; in other
 * states the bytes are dropped. STATUS_NO_MEMORY: nothing more can be sent, the connection ENDs
 * (`ended` is called from the loop, not from inside this call). */
void conn_write(struct conn *conn, const struct iovec *parts, int count, unsigned flags);

/* Collects the small writes of one turn into one system call: between conn_cork and conn_uncork
 * bytes gather in the loop's cork buffer. One connection is corked at a time; corking or writing to
 * another one flushes the first. Nests: the outermost uncork sends. */
void conn_cork(struct conn *conn);
void conn_uncork(struct conn *conn);

static inline size_t conn_queued(const struct conn *conn)
{
    return conn->queued;
}

/* A number that changes whenever the peer takes something of what we sent, for timeouts of writing:
 * compare, do not interpret. The kernel asks for more bytes only when much of its buffer is free,
 * and a slow peer needs minutes for that; so this looks at what the peer has acknowledged, which
 * costs a system call. Only while something is queued. */
int64_t conn_progress(const struct conn *conn);

/* Back-pressure towards the peer. Both are idempotent and cheap; while stopped, the peer's end is not noticed. */
void conn_read_stop(struct conn *conn);
void conn_read_start(struct conn *conn);

/* conn_finish: closes after the queue has been written (and TLS close_notify sent) and the peer has
 * closed too, so that bytes it still sends cannot turn our last ones into a reset; gives up when
 * CONN_LINGER_MS pass without progress. conn_close: at once, what is queued or corked is dropped.
 * conn_reset: at once with RST. */
#define CONN_LINGER_MS 2000
void conn_finish(struct conn *conn);
void conn_close(struct conn *conn);
void conn_reset(struct conn *conn);

/* What went wrong, for a log: the reason of a failed handshake or the system's error text; "" when
 * nothing is known. Lives until conn_close. */
const char *conn_error_text(const struct conn *conn);

/* Whether the handshake resumed an earlier session. */
bool conn_tls_resumed(const struct conn *conn);

#ifdef __cplusplus
}
#endif
#endif
