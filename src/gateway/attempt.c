#include "gateway/exchange_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "gateway/credential.h"
#include "gateway/headers.h"
#include "gateway/respond.h"
#include "keyring/echo.h"
#include "openai/error_body.h"
#include "openai/json_whole.h"
#include "openai/response_failed.h"
#include "openai/usage.h"

enum {
    ATTEMPT_HEAD_MAX = HTTP_HEAD_MAX + 1024, /* lines made for one attempt */
};

static struct exchange *of_call(struct upstream_call *call)
{
    return container_of(call, struct exchange, call);
}

/* ---- sending ----------------------------------------------------------------------------- */

/* Request line and the lines that depend on the key, up to where the secret belongs. */
static enum status write_head(struct exchange *x, const struct service_url *url)
{
    struct workspace *ws = x->ws;
    struct text t = text_into(&ws->head, ATTEMPT_HEAD_MAX);

    ws->head.len = 0;
    text_put(&t, slice_of(ws->method, ws->method_len));
    text_put(&t, SLICE(" "));
    text_put_str(&t, url->path);
    text_put(&t, buffer_slice(&ws->suffix));
    credential_put_head(&t, url, x->key->traits);
    return t.status;
}

static void add_part(struct upstream_call *call, struct slice bytes)
{
    if (bytes.len)
        call->parts[call->part_count++] = (struct iovec){(void *)(uintptr_t)bytes.ptr, bytes.len};
}

/* The secret goes from the vault to the socket; it is never part of a buffer of ours. */
static enum status arrange_parts(struct exchange *x, const struct service_url *url)
{
    struct upstream_call *call = &x->call;
    enum status status = write_head(x, url);

    call->part_count = 0;
    call->head_request = x->head_method;
    call->secret = true;
    add_part(call, buffer_slice(&x->ws->head));
    add_part(call, secret_bytes(x->key->secret));
    add_part(call, buffer_slice(&x->ws->fields));
    add_part(call, buffer_slice(&x->ws->body));
    return status;
}

static void judge(struct exchange *x, enum transport transport);

/* The attempt's timer: at `until_ns`, at the deadline at the latest. */
static void start_timer(struct exchange *x, int64_t until_ns)
{
    int64_t at_ns = until_ns < x->plan.deadline_ns ? until_ns : x->plan.deadline_ns;
    int64_t delay_ms = (at_ns - exchange_now(x) + 999999) / 1000000;

    net_timer_start(&x->worker->loop, &x->timer, delay_ms > 0 ? delay_ms : 0);
}

static const struct upstream_ops upstream_callbacks;

void attempt_send(struct exchange *x, struct key_entry *entry)
{
    exchange_clear_answer(x);
    meter_send(x, entry);
    key_entry_unref(x->key);
    x->key = entry;
    x->phase = PHASE_AWAITING;
    if (x->rehearsal && rehearsal_takes(x))
        return;

    struct upstream *upstream = worker_upstream(x->worker, entry->traits->service);
    const struct service_url *url = keyring_service(exchange_ring(x), entry->traits->service);
    x->call.sent = x->call.answered = false;
    start_timer(x, INT64_MAX);
    if (!upstream || arrange_parts(x, url) != STATUS_OK ||
        upstream_send(upstream, &x->call, &upstream_callbacks) != STATUS_OK)
        judge(x, TRANSPORT_CONNECT);
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
    x->kept->fields = x->ws->held_fields;
    x->kept->body = x->ws->held;
    x->ws->held_fields = x->ws->held = (struct buffer){0};
}

static void log_failure(const struct exchange *x, const struct verdict *verdict,
                        const struct evidence *evidence)
{
    char mask[SECRET_MASK_MAX], name[KEY_NAME_MAX];
    const struct log_field fields[] = {
        {"keyId", key_entry_mask(x->key, mask), 0}, {"name", key_entry_name(x->key, name), 0},
        {"scope", scope_name(verdict->scope), 0},   {"reason", failure_name(verdict->failure), 0},
        {"status", NULL, evidence->status},         {"code", evidence->code, 0},
        {"requestId", evidence->request_id, 0},
    };
    /* What it means for a key is told as the breaker's event. */
    log_fields(x->worker->shared->log, LOG_SEVERITY_DEBUG, "attempt_failed", fields,
               sizeof fields / sizeof fields[0], "key %s (%s): %s, scope %s, status %d%s%s%s%s",
               mask, name, failure_name(verdict->failure), scope_name(verdict->scope),
               evidence->status, *evidence->code ? ", code " : "", evidence->code,
               *evidence->request_id ? ", request " : "", evidence->request_id);
}

