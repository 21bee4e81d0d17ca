#include "gateway/exchange.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "gateway/headers.h"
#include "gateway/reply.h"
#include "openai/endpoint.h"
#include "openai/error_body.h"
#include "openai/hints.h"
#include "openai/peek.h"
#include "openai/sse.h"
#include "openai/verdict.h"

enum phase {
    PHASE_BODY,     /* the request's body is arriving */
    PHASE_PLANNING, /* between two steps; never seen from outside */
    PHASE_WAITING,  /* the plan said PLAN_WAIT */
    PHASE_AWAITING, /* sent; no head yet */
    PHASE_HOLDING,  /* an answer is being held */
    PHASE_FLOWING,  /* the answer flows to the client */
    PHASE_ENDED,
};

enum {
    LINE_MAX_BYTES = HTTP_HEAD_MAX + 1024, /* request line and Host of one attempt */
    FIELDS_MAX_BYTES = HTTP_HEAD_MAX + 8192,
    TRAIL_MAX = 16, /* attempts named in x-sparekey-trail */
    SMALL_BODY = 1024,
};

/* What only an attempt that may still be repeated needs: freed when the answer flows. */
struct exchange_request {
    struct buffer suffix; /* target behind the base path */
    struct buffer fields; /* lines for the upstream, the same for every key */
    struct buffer body;
    struct buffer line;   /* "POST /v1/… HTTP/1.1\r\nhost: …\r\n", of the current attempt */
    struct buffer tail;   /* lines behind the credential, of the current attempt */
    struct peek peek;
    bool is_json;
    char method[16];
    size_t method_len;
};

/* An error answer worth returning if nothing better comes. */
struct kept_answer {
    int status;
    struct buffer fields, body;
};

struct exchange {
    struct worker *worker;
    struct server_conn *request;
    struct settings *settings;
    struct upstream_call call;
    struct plan plan;
    struct key_entry *key; /* of the attempt in flight, or of the answer that flows */
    struct exchange_request *req;
    struct hints *hints;   /* of the answer being read; NULL when none */
    struct kept_answer *kept;
    struct buffer held;    /* body bytes held back */
    struct buffer fields;  /* the answer's lines for the client */
    struct sse sse;
    struct wheel_timer timer; /* WAITING: the plan's; HOLDING: the hold */
    struct list waiting;      /* in worker->waiting, or in worker->free_exchanges */
    struct endpoint endpoint;
    int64_t content_length;
    int status;
    uint8_t phase;
    bool is_stream;   /* the answer is an event stream */
    bool head_method;
};

static const struct upstream_ops upstream_callbacks;

static void follow(struct exchange *x, const struct plan_step *step, struct key_entry *entry);

static struct exchange *of_call(struct upstream_call *call)
{
    return container_of(call, struct exchange, call);
}

static int64_t now_of(const struct exchange *x)
{
    return net_now_ns(&x->worker->loop);
}

static struct keyring *ring_of(const struct exchange *x)
{
    return x->worker->shared->keyring;
}

/* ---- birth and death --------------------------------------------------------------------- */

static void free_request(struct exchange *x)
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

static void free_kept(struct exchange *x)
{
    if (!x->kept)
        return;
    buffer_clear(&x->kept->fields);
    buffer_clear(&x->kept->body);
    free(x->kept);
    x->kept = NULL;
}

/* Forgets the answer read so far. */
static void clear_answer(struct exchange *x)
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

/* The end: whatever was to be said to the client has been said. */
static void end(struct exchange *x)
{
    struct worker *w = x->worker;

    x->phase = PHASE_ENDED;
    net_timer_stop(&w->loop, &x->timer);
    list_remove(&x->waiting);
    upstream_cancel(&x->call);
    clear_answer(x);
    free_request(x);
    free_kept(x);
    key_entry_unref(x->key);
    settings_unref(x->settings);
    if (w->free_count == WORKER_FREE_EXCHANGES) {
        free(x);
        return;
    }
    list_push(&w->free_exchanges, &x->waiting);
    w->free_count++;
}

