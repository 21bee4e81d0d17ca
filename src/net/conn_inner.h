/* What conn.c, tls.c and dial.c tell each other; nobody else includes this. */
#ifndef SPAREKEY_NET_CONN_INNER_H
#define SPAREKEY_NET_CONN_INNER_H

#include "net/conn.h"
#include "net/tls.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- conn.c ---- */

/* Its descriptor, -1 without a socket. */
static inline int conn_socket(const struct conn *conn)
{
    uv_os_fd_t fd = -1;
    (void)uv_fileno((const uv_handle_t *)&conn->tcp, &fd);
    return fd;
}

/* IDLE to OPENING. */
void conn_opening(struct conn *conn);

/* Makes `fd` the connection's socket and, with `tls`, begins the handshake. The connection stays
 * OPENING. `host` NULL: server side. On failure the descriptor is closed and nothing has changed. */
NODISCARD
enum status conn_take(struct conn *conn, int fd, struct tls_context *tls, const char *host);

/* The dial or handshake ended: moves on and tells the owner. */
void conn_opened(struct conn *conn, enum status status);

/* As conn_opened, but told from the loop, after the present call has returned. */
void conn_opened_soon(struct conn *conn, enum status status);

/* The peer's end or a failure while OPEN: tells the owner. While OPENING: the dial failed. */
void conn_ended(struct conn *conn, enum status status);

/* As conn_ended, but told from the loop. */
void conn_ended_soon(struct conn *conn, enum status status);

/* A write failed with libuv's code. */
void conn_write_failed(struct conn *conn, int uv_error);

/* A conn_finish is under way and all bytes are with the kernel. */
void conn_flushed(struct conn *conn);

/* ---- conn_out.c ---- */

/* Bytes for the socket as they are. `secret`: a copy that has to be made is wiped after use. */
void conn_send_raw(struct conn *conn, const struct iovec *parts, int count, bool secret);

/* Frees the queue, unsent bytes and all. Not while libuv has a part of it. */
void conn_queue_clear(struct conn *conn);

/* Bytes of the queue the kernel has not taken yet. */
size_t conn_queue_unsent(const struct conn *conn);

/* Sends, or forgets, what the cork holds for this connection; harmless when it is another's. */
void conn_cork_flush(struct conn *conn);
void conn_cork_drop(struct conn *conn);

/* ---- dial.c ---- */

/* Drops a dial under way without a word; its sockets are closed. */
void dial_cancel(struct dial *dial);

/* ---- tls.c: one connection's TLS ---- */

void tls_context_ref(struct tls_context *context);

/* Client side when `host` is given; it and `port` name the session to resume. STATUS_NO_MEMORY,
 * STATUS_TLS. */
NODISCARD
enum status tls_session_new(struct tls_context *context, struct conn *conn, const char *host,
                            uint16_t port, struct tls_session **ret_session);
void tls_session_free(struct tls_session *session); /* NULL is allowed */

/* Sends a client's first flight. */
void tls_session_start(struct tls_session *session);

/* Bytes from the socket: calls conn_opened, `received` and conn_ended as they ask for it. */
void tls_session_feed(struct tls_session *session, const char *data, size_t len);

/* The socket ended with `status`: decides whether that was a clean end. */
void tls_session_eof(struct tls_session *session, enum status status);

/* Whether bytes wait that were read while the owner did not want them; tls_session_resume hands
 * them out. */
bool tls_session_waiting(const struct tls_session *session);
void tls_session_resume(struct tls_session *session);

/* Encrypts; tls_session_flush hands what was encrypted to the socket. */
void tls_session_write(struct tls_session *session, const char *data, size_t len);
void tls_session_flush(struct tls_session *session);

/* Sends close_notify. */
void tls_session_finish(struct tls_session *session);

bool tls_session_resumed(const struct tls_session *session);
const char *tls_session_reason(const struct tls_session *session); /* "" when none */

#ifdef __cplusplus
}
#endif
#endif
