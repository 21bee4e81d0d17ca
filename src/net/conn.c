/* The way of bytes between a socket and its owner.
 *
 * In:   epoll ─▶ read() into loop->scratch ─▶ (TLS: decrypt into loop->plain) ─▶ received()
 * Out:  conn_write ─▶ (corked: loop->cork) ─▶ (TLS: encrypt into loop->cipher) ─▶ writev()
 *                                                        what it refuses ─▶ chunks ─▶ uv_write
 *
 * On the way of a request nothing is allocated, no buffer belongs to a connection, and the loop's
 * interest in a socket never changes: reading is switched on once. Chunks exist only while a peer
 * takes bytes more slowly than they come; one is given to libuv at a time, later bytes gather in
 * the last one, so a thousand small writes towards a slow peer are a few system calls.
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
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/conn_inner.h"

/* uv_buf_t is an iovec in all but name (libuv asserts the same); so parts need no translation. */
_Static_assert(sizeof(uv_buf_t) == sizeof(struct iovec), "");
_Static_assert(offsetof(uv_buf_t, base) == offsetof(struct iovec, iov_base), "");
_Static_assert(offsetof(uv_buf_t, len) == offsetof(struct iovec, iov_len), "");

/* Two of these are the price of an idle stream. */
_Static_assert(sizeof(struct conn) <= 384, "an idle connection stays small");

#define CHUNK_MIN_BYTES 4096
#define CHUNK_MAX_BYTES 65536

/* Bytes the socket did not take. */
struct chunk {
    uv_write_t request;
    struct list node;
    struct conn *conn;
    size_t len, capacity;
    bool submitted, secret;
    char data[];
};

