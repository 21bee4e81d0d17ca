/* Requests that the gateway answers by itself: health, events, metrics, the status page, …
 *
 * One table (own_routes.c) says who answers which path, with which methods, for whom. The request is
 * collected first (its body up to OWN_BODY_MAX), then its route's `answer` is called once, on the
 * worker's thread. It answers by one of the own_reply functions: at once, or later.
 *
 *     head ──▶ own_start ──body*──▶ answer ──▶ own_reply                             (at once)
 *                                     └──▶ own_background ──▶ work ──▶ done ──▶ own_reply
 *                                     └──▶ (kept in `state`, `gone` set) … own_stream … own_end
 *
 * Nothing that takes long may run on a loop thread: own_background takes it to the thread pool.
 * A client may leave at any time. Then `gone` is called, if set; and while background work is under
 * way `request` is NULL instead, and the own_reply of `done` only frees.
 */
#ifndef SPAREKEY_GATEWAY_OWN_H
#define SPAREKEY_GATEWAY_OWN_H

#include "gateway/worker.h"

#ifdef __cplusplus
extern "C" {
#endif

#define OWN_BODY_MAX   65536 /* bytes of a request's body; 413 beyond */
#define OWN_TARGET_MAX 4096  /* of its path and query; 414 beyond */
#define OWN_ACCEPT_MAX 512   /* of its Accept field that are looked at */

enum own_access {
    OWN_OPEN,   /* whoever reaches the port: what a load balancer asks for */
    OWN_PAGE,   /* the same, but no page of another site: what holds no secret, for browsers */
    OWN_CLIENT, /* who may use the keys */
    OWN_ADMIN,  /* who knows SPAREKEY_ADMIN_TOKEN, once client tokens are set */
};

enum { OWN_GET = 1, OWN_POST = 2 }; /* methods; HEAD is asked like GET */

struct own_request;

struct own_route {
    const char *path;
    bool prefix; /* and everything below it: the path ends in '/' */
    unsigned methods;
    enum own_access access;
    void (*answer)(struct own_request *own);
};

/* The table; ends with a NULL path. */
extern const struct own_route own_routes[];

struct own_request {
    struct request_handler handler;
    struct worker *worker;
    struct server_conn *request; /* NULL: the client has left */
    const struct own_route *route;
    unsigned method;             /* OWN_GET, OWN_POST */
    struct slice path;           /* without the query */
    struct slice query;          /* behind '?'; may be empty */
    struct buffer target;        /* what these two point into */
    char accept[OWN_ACCEPT_MAX]; /* the Accept field, cut to fit */
    struct buffer body;
    char last_event_id[40];                /* the field Last-Event-ID */
    void *state;                           /* the route's own */
    void (*gone)(struct own_request *own); /* the client left: let go of `state`, then own_end */
    uv_work_t job;
    void (*work)(struct own_request *own);
    void (*done)(struct own_request *own);
};

/* The route of this path, or NULL. */
const struct own_route *own_route_of(struct slice path);

/* Takes a request over: it is this route's and may pass. Wrong methods and too long targets are
 * answered here. */
void own_start(struct worker *worker, struct server_conn *request, const struct http_head *head,
               const struct own_route *route);

/* One parameter of the query, percent-decoded into `out`, cut to fit; false when it is not there. */
bool own_parameter(const struct own_request *own, const char *name, char *out, size_t size);

/* Whole answers. `own` is gone afterwards. */
void own_reply(struct own_request *own, int status, struct slice fields, struct slice body);
void own_reply_json(struct own_request *own, int status, struct slice body);
void own_reply_error(struct own_request *own, int status, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* `work` on a thread of the pool, then `done` on the worker's. Neither may be NULL. */
void own_background(struct own_request *own, void (*work)(struct own_request *own),
                    void (*done)(struct own_request *own));

/* An answer in pieces: its head (no length), then own_send as often as there is something. */
void own_stream(struct own_request *own, int status, struct slice fields);
void own_send(struct own_request *own, struct slice bytes);
/* Cuts an answer in pieces off: it does not look complete. `own` is gone. */
void own_abort(struct own_request *own);
/* The end of an answer in pieces, or of a request whose client has left. `own` is gone. */
void own_end(struct own_request *own);

#ifdef __cplusplus
}
#endif
#endif