/* Before anything is read out of an error: texts are cut to fit, and a part of a key is not found
 * any more. The answer may be kept, and the next attempt has another key. */
static void mask_error(struct exchange *x)
{
    if (x->ws && (x->status / 100 != 2 || x->failed_document)) {
        echo_mask_all(x->key->secret, x->ws->held.data, x->ws->held.len);
        echo_mask_all(x->key->secret, x->ws->held_fields.data, x->ws->held_fields.len);
    }
    if (x->is_stream && x->sse.error)
        echo_mask_all(x->key->secret, x->sse.error_data.data, x->sse.error_data.len);
}

/* `none` stands in for the hints of an answer that flows or never came. */
static void describe_answer(struct exchange *x, enum transport transport, struct hints *none,
                            struct answer *ret)
{
    struct workspace *ws = x->ws;

    hints_init(none);
    *ret = (struct answer){
        .transport = transport,
        .request_sent = x->call.sent,
        .status = x->status,
        .hints = ws ? &ws->hints : none,
        .family = x->endpoint.family,
        .stream = ws ? ws->peek.stream : x->is_stream,
        .wall_ms = net_wall_ms(),
        .content_type = slice_str(ws ? ws->content_type : NULL),
        .body = ws ? buffer_slice(&ws->held) : slice_of(NULL, 0),
    };
    if (ret->body.len > VERDICT_BODY_MAX)
        ret->body.len = VERDICT_BODY_MAX;
    if (x->failed_document) {
        ret->in_stream = true; /* judged like an event with the same error */
    } else if (x->is_stream && x->sse.error) {
        ret->in_stream = true;
        ret->body = buffer_slice(&x->sse.error_data);
    } else if (x->is_stream && x->status / 100 == 2 && !x->sse.terminal) {
        ret->truncated_stream = true;
    }
}

struct answer_facts attempt_facts(struct exchange *x, struct limit_report *limits)
{
    struct answer_facts facts = {.tokens = x->tokens};

    if (!x->ws)
        return facts;
    facts.organization = slice_str(x->ws->hints.organization);
    facts.project = slice_str(x->ws->hints.project);
    facts.model = peek_model(&x->ws->peek);
    if (x->status && !x->limits_told) {
        x->limits_told = true;
        hints_report(&x->ws->hints, limits);
        facts.limits = limits;
    }
    return facts;
}

/* Puts an error of this wording in the place of the answer read so far. */
static bool replace_answer(struct exchange *x, const struct evidence *evidence,
                           const struct error_fields *error)
{
    struct workspace *ws = x->ws;

    ws->held.len = ws->held_fields.len = 0;
    return buffer_printf(&ws->held_fields, EXCHANGE_FIELDS_MAX,
                         "content-type: application/json\r\n%s%s%s",
                         *evidence->request_id ? "x-request-id: " : "", evidence->request_id,
                         *evidence->request_id ? "\r\n" : "") == STATUS_OK &&
           error_body_write(&ws->held, slice_str(error->message), slice_str(error->type),
                            slice_str(error->code)) == STATUS_OK;
}

/* An error answer that no SDK can read: a web page, or nothing at all. */
static bool is_for_people(const struct exchange *x)
{
    return !x->head_method && x->endpoint.family != FAMILY_UNKNOWN &&
           (!x->ws->held.len || slice_starts(slice_str(x->ws->content_type), SLICE("text/html")));
}

/* A compressed error text, which nobody asked for: it may echo keys, and cannot be looked into. Its
 * status says what there is to say; a decoder would be one more thing to feed by strangers. */
