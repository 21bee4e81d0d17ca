#include "gateway/exchange_state.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/respond.h"
#include "openai/error_body.h"

enum {
    SMALL_BODY = 1024, /* a longer body's buffer is made at once, not grown */
};

/* ---- birth and death --------------------------------------------------------------------- */

void exchange_free_request(struct exchange *x)
{
    struct exchange_request *req = x->req;

    if (!req)
        return;
    buffer_clear(&req->suffix);
    buffer_clear(&req->fields);
    buffer_clear(&req->body);
    buffer_clear(&req->line);
    buffer_clear(&req->tail);
    free(req);
    x->req = NULL;
}

void exchange_free_kept(struct exchange *x)
{
    if (!x->kept)
        return;
    buffer_clear(&x->kept->fields);
    buffer_clear(&x->kept->body);
    free(x->kept);
    x->kept = NULL;
}

void exchange_clear_answer(struct exchange *x)
{
    buffer_clear(&x->held);
    buffer_clear(&x->fields);
    sse_clear(&x->sse);
    free(x->hints);
    x->hints = NULL;
    x->status = 0;
    x->is_stream = false;
}

static void hold_timer_fired(struct wheel_timer *timer);

static struct exchange *allocate(struct worker *w)
{
    if (list_empty(&w->free_exchanges))
        return malloc(sizeof(struct exchange));
    struct list *first = w->free_exchanges.next;
    list_remove(first);
    w->free_count--;
    return container_of(first, struct exchange, waiting);
}

void exchange_end(struct exchange *x)
{
    struct worker *w = x->worker;

    x->phase = PHASE_ENDED;
    net_timer_stop(&w->loop, &x->timer);
    list_remove(&x->waiting);
    upstream_cancel(&x->call);
    exchange_clear_answer(x);
    exchange_free_request(x);
    exchange_free_kept(x);
    key_entry_unref(x->key);
    settings_unref(x->settings);
    if (w->free_count == WORKER_FREE_EXCHANGES) {
        free(x);
        return;
    }
    list_push(&w->free_exchanges, &x->waiting);
    w->free_count++;
}

void exchange_end_failed(struct exchange *x)
{
    keyring_end(exchange_ring(x), &x->plan, exchange_now(x));
    exchange_end(x);
}

void exchange_free_reserve(struct worker *w)
{
    while (!list_empty(&w->free_exchanges)) {
        struct list *first = w->free_exchanges.next;
        list_remove(first);
        free(container_of(first, struct exchange, waiting));
    }
    w->free_count = 0;
}

struct exchange *exchange_of_waiting(struct list *node)
{
    return container_of(node, struct exchange, waiting);
}

/* ---- the request ------------------------------------------------------------------------- */

static bool is_json_type(struct slice content_type)
{
    return slice_starts(content_type, SLICE("application/json"));
}

static enum status note_request(struct exchange_request *req, const struct http_head *head,
                                const struct admission *admission)
{
    req->method_len = slice_copy(head->method, req->method, sizeof req->method);
    req->is_json = is_json_type(admission->content_type);
    peek_init(&req->peek);
    enum status status = buffer_append(&req->suffix, admission->path_suffix, HTTP_HEAD_MAX);
    if (status == STATUS_OK)
        status = buffer_append(&req->fields, admission->fields, EXCHANGE_FIELDS_MAX);
    if (status == STATUS_OK && head->content_length > SMALL_BODY)
        status = buffer_reserve(&req->body, (size_t)head->content_length, SIZE_MAX);
    return status;
}

static int64_t deadline_of(const struct exchange *x, int64_t caller_timeout_ms)
{
    int64_t ms = x->settings->request_timeout_ms;
    if (caller_timeout_ms > 0 && caller_timeout_ms < ms)
        ms = caller_timeout_ms;
    return exchange_now(x) + ms * 1000000;
}

struct exchange *exchange_start(struct worker *w, struct server_conn *request,
                                const struct http_head *head, const struct admission *admission)
{
    struct exchange_request *req = calloc(1, sizeof *req);
    struct exchange *x = allocate(w);

    if (!req || !x || note_request(req, head, admission) != STATUS_OK)
        goto no_memory;
    memset(x, 0, sizeof *x);
    x->worker = w;
    x->request = request;
    x->req = req;
    x->settings = settings_ref(w->settings);
    x->phase = PHASE_BODY;
    x->endpoint = endpoint_lookup(head->method, http_target_path(admission->path_suffix));
    x->head_method = slice_eq(head->method, SLICE("HEAD"));
    wheel_timer_init(&x->timer, hold_timer_fired);
    list_init(&x->waiting);
    sse_init(&x->sse, STREAM_NONE);
    x->plan.deadline_ns = deadline_of(x, admission->timeout_ms); /* kept here until plan_start */
    request->user = x;
    return x;

no_memory:
    free(x);
    if (req) {
        buffer_clear(&req->suffix);
        buffer_clear(&req->fields);
        buffer_clear(&req->body);
        free(req);
    }
    return NULL;
}