/* Ends the plan too: for every way out that did not succeed. */
static void end_failed(struct exchange *x)
{
    keyring_end(ring_of(x), &x->plan, now_of(x));
    end(x);
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
        status = buffer_append(&req->fields, admission->fields, FIELDS_MAX_BYTES);
    if (status == STATUS_OK && head->content_length > SMALL_BODY)
        status = buffer_reserve(&req->body, (size_t)head->content_length, SIZE_MAX);
    return status;
}

static int64_t deadline_of(const struct exchange *x, int64_t caller_timeout_ms)
{
    int64_t ms = x->settings->request_timeout_ms;
    if (caller_timeout_ms > 0 && caller_timeout_ms < ms)
        ms = caller_timeout_ms;
    return now_of(x) + ms * 1000000;
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

    end(x);
    request->user = NULL;
    if (status == 413)
        reply_error(request, 413, "request_too_large", slice_of(NULL, 0),
                    "The request body is larger than %llu bytes, the limit of this gateway "
                    "(SPAREKEY_MAX_BODY).",
                    (unsigned long long)limit);
    else
        reply_error(request, 503, "out_of_memory", slice_of(NULL, 0),
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

    keyring_begin(ring_of(x), &x->plan, &request, now_of(x), &step, &entry);
    follow(x, &step, entry);
}

void exchange_complete(struct exchange *x)
{
    if (x->req->is_json)
        peek_finish(&x->req->peek);
    x->phase = PHASE_PLANNING;
    begin_plan(x);
}

/* ---- sending ----------------------------------------------------------------------------- */

static enum status write_line(struct exchange *x, const struct service_url *url)
{
    struct exchange_request *req = x->req;
    struct buffer *line = &req->line;
    bool v6 = strchr(url->host, ':') != NULL;
    bool usual_port = url->port == (url->tls ? 443 : 80);
    char port[8] = "";

    if (!usual_port)
        (void)snprintf(port, sizeof port, ":%u", url->port);
    line->len = 0;
    return buffer_printf(line, LINE_MAX_BYTES, "%.*s %s%.*s HTTP/1.1\r\nhost: %s%s%s%s\r\n",
                         (int)req->method_len, req->method, url->path, (int)req->suffix.len,
                         req->suffix.len ? req->suffix.data : "", v6 ? "[" : "", url->host,
                         v6 ? "]" : "", port);
}

/* The lines behind the credential: the key's own account, the body's length, the empty line. */
static enum status write_tail(struct exchange *x)
{
    const struct key_entry *key = x->key;
    struct buffer *tail = &x->req->tail;
    enum status status = STATUS_OK;
    bool has_body = x->req->body.len || slice_eq(slice_str(x->req->method), SLICE("POST")) ||
                    slice_eq(slice_str(x->req->method), SLICE("PUT"));

    tail->len = 0;
    if (key->organization)
        status = buffer_printf(tail, LINE_MAX_BYTES, "\r\nopenai-organization: %s",
                               key->organization);
    if (status == STATUS_OK && key->project)
        status = buffer_printf(tail, LINE_MAX_BYTES, "\r\nopenai-project: %s", key->project);
    if (status == STATUS_OK && has_body)
        status = buffer_printf(tail, LINE_MAX_BYTES, "\r\ncontent-length: %zu", x->req->body.len);
    if (status == STATUS_OK)
        status = buffer_append(tail, SLICE("\r\n\r\n"), LINE_MAX_BYTES);
    return status;
}

static void add_part(struct upstream_call *call, struct slice bytes)
{
    if (bytes.len)
        call->parts[call->part_count++] =
            (struct iovec){(void *)(uintptr_t)bytes.ptr, bytes.len};
}

/* The secret goes from the vault to the socket; it is never part of a buffer of ours. */
static enum status arrange_parts(struct exchange *x, const struct service_url *url)
{
    struct upstream_call *call = &x->call;
    enum status status = write_line(x, url);

    if (status == STATUS_OK)
        status = write_tail(x);
    if (status != STATUS_OK)
        return status;
    if (x->key->auth_header) /* "api-key": the bare key under another name */
        status = buffer_printf(&x->req->line, LINE_MAX_BYTES, "%s: ", x->key->auth_header);
    else
        status = buffer_append(&x->req->line, SLICE("authorization: Bearer "), LINE_MAX_BYTES);
    call->part_count = 0;
    call->head_request = x->head_method;
    call->secret = true;
    add_part(call, buffer_slice(&x->req->line));
    add_part(call, secret_bytes(x->key->secret));
    /* tail begins with the CRLF that ends the credential's line */
    add_part(call, SLICE("\r\n"));
    add_part(call, slice_of(x->req->fields.data, x->req->fields.len - 2));
    add_part(call, buffer_slice(&x->req->tail));
    add_part(call, buffer_slice(&x->req->body));
    return status;
}

static void judge(struct exchange *x, enum transport transport);

static void send_attempt(struct exchange *x, struct key_entry *entry)
{
    clear_answer(x);
    key_entry_unref(x->key);
    x->key = entry;
    x->phase = PHASE_AWAITING;

    struct upstream *upstream = worker_upstream(x->worker, entry->service);
    const struct service_url *url = keyring_service(ring_of(x), entry->service);
    x->call.sent = x->call.answered = false;
    if (!upstream || arrange_parts(x, url) != STATUS_OK ||
        upstream_send(upstream, &x->call, &upstream_callbacks) != STATUS_OK)
        judge(x, TRANSPORT_CONNECT);
}

/* ---- answering --------------------------------------------------------------------------- */

/* x-sparekey-key, -attempts and -trail. */
static enum status add_own_fields(struct exchange *x, struct buffer *fields, bool no_retry)
{
    const struct plan *plan = &x->plan;
    /* An attempt in flight is not in the trail yet. */
    unsigned attempts = plan->attempt_count + (x->phase == PHASE_HOLDING ? 1 : 0);
    enum status status = STATUS_OK;

    if (x->key)
        status = buffer_printf(fields, FIELDS_MAX_BYTES, "x-sparekey-key: %s\r\n", x->key->mask);
    if (status == STATUS_OK)
        status = buffer_printf(fields, FIELDS_MAX_BYTES, "x-sparekey-attempts: %u\r\n", attempts);
    for (unsigned i = 0, named = 0; i < plan->attempt_count && status == STATUS_OK; i++) {
        if (plan->attempts[i].failure == FAILURE_NONE || named == TRAIL_MAX)
            continue;
        status = buffer_printf(fields, FIELDS_MAX_BYTES, "%s%s",
                               named++ ? "," : "x-sparekey-trail: ",
                               failure_name(plan->attempts[i].failure));
        bool last = i + 1 == plan->attempt_count || named == TRAIL_MAX;
        if (status == STATUS_OK && last)
            status = buffer_append(fields, SLICE("\r\n"), FIELDS_MAX_BYTES);
    }
    if (status == STATUS_OK && no_retry)
        status = buffer_append(fields, SLICE("x-should-retry: false\r\n"), FIELDS_MAX_BYTES);
    return status;
}

/* Without memory for our own fields the answer goes out without them. */
static void add_fields_or_leave(struct exchange *x, struct buffer *fields, bool no_retry)
{
    size_t len = fields->len;
    if (add_own_fields(x, fields, no_retry) != STATUS_OK)
        fields->len = len;
}

static void owner_of(const struct exchange *x, struct owner *ret)
{
    *ret = (struct owner){{NULL, 0}, {NULL, 0}};
    if (!x->hints)
        return;
    ret->organization = slice_str(x->hints->organization);
    ret->project = slice_str(x->hints->project);
}

/* The held answer goes out and the rest will flow. */
static void commit(struct exchange *x)
{
    struct owner owner;

    net_timer_stop(&x->worker->loop, &x->timer);
    owner_of(x, &owner);
    add_fields_or_leave(x, &x->fields, false);
    keyring_proven(ring_of(x), &x->plan, &owner, now_of(x));
    x->phase = PHASE_FLOWING;
    server_reply_head(x->request, x->status, buffer_slice(&x->fields), x->content_length);
    server_reply_body(x->request, x->held.data, x->held.len);
    buffer_clear(&x->held);
    buffer_clear(&x->fields);
    free(x->hints);
    x->hints = NULL;
    free_kept(x);
    if (upstream_release_request(&x->call))
        free_request(x);
}

/* A whole answer below 400 that was held to its end. */
static void deliver(struct exchange *x)
{
    struct owner owner;

    net_timer_stop(&x->worker->loop, &x->timer);
    owner_of(x, &owner);
    add_fields_or_leave(x, &x->fields, false);
    keyring_succeed(ring_of(x), &x->plan, &owner, now_of(x));

    struct server_conn *request = x->request;
    struct buffer fields = x->fields, held = x->held;
    int status = x->status;
    int64_t length = x->head_method ? x->content_length : (int64_t)held.len;
    x->fields = x->held = (struct buffer){0};
    end(x);
    request->user = NULL;
    server_reply_head(request, status, buffer_slice(&fields), length);
    server_reply_body(request, held.data, held.len);
    server_reply_end(request); /* the next request may begin in here */
    buffer_clear(&fields);
    buffer_clear(&held);
}

/* An error answer of the upstream's goes to the caller. */
static void return_answer(struct exchange *x, int status, struct buffer *fields,
                          struct buffer *body, bool no_retry)
{
    struct server_conn *request = x->request;
    struct buffer out_fields = *fields, out_body = *body;

    *fields = *body = (struct buffer){0};
    add_fields_or_leave(x, &out_fields, no_retry);
    end_failed(x);
    request->user = NULL;
    redact_keys(out_body.data, out_body.len);
    server_reply(request, status, buffer_slice(&out_fields), buffer_slice(&out_body));
    buffer_clear(&out_fields);
    buffer_clear(&out_body);
}

/* What a person can do about it. */
static const char *advice(enum failure failure)
{
    switch (failure) {
    case FAILURE_RATE:
    case FAILURE_SLOW_DOWN: return "every key that could serve this request is rate limited";
    case FAILURE_QUOTA:
        return "every key that could serve this request has used up its quota or credit; see the "
               "billing page of each organisation";
    case FAILURE_REVOKED:
    case FAILURE_DEACTIVATED:
    case FAILURE_MISMATCHED:
        return "no configured key is accepted by OpenAI; check OPENAI_API_KEY and its fallbacks";
    case FAILURE_SCOPE:
    case FAILURE_FORBIDDEN:
    case FAILURE_MODEL:
    case FAILURE_UNVERIFIED:
    case FAILURE_TIER:
        return "no configured key has access to this model or endpoint";
    case FAILURE_EGRESS_IP:
    case FAILURE_REGION: return "OpenAI refuses requests from this machine's address or region";
    case FAILURE_NETWORK: return "OpenAI could not be reached; check the network and "
                                 "SPAREKEY_UPSTREAM_URL";
    case FAILURE_TIMEOUT: return "OpenAI did not answer in time";
    case FAILURE_OVERLOADED:
    case FAILURE_SERVER:
    case FAILURE_CUT:
    case FAILURE_GARBAGE: return "OpenAI failed repeatedly";
    case FAILURE_NONE:
    case FAILURE_CALLER:
    case FAILURE_POLICY:
    case FAILURE_TOO_LARGE:
    case FAILURE_CONFLICT:
    case FAILURE_ABANDONED:
    case FAILURE_COUNT: break;
    }
    return "no key could serve this request";
}

static void give_up(struct exchange *x, const struct plan_step *step)
{
    struct server_conn *request = x->request;
    char code[64], text[32];
    struct buffer fields = {0};
    bool no_memory = false;

    (void)snprintf(code, sizeof code, "all_keys_failed_%s", failure_name(step->failure));
    if (step->retry_after_s)
        no_memory = buffer_printf(&fields, FIELDS_MAX_BYTES, "retry-after: %d\r\n",
                                  step->retry_after_s) != STATUS_OK;
    (void)snprintf(text, sizeof text, "sparekey-%016llx",
                   (unsigned long long)atomic_fetch_add(&x->worker->shared->request_ids, 1));
    if (!no_memory)
        no_memory = buffer_printf(&fields, FIELDS_MAX_BYTES, "x-request-id: %s\r\n", text) !=
                    STATUS_OK;
    if (no_memory)
        fields.len = 0;
    key_entry_unref(x->key);
    x->key = NULL; /* no key stands behind this answer */
    add_fields_or_leave(x, &fields, step->should_not_retry);
    unsigned attempts = x->plan.attempt_count;
    log_line(x->worker->shared->log, LOG_SEVERITY_WARN, "gave_up", "status %d after %u attempts: %s",
             step->status, attempts, advice(step->failure));
    end_failed(x);
    request->user = NULL;
    if (step->retry_after_s)
        reply_error(request, step->status, code, buffer_slice(&fields),
                    "Sparekey: %s (%u attempts). Try again in %d s.", advice(step->failure),
                    attempts, step->retry_after_s);
    else
        reply_error(request, step->status, code, buffer_slice(&fields),
                    "Sparekey: %s (%u attempts).", advice(step->failure), attempts);
    buffer_clear(&fields);
}

/* ---- the plan's word --------------------------------------------------------------------- */

static void wait_until(struct exchange *x, int64_t until_ns)
{
    int64_t delay_ms = (until_ns - now_of(x) + 999999) / 1000000;

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
    case PLAN_SEND: send_attempt(x, entry); return;
    case PLAN_WAIT: wait_until(x, step->until_ns); return;
    case PLAN_RETURN:
        return_answer(x, x->status, &x->fields, &x->held, step->should_not_retry);
        return;
    case PLAN_RETURN_KEPT:
        return_answer(x, x->kept->status, &x->kept->fields, &x->kept->body,
                      step->should_not_retry);
        return;
    case PLAN_GIVE_UP: give_up(x, step); return;
    }
}