static bool is_sealed(const struct exchange *x)
{
    return x->ws->held.len && headers_say_encoded(buffer_slice(&x->ws->held_fields));
}

/* An answer that the caller can read, whatever came: an error event before any content becomes the
 * answer it would have been outside a stream; an error answer that broke off keeps its status.
 * False: there is none. */
static bool make_presentable(struct exchange *x, enum transport transport,
                             const struct answer *answer, const struct evidence *evidence)
{
    struct error_fields error = {.code = "answer_cut",
                                 .type = RESPOND_ERROR_TYPE,
                                 .message = "The upstream's error answer broke off."};
    static const struct error_fields unreadable = {
        .code = "answer_without_json",
        .type = RESPOND_ERROR_TYPE,
        .message =
            "The upstream, or something before it, answered with this status and without the "
            "JSON that says why."};

    static const struct error_fields sealed = {
        .code = "answer_compressed",
        .type = RESPOND_ERROR_TYPE,
        .message = "The upstream answered with this status; its text is compressed, though nobody "
                   "asked for that, and could not be checked for keys."};

    if (!x->ws || x->status == 0)
        return false;
    if (transport == TRANSPORT_OK && x->status >= 400 && is_sealed(x))
        return replace_answer(x, evidence, &sealed);
    if (transport == TRANSPORT_OK && x->status >= 400 && is_for_people(x))
        return replace_answer(x, evidence, &unreadable);
    if (transport != TRANSPORT_OK)
        return x->status >= 400 && replace_answer(x, evidence, &error);
    if (!answer->in_stream || x->failed_document)
        return true;
    error_fields_read(SLICE("application/json"), answer->body, &error);
    x->status = evidence->status;
    return replace_answer(x, evidence, &error);
}

bool attempt_report(struct exchange *x, enum transport transport)
{
    struct answer answer;
    struct hints none;
    struct verdict verdict;
    struct evidence evidence;
    struct limit_report limits;
    struct answer_facts facts = attempt_facts(x, &limits);

    mask_error(x);
    describe_answer(x, transport, &none, &answer);
    verdict_of(&answer, &verdict, &evidence);
    echo_mask_evidence(exchange_secret(x), &evidence);
    if (x->rehearsal)
        rehearsal_hears(x, &verdict, &evidence);
    if (!x->plan.drilled)
        meter_judged(x, verdict.failure, &evidence);
    if (verdict.reaction != REACT_SUCCESS && verdict.failure != FAILURE_CALLER && !x->plan.drilled)
        log_failure(x, &verdict, &evidence);
    bool keep =
        keyring_hear(exchange_ring(x), &x->plan, &verdict, &evidence, &facts, exchange_now(x));
    return make_presentable(x, transport, &answer, &evidence) && keep;
}

/* The attempt has failed before anything reached the client: what now? */
static void judge(struct exchange *x, enum transport transport)
{
    net_timer_stop(&x->worker->loop, &x->timer);
    x->phase = PHASE_PLANNING;
    meter_at_hand(x);
    if (attempt_report(x, transport))
        keep_answer(x);
    exchange_ask(x);
}

void attempt_judge(struct exchange *x, enum transport transport)
{
    judge(x, transport);
}

void attempt_timer_fired(struct exchange *x)
{
    static const struct plan_step late = {
        .action = PLAN_GIVE_UP, .status = 504, .failure = FAILURE_TIMEOUT};

    if (exchange_now(x) < x->plan.deadline_ns) { /* held long enough */
        answer_commit(x);
        server_flush(x->request);
        return;
    }
    upstream_cancel(&x->call);
    if (x->caller_deadline) /* nobody's fault: the plan hears that the attempt was abandoned */
        answer_give_up(x, &late);
    else
        judge(x, TRANSPORT_TIMEOUT);
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
    default:
        return x->call.answered ? TRANSPORT_CUT
               : x->call.sent   ? TRANSPORT_RESET
                                : TRANSPORT_CONNECT;
    }
}

