#include "gateway/exchange_state.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "gateway/headers.h"
#include "gateway/last_resort.h"
#include "gateway/respond.h"
#include "openai/demand.h"
#include "openai/error_body.h"
#include "openai/json_whole.h"

enum {
    SMALL_BODY = 1024, /* a longer body's buffer is made at once, not grown */
};

static struct exchange *of_handler(struct request_handler *handler)
{
    return container_of(handler, struct exchange, handler);
}

/* ---- birth and death --------------------------------------------------------------------- */

static void clear_workspace(struct workspace *ws)
{
    buffer_clear(&ws->suffix);
    buffer_clear(&ws->fields);
    buffer_clear(&ws->body);
    buffer_clear(&ws->head);
    buffer_clear(&ws->held);
    buffer_clear(&ws->held_fields);
}

/* Empty, its memory kept unless it is unusually much. */
static void empty_buffer(struct buffer *b)
{
    b->len = 0;
    if (b->capacity > WORKSPACE_KEEP_BYTES)
        buffer_clear(b);
}

static void empty_workspace(struct workspace *ws)
{
    empty_buffer(&ws->suffix);
    empty_buffer(&ws->fields);
    empty_buffer(&ws->body);
    empty_buffer(&ws->head);
    empty_buffer(&ws->held);
    empty_buffer(&ws->held_fields);
}

static struct workspace *borrow_workspace(struct worker *w)
{
    if (list_empty(&w->free_workspaces))
        return calloc(1, sizeof(struct workspace));
    struct list *first = w->free_workspaces.next;
    list_remove(first);
    w->free_workspace_count--;
    return container_of(first, struct workspace, node);
}

static void return_workspace(struct worker *w, struct workspace *ws)
{
    if (ws->counted)
        (void)__atomic_sub_fetch(&w->shared->buffered, ws->counted, __ATOMIC_RELAXED);
    ws->counted = 0;
    if (w->free_workspace_count == WORKER_FREE_WORKSPACES) {
        clear_workspace(ws);
        free(ws);
        return;
    }
    empty_workspace(ws);
    list_push(&w->free_workspaces, &ws->node);
    w->free_workspace_count++;
}

void exchange_release_workspace(struct exchange *x)
{
    if (x->ws)
        return_workspace(x->worker, x->ws);
    x->ws = NULL;
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
    if (x->ws) {
        x->ws->held.len = x->ws->held_fields.len = 0;
        x->ws->content_type[0] = '\0';
        hints_init(&x->ws->hints);
    }
    sse_clear(&x->sse);
    x->status = 0;
    x->is_stream = x->failed_document = false;
}

static void hold_timer_fired(struct wheel_timer *timer);
static const struct request_handler_ops handler_ops;

static struct exchange *borrow_exchange(struct worker *w)
{
    if (list_empty(&w->free_exchanges))
        return malloc(sizeof(struct exchange));
    struct list *first = w->free_exchanges.next;
    list_remove(first);
    w->free_exchange_count--;
    return container_of(first, struct exchange, waiting);
}

static void return_exchange(struct worker *w, struct exchange *x)
{
    if (w->free_exchange_count == WORKER_FREE_EXCHANGES) {
        free(x);
        return;
    }
    list_push(&w->free_exchanges, &x->waiting);
    w->free_exchange_count++;
}

void exchange_end(struct exchange *x)
{
    struct worker *w = x->worker;

    meter_end(x);
    x->phase = PHASE_ENDED;
    net_timer_stop(&w->loop, &x->timer);
    list_remove(&x->waiting);
    upstream_cancel(&x->call);
    sse_clear(&x->sse);
    exchange_release_workspace(x);
    exchange_free_kept(x);
    key_entry_unref(x->key);
    settings_unref(x->settings);
    return_exchange(w, x);
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
    while (!list_empty(&w->free_workspaces)) {
        struct list *first = w->free_workspaces.next;
        list_remove(first);
        clear_workspace(container_of(first, struct workspace, node));
        free(container_of(first, struct workspace, node));
    }
    w->free_exchange_count = w->free_workspace_count = 0;
}

struct exchange *exchange_of_waiting(struct list *node)
{
    return container_of(node, struct exchange, waiting);
}

/* ---- the request ------------------------------------------------------------------------- */

static enum status note_request(struct workspace *ws, const struct http_head *head,
                                const struct admission *admission)
{
    ws->method_len = slice_copy(head->method, ws->method, sizeof ws->method);
    ws->is_json = json_content_type(admission->content_type);
    peek_init(&ws->peek);
    enum status status = buffer_append(&ws->suffix, admission->path_suffix, HTTP_HEAD_MAX);
    if (status == STATUS_OK)
        status = buffer_append(&ws->fields, SLICE("\r\n"), EXCHANGE_FIELDS_MAX);
    if (status == STATUS_OK)
        status = buffer_append(&ws->fields, admission->fields, EXCHANGE_FIELDS_MAX);
    if (status == STATUS_OK && head->content_length > SMALL_BODY)
        status = buffer_reserve(&ws->body, (size_t)head->content_length, SIZE_MAX);
    return status;
}

