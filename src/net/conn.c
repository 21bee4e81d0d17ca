/* A connection's life, and the way of bytes from its socket to its owner.
 *
 *   epoll ─▶ read() into loop->scratch ─▶ (TLS: decrypt into loop->plain) ─▶ received()
 *
 * On the way of a request nothing is allocated, no buffer belongs to a connection, and the loop's
 * interest in a socket never changes: reading is switched on once. Here are the states, reading and
 * closing; conn_out.c has the way out.
 *
 * When a write fails. The owner must not hear of it from inside conn_write, and what the peer sent
 * before it left (an early error answer, say) is still to be read. So the socket is shut down, which
 * makes it readable: the read path hands out what is there, finds the end, and reports the write's
 * status instead of the end's. Only when the owner has stopped reading, the end is reported by
 * itself, from the loop.
 *
 * Told from the loop ("deferred"): a connection with something to tell is linked into
 * loop->deferred, and an idle handle, which runs once per turn before the loop sleeps, tells it.
 *
 * Closing. The uv_tcp_t is initialised when a socket is there (or in conn_close, for its callback),
 * so an IDLE connection can be freed as it is. conn_finish keeps reading, and drops what comes, until
 * the peer has closed: closing a socket with unread bytes in it sends RST, which may destroy our last
 * bytes on their way (RFC 9112, section 9.6).
 */
#include "net/conn.h"

#include <assert.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/conn_inner.h"

/* Two of these are the price of an idle stream. */
_Static_assert(sizeof(struct conn) <= 384, "an idle connection stays small");

/* A conn_finish under way. */
struct conn_linger {
    struct wheel_timer timer;
    struct conn *conn;
    int64_t progress; /* when last looked at */
};

enum deferral { DEFER_OPENED = 1, DEFER_ENDED = 2, DEFER_RESUME = 4 };

/* ---- state ---- */

static void move(struct conn *conn, enum conn_state to)
{
    static const uint8_t allowed[] = {
        [CONN_IDLE] = 1u << CONN_OPENING | 1u << CONN_CLOSING,
        [CONN_OPENING] = 1u << CONN_OPEN | 1u << CONN_ENDED | 1u << CONN_CLOSING | 1u << CONN_IDLE,
        [CONN_OPEN] = 1u << CONN_ENDED | 1u << CONN_CLOSING,
        [CONN_ENDED] = 1u << CONN_CLOSING,
        [CONN_CLOSING] = 1u << CONN_CLOSED,
        [CONN_CLOSED] = 0,
    };
    assert(allowed[conn->state] & (1u << to));
    (void)allowed;
    conn->state = to;
}

static uv_stream_t *stream_of(struct conn *conn)
{
    return (uv_stream_t *)&conn->tcp;
}

static bool has_socket(const struct conn *conn)
{
    return conn->tcp.loop != NULL;
}

static enum status status_of(int uv_error)
{
    switch (uv_error) {
    case UV_EOF: return STATUS_EOF;
    case UV_ECONNRESET:
    case UV_EPIPE:
    case UV_ECONNABORTED: return STATUS_RESET;
    case UV_ENOMEM: return STATUS_NO_MEMORY;
    default: return STATUS_IO;
    }
}

void conn_init(struct conn *conn, struct net_loop *loop, const struct conn_ops *ops)
{
    *conn = (struct conn){.loop = loop, .ops = ops, .reading = true};
    list_init(&conn->writes);
    list_init(&conn->deferred);
}

/* ---- told from the loop ---- */

static void run_deferrals(struct conn *conn)
{
    unsigned what = conn->deferrals;
    conn->deferrals = 0;
    if (what & DEFER_OPENED)
        conn_opened(conn, conn->opened_as);
    if (what & DEFER_ENDED)
        conn_ended(conn, conn->pending);
    else if (conn->tls && conn->state == CONN_OPEN && conn->reading)
        tls_session_resume(conn->tls);
}

static void on_deferred(uv_idle_t *handle)
{
    struct net_loop *loop = container_of(handle, struct net_loop, deferred_idle);
    /* Those linked by now; what they link in turn waits for the next turn. */
    struct list *mark = &loop->deferred_mark;
    list_append(&loop->deferred, mark);
    while (loop->deferred.next != mark) {
        struct conn *conn = container_of(loop->deferred.next, struct conn, deferred);
        list_remove(&conn->deferred);
        run_deferrals(conn);
    }
    list_remove(mark);
    if (list_empty(&loop->deferred))
        (void)uv_idle_stop(handle);
}

static void defer(struct conn *conn, enum deferral what)
{
    struct net_loop *loop = conn->loop;
    conn->deferrals |= (uint8_t)what;
    if (!list_empty(&conn->deferred))
        return;
    list_append(&loop->deferred, &conn->deferred);
    (void)uv_idle_start(&loop->deferred_idle, on_deferred);
}

static void undefer(struct conn *conn)
{
    conn->deferrals = 0;
    list_remove(&conn->deferred);
}

/* ---- beginning and end of OPEN ---- */

static void stop_socket_reads(struct conn *conn)
{
    if (has_socket(conn))
        (void)uv_read_stop(stream_of(conn));
}

