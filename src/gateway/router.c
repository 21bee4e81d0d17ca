#include "gateway/router.h"

#include "gateway/exchange.h"
#include "gateway/guard.h"
#include "gateway/headers.h"
#include "gateway/own.h"
#include "gateway/page.h"
#include "gateway/respond.h"
#include "gateway/worker.h"

enum { FIELDS_MAX = HTTP_HEAD_MAX + 4096 };

static struct worker *worker_of(const struct server_conn *request)
{
    return request->server->user;
}

/* ---- refusals ---------------------------------------------------------------------------- */

static void refuse(struct server_conn *request, enum guard_answer answer)
{
    struct slice none = {NULL, 0};

    switch (answer) {
    case GUARD_TOKEN:
        respond_error(request, 401, "invalid_client_token",
                      SLICE("www-authenticate: Bearer realm=\"sparekey\"\r\n"),
                      "This gateway needs one of its own client tokens as the API key "
                      "(SPAREKEY_CLIENT_TOKENS); the one given is not among them.");
        return;
    case GUARD_ADMIN:
        respond_error(request, 401, "invalid_admin_token",
                      SLICE("www-authenticate: Bearer realm=\"sparekey\"\r\n"),
                      "This route needs the admin token (SPAREKEY_ADMIN_TOKEN) as bearer.");
        return;
    case GUARD_HOST:
        respond_error(request, 403, "foreign_host", none,
                      "This gateway has no client tokens, so it answers only to requests addressed "
                      "to this machine (Host). Set SPAREKEY_CLIENT_TOKENS to serve others.");
        return;
    case GUARD_ORIGIN:
        respond_error(request, 403, "foreign_origin", none,
                      "This gateway has no client tokens, so it refuses requests made by web pages "
                      "of other origins. Set SPAREKEY_CLIENT_TOKENS to serve them.");
        return;
    case GUARD_PASS: return;
    }
}

/* ---- paths ------------------------------------------------------------------------------- */

/* "//" becomes "/" in the path, not in the query; SDK users often write a base URL with a slash at
 * its end. Copies only when there is something to collapse. */
static struct slice collapse_slashes(struct slice target, struct buffer *scratch)
{
    size_t query = target.len;
    const char *mark = memchr(target.ptr, '?', target.len);
    if (mark)
        query = (size_t)(mark - target.ptr);
    if (!memmem(target.ptr, query, "//", 2))
        return target;
    if (buffer_reserve(scratch, target.len, HTTP_HEAD_MAX) != STATUS_OK)
        return target;
    for (size_t i = 0; i < target.len; i++) {
        if (i > 0 && i < query && target.ptr[i] == '/' && target.ptr[i - 1] == '/')
            continue;
        scratch->data[scratch->len++] = target.ptr[i];
    }
    return buffer_slice(scratch);
}

/* "." or "..", also with its dots as %2e: what would lead out of the base path. */
static bool is_dots(struct slice segment)
{
    unsigned dots = 0;

    while (segment.len) {
        bool escaped = segment.len >= 3 && slice_ieq(slice_of(segment.ptr, 3), SLICE("%2e"));
        if (!escaped && segment.ptr[0] != '.')
            return false;
        segment = slice_from(segment, escaped ? 3 : 1);
        dots++;
    }
    return dots == 1 || dots == 2;
}

/* No SDK writes such paths: they climb out of where the keys may be used, or are no request target
 * at all (RFC 9112 §3.2 has no fragment). */
static bool path_is_plain(struct slice target)
{
    struct slice path = http_target_path(target), segment;

    while (slice_next_item(&path, '/', &segment)) {
        if (is_dots(segment))
            return false;
    }
    return !memchr(target.ptr, '#', target.len);
}

/* What follows the base path: "/v1/x" and "/x" are the same endpoint. */
static struct slice suffix_of(struct slice target)
{
    if (slice_starts(target, SLICE("/v1/")))
        return slice_from(target, 3);
    if (slice_eq(target, SLICE("/v1")) || slice_starts(target, SLICE("/v1?")))
        return slice_from(target, 3);
    return target;
}

/* ---- methods ----------------------------------------------------------------------------- */

/* TRACE sends back what it was sent, and upstream that is a key; CONNECT asks for a tunnel. */
static bool is_refused_method(struct slice method)
{
    return slice_eq(method, SLICE("TRACE")) || slice_eq(method, SLICE("CONNECT"));
}

static void refuse_method(struct server_conn *request, struct slice method)
{
    respond_error(request, 405, "method_not_allowed",
                  SLICE("allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"),
                  "The method %.*s is not served by this gateway, whatever the path.",
                  (int)method.len, method.ptr);
}

/* ---- server callbacks -------------------------------------------------------------------- */