static bool note_head(struct exchange *x, const struct http_head *head)
{
    struct workspace *ws = x->ws;
    int64_t wall_ms = net_wall_ms();

    for (size_t i = 0; i < head->field_count; i++)
        (void)hints_field(&ws->hints, head->fields[i].name, head->fields[i].value, wall_ms);
    x->counts_tokens = head->status < 400 && (ws->hints.limits[LIMIT_TOKENS].limit > 0 ||
                                              ws->hints.limits[LIMIT_PROJECT_TOKENS].limit > 0);
    if (headers_downstream(head, &ws->held_fields) != STATUS_OK)
        return false;
    if (echo_mask(exchange_secret(x), ws->held_fields.data, ws->held_fields.len))
        ws->hints.organization[0] = ws->hints.project[0] = '\0'; /* whoever says that is no judge */
    if (x->is_stream)
        return buffer_append(&ws->held_fields,
                             SLICE("cache-control: no-cache\r\nx-accel-buffering: no\r\n"),
                             EXCHANGE_FIELDS_MAX) == STATUS_OK;
    return true;
}

/* A page for people where the API has only data: what stands before OpenAI has answered. */
static bool is_web_page(const struct exchange *x)
{
    return slice_starts(slice_str(x->ws->content_type), SLICE("text/html")) &&
           x->endpoint.family != FAMILY_UNKNOWN && !family_stateful(x->endpoint.family);
}

/* Errors are judged when complete; a JSON document says nothing before its end, and until then it
 * can still be had from another key. Anything else may be a long time coming. */
static bool held_to_its_end(const struct exchange *x)
{
    return x->status >= 400 || json_content_type(slice_str(x->ws->content_type)) || is_web_page(x);
}

static void on_head(struct upstream_call *call, const struct http_head *head)
{
    struct exchange *x = of_call(call);

    struct slice type = http_head_get(head, SLICE("content-type"));

    x->status = head->status;
    x->is_stream = head->status / 100 == 2 && !x->head_method &&
                   slice_starts(type, SLICE("text/event-stream"));
    /* The length of a stream is not passed on: cut, it could still be made up to that length. */
    x->content_length = head->chunked || x->is_stream ? -1 : head->content_length;
    slice_copy(type, x->ws->content_type, sizeof x->ws->content_type);
    x->limits_told = x->counts_tokens = false;
    x->tokens = 0;
    x->phase = PHASE_HOLDING;
    if (x->is_stream)
        sse_init(&x->sse, x->endpoint.stream);
    if (!note_head(x, head)) {
        upstream_cancel(call);
        judge(x, TRANSPORT_GARBAGE);
        return;
    }
    if (!held_to_its_end(x)) /* else the attempt's own deadline stays set */
        start_timer(x, exchange_now(x) + x->settings->stream_hold_ms * 1000000);
}

/* Whether the held answer may go out now. */
static void weigh_held(struct exchange *x)
{
    if (x->is_stream && x->sse.error && !x->sse.content) {
        upstream_cancel(&x->call);
        judge(x, TRANSPORT_OK);
    } else if (x->status >= 400) {
        return; /* judged when complete */
    } else if ((x->is_stream && x->sse.content) || x->ws->held.len >= EXCHANGE_HOLD_BYTES) {
        answer_commit(x);
    }
}

static void hold(struct exchange *x, const char *data, size_t len)
{
    meter_at_hand(x);
    size_t room = x->status >= 400 ? EXCHANGE_ERROR_BYTES : EXCHANGE_HOLD_BYTES + NET_SCRATCH_BYTES;

    if (buffer_append(&x->ws->held, slice_of(data, len), room) != STATUS_OK) {
        upstream_cancel(&x->call);
        judge(x, TRANSPORT_GARBAGE);
        return;
    }
    weigh_held(x);
}

static void flow(struct exchange *x, const char *data, size_t len)
{
    answer_flow(x, data, len);
    if (server_queued(x->request) > CONN_HIGH_WATER)
        upstream_pause(&x->call);
}

static void look_for_usage(struct exchange *x, struct slice piece)
{
    int64_t tokens = usage_total_tokens(piece);
    if (tokens != USAGE_NONE)
        x->tokens = tokens;
}