void conn_opened(struct conn *conn, enum status status)
{
    if (conn->state != CONN_OPENING)
        return;
    dial_cancel(conn->dial);
    move(conn, status == STATUS_OK ? CONN_OPEN : CONN_ENDED);
    if (status != STATUS_OK || !conn->reading)
        stop_socket_reads(conn);
    if (conn->ops->opened)
        conn->ops->opened(conn, status);
}

void conn_opened_soon(struct conn *conn, enum status status)
{
    if (conn->state != CONN_OPENING)
        return;
    conn->opened_as = status;
    defer(conn, DEFER_OPENED);
}

void conn_ended(struct conn *conn, enum status status)
{
    if (conn->state == CONN_OPENING) {
        conn_opened(conn, conn->tls ? STATUS_TLS : STATUS_CONNECT);
        return;
    }
    if (conn->state != CONN_OPEN)
        return;
    undefer(conn);
    stop_socket_reads(conn);
    move(conn, CONN_ENDED);
    conn->ops->ended(conn, status);
}

void conn_ended_soon(struct conn *conn, enum status status)
{
    conn->broken = true;
    conn->pending = status;
    defer(conn, DEFER_ENDED);
}

/* ---- reading ---- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    (void)suggested;
    struct conn *conn = container_of(handle, struct conn, tcp);
    *ret = uv_buf_init(conn->loop->scratch, NET_SCRATCH_BYTES);
}

/* libuv takes a hang-up behind the last bytes for the peer's end without another read; the socket
 * knows whether it was a reset, which must not pass for the end of an answer. */
static int end_or_error(const struct conn *conn)
{
    int error = 0;
    socklen_t len = sizeof error;

    if (getsockopt(conn_socket(conn), SOL_SOCKET, SO_ERROR, &error, &len) != 0 || !error)
        return UV_EOF;
    return uv_translate_sys_error(error);
}

static void socket_ended(struct conn *conn, int uv_error)
{
    if (uv_error == UV_EOF)
        uv_error = end_or_error(conn);
    enum status status = conn->broken ? conn->pending : status_of(uv_error);
    conn->peer_finished = status == STATUS_EOF;
    if (!conn->broken && uv_error != UV_EOF)
        conn->error = uv_error;
    if (conn->tls)
        tls_session_eof(conn->tls, status);
    else
        conn_ended(conn, status);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    struct conn *conn = container_of(stream, struct conn, tcp);
    if (count == 0)
        return;
    if (conn->state == CONN_CLOSING) {
        if (count < 0)
            conn_close(conn); /* the end conn_finish waits for */
    } else if (count < 0) {
        socket_ended(conn, (int)count);
    } else if (conn->tls) {
        tls_session_feed(conn->tls, buf->base, (size_t)count);
    } else {
        conn->ops->received(conn, buf->base, (size_t)count);
    }
}

void conn_read_stop(struct conn *conn)
{
    if (!conn->reading)
        return;
    conn->reading = false;
    if (conn->state != CONN_OPEN)
        return;
    stop_socket_reads(conn);
    if (conn->broken)
        defer(conn, DEFER_ENDED);
}

void conn_read_start(struct conn *conn)
{
    if (conn->reading)
        return;
    conn->reading = true;
    if (conn->state != CONN_OPEN)
        return;
    if (conn->tls && tls_session_waiting(conn->tls))
        defer(conn, DEFER_RESUME);
    (void)uv_read_start(stream_of(conn), on_alloc, on_read);
}

/* ---- a write failed; see the top of the file ---- */

void conn_write_failed(struct conn *conn, int uv_error)
{
    if (conn->state == CONN_CLOSING) {
        conn_close(conn);
        return;
    }
    if (conn->broken)
        return;
    conn->broken = true;
    conn->error = uv_error;
    conn->pending = status_of(uv_error);
    if (conn->reading || conn->state == CONN_OPENING)
        (void)shutdown(conn_socket(conn), SHUT_RDWR);
    else
        defer(conn, DEFER_ENDED);
}

/* ---- a socket becomes a connection ---- */

static uint16_t peer_port(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_storage storage;
    } peer = {0};
    socklen_t len = sizeof peer;
    if (getpeername(fd, &peer.any, &len) != 0)
        return 0;
    return ntohs(peer.any.sa_family == AF_INET6 ? peer.v6.sin6_port : peer.v4.sin_port);
}

void conn_opening(struct conn *conn)
{
    move(conn, CONN_OPENING);
}

enum status conn_take(struct conn *conn, int fd, struct tls_context *tls, const char *host)
{
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* refused by what is not TCP */
    if (tls) {
        uint16_t port = host ? peer_port(fd) : 0;
        enum status status = tls_session_new(tls, conn, host, port, &conn->tls);
        if (status != STATUS_OK) {
            (void)close(fd);
            return status;
        }
    }
    (void)uv_tcp_init(&conn->loop->uv, &conn->tcp); /* without flags it does no system call */
    int rc = uv_tcp_open(&conn->tcp, fd);
    if (rc < 0) {
        /* From here on libuv knows the handle: reported as a failure that conn_close follows. */
        (void)close(fd);
        conn->error = rc;
        conn_ended_soon(conn, STATUS_IO);
        return STATUS_OK;
    }
    if (conn->reading || tls)
        (void)uv_read_start(stream_of(conn), on_alloc, on_read);
    if (tls)
        tls_session_start(conn->tls);
    return STATUS_OK;
}

