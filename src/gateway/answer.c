#include "gateway/exchange_state.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "gateway/headers.h"
#include "gateway/respond.h"
#include "gateway/tell.h"
#include "keyring/echo.h"
#include "openai/advice.h"

enum {
    TRAIL_MAX = 16, /* attempts named in x-sparekey-trail */
};

static void put_trail(struct text *t, const struct plan *plan)
{
    unsigned named = 0;

    for (unsigned i = 0; i < plan->attempt_count && named < TRAIL_MAX; i++) {
        if (plan->attempts[i].failure == FAILURE_NONE)
            continue;
        text_put(t, named++ ? SLICE(",") : SLICE("x-sparekey-trail: "));
        text_put_str(t, failure_name(plan->attempts[i].failure));
    }
    if (named)
        text_put(t, SLICE("\r\n"));
}

/* x-sparekey-key, -attempts and -trail. */
static enum status add_own_fields(struct exchange *x, struct buffer *fields, bool no_retry)
{
    struct text t = text_into(fields, EXCHANGE_FIELDS_MAX);
    char mask[SECRET_MASK_MAX];

    if (x->key) {
        text_put(&t, SLICE("x-sparekey-key: "));
        text_put_str(&t, key_entry_mask(x->key, mask));
        text_put(&t, SLICE("\r\n"));
    }
    text_put(&t, SLICE("x-sparekey-attempts: "));
    /* An attempt in flight is not in the trail yet. */
    text_put_number(&t, x->plan.attempt_count +
                            (x->phase == PHASE_HOLDING || x->phase == PHASE_AWAITING ? 1 : 0));
    text_put(&t, SLICE("\r\n"));
    put_trail(&t, &x->plan);
    if (no_retry) {
        headers_drop_line(fields,
                          SLICE("x-should-retry")); /* the upstream's own would contradict */
        text_put(&t, SLICE("x-should-retry: false\r\n"));
    }
    return t.status;
}

/* Without memory for our own fields the answer goes out without them. */
static void add_fields_or_leave(struct exchange *x, struct buffer *fields, bool no_retry)
{
    size_t len = fields->len;
    if (add_own_fields(x, fields, no_retry) != STATUS_OK)
        fields->len = len;
}

void answer_add_fields(struct exchange *x, struct buffer *fields)
{
    add_fields_or_leave(x, fields, false);
}

static void put_body(void *request, const char *data, size_t len)
{
    server_reply_body(request, data, len);
}

void answer_flow(struct exchange *x, const char *data, size_t len)
{
    echo_pass(exchange_secret(x), &x->echo_held, slice_of(data, len),
              &(struct echo_sink){put_body, x->request});
}

/* What looked like the beginning of a key comes out now: no more bytes follow. */
static void end_flow(struct exchange *x)
{
    echo_end(exchange_secret(x), &x->echo_held, &(struct echo_sink){put_body, x->request});
}

/* Served from here on. Where the first key serves, that is news only to who logs every request. */
static void note_served(struct exchange *x)
{
    if (x->plan.attempt_count || tell_wants_served(x->worker->shared))
        tell_served(x);
}

void answer_commit(struct exchange *x)
{
    struct limit_report limits;
    struct answer_facts facts = attempt_facts(x, &limits);
    struct workspace *ws = x->ws;

    net_timer_stop(&x->worker->loop, &x->timer);
    add_fields_or_leave(x, &ws->held_fields, false);
    note_served(x);
    keyring_proven(exchange_ring(x), &x->plan, &facts, exchange_now(x));
    x->phase = PHASE_FLOWING;
    server_reply_head(x->request, x->status, buffer_slice(&ws->held_fields), x->content_length);
    x->echo_held = 0;
    answer_flow(x, ws->held.data, ws->held.len);
    ws->held.len = 0;
    meter_answer(x, x->status);
    exchange_free_kept(x);
    if (upstream_release_request(&x->call))
        exchange_release_workspace(x);
}

void answer_deliver(struct exchange *x)
{
    struct limit_report limits;
    struct answer_facts facts = attempt_facts(x, &limits);
    struct server_conn *request = x->request;
    struct workspace *ws = x->ws;

    net_timer_stop(&x->worker->loop, &x->timer);
    (void)echo_mask(exchange_secret(x), ws->held.data, ws->held.len);
    add_fields_or_leave(x, &ws->held_fields, false);
    note_served(x);
    keyring_succeed(exchange_ring(x), &x->plan, &facts, exchange_now(x));
    server_reply_head(request, x->status, buffer_slice(&ws->held_fields),
                      x->head_method ? x->content_length : (int64_t)ws->held.len);
    server_reply_body(request, ws->held.data, ws->held.len);
    meter_judged(x, FAILURE_NONE, NULL);
    meter_answer(x, x->status);
    exchange_end(x);
    request->user = NULL;
    server_reply_end(request); /* the next request may begin in here */
}