/* A conn_finish under way. */
struct conn_linger {
    struct wheel_timer timer;
    struct conn *conn;
    size_t left; /* bytes still unsent when last looked at */
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

static int socket_of(const struct conn *conn)
{
    uv_os_fd_t fd = -1;
    (void)uv_fileno((const uv_handle_t *)&conn->tcp, &fd);
    return fd;
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

static void socket_ended(struct conn *conn, int uv_error)
{
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

/* ---- writing ---- */

static void on_written(uv_write_t *request, int uv_error);

static void free_chunk(struct chunk *chunk)
{
    list_remove(&chunk->node);
    chunk->conn->queued -= chunk->len;
    if (chunk->secret)
        explicit_bzero(chunk->data, chunk->len);
    free(chunk);
}

static void free_chunks(struct conn *conn)
{
    while (!list_empty(&conn->writes))
        free_chunk(container_of(conn->writes.next, struct chunk, node));
}

/* A write failed; see the top of the file. */
static void write_failed(struct conn *conn, int uv_error)
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
        (void)shutdown(socket_of(conn), SHUT_RDWR);
    else
        defer(conn, DEFER_ENDED);
}

/* Gives the oldest chunk to libuv unless one is there already. */
static void submit_chunk(struct conn *conn)
{
    if (list_empty(&conn->writes))
        return;
    struct chunk *chunk = container_of(conn->writes.next, struct chunk, node);
    if (chunk->submitted)
        return;
    chunk->submitted = true;
    uv_buf_t buf = uv_buf_init(chunk->data, (unsigned)chunk->len);
    int rc = uv_write(&chunk->request, stream_of(conn), &buf, 1, on_written);
    if (rc < 0) {
        free_chunk(chunk);
        write_failed(conn, rc);
    }
}

static void flushed(struct conn *conn);

static void on_written(uv_write_t *request, int uv_error)
{
    struct chunk *chunk = container_of(request, struct chunk, request);
    struct conn *conn = chunk->conn;
    free_chunk(chunk);
    if (uv_is_closing((uv_handle_t *)&conn->tcp))
        return;
    if (uv_error < 0) {
        write_failed(conn, uv_error);
        return;
    }
    submit_chunk(conn);
    if (conn->linger) {
        if (list_empty(&conn->writes))
            flushed(conn);
    } else if (conn->above_high && conn->queued <= CONN_LOW_WATER) {
        conn->above_high = false;
        if (conn->state == CONN_OPEN && conn->ops->drained)
            conn->ops->drained(conn);
    }
}

/* The chunk that takes more bytes, a new one when there is none. NULL: out of memory. */
static struct chunk *open_chunk(struct conn *conn, size_t wanted)
{
    if (!list_empty(&conn->writes)) {
        struct chunk *last = container_of(conn->writes.prev, struct chunk, node);
        if (!last->submitted && last->len < last->capacity)
            return last;
    }
    size_t capacity = wanted < CHUNK_MIN_BYTES ? CHUNK_MIN_BYTES : wanted;
    if (capacity > CHUNK_MAX_BYTES)
        capacity = CHUNK_MAX_BYTES;
    struct chunk *chunk = malloc(sizeof *chunk + capacity);
    if (!chunk)
        return NULL;
    chunk->conn = conn;
    chunk->len = 0;
    chunk->capacity = capacity;
    chunk->submitted = chunk->secret = false;
    list_append(&conn->writes, &chunk->node);
    return chunk;
}

/* Copies to the queue. False: out of memory. */
static bool queue_bytes(struct conn *conn, const char *data, size_t len, bool secret)
{
    while (len) {
        struct chunk *chunk = open_chunk(conn, len);
        if (!chunk)
            return false;
        size_t room = chunk->capacity - chunk->len;
        size_t take = len < room ? len : room;
        memcpy(chunk->data + chunk->len, data, take);
        chunk->len += take;
        chunk->secret |= secret;
        conn->queued += take;
        data += take;
        len -= take;
    }
    return true;
}

/* Queues all of the parts but their first `sent` bytes. */
static void queue_rest(struct conn *conn, const struct iovec *parts, int count, size_t sent,
                       bool secret)
{
    for (int i = 0; i < count; i++) {
        size_t skip = sent < parts[i].iov_len ? sent : parts[i].iov_len;
        sent -= skip;
        const char *rest = (const char *)parts[i].iov_base + skip;
        if (!queue_bytes(conn, rest, parts[i].iov_len - skip, secret)) {
            conn_ended_soon(conn, STATUS_NO_MEMORY);
            return;
        }
    }
    submit_chunk(conn);
    if (conn->queued > CONN_HIGH_WATER)
        conn->above_high = true;
}

static size_t total_of(const struct iovec *parts, int count)
{
    size_t total = 0;
    for (int i = 0; i < count; i++)
        total += parts[i].iov_len;
    return total;
}

void conn_send_raw(struct conn *conn, const struct iovec *parts, int count, bool secret)
{
    size_t total = total_of(parts, count), sent = 0;
    if (conn->broken || total == 0)
        return;
    if (list_empty(&conn->writes)) {
        int rc = uv_try_write(stream_of(conn), (const uv_buf_t *)parts, (unsigned)count);
        if (rc < 0 && rc != UV_EAGAIN) {
            write_failed(conn, rc);
            return;
        }
        sent = rc < 0 ? 0 : (size_t)rc;
        if (sent == total)
            return;
    }
    queue_rest(conn, parts, count, sent, secret);
}

/* ---- the cork ---- */

static void empty_cork(struct net_loop *loop)
{
    if (loop->cork_secret)
        explicit_bzero(loop->cork, loop->cork_len);
    loop->cork_secret = false;
    loop->cork_len = 0;
}

static void append_cork(struct net_loop *loop, const char *data, size_t len, bool secret)
{
    if (len)
        memcpy(loop->cork + loop->cork_len, data, len);
    loop->cork_len += len;
    loop->cork_secret |= secret;
}

/* Sends what stands in the cork, which belongs to `conn`. */
static void flush_cork(struct conn *conn)
{
    struct net_loop *loop = conn->loop;
    if (loop->cork_len == 0)
        return;
    if (conn->tls) {
        tls_session_write(conn->tls, loop->cork, loop->cork_len);
    } else {
        struct iovec part = {loop->cork, loop->cork_len};
        conn_send_raw(conn, &part, 1, loop->cork_secret);
    }
    empty_cork(loop);
}

static void flush_corked(struct net_loop *loop)
{
    struct conn *conn = loop->corked;
    if (!conn)
        return;
    loop->corked = NULL;
    loop->cork_depth = 0;
    flush_cork(conn);
    if (conn->tls)
        tls_session_flush(conn->tls);
}

void conn_cork(struct conn *conn)
{
    struct net_loop *loop = conn->loop;
    if (conn->state != CONN_OPEN)
        return;
    if (loop->corked != conn) {
        flush_corked(loop);
        loop->corked = conn;
    }
    loop->cork_depth++;
}

void conn_uncork(struct conn *conn)
{
    struct net_loop *loop = conn->loop;
    if (loop->corked == conn && --loop->cork_depth == 0)
        flush_corked(loop);
}

/* ---- conn_write ---- */

/* Small parts are gathered in the cork, corked or not, because each encryption is a TLS record of
 * its own; what is larger than the cork is encrypted where it stands. */
static void write_tls(struct conn *conn, const struct iovec *parts, int count, bool secret)
{
    struct net_loop *loop = conn->loop;
    for (int i = 0; i < count; i++) {
        if (parts[i].iov_len > NET_CORK_BYTES - loop->cork_len)
            flush_cork(conn);
        if (parts[i].iov_len > NET_CORK_BYTES)
            tls_session_write(conn->tls, parts[i].iov_base, parts[i].iov_len);
        else
            append_cork(loop, parts[i].iov_base, parts[i].iov_len, secret);
    }
    if (loop->corked != conn)
        flush_cork(conn);
    tls_session_flush(conn->tls);
}

/* What does not fit into the cork goes out together with it. */
static void write_corked(struct conn *conn, const struct iovec *parts, int count, bool secret)
{
    struct net_loop *loop = conn->loop;
    if (total_of(parts, count) <= NET_CORK_BYTES - loop->cork_len) {
        for (int i = 0; i < count; i++)
            append_cork(loop, parts[i].iov_base, parts[i].iov_len, secret);
        return;
    }
    if (count > CONN_PARTS_MAX) {
        flush_cork(conn);
        conn_send_raw(conn, parts, count, secret);
        return;
    }
    struct iovec all[CONN_PARTS_MAX + 1] = {{loop->cork, loop->cork_len}};
    memcpy(all + 1, parts, (size_t)count * sizeof *parts);
    conn_send_raw(conn, all, count + 1, secret || loop->cork_secret);
    empty_cork(loop);
}

void conn_write(struct conn *conn, const struct iovec *parts, int count, unsigned flags)
{
    struct net_loop *loop = conn->loop;
    bool secret = (flags & CONN_WRITE_SECRET) != 0;
    if (conn->state != CONN_OPEN || conn->broken)
        return;
    if (loop->corked != conn)
        flush_corked(loop);
    if (conn->tls)
        write_tls(conn, parts, count, secret);
    else if (loop->corked == conn)
        write_corked(conn, parts, count, secret);
    else
        conn_send_raw(conn, parts, count, secret);
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
    free_chunks(conn);
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
    if (conn->loop->corked == conn) {
        conn->loop->corked = NULL;
        conn->loop->cork_depth = 0;
        empty_cork(conn->loop);
    }
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
    if (socket_of(conn) < 0 || uv_tcp_close_reset(&conn->tcp, on_closed) < 0)
        uv_close((uv_handle_t *)&conn->tcp, on_closed);
}

static void on_linger(struct wheel_timer *timer)
{
    struct conn_linger *linger = container_of(timer, struct conn_linger, timer);
    struct conn *conn = linger->conn;
    size_t left = conn->queued;
    if (left) {
        /* One chunk is with libuv, which knows how much of it is gone. */
        struct chunk *first = container_of(conn->writes.next, struct chunk, node);
        left -= first->len - uv_stream_get_write_queue_size(stream_of(conn));
    }
    if (left >= linger->left) {
        conn_close(conn);
        return;
    }
    linger->left = left;
    net_timer_start(conn->loop, timer, CONN_LINGER_MS);
}

/* conn_finish: all bytes are with the kernel. */
static void flushed(struct conn *conn)
{
    if (conn->peer_finished) {
        conn_close(conn);
        return;
    }
    conn->linger->left = 0;
    net_timer_start(conn->loop, &conn->linger->timer, CONN_LINGER_MS);
    (void)shutdown(socket_of(conn), SHUT_WR);
    (void)uv_read_start(stream_of(conn), on_alloc, on_read);
}

static struct conn_linger *make_linger(struct conn *conn)
{
    struct conn_linger *linger = malloc(sizeof *linger);
    if (!linger)
        return NULL;
    wheel_timer_init(&linger->timer, on_linger);
    linger->conn = conn;
    linger->left = conn->queued;
    return linger;
}

void conn_finish(struct conn *conn)
{
    if (conn->state == CONN_CLOSING || conn->state == CONN_CLOSED)
        return;
    if (conn->loop->corked == conn)
        flush_corked(conn->loop);
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
        flushed(conn);
    else
        net_timer_start(conn->loop, &conn->linger->timer, CONN_LINGER_MS);
}

/* ---- questions ---- */

const char *conn_error_text(const struct conn *conn)
{
    if (conn->tls && *tls_session_reason(conn->tls))
        return tls_session_reason(conn->tls);
    return conn->error ? uv_strerror(conn->error) : "";
}

bool conn_tls_resumed(const struct conn *conn)
{
    return conn->tls && tls_session_resumed(conn->tls);
}
