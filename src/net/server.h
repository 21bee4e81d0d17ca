/* The serving side of HTTP/1.1: listener, connections, one request at a time on each.
 *
 *     accept ─▶ IDLE ──head──▶ REQUEST ──complete──▶ ANSWERING ──server_reply_end──▶ IDLE …
 *
 * The owner gets four calls for a request: `head`, `body`*, `complete`, and possibly `gone`. It
 * answers with server_reply_head, _body*, _end, at any time after `head`, in the same call or much
 * later. A request is named by its server_conn; `user` is the owner's.
 *
 * Always true:
 * - after `head` exactly one of these ends the request: server_reply_end, server_abort (or
 *   server_reset), or `gone`. After it the owner must not touch the server_conn;
 * - an answer begun before `complete` closes the connection after it (the rest of the request is in
 *   the way); answer a request without a body in `complete`, which follows `head` at once;
 * - a pipelined request waits, unread or buffered up to SERVER_PIPELINE_MAX, until then, and until
 *   the client has taken its earlier answers down to CONN_HIGH_WATER;
 * - what is malformed is answered here (400, 408, 413, 431 by `error`'s body) and closed; the owner
 *   never sees it — except a body that breaks after `head`: that is `gone`;
 * - a client that closes its connection while its answer is due is `gone`, and so is one that takes
 *   nothing of it for write_timeout_ms.
 *
 * Framing, Date, Connection and keep-alive are this file's business; the owner gives status,
 * fields and bytes.
 */
#ifndef SPAREKEY_NET_SERVER_H
#define SPAREKEY_NET_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "net/conn.h"
#include "net/http1.h"
#include "net/listener.h"
#include "net/tls.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SERVER_PIPELINE_MAX  65536 /* bytes buffered behind the current request */
#define SERVER_DRAIN_HEAD_MS 1000  /* a head that has begun has so long to end while draining */

struct server_conn;
struct server;

struct server_ops {
    /* A request has begun. Slices of `head` live during the call. */
    void (*head)(struct server_conn *request, const struct http_head *head);
    void (*body)(struct server_conn *request, const char *data, size_t len);
    void (*complete)(struct server_conn *request);
    /* The client left, or its body broke: no answer is wanted. */
    void (*gone)(struct server_conn *request);
    /* The answer's queue has room again (after server_queued passed CONN_HIGH_WATER). */
    void (*drained)(struct server_conn *request);
    /* Body of an answer made here, e.g. for 400; appended to `out`. NULL: plain text. */
    void (*error)(struct server *server, int status, const char *message, struct buffer *out);
};

struct server_limits {
    int64_t head_timeout_ms;      /* from the first byte (or accept) to a whole head */
    int64_t body_timeout_ms;      /* between bytes of a request body */
    int64_t keepalive_timeout_ms; /* idle between requests */
    int64_t write_timeout_ms;     /* an answer waits and the client takes none of it; noticed within
                                     twice the time. 0 = it may take for ever */
    uint32_t body_rate_min;       /* bytes a second, on average, that a body must come with after a
                                     first body_timeout_ms. 0 = any trickle will do */
    uint32_t max_connections;     /* further ones are accepted and closed at once; of all servers
                                     that share server.all_conns */
};

struct server {
    struct net_loop *loop;
    const struct server_ops *ops;
    struct server_limits limits;
    struct tls_context *tls; /* NULL = plain HTTP */
    void *user;
    struct listener listener;
    char date[32]; /* the Date field's value of second `date_s` */
    int64_t date_s;
    struct list conns; /* every open server_conn */
    uint32_t conn_count;
    /* Open connections of this server and those it shares the count with, which may run on other
     * threads; only through __atomic builtins. NULL: not shared. */
    uint32_t *all_conns;
    uint32_t request_count; /* requests begun and not ended */
    bool draining;
    uint64_t accepted;
    /* Draining and no connection is left; called once. May be NULL. */
    void (*drained_down)(struct server *server);
};

/* Who takes an answer that goes to no socket: a request the process makes to itself. */
struct server_sink {
    void (*head)(struct server_conn *request, int status, struct slice fields);
    void (*body)(struct server_conn *request, const char *data, size_t len);
    /* The last call. `whole`: by server_reply_end, not by an abort. */
    void (*end)(struct server_conn *request, bool whole);
};