static void ask_plan(struct exchange *x)
{
    struct plan_step step;
    struct key_entry *entry;

    keyring_next(ring_of(x), &x->plan, now_of(x), &step, &entry);
    follow(x, &step, entry);
}

void exchange_wake(struct exchange *x)
{
    stop_waiting(x);
    ask_plan(x);
}

/* ---- judging ----------------------------------------------------------------------------- */

static void keep_answer(struct exchange *x)
{
    if (!x->kept)
        x->kept = calloc(1, sizeof *x->kept);
    if (!x->kept)
        return;
    buffer_clear(&x->kept->fields);
    buffer_clear(&x->kept->body);
    x->kept->status = x->status;
    x->kept->fields = x->fields;
    x->kept->body = x->held;
    x->fields = x->held = (struct buffer){0};
}

static void log_failure(const struct exchange *x, const struct verdict *verdict,
                        const struct evidence *evidence)
{
    bool lasting = verdict->probe != PROBE_TIME || verdict->scope == SCOPE_EGRESS;

    log_line(x->worker->shared->log, lasting ? LOG_SEVERITY_WARN : LOG_SEVERITY_DEBUG,
             "attempt_failed", "key %s (%s): %s, scope %s, status %d%s%s%s%s", x->key->mask,
             x->key->name, failure_name(verdict->failure), scope_name(verdict->scope),
             evidence->status, *evidence->code ? ", code " : "", evidence->code,
             *evidence->request_id ? ", request " : "", evidence->request_id);
}