enum status conn_adopt(struct conn *conn, int fd, struct tls_context *tls, const char *host)
{
    move(conn, CONN_OPENING);
    enum status status = conn_take(conn, fd, tls, host);
    if (status != STATUS_OK)
        move(conn, CONN_IDLE);
    else if (!tls)
        move(conn, CONN_OPEN);
    return status;
}

enum status conn_accept(struct conn *conn, int fd, struct tls_context *tls)
{
    return conn_adopt(conn, fd, tls, NULL);
}

/* ---- closing ---- */

static void on_closed(uv_handle_t *handle)
{
    struct conn *conn = container_of(handle, struct conn, tcp);
    conn_queue_clear(conn);
    tls_session_free(conn->tls);
    conn->tls = NULL;
    move(conn, CONN_CLOSED);
    conn->ops->closed(conn);
}

static void drop_linger(struct conn *conn)
{
    if (!conn->linger)
        return;
    net_timer_stop(conn->loop, &conn->linger->timer);
    free(conn->linger);
    conn->linger = NULL;
}

/* Everything but the socket. False: it is closing already. */
static bool begin_close(struct conn *conn)
{
    if (conn->state == CONN_CLOSED || uv_is_closing((uv_handle_t *)&conn->tcp))
        return false;
    dial_cancel(conn->dial);
    drop_linger(conn);
    undefer(conn);
    conn_cork_drop(conn);
    if (conn->state != CONN_CLOSING)
        move(conn, CONN_CLOSING);
    if (!has_socket(conn))
        (void)uv_tcp_init(&conn->loop->uv, &conn->tcp);
    return true;
}

void conn_close(struct conn *conn)
{
    if (begin_close(conn))
        uv_close((uv_handle_t *)&conn->tcp, on_closed);
}

void conn_reset(struct conn *conn)
{
    if (!begin_close(conn))
        return;
    if (conn_socket(conn) < 0 || uv_tcp_close_reset(&conn->tcp, on_closed) < 0)
        uv_close((uv_handle_t *)&conn->tcp, on_closed);
}

static void on_linger(struct wheel_timer *timer)
{
    struct conn_linger *linger = container_of(timer, struct conn_linger, timer);
    struct conn *conn = linger->conn;
    int64_t progress = conn_progress(conn);
    if (list_empty(&conn->writes) || progress == linger->progress) {
        conn_close(conn);
        return;
    }
    linger->progress = progress;
    net_timer_start(conn->loop, timer, CONN_LINGER_MS);
}

void conn_flushed(struct conn *conn)
{
    if (conn->peer_finished) {
        conn_close(conn);
        return;
    }
    net_timer_start(conn->loop, &conn->linger->timer, CONN_LINGER_MS);
    (void)shutdown(conn_socket(conn), SHUT_WR);
    (void)uv_read_start(stream_of(conn), on_alloc, on_read);
}

static struct conn_linger *make_linger(struct conn *conn)
{
    struct conn_linger *linger = malloc(sizeof *linger);
    if (!linger)
        return NULL;
    wheel_timer_init(&linger->timer, on_linger);
    linger->conn = conn;
    linger->progress = conn_progress(conn);
    return linger;
}

void conn_finish(struct conn *conn)
{
    if (conn->state == CONN_CLOSING || conn->state == CONN_CLOSED)
        return;
    conn_cork_flush(conn);
    if (conn->tls && conn->state == CONN_OPEN)
        tls_session_finish(conn->tls);
    bool has_peer = conn->state == CONN_OPEN || (conn->state == CONN_ENDED && conn->peer_finished);
    if (!has_peer || conn->broken || !(conn->linger = make_linger(conn))) {
        conn_close(conn);
        return;
    }
    undefer(conn);
    move(conn, CONN_CLOSING);
    if (list_empty(&conn->writes))
        conn_flushed(conn);
    else
        net_timer_start(conn->loop, &conn->linger->timer, CONN_LINGER_MS);
}

/* ---- questions ---- */

int64_t conn_progress(const struct conn *conn)
{
    int unacknowledged = 0;
    uint64_t with_kernel = conn->enqueued - conn_queue_unsent(conn);

    (void)ioctl(conn_socket(conn), SIOCOUTQ,
                &unacknowledged); /* what is not TCP has no such queue */
    return (int64_t)with_kernel - unacknowledged;
}

const char *conn_error_text(const struct conn *conn)
{
    if (conn->tls && *tls_session_reason(conn->tls))
        return tls_session_reason(conn->tls);
    if (conn->reason)
        return conn->reason;
    return conn->error ? uv_strerror(conn->error) : "";
}

bool conn_tls_resumed(const struct conn *conn)
{
    return conn->tls && tls_session_resumed(conn->tls);
}