static void refuse_body(struct exchange *x, int status)
{
    struct server_conn *request = x->request;
    uint64_t limit = x->settings->max_body_bytes;

    exchange_end(x);
    request->user = NULL;
    if (status == 413)
        respond_error(request, 413, "request_too_large", slice_of(NULL, 0),
                      "The request body is larger than %llu bytes, the limit of this gateway "
                      "(SPAREKEY_MAX_BODY).",
                      (unsigned long long)limit);
    else
        respond_error(request, 503, "out_of_memory", slice_of(NULL, 0),
                      "The gateway is out of memory for this request; try again.");
}

void exchange_body(struct exchange *x, const char *data, size_t len)
{
    struct exchange_request *req = x->req;
    enum status status =
        buffer_append(&req->body, slice_of(data, len), (size_t)x->settings->max_body_bytes);

    if (status != STATUS_OK) {
        refuse_body(x, status == STATUS_LIMIT ? 413 : 503);
        return;
    }
    if (req->is_json)
        peek_feed(&req->peek, data, len);
}

/* Whether work that may have run may be asked for again (openai-protocol.md §2.4). */
static bool is_stateless(const struct exchange *x)
{
    const struct peek *peek = &x->req->peek;

    if (x->endpoint.stateful)
        return false;
    if (x->endpoint.family == FAMILY_RESPONSES)
        return peek->store_false && !peek->references && !peek->background;
    return true;
}

/* ---- the plan's word --------------------------------------------------------------------- */

static void wait_until(struct exchange *x, int64_t until_ns)
{
    int64_t delay_ms = (until_ns - exchange_now(x) + 999999) / 1000000;

    x->phase = PHASE_WAITING;
    list_append(&x->worker->waiting, &x->waiting);
    atomic_fetch_add(&x->worker->shared->waiting, 1);
    net_timer_start(&x->worker->loop, &x->timer, delay_ms > 0 ? delay_ms : 0);
}

static void stop_waiting(struct exchange *x)
{
    list_remove(&x->waiting);
    net_timer_stop(&x->worker->loop, &x->timer);
    atomic_fetch_sub(&x->worker->shared->waiting, 1);
    x->phase = PHASE_PLANNING;
}

static void follow(struct exchange *x, const struct plan_step *step, struct key_entry *entry)
{
    switch (step->action) {
    case PLAN_SEND: attempt_send(x, entry); return;
    case PLAN_WAIT: wait_until(x, step->until_ns); return;
    case PLAN_RETURN:
    case PLAN_RETURN_KEPT: answer_return(x, step); return;
    case PLAN_GIVE_UP: answer_give_up(x, step); return;
    }
}

void exchange_ask(struct exchange *x)
{
    struct plan_step step;
    struct key_entry *entry;

    keyring_next(exchange_ring(x), &x->plan, exchange_now(x), &step, &entry);
    follow(x, &step, entry);
}

void exchange_wake(struct exchange *x)
{
    stop_waiting(x);
    exchange_ask(x);
}

static void begin_plan(struct exchange *x)
{
    struct plan_step step;
    struct key_entry *entry;
    struct plan_request request = {
        .family = (uint8_t)x->endpoint.family,
        .stream = x->req->peek.stream,
        .stateless = is_stateless(x),
        .opaque = x->endpoint.family == FAMILY_UNKNOWN,
        .model = peek_model(&x->req->peek),
        .deadline_ns = x->plan.deadline_ns,
    };

    keyring_begin(exchange_ring(x), &x->plan, &request, exchange_now(x), &step, &entry);
    follow(x, &step, entry);
}

void exchange_complete(struct exchange *x)
{
    if (x->req->is_json)
        peek_finish(&x->req->peek);
    x->phase = PHASE_PLANNING;
    begin_plan(x);
}

/* WAITING: the plan's time has come. HOLDING: the answer was held long enough. */
static void hold_timer_fired(struct wheel_timer *timer)
{
    struct exchange *x = container_of(timer, struct exchange, timer);

    if (x->phase == PHASE_WAITING) {
        exchange_wake(x);
    } else if (x->phase == PHASE_HOLDING && x->status < 400) {
        answer_commit(x);
        server_flush(x->request);
    }
}

/* ---- the client's word ------------------------------------------------------------------- */

void exchange_client_gone(struct exchange *x)
{
    if (x->phase == PHASE_WAITING)
        stop_waiting(x);
    if (x->phase == PHASE_BODY)
        exchange_end(x); /* no plan has begun */
    else
        exchange_end_failed(x);
}

void exchange_drained(struct exchange *x)
{
    if (x->phase == PHASE_FLOWING)
        upstream_resume(&x->call);
}