static void describe_answer(struct exchange *x, enum transport transport, struct hints *none,
                            struct answer *ret)
{
    hints_init(none);
    *ret = (struct answer){
        .transport = transport,
        .request_sent = x->call.sent,
        .status = x->status,
        .hints = x->hints ? x->hints : none,
        .family = x->endpoint.family,
        .stream = x->req ? x->req->peek.stream : x->is_stream,
        .wall_ms = net_wall_ms(),
        .content_type = x->is_stream ? SLICE("text/event-stream") : slice_of(NULL, 0),
        .body = buffer_slice(&x->held),
    };
    if (x->is_stream && x->sse.error) {
        ret->in_stream = true;
        ret->body = buffer_slice(&x->sse.error_data);
    } else if (x->is_stream && x->status / 100 == 2 && !x->sse.terminal) {
        ret->truncated_stream = true;
    }
}

/* The attempt has failed before anything reached the client: what now? */
static void judge(struct exchange *x, enum transport transport)
{
    struct answer answer;
    struct hints none;
    struct verdict verdict;
    struct evidence evidence;
    struct owner owner;

    net_timer_stop(&x->worker->loop, &x->timer);
    describe_answer(x, transport, &none, &answer);
    verdict_of(&answer, &verdict, &evidence);
    owner_of(x, &owner);
    if (verdict.reaction != REACT_SUCCESS && verdict.failure != FAILURE_CALLER)
        log_failure(x, &verdict, &evidence);
    x->phase = PHASE_PLANNING;
    bool whole = transport == TRANSPORT_OK && x->status && !answer.in_stream;
    if (keyring_hear(ring_of(x), &x->plan, &verdict, &evidence, &owner, now_of(x)) && whole)
        keep_answer(x);
    ask_plan(x);
}

