/* The way of bytes from the owner to the socket.
 *
 *   conn_write ─▶ (corked: loop->cork) ─▶ (TLS: encrypt into loop->cipher) ─▶ writev()
 *                                                what the socket refuses ─▶ chunks ─▶ uv_write
 *
 * Nothing is copied or allocated as long as the socket takes what it is given: writev() reads the
 * caller's memory. Chunks exist only while a peer takes bytes more slowly than they come; one is
 * given to libuv at a time and later bytes gather in the last one, so a thousand small writes
 * towards a slow peer are a few system calls.
 *
 * There is one cork per loop, not per connection: it is full only within one turn, for whoever
 * is writing then.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "net/conn_inner.h"

/* uv_buf_t is an iovec in all but name (libuv asserts the same); so parts need no translation. */
_Static_assert(sizeof(uv_buf_t) == sizeof(struct iovec), "");
_Static_assert(offsetof(uv_buf_t, base) == offsetof(struct iovec, iov_base), "");
_Static_assert(offsetof(uv_buf_t, len) == offsetof(struct iovec, iov_len), "");

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

static uv_stream_t *stream_of(struct conn *conn)
{
    return (uv_stream_t *)&conn->tcp;
}

/* ---- the queue ---- */

static void on_written(uv_write_t *request, int uv_error);

static void free_chunk(struct chunk *chunk)
{
    list_remove(&chunk->node);
    chunk->conn->queued -= chunk->len;
    if (chunk->secret)
        explicit_bzero(chunk->data, chunk->len);
    free(chunk);
}

void conn_queue_clear(struct conn *conn)
{
    while (!list_empty(&conn->writes))
        free_chunk(container_of(conn->writes.next, struct chunk, node));
}

size_t conn_queue_unsent(const struct conn *conn)
{
    if (list_empty(&conn->writes))
        return 0;
    const struct chunk *first = container_of(conn->writes.next, struct chunk, node);
    size_t with_libuv = uv_stream_get_write_queue_size((const uv_stream_t *)&conn->tcp);
    /* The first chunk is with libuv, which may have sent a part of it. */
    return conn->queued - first->len + with_libuv;
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
        conn_write_failed(conn, rc);
    }
}

static void on_written(uv_write_t *request, int uv_error)
{
    struct chunk *chunk = container_of(request, struct chunk, request);
    struct conn *conn = chunk->conn;
    free_chunk(chunk);
    if (uv_is_closing((uv_handle_t *)&conn->tcp))
        return;
    if (uv_error < 0) {
        conn_write_failed(conn, uv_error);
        return;
    }
    submit_chunk(conn);
    if (conn->linger) {
        if (list_empty(&conn->writes))
            conn_flushed(conn);
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
        conn->enqueued += take;
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

/* Bytes the socket takes now, or a libuv error. What uv_try_write would do, but for the way there:
 * send() is the cheapest entrance of a socket, and most answers are one part. */
static ssize_t send_parts(const struct conn *conn, const struct iovec *parts, int count)
{
    int fd = conn_socket(conn);
    ssize_t sent;

    do {
        sent = count == 1 ? send(fd, parts->iov_base, parts->iov_len, MSG_NOSIGNAL)
                          : writev(fd, parts, count);
    } while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return sent;
    return errno == EAGAIN || errno == ENOBUFS ? 0 : uv_translate_sys_error(errno);
}

void conn_send_raw(struct conn *conn, const struct iovec *parts, int count, bool secret)
{
    size_t total = total_of(parts, count), sent = 0;
    if (conn->broken || total == 0)
        return;
    if (list_empty(&conn->writes)) {
        ssize_t rc = send_parts(conn, parts, count);
        if (rc < 0) {
            conn_write_failed(conn, (int)rc);
            return;
        }
        sent = (size_t)rc;
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

void conn_cork_flush(struct conn *conn)
{
    if (conn->loop->corked == conn)
        flush_corked(conn->loop);
}

void conn_cork_drop(struct conn *conn)
{
    struct net_loop *loop = conn->loop;
    if (loop->corked != conn)
        return;
    loop->corked = NULL;
    loop->cork_depth = 0;
    empty_cork(loop);
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
