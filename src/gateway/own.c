#include "gateway/own.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/respond.h"

static struct own_request *of_handler(struct request_handler *handler)
{
    return container_of(handler, struct own_request, handler);
}

const struct own_route *own_route_of(struct slice path)
{
    for (const struct own_route *route = own_routes; route->path; route++) {
        struct slice known = slice_str(route->path);
        if (route->prefix ? path.len > known.len && slice_starts(path, known)
                          : slice_eq(path, known))
            return route;
    }
    return NULL;
}

/* ---- parameters -------------------------------------------------------------------------- */

bool own_parameter(const struct own_request *own, const char *name, char *out, size_t size)
{
    struct slice rest = own->query, pair;

    while (slice_next_item(&rest, '&', &pair)) {
        struct slice value = pair, key;
        if (!slice_next_item(&value, '=', &key) || !slice_eq(key, slice_str(name)))
            continue;
        (void)slice_unescape(value, true, out, size);
        return true;
    }
    return false;
}

/* ---- answers ----------------------------------------------------------------------------- */

void own_end(struct own_request *own)
{
    if (own->request) {
        own->request->user = NULL;
        server_reply_end(own->request);
    }
    buffer_clear(&own->target);
    buffer_wipe(&own->body);
    free(own);
}

void own_stream(struct own_request *own, int status, struct slice fields)
{
    if (own->request)
        server_reply_head(own->request, status, fields, -1);
}

void own_send(struct own_request *own, struct slice bytes)
{
    if (!own->request || !bytes.len)
        return;
    server_reply_body(own->request, bytes.ptr, bytes.len);
    server_flush(own->request);
}

void own_abort(struct own_request *own)
{
    struct server_conn *request = own->request;

    own->request = NULL;
    if (request) {
        request->user = NULL;
        server_abort(request);
    }
    own_end(own);
}

void own_reply(struct own_request *own, int status, struct slice fields, struct slice body)
{
    struct server_conn *request = own->request;

    own->request = NULL;
    if (request) {
        request->user = NULL;
        server_reply(request, status, fields, body);
    }
    own_end(own);
}

void own_reply_json(struct own_request *own, int status, struct slice body)
{
    own_reply(own, status, SLICE("content-type: application/json\r\ncache-control: no-store\r\n"),
              body);
}

void own_reply_error(struct own_request *own, int status, const char *code, const char *format, ...)
{
    struct server_conn *request = own->request;
    char message[512];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(message, sizeof message, format, args);
    va_end(args);
    own->request = NULL;
    if (request) {
        request->user = NULL;
        respond_error(request, status, code, slice_of(NULL, 0), "%s", message);
    }
    own_end(own);
}

/* ---- the server's word ------------------------------------------------------------------- */

static void on_body(struct request_handler *handler, const char *data, size_t len)
{
    struct own_request *own = of_handler(handler);

    if (buffer_append(&own->body, slice_of(data, len), OWN_BODY_MAX) != STATUS_OK)
        own_reply_error(own, 413, "request_too_large",
                        "The body of this request is larger than %d bytes.", OWN_BODY_MAX);
}

static void on_complete(struct request_handler *handler)
{
    struct own_request *own = of_handler(handler);

    own->route->answer(own);
}

static void on_gone(struct request_handler *handler)
{
    struct own_request *own = of_handler(handler);

    own->request = NULL;
    if (own->work)
        return; /* own_background's `done` ends it */
    if (own->gone)
        own->gone(own);
    else
        own_end(own);
}

static void on_drained(struct request_handler *handler)
{
    (void)handler; /* who streams looks at server_queued */
}

static const struct request_handler_ops handler_ops = {
    .body = on_body, .complete = on_complete, .gone = on_gone, .drained = on_drained};

/* ---- the thread pool --------------------------------------------------------------------- */

static void run_job(uv_work_t *job)
{
    struct own_request *own = container_of(job, struct own_request, job);
    own->work(own);
}

static void job_done(uv_work_t *job, int status)
{
    struct own_request *own = container_of(job, struct own_request, job);

    (void)status; /* nobody cancels jobs */
    own->work = NULL;
    own->done(own);
}

void own_background(struct own_request *own, void (*work)(struct own_request *own),
                    void (*done)(struct own_request *own))
{
    own->work = work;
    own->done = done;
    int rc = uv_queue_work(&own->worker->loop.uv, &own->job, run_job, job_done);
    if (rc < 0) { /* only without a callback */
        own->work = NULL;
        own_reply_error(own, 500, "internal_error", "%s", uv_strerror(rc));
    }
}

/* ---- beginning --------------------------------------------------------------------------- */

static unsigned method_of(struct slice method)
{
    if (slice_eq(method, SLICE("GET")) || slice_eq(method, SLICE("HEAD")))
        return OWN_GET;
    return slice_eq(method, SLICE("POST")) ? OWN_POST : 0;
}

static void refuse_method(struct server_conn *request, const struct own_route *route)
{
    struct slice allow = route->methods == OWN_GET    ? SLICE("allow: GET, HEAD\r\n")
                         : route->methods == OWN_POST ? SLICE("allow: POST\r\n")
                                                      : SLICE("allow: GET, HEAD, POST\r\n");
    respond_error(request, 405, "method_not_allowed", allow,
                  "This path does not take that method.");
}

static void split_target(struct own_request *own)
{
    struct slice target = buffer_slice(&own->target);

    own->path = http_target_path(target);
    own->query = slice_from(target, own->path.len + 1);
}

void own_start(struct worker *worker, struct server_conn *request, const struct http_head *head,
               const struct own_route *route)
{
    unsigned method = method_of(head->method);

    if (!(route->methods & method)) {
        refuse_method(request, route);
        return;
    }
    /* No name, mask or parameter holds a NUL, and a text would end at it for whoever compares. */
    if (slice_contains_nocase(head->target, SLICE("%00"))) {
        respond_error(request, 400, "malformed_request", slice_of(NULL, 0),
                      "The path and query of this request must not hold %%00.");
        return;
    }
    struct own_request *own = calloc(1, sizeof *own);
    enum status status =
        own ? buffer_append(&own->target, head->target, OWN_TARGET_MAX) : STATUS_NO_MEMORY;
    if (status != STATUS_OK) {
        free(own);
        respond_error(request, status == STATUS_LIMIT ? 414 : 503,
                      status == STATUS_LIMIT ? "target_too_long" : "out_of_memory",
                      slice_of(NULL, 0),
                      status == STATUS_LIMIT ? "The path and query of this request are too long."
                                             : "The gateway is out of memory; try again.");
        return;
    }
    own->handler.ops = &handler_ops;
    own->worker = worker;
    own->request = request;
    own->route = route;
    own->method = method;
    (void)slice_copy(http_head_get(head, SLICE("last-event-id")), own->last_event_id,
                     sizeof own->last_event_id);
    (void)slice_copy(http_head_get(head, SLICE("accept")), own->accept, sizeof own->accept);
    split_target(own);
    request->user = &own->handler;
    if (head->expect_continue)
        server_continue(request);
}