/* The answer broke after its first bytes had reached the client: say so, never end it cleanly. */
static void cut(struct exchange *x, enum transport transport)
{
    struct server_conn *request = x->request;
    struct answer answer;
    struct hints none;
    struct verdict verdict;
    struct evidence evidence;
    struct owner owner = {{NULL, 0}, {NULL, 0}};
    struct buffer event = {0};

    describe_answer(x, transport, &none, &answer);
    verdict_of(&answer, &verdict, &evidence);
    log_failure(x, &verdict, &evidence);
    (void)keyring_hear(ring_of(x), &x->plan, &verdict, &evidence, &owner, now_of(x));
    if (x->is_stream && !x->sse.error &&
        sse_write_error(x->endpoint.stream, x->sse.mid_event,
                        SLICE("The stream was cut by the upstream before it was complete."),
                        SLICE("stream_cut"), &event) == STATUS_OK)
        server_reply_body(request, event.data, event.len);
    buffer_clear(&event);
    end_failed(x);
    request->user = NULL;
    server_abort(request);
}

/* The end of an answer that was flowing. */
static void finish_flow(struct exchange *x)
{
    struct server_conn *request = x->request;
    struct owner owner = {{NULL, 0}, {NULL, 0}};

    if (x->is_stream && x->sse.error) {
        /* The error event itself has been forwarded; the key's health hears of it. */
        struct answer answer;
        struct hints none;
        struct verdict verdict;
        struct evidence evidence;
        describe_answer(x, TRANSPORT_OK, &none, &answer);
        verdict_of(&answer, &verdict, &evidence);
        (void)keyring_hear(ring_of(x), &x->plan, &verdict, &evidence, &owner, now_of(x));
        end_failed(x);
    } else {
        keyring_succeed(ring_of(x), &x->plan, &owner, now_of(x));
        end(x);
    }
    request->user = NULL;
    server_reply_end(request);
}