void answer_return(struct exchange *x, const struct plan_step *step)
{
    struct server_conn *request = x->request;
    bool kept = step->action == PLAN_RETURN_KEPT;
    struct buffer *fields = kept ? &x->kept->fields : &x->ws->held_fields;
    struct buffer *body = kept ? &x->kept->body : &x->ws->held;

    add_fields_or_leave(x, fields, step->should_not_retry);
    tell_returned(x, kept ? x->kept->status : x->status);
    server_reply_head(request, kept ? x->kept->status : x->status, buffer_slice(fields),
                      (int64_t)body->len);
    server_reply_body(request, body->data, body->len);
    meter_answer(x, kept ? x->kept->status : x->status);
    exchange_end_failed(x);
    request->user = NULL;
    server_reply_end(request);
}

/* It was not OpenAI, and not the network. */
static bool out_of_files(const struct exchange *x)
{
    const struct upstream *upstream = x->call.upstream;

    return upstream && (strcmp(upstream->failure, uv_strerror(UV_EMFILE)) == 0 ||
                        strcmp(upstream->failure, uv_strerror(UV_ENFILE)) == 0);
}

static const char *advice_for(const struct exchange *x, enum failure failure)
{
    if (failure == FAILURE_NETWORK && out_of_files(x))
        return "the gateway has run out of open files (ulimit -n) and cannot connect; raise the "
               "limit or lower SPAREKEY_MAX_CONNECTIONS";
    return advice_on(failure);
}

void answer_give_up(struct exchange *x, const struct plan_step *step)
{
    struct server_conn *request = x->request;
    char code[64], text[32];
    struct buffer fields = {0};
    bool no_memory = false;

    (void)snprintf(code, sizeof code, "all_keys_failed_%s", failure_name(step->failure));
    if (step->retry_after_s)
        no_memory = buffer_printf(&fields, EXCHANGE_FIELDS_MAX, "retry-after: %d\r\n",
                                  step->retry_after_s) != STATUS_OK;
    (void)snprintf(text, sizeof text, "sparekey-%016llx",
                   (unsigned long long)__atomic_fetch_add(&x->worker->shared->request_ids, 1,
                                                          __ATOMIC_RELAXED));
    if (!no_memory)
        no_memory =
            buffer_printf(&fields, EXCHANGE_FIELDS_MAX, "x-request-id: %s\r\n", text) != STATUS_OK;
    if (no_memory)
        fields.len = 0;
    key_entry_unref(x->key);
    x->key = NULL; /* no key stands behind this answer */
    add_fields_or_leave(x, &fields, step->should_not_retry);
    unsigned attempts = x->plan.attempt_count;
    tell_gave_up(x, step, text, advice_for(x, step->failure));
    meter_give_up(x, step);
    exchange_end_failed(x);
    request->user = NULL;
    if (step->retry_after_s)
        respond_error(request, step->status, code, buffer_slice(&fields),
                      "Sparekey: %s (%u attempts). Try again in %d s.",
                      advice_for(x, step->failure), attempts, step->retry_after_s);
    else
        respond_error(request, step->status, code, buffer_slice(&fields),
                      "Sparekey: %s (%u attempts).", advice_for(x, step->failure), attempts);
    buffer_clear(&fields);
}

void answer_cut(struct exchange *x, enum transport transport)
{
    struct server_conn *request = x->request;
    struct buffer event = {0};

    (void)attempt_report(x, transport);
    tell_cut(x);
    meter_cut(x);
    end_flow(x);
    if (x->is_stream && !x->sse.error &&
        sse_write_error(x->endpoint.stream, x->sse.mid_event,
                        SLICE("The stream was cut by the upstream before it was complete."),
                        SLICE("stream_cut"), &event) == STATUS_OK)
        server_reply_body(request, event.data, event.len);
    buffer_clear(&event);
    exchange_end_failed(x);
    request->user = NULL;
    server_abort(request);
}

void answer_finish(struct exchange *x)
{
    struct server_conn *request = x->request;
    struct limit_report limits;
    struct answer_facts facts = attempt_facts(x, &limits);

    end_flow(x);
    if (x->is_stream && x->sse.error) {
        /* The error event itself has been forwarded; the key's health hears of it. */
        (void)attempt_report(x, TRANSPORT_OK);
        exchange_end_failed(x);
    } else {
        keyring_succeed(exchange_ring(x), &x->plan, &facts, exchange_now(x));
        meter_judged(x, FAILURE_NONE, NULL);
        exchange_end(x);
    }
    request->user = NULL;
    server_reply_end(request);
}