/* Kept in the plan, which begins when the body is here. */
static void set_deadline(struct exchange *x, int64_t caller_timeout_ms)
{
    int64_t ms = x->settings->request_timeout_ms;

    x->caller_deadline = caller_timeout_ms > 0 && caller_timeout_ms < ms;
    if (x->caller_deadline)
        ms = caller_timeout_ms;
    x->plan.deadline_ns = exchange_now(x) + ms * 1000000;
}

struct exchange *exchange_start(struct worker *w, struct server_conn *request,
                                const struct http_head *head, const struct admission *admission)
{
    struct workspace *ws = borrow_workspace(w);
    struct exchange *x = borrow_exchange(w);

    if (!ws || !x || note_request(ws, head, admission) != STATUS_OK)
        goto no_memory;
    memset(x, 0, sizeof *x);
    x->worker = w;
    x->request = request;
    x->ws = ws;
    x->settings = settings_ref(w->settings);
    x->phase = PHASE_BODY;
    x->endpoint = endpoint_lookup(head->method, http_target_path(admission->path_suffix));
    x->head_method = slice_eq(head->method, SLICE("HEAD"));
    wheel_timer_init(&x->timer, hold_timer_fired);
    list_init(&x->waiting);
    sse_init(&x->sse, STREAM_NONE);
    set_deadline(x, admission->timeout_ms);
    x->handler.ops = &handler_ops;
    x->rehearsal = admission->rehearsal;
    x->drill = x->rehearsal && x->rehearsal->keys;
    meter_begin(x, head);
    request->user = &x->handler;
    return x;

no_memory:
    free(x);
    if (ws)
        return_workspace(w, ws);
    return NULL;
}

/* Counts what has arrived, not what was declared: an announcement costs nothing. Bodies that a free
 * workspace would keep are left out: the number of connections bounds them, and most requests
 * never touch what all workers share. */
static bool count_body(struct exchange *x, size_t len)
{
    uint64_t *all = &x->worker->shared->buffered;
    uint64_t total = x->ws->body.len + len;

    if (total <= WORKSPACE_KEEP_BYTES)
        return true;
    uint64_t more = total - x->ws->counted;
    if (__atomic_add_fetch(all, more, __ATOMIC_RELAXED) > x->settings->max_buffered_bytes) {
        (void)__atomic_sub_fetch(all, more, __ATOMIC_RELAXED);
        return false;
    }
    x->ws->counted = total;
    return true;
}

static void refuse_for_room(struct exchange *x)
{
    struct server_conn *request = x->request;

    log_line(x->worker->shared->log, LOG_SEVERITY_WARN, "buffers_full",
             "a request was refused: those in progress fill SPAREKEY_MAX_BUFFERED");
    x->meter.status = 503;
    exchange_end(x);
    request->user = NULL;
    respond_error(request, 503, "gateway_buffers_full", SLICE("retry-after: 1\r\n"),
                  "The gateway holds as many bytes of request bodies as it may "
                  "(SPAREKEY_MAX_BUFFERED); try again when others have been served.");
}