/* ---- the upstream's word ----------------------------------------------------------------- */

static enum transport transport_of(const struct exchange *x, enum status status)
{
    switch ((int)status) {
    case STATUS_DNS: return TRANSPORT_DNS;
    case STATUS_TLS: return x->call.sent ? TRANSPORT_RESET : TRANSPORT_TLS;
    case STATUS_CONNECT: return TRANSPORT_CONNECT;
    case STATUS_TIMEOUT: return x->call.sent ? TRANSPORT_TIMEOUT : TRANSPORT_CONNECT;
    case STATUS_PROTOCOL:
    case STATUS_LIMIT: return x->call.answered ? TRANSPORT_CUT : TRANSPORT_GARBAGE;
    default: return x->call.answered ? TRANSPORT_CUT
                    : x->call.sent  ? TRANSPORT_RESET : TRANSPORT_CONNECT;
    }
}

static bool is_event_stream(const struct http_head *head)
{
    return slice_starts(http_head_get(head, SLICE("content-type")), SLICE("text/event-stream"));
}

static bool note_head(struct exchange *x, const struct http_head *head)
{
    int64_t wall_ms = net_wall_ms();

    x->hints = malloc(sizeof *x->hints);
    if (!x->hints)
        return false;
    hints_init(x->hints);
    for (size_t i = 0; i < head->field_count; i++)
        (void)hints_field(x->hints, head->fields[i].name, head->fields[i].value, wall_ms);
    if (headers_downstream(head, &x->fields) != STATUS_OK)
        return false;
    if (x->is_stream)
        return buffer_append(&x->fields,
                             SLICE("cache-control: no-cache\r\nx-accel-buffering: no\r\n"),
                             FIELDS_MAX_BYTES) == STATUS_OK;
    return true;
}