static void on_body(struct upstream_call *call, const char *data, size_t len)
{
    struct exchange *x = of_call(call);

    if (x->is_stream)
        sse_feed(&x->sse, data, len);
    if (x->counts_tokens)
        look_for_usage(x, slice_of(data, len));
    if (x->phase == PHASE_HOLDING)
        hold(x, data, len);
    else
        flow(x, data, len);
}

static void on_flush(struct upstream_call *call)
{
    struct exchange *x = of_call(call);
    if (x->phase == PHASE_FLOWING)
        server_flush(x->request);
}

/* Nothing was announced and nothing came. Only where there is always something to say, in the
 * answer to a prompt, is that a broken answer. */
static bool is_rightly_empty(const struct exchange *x)
{
    return x->content_length == 0 && (x->status != 200 || family_stateful(x->endpoint.family));
}

/* Whether an answer that calls itself JSON is one document from its first byte to its last: half a
 * document that is framed as a whole one is a broken answer too. Longer ones have begun to flow. */
static bool is_whole_document(const struct exchange *x)
{
    if (is_web_page(x))
        return x->head_method;
    if (x->is_stream || x->head_method || x->status == 204 || is_rightly_empty(x) ||
        !json_content_type(slice_str(x->ws->content_type)))
        return true;
    return json_whole(buffer_slice(&x->ws->held)) ||
           headers_say_encoded(buffer_slice(&x->ws->held_fields));
}

/* A response that was asked for now and failed; one that is only fetched failed long ago. */
static bool is_failed_response(const struct exchange *x)
{
    struct slice method = slice_of(x->ws->method, x->ws->method_len);

    return x->endpoint.family == FAMILY_RESPONSES && !x->endpoint.stateful &&
           slice_eq(method, SLICE("POST")) && !x->is_stream &&
           response_failed(buffer_slice(&x->ws->held));
}

/* Some servers leave out the blank line behind the last event. */
static void end_last_event(struct exchange *x)
{
    if (!x->is_stream || !sse_finish(&x->sse))
        return;
    if (x->phase == PHASE_FLOWING)
        answer_flow(x, "\n", 1);
    else if (buffer_append(&x->ws->held, SLICE("\n"), SIZE_MAX) != STATUS_OK)
        return; /* without memory it goes out as it came */
}

static void on_complete(struct upstream_call *call)
{
    struct exchange *x = of_call(call);

    end_last_event(x);
    bool truncated = x->is_stream && !x->sse.terminal && !x->sse.error;

    if (x->phase == PHASE_FLOWING) {
        if (truncated)
            answer_cut(x, TRANSPORT_OK);
        else
            answer_finish(x);
    } else if (x->status >= 400 || truncated || (x->is_stream && x->sse.error)) {
        judge(x, TRANSPORT_OK);
    } else if (!is_whole_document(x)) {
        judge(x, TRANSPORT_CUT);
    } else if (is_failed_response(x)) {
        x->failed_document = true;
        judge(x, TRANSPORT_OK);
    } else {
        answer_deliver(x);
    }
}

/* A service that cannot be reached, or is not who it should be, is for a person to look at. */
static void log_unreachable(const struct exchange *x, enum status status)
{
    const struct upstream *upstream = x->call.upstream;

    if (status == STATUS_DNS || status == STATUS_CONNECT || status == STATUS_TLS)
        log_line(x->worker->shared->log, LOG_SEVERITY_WARN, "upstream_unreachable",
                 "%s port %u: %s%s%s", upstream->host, upstream->port, status_text(status),
                 *upstream->failure ? ": " : "", upstream->failure);
}

static void on_failed(struct upstream_call *call, enum status status)
{
    struct exchange *x = of_call(call);

    log_unreachable(x, status);
    if (x->phase == PHASE_FLOWING)
        answer_cut(x, transport_of(x, status));
    else
        judge(x, transport_of(x, status));
}

static const struct upstream_ops upstream_callbacks = {
    .head = on_head,
    .body = on_body,
    .complete = on_complete,
    .failed = on_failed,
    .flush = on_flush,
};