static void admit(struct worker *worker, struct server_conn *request, const struct http_head *head,
                  const struct admission *admission)
{
    uint64_t limit = worker->settings->max_body_bytes;

    if (head->content_length > 0 && (uint64_t)head->content_length > limit) {
        respond_error(request, 413, "request_too_large", slice_of(NULL, 0),
                      "The request body of %lld bytes is larger than %llu bytes, the limit of this "
                      "gateway (SPAREKEY_MAX_BODY).",
                      (long long)head->content_length, (unsigned long long)limit);
        return;
    }
    if (!exchange_start(worker, request, head, admission)) {
        respond_error(request, 503, "out_of_memory", slice_of(NULL, 0),
                      "The gateway is out of memory for this request; try again.");
        return;
    }
    if (head->expect_continue)
        server_continue(request);
}

static enum guard_answer check_access(const struct settings *settings,
                                      const struct request_facts *facts,
                                      const struct own_route *own)
{
    switch (own ? own->access : OWN_CLIENT) {
    case OWN_OPEN: return GUARD_PASS;
    case OWN_PAGE: return guard_check_page(settings, facts);
    case OWN_CLIENT: return guard_check(settings, facts);
    case OWN_ADMIN: return guard_check_admin(settings, facts);
    }
    return GUARD_ADMIN;
}

/* Only the last resort is asked without a credential. */
static void refuse_loop(struct worker *worker, struct server_conn *request,
                        const struct request_facts *facts)
{
    bool resorted = worker->settings->last_resort_url.host && !facts->authorization.len;
    const char *setting = resorted ? "SPAREKEY_LAST_RESORT" : "SPAREKEY_UPSTREAM_URL";

    log_line(worker->shared->log, LOG_SEVERITY_ERROR, "loop_detected",
             "%s leads back to this gateway", setting);
    respond_error(request, 508, "loop_detected", SLICE("x-should-retry: false\r\n"),
                  "This request has passed this gateway before: %s leads back to the gateway "
                  "itself.",
                  setting);
}

/* Everything a head can be refused for; true when it may go on. */
static bool passes(struct worker *worker, struct server_conn *request, const struct http_head *head,
                   const struct request_facts *facts, const struct own_route *own)
{
    struct slice none = {NULL, 0};

    if (head->target.len == 0 || head->target.ptr[0] != '/' || !path_is_plain(head->target) ||
        facts->host_count > 1 || (head->minor == 1 && !facts->has_host)) {
        respond_error(
            request, 400, "malformed_request", none,
            "The request needs a path beginning with \"/\", without \"..\" and \"#\", and "
            "exactly one Host field.");
        return false;
    }
    enum guard_answer answer = check_access(worker->settings, facts, own);
    if (answer != GUARD_PASS) {
        refuse(request, answer);
        return false;
    }
    if (facts->loop) {
        refuse_loop(worker, request, facts);
        return false;
    }
    if (head->upgrade && slice_ieq(http_head_get(head, SLICE("upgrade")), SLICE("websocket"))) {
        respond_error(request, 501, "websocket_not_supported", none,
                      "WebSocket endpoints are not served by this version of the gateway.");
        return false;
    }
    return true;
}

static void on_head(struct server_conn *request, const struct http_head *head)
{
    struct worker *worker = worker_of(request);
    struct request_facts facts;
    struct buffer *fields = &worker->scratch_fields, *target = &worker->scratch_target;

    if (is_refused_method(head->method)) {
        refuse_method(request, head->method);
        return;
    }
    const struct own_route *own = page_route(own_route_of(http_target_path(head->target)), head);

    if (own && own->access == OWN_OPEN) {
        own_start(worker, request, head, own);
        return;
    }
    if (headers_upstream(head, slice_str(worker->shared->via), fields, &facts) != STATUS_OK) {
        respond_error(request, 503, "out_of_memory", slice_of(NULL, 0),
                      "The gateway is out of memory for this request; try again.");
    } else if (passes(worker, request, head, &facts, own)) {
        struct admission admission = {
            .path_suffix = suffix_of(collapse_slashes(head->target, target)),
            .fields = buffer_slice(fields),
            .content_type = facts.content_type,
            .timeout_ms = facts.timeout_ms,
        };
        if (own)
            own_start(worker, request, head, own);
        else
            admit(worker, request, head, &admission);
    }
    fields->len = target->len = 0;
}

static void on_body(struct server_conn *request, const char *data, size_t len)
{
    struct request_handler *handler = request->user;
    if (handler)
        handler->ops->body(handler, data, len);
}

static void on_complete(struct server_conn *request)
{
    struct request_handler *handler = request->user;
    if (handler)
        handler->ops->complete(handler);
}

static void on_gone(struct server_conn *request)
{
    struct request_handler *handler = request->user;

    request->user = NULL;
    if (handler)
        handler->ops->gone(handler);
}

static void on_drained(struct server_conn *request)
{
    struct request_handler *handler = request->user;
    if (handler)
        handler->ops->drained(handler);
}

const struct server_ops router_ops = {
    .head = on_head,
    .body = on_body,
    .complete = on_complete,
    .gone = on_gone,
    .drained = on_drained,
    .error = respond_server_error,
};