static void answer_head(struct upstream_call *call, const struct http_head *head)
{
    struct exchange *x = of_call(call);

    x->status = head->status;
    x->content_length = head->chunked ? -1 : head->content_length;
    x->is_stream = head->status / 100 == 2 && is_event_stream(head);
    x->phase = PHASE_HOLDING;
    if (x->is_stream)
        sse_init(&x->sse, x->endpoint.stream);
    if (!note_head(x, head)) {
        upstream_cancel(call);
        judge(x, TRANSPORT_GARBAGE);
        return;
    }
    net_timer_start(&x->worker->loop, &x->timer, x->settings->stream_hold_ms);
}

/* Whether the held answer may go out now. */
static void weigh_held(struct exchange *x)
{
    if (x->is_stream && x->sse.error && !x->sse.content) {
        upstream_cancel(&x->call);
        judge(x, TRANSPORT_OK);
    } else if (x->status >= 400) {
        return; /* judged when complete */
    } else if ((x->is_stream && x->sse.content) || x->held.len >= EXCHANGE_HOLD_BYTES) {
        commit(x);
    }
}

static void hold(struct exchange *x, const char *data, size_t len)
{
    size_t room =
        x->status >= 400 ? EXCHANGE_ERROR_BYTES : EXCHANGE_HOLD_BYTES + NET_SCRATCH_BYTES;

    if (buffer_append(&x->held, slice_of(data, len), room) != STATUS_OK) {
        upstream_cancel(&x->call);
        judge(x, TRANSPORT_GARBAGE);
        return;
    }
    weigh_held(x);
}

static void flow(struct exchange *x, const char *data, size_t len)
{
    server_reply_body(x->request, data, len);
    if (server_queued(x->request) > CONN_HIGH_WATER)
        upstream_pause(&x->call);
}

static void answer_body(struct upstream_call *call, const char *data, size_t len)
{
    struct exchange *x = of_call(call);

    if (x->is_stream)
        sse_feed(&x->sse, data, len);
    if (x->phase == PHASE_HOLDING)
        hold(x, data, len);
    else
        flow(x, data, len);
}

static void answer_flush(struct upstream_call *call)
{
    struct exchange *x = of_call(call);
    if (x->phase == PHASE_FLOWING)
        server_flush(x->request);
}

static void answer_complete(struct upstream_call *call)
{
    struct exchange *x = of_call(call);
    bool truncated = x->is_stream && !x->sse.terminal && !x->sse.error;

    if (x->phase == PHASE_FLOWING) {
        if (truncated)
            cut(x, TRANSPORT_OK);
        else
            finish_flow(x);
    } else if (x->status >= 400 || truncated || (x->is_stream && x->sse.error)) {
        judge(x, TRANSPORT_OK);
    } else {
        deliver(x);
    }
}

static void answer_failed(struct upstream_call *call, enum status status)
{
    struct exchange *x = of_call(call);

    if (x->phase == PHASE_FLOWING)
        cut(x, transport_of(x, status));
    else
        judge(x, transport_of(x, status));
}

static const struct upstream_ops upstream_callbacks = {
    .head = answer_head,
    .body = answer_body,
    .complete = answer_complete,
    .failed = answer_failed,
    .flush = answer_flush,
};

/* WAITING: the plan's time has come. HOLDING: the answer was held long enough. */
static void hold_timer_fired(struct wheel_timer *timer)
{
    struct exchange *x = container_of(timer, struct exchange, timer);

    if (x->phase == PHASE_WAITING) {
        exchange_wake(x);
    } else if (x->phase == PHASE_HOLDING && x->status < 400) {
        commit(x);
        server_flush(x->request);
    }
}

/* ---- the client's word ------------------------------------------------------------------- */

void exchange_client_gone(struct exchange *x)
{
    if (x->phase == PHASE_WAITING)
        stop_waiting(x);
    if (x->phase == PHASE_BODY)
        end(x); /* no plan has begun */
    else
        end_failed(x);
}

void exchange_drained(struct exchange *x)
{
    if (x->phase == PHASE_FLOWING)
        upstream_resume(&x->call);
}