static void refuse_body(struct exchange *x, int status)
{
    struct server_conn *request = x->request;
    uint64_t limit = x->settings->max_body_bytes;

    x->meter.status = (uint16_t)status;
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

static void on_body(struct request_handler *handler, const char *data, size_t len)
{
    struct exchange *x = of_handler(handler);
    struct workspace *ws = x->ws;

    if (!count_body(x, len)) {
        refuse_for_room(x);
        return;
    }
    enum status status =
        buffer_append(&ws->body, slice_of(data, len), (size_t)x->settings->max_body_bytes);

    if (status != STATUS_OK) {
        refuse_body(x, status == STATUS_LIMIT ? 413 : 503);
        return;
    }
    if (ws->is_json)
        peek_feed(&ws->peek, data, len);
}

/* ---- the plan's word --------------------------------------------------------------------- */

static void start_waiting(struct exchange *x)
{
    x->phase = PHASE_WAITING;
    meter_wait(x);
    list_append(&x->worker->waiting, &x->waiting);
    __atomic_add_fetch(&x->worker->shared->waiting, 1, __ATOMIC_SEQ_CST);
}

static void stop_waiting(struct exchange *x)
{
    meter_waited(x);
    list_remove(&x->waiting);
    net_timer_stop(&x->worker->loop, &x->timer);
    __atomic_sub_fetch(&x->worker->shared->waiting, 1, __ATOMIC_SEQ_CST);
    x->phase = PHASE_PLANNING;
}

/* The answer to be kept may have broken off, or found no memory: then our own words must do. */
static void return_kept(struct exchange *x, const struct plan_step *step)
{
    struct plan_step instead = *step;

    if (x->kept) {
        answer_return(x, step);
        return;
    }
    instead.action = PLAN_GIVE_UP;
    instead.status = 503;
    answer_give_up(x, &instead);
}

static void follow(struct exchange *x, const struct plan_step *step, struct key_entry *entry);

/* A change of the pool wakes nobody while nobody is counted as waiting. What has changed between
 * the plan's word and the count is learnt by asking once more, counted: from here on every change
 * either is in that answer or wakes us. */
static void wait_counted(struct exchange *x)
{
    struct plan_step step;
    struct key_entry *entry;

    start_waiting(x);
    keyring_next(exchange_ring(x), &x->plan, exchange_now(x), &step, &entry);
    if (step.action == PLAN_WAIT) {
        int64_t delay_ms = (step.until_ns - exchange_now(x) + 999999) / 1000000;
        net_timer_start(&x->worker->loop, &x->timer, delay_ms > 0 ? delay_ms : 0);
        return;
    }
    stop_waiting(x);
    follow(x, &step, entry);
}

static void follow(struct exchange *x, const struct plan_step *step, struct key_entry *entry)
{
    bool out = step->action == PLAN_GIVE_UP || step->action == PLAN_RETURN_KEPT;

    if (out && last_resort_takes(x, step))
        return;
    switch (step->action) {
    case PLAN_SEND: attempt_send(x, entry); return;
    case PLAN_WAIT: wait_counted(x); return;
    case PLAN_RETURN: answer_return(x, step); return;
    case PLAN_RETURN_KEPT: return_kept(x, step); return;
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

bool exchange_is_called(const struct exchange *x)
{
    return plan_is_called(&x->plan);
}

void exchange_wake(struct exchange *x)
{
    stop_waiting(x);
    exchange_ask(x);
}

static void begin_plan(struct exchange *x)
{
    const struct workspace *ws = x->ws;
    struct plan_step step;
    struct key_entry *entry;
    struct plan_request request;
    struct demand demand = {
        .endpoint = x->endpoint,
        .method = slice_of(ws->method, ws->method_len),
        .peek = &ws->peek,
        .json = ws->is_json ? buffer_slice(&ws->body) : slice_of(NULL, 0),
        .affinity = x->settings->prompt_affinity,
    };

    demand_plan(&demand, &request);
    request.deadline_ns = x->plan.deadline_ns;
    request.drill_keys = x->rehearsal ? x->rehearsal->keys : 0;
    x->call.may_replay = request.stateless;
    keyring_begin(exchange_ring(x), &x->plan, &request, exchange_now(x), &step, &entry);
    follow(x, &step, entry);
}

/* Now that the body is here: the last lines of every attempt's head. */
static enum status end_fields(struct workspace *ws)
{
    struct slice method = slice_of(ws->method, ws->method_len);
    struct text t = text_into(&ws->fields, EXCHANGE_FIELDS_MAX);

    if (ws->body.len || slice_eq(method, SLICE("POST")) || slice_eq(method, SLICE("PUT"))) {
        text_put(&t, SLICE("content-length: "));
        text_put_number(&t, ws->body.len);
        text_put(&t, SLICE("\r\n"));
    }
    text_put(&t, SLICE("\r\n"));
    return t.status;
}

static void on_complete(struct request_handler *handler)
{
    struct exchange *x = of_handler(handler);

    if (end_fields(x->ws) != STATUS_OK) {
        refuse_body(x, 503);
        return;
    }
    if (x->ws->is_json)
        peek_finish(&x->ws->peek);
    x->phase = PHASE_PLANNING;
    meter_complete(x);
    begin_plan(x);
}

/* WAITING: the plan's time has come. AWAITING, HOLDING: the attempt's. */
static void hold_timer_fired(struct wheel_timer *timer)
{
    struct exchange *x = container_of(timer, struct exchange, timer);

    if (x->phase == PHASE_WAITING) {
        exchange_wake(x);
    } else if (x->phase == PHASE_AWAITING || x->phase == PHASE_HOLDING) {
        attempt_timer_fired(x);
    }
}

/* ---- the client's word ------------------------------------------------------------------- */

static void on_gone(struct request_handler *handler)
{
    struct exchange *x = of_handler(handler);

    if (x->phase == PHASE_WAITING)
        stop_waiting(x);
    if (x->phase == PHASE_BODY)
        exchange_end(x); /* no plan has begun */
    else
        exchange_end_failed(x);
}

static void on_drained(struct request_handler *handler)
{
    struct exchange *x = of_handler(handler);

    if (x->phase == PHASE_FLOWING)
        upstream_resume(&x->call);
}

static const struct request_handler_ops handler_ops = {
    .body = on_body, .complete = on_complete, .gone = on_gone, .drained = on_drained};