struct server_conn {
    struct conn conn;
    struct http_reader reader;
    struct server *server;
    struct list node; /* in server->conns */
    uint64_t number;  /* 1 for the first connection accepted, and so on */
    struct wheel_timer timer;
    struct wheel_timer stall;       /* armed while the client is behind with taking its answers */
    int64_t progress;               /* conn_progress when `stall` was armed */
    int64_t body_begun_ms;          /* later by the time the body was paused */
    int64_t paused_ms;              /* since when, while `paused` */
    uint64_t body_bytes;            /* of the present request */
    struct buffer pipelined;        /* bytes behind the current request */
    void *user;                     /* the owner's, NULL when a request begins */
    const struct server_sink *sink; /* takes the answer; NULL: the connection */
    uint8_t state;                  /* enum server_state, private */
    bool keep_alive;                /* the connection may serve another request after this one */
    bool http10, head_request;      /* how the request was asked */
    bool replied;                   /* the answer's head is out */
    bool chunked, to_end;           /* how the answer's body is framed: in chunks, by the end */
    bool no_body;                   /* the answer has none, whatever its owner says */
    bool request_complete;          /* the request's body is all here */
    bool feeding;                   /* inside feed(): no second one on the same stack */
    bool corked;                    /* an answer's bytes gather in the loop's cork */
    bool paused;                    /* the owner wants no body bytes now */
    bool pipeline_full;             /* nothing is read before it has been served */
};

/* Prepares; nothing is opened. */
void server_init(struct server *server, struct net_loop *loop, const struct server_ops *ops,
                 const struct server_limits *limits, struct tls_context *tls, void *user);

/* Listens on a numeric address with SO_REUSEPORT. `port` 0 takes a free one; server_port tells.
 * STATUS_IN_USE, STATUS_INVALID (address), STATUS_IO. */
NODISCARD
enum status server_listen(struct server *server, const char *host, uint16_t port);
uint16_t server_port(const struct server *server);

/* Stops accepting; connections live on. Listening again is allowed, at once. */
void server_unlisten(struct server *server);

/* Drain: stop accepting, close idle connections now and the others after their answer. A head that
 * is not complete after SERVER_DRAIN_HEAD_MS gets 408: it may never be. */
void server_drain(struct server *server);

/* Closes every connection at once; requests in progress get `gone`. */
void server_close_all(struct server *server);

/* A request without a connection, for server_reply_… and `user` only: its answer goes to the sink.
 * The memory is the caller's, nothing is to be undone. */
void server_request_to(struct server_conn *request, struct server *server,
                       const struct server_sink *sink);

/* Begins the answer. `fields`: ready lines "name: value\r\n", may be empty; never framing fields.
 * `content_length` -1: length unknown, chunked (or close-delimited for HTTP/1.0). The bytes are
 * copied or sent before return, as in all of these. */
void server_reply_head(struct server_conn *request, int status, struct slice fields,
                       int64_t content_length);
void server_reply_body(struct server_conn *request, const char *data, size_t len);

/* The end of the answer. Reading the next request may begin inside this call. When the request's
 * own body has not arrived in full the connection is closed after the answer. */
void server_reply_end(struct server_conn *request);

/* Head, body and end in one. */
void server_reply(struct server_conn *request, int status, struct slice fields, struct slice body);

/* Sends what replies gathered: they collect in the loop's cork until server_reply_end, the next
 * connection's turn, or this. Call it after the bytes of one read have been passed on. */
void server_flush(struct server_conn *request);

/* 100 Continue, for a request whose head had expect_continue. */
void server_continue(struct server_conn *request);

/* An answer that must not look complete: closes without its end, with RST where the end of the
 * connection would be taken for it. server_reset: always with RST. */
void server_abort(struct server_conn *request);
void server_reset(struct server_conn *request);

/* Raw bytes on the connection, no framing: for a mock that must misbehave. */
void server_raw(struct server_conn *request, const char *data, size_t len);

/* Back-pressure: bytes not yet taken by the client; stop and start reading the request's body. */
size_t server_queued(const struct server_conn *request); /* 0 with a sink */
void server_pause(struct server_conn *request);
void server_resume(struct server_conn *request);

#ifdef __cplusplus
}
#endif
#endif
