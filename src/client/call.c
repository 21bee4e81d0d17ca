#include "client/call.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "client/fault.h"
#include "keyring/echo.h"
#include "openai/demand.h"
#include "openai/json_whole.h"
#include "openai/response_failed.h"
#include "openai/usage.h"

enum { LINES_BYTES_MAX = 60 * 1024 }; /* of the caller's headers: OpenAI takes no more */

static int64_t wall_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static struct keyring *ring_of(const struct call *c)
{
    return c->client->ring;
}

/* ---- life -------------------------------------------------------------------------------- */

static void init(struct call *c)
{
    c->due_ns = INT64_MAX;
    list_init(&c->link);
    list_init(&c->ready);
    list_init(&c->cancel.link);
    sse_init(&c->sse, STREAM_NONE);
    event_reader_init(&c->reader);
    merge_init(&c->merge, STREAM_NONE);
    fault_init(&c->error);
}

struct call *call_new(sparekey_client *client)
{
    struct call *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    c->client = client;
    init(c);
    return c;
}

static void empty(struct buffer *b)
{
    b->len = 0;
    if (b->capacity > CALL_KEEP_BYTES)
        buffer_clear(b);
}

/* What outlives a request: the handle, and memory. */
struct kept_memory {
    sparekey_client *client;
    CURL *easy;
    enum way_out way;
    struct buffer path, body, lines, url, head, answer;
};

void call_clear(struct call *c)
{
    struct kept_memory kept;

    sparekey_result_free(c->result);
    sse_clear(&c->sse);
    event_reader_fini(&c->reader);
    merge_fini(&c->merge);
    empty(&c->request.path);
    empty(&c->request.body);
    empty(&c->lines);
    empty(&c->url);
    empty(&c->head);
    empty(&c->answer);
    kept = (struct kept_memory){c->client, c->easy, c->way,  c->request.path, c->request.body,
                                c->lines,  c->url,  c->head, c->answer};
    memset(c, 0, offsetof(struct call, plan));
    c->client = kept.client;
    c->easy = kept.easy;
    c->way = kept.way;
    c->request.path = kept.path;
    c->request.body = kept.body;
    c->lines = kept.lines;
    c->url = kept.url;
    c->head = kept.head;
    c->answer = kept.answer;
    init(c);
}

void call_free(struct call *c)
{
    if (!c)
        return;
    call_clear(c);
    if (c->easy)
        curl_easy_cleanup(c->easy);
    buffer_clear(&c->request.path);
    buffer_clear(&c->request.body);
    buffer_clear(&c->lines);
    buffer_clear(&c->url);
    buffer_wipe(&c->head);
    buffer_clear(&c->answer);
    free(c);
}

/* ---- what the caller says ---------------------------------------------------------------- */

/* What is ours to say: credentials, framing, and what follows from the body. */
static bool is_ours(struct slice name)
{
    static const char *const names[] = {"authorization",
                                        "api-key",
                                        "host",
                                        "content-length",
                                        "content-type",
                                        "transfer-encoding",
                                        "connection",
                                        "expect",
                                        "cookie",
                                        "proxy-authorization",
                                        "openai-organization",
                                        "openai-project",
                                        "accept-encoding",
                                        "te",
                                        "upgrade"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (slice_ieq(name, slice_str(names[i])))
            return true;
    }
    return false;
}

static bool is_field_line(struct slice line)
{
    const char *colon = line.len ? memchr(line.ptr, ':', line.len) : NULL;

    if (!colon || colon == line.ptr)
        return false;
    for (size_t i = 0; i < line.len; i++) {
        unsigned char ch = (unsigned char)line.ptr[i];
        bool in_name = line.ptr + i < colon;
        if (ch == 0x7f || (ch < 0x20 && ch != '\t') || (in_name && (ch <= ' ' || ch > '~')))
            return false;
    }
    return true;
}

static int add_line(struct call *c, struct slice line, sparekey_error *error)
{
    const char *colon;

    if (!is_field_line(line))
        return fault_argument(error, "options.headers",
                              "a line is not of the form \"Name: value\"");
    colon = memchr(line.ptr, ':', line.len);
    if (is_ours(slice_of(line.ptr, (size_t)(colon - line.ptr))))
        return fault_set(error, SPAREKEY_ERROR_ARGUMENT,
                         "options.headers: %.*s is set by the library", (int)(colon - line.ptr),
                         line.ptr);
    enum status status =
        buffer_append(&c->lines, slice_of(line.ptr, line.len + 1), LINES_BYTES_MAX);
    if (status == STATUS_LIMIT)
        return fault_argument(error, "options.headers", "together longer than 60 KiB");
    return status == STATUS_OK ? SPAREKEY_OK : fault_status(error, status, status, "headers");
}

static int add_lines(struct call *c, const char *const *headers, sparekey_error *error)
{
    enum { OURS = 6 }; /* see transfer.c */

    for (size_t i = 0; headers && headers[i]; i++) {
        if (i == CALL_LINES_MAX - OURS)
            return fault_argument(error, "options.headers", "more than 58 lines");
        int code = add_line(c, slice_str(headers[i]), error);
        if (code != SPAREKEY_OK)
            return code;
    }
    return SPAREKEY_OK;
}

/* The buffers of a spare call are small and used again; a large body's moves in. */
static enum status take_buffer(struct buffer *own, struct buffer *given)
{
    buffer_clear(own);
    *own = *given;
    *given = (struct buffer){0};
    return STATUS_OK;
}

int call_prepare(struct call *c, struct request *request, const sparekey_call_options *options,
                 sparekey_error *error)
{
    struct buffer path = c->request.path, body = c->request.body;

    (void)take_buffer(&path, &request->path);
    (void)take_buffer(&body, &request->body);
    c->request = *request;
    c->request.path = path;
    c->request.body = body;
    c->options = *options;
    c->options.headers = NULL;
    return add_lines(c, options->headers, error);
}

/* ---- the end ----------------------------------------------------------------------------- */

/* Whatever was to be said is in `result` or `error`. */
static void end(struct call *c)
{
    struct lane *lane = c->lane;

    transfer_stop(c);
    if (c->planned)
        keyring_end(ring_of(c), &c->plan, lane->now_ns);
    c->planned = false;
    if (c->waiting)
        atomic_fetch_sub(&c->client->waiting, 1);
    c->waiting = false;
    cancel_leave(&c->cancel);
    key_entry_unref(c->key);
    c->key = NULL;
    c->ended = true;
    list_remove(&c->link);
    lane->call_count--;
    if (c->options.on_done)
        list_append(&lane->ended, &c->link);
}

static void end_with(struct call *c, int code, const char *message)
{
    c->error.code = code;
    (void)slice_copy(slice_str(message), c->error.message, sizeof c->error.message);
    end(c);
}

static void end_without_memory(struct call *c)
{
    end_with(c, SPAREKEY_ERROR_MEMORY, "out of memory");
}

void call_tell(struct call *c)
{
    sparekey_done_callback *on_done = c->options.on_done;
    sparekey_result *result = c->result;
    sparekey_error error = c->error;
    void *user = c->options.user;

    c->result = NULL; /* the callee's */
    lane_return_call(c->lane, c);
    on_done(user, result, result ? NULL : &error);
}

/* ---- the trail --------------------------------------------------------------------------- */

/* The last SPAREKEY_ATTEMPTS_MAX attempts are kept, in order. */
static sparekey_attempt *next_attempt(sparekey_error *trail)
{
    unsigned count = trail->attempt_count++;

    if (count < SPAREKEY_ATTEMPTS_MAX)
        return &trail->attempts[count];
    memmove(&trail->attempts[0], &trail->attempts[1],
            (SPAREKEY_ATTEMPTS_MAX - 1) * sizeof trail->attempts[0]);
    return &trail->attempts[SPAREKEY_ATTEMPTS_MAX - 1];
}

static void note_attempt(struct call *c, enum failure failure, const char *request_id)
{
    sparekey_attempt *attempt = next_attempt(&c->error);

    (void)key_entry_mask(c->key, attempt->key);
    (void)slice_copy(slice_str(failure_name(failure)), attempt->failure, sizeof attempt->failure);
    (void)slice_copy(slice_str(request_id), attempt->request_id, sizeof attempt->request_id);
    attempt->http_status = c->status;
}

static void log_failure(struct call *c, const struct verdict *verdict,
                        const struct evidence *evidence)
{
    char mask[SECRET_MASK_MAX], name[KEY_NAME_MAX];

    if (!c->client->notices.on_log)
        return;
    notices_log(&c->client->notices, NOTICE_DEBUG, "attempt_failed",
                "key %s (%s): %s, scope %s, status %d%s%s%s%s", key_entry_mask(c->key, mask),
                key_entry_name(c->key, name), failure_name(verdict->failure),
                scope_name(verdict->scope), evidence->status, *evidence->code ? ", code " : "",
                evidence->code, *evidence->request_id ? ", request " : "", evidence->request_id);
}

static void log_served(struct call *c)
{
    char mask[SECRET_MASK_MAX];

    if (c->client->notices.on_log && c->plan.attempt_count)
        notices_log(&c->client->notices, NOTICE_INFO, "failover",
                    "served by key %s after %u failed attempts", key_entry_mask(c->key, mask),
                    c->plan.attempt_count);
}

/* ---- judging ----------------------------------------------------------------------------- */

static void ask(struct call *c);

static void describe_answer(struct call *c, enum transport transport, struct answer *ret)
{
    *ret = (struct answer){
        .transport = transport,
        .request_sent = transfer_sent(c),
        .status = c->status,
        .hints = &c->hints,
        .family = c->endpoint.family,
        .stream = c->peek.stream,
        .wall_ms = wall_ms(),
        .content_type = slice_str(c->content_type),
        .body = buffer_slice(&c->answer),
    };
    if (ret->body.len > VERDICT_BODY_MAX)
        ret->body.len = VERDICT_BODY_MAX;
    if (c->failed_document) {
        ret->in_stream = true; /* judged like an event with the same error */
    } else if (c->is_stream && c->sse.error) {
        ret->in_stream = true;
        ret->body = buffer_slice(&c->sse.error_data);
    } else if (c->is_stream && !c->sse.terminal) {
        ret->truncated_stream = true;
    }
}

static struct answer_facts facts_of(struct call *c, struct limit_report *limits)
{
    struct answer_facts facts = {
        .organization = slice_str(c->hints.organization),
        .project = slice_str(c->hints.project),
        .model = peek_model(&c->peek),
    };

    if (c->counts_tokens) {
        int64_t tokens = usage_total_tokens(buffer_slice(&c->answer));
        facts.tokens = tokens == USAGE_NONE ? 0 : tokens;
    }
    if (c->status && !c->limits_told) {
        c->limits_told = true;
        hints_report(&c->hints, limits);
        facts.limits = limits;
    }
    return facts;
}

/* The verdict on the attempt as it stands, told to the plan and put into words. */
static void report(struct call *c, enum transport transport)
{
    struct slice secret = secret_bytes(c->key->secret);
    struct answer answer;
    struct verdict verdict;
    struct evidence evidence;
    struct limit_report limits;
    struct answer_facts facts = facts_of(c, &limits);

    echo_mask_all(c->key->secret, c->answer.data, c->answer.len);
    echo_mask_all(c->key->secret, c->sse.error_data.data, c->sse.error_data.len);
    describe_answer(c, transport, &answer);
    verdict_of(&answer, &verdict, &evidence);
    echo_mask_evidence(secret, &evidence);
    note_attempt(c, verdict.failure, evidence.request_id);
    fault_from_answer(&c->error, &answer, &verdict, &evidence, secret, c->detail);
    if (verdict.failure != FAILURE_CALLER)
        log_failure(c, &verdict, &evidence);
    if (keyring_hear(ring_of(c), &c->plan, &verdict, &evidence, &facts, c->lane->now_ns)) {
        c->kept = c->error;
        c->has_kept = true;
    }
}

static void forget_answer(struct call *c)
{
    c->answer.len = 0;
    c->status = 0;
    c->content_type[0] = '\0';
    c->head_done = c->is_stream = c->failed_document = c->limits_told = c->counts_tokens = false;
    hints_init(&c->hints);
    sse_clear(&c->sse);
    sse_init(&c->sse, STREAM_NONE);
}

/* The attempt has failed before anything reached the caller: what now? */
static void judge(struct call *c, enum transport transport)
{
    report(c, transport);
    transfer_stop(c);
    ask(c);
}

/* ---- the plan's word --------------------------------------------------------------------- */

static void send_on(struct call *c, struct key_entry *entry)
{
    key_entry_unref(c->key);
    c->key = entry;
    forget_answer(c);
    if (!transfer_start(c))
        end_without_memory(c);
}

static void give_up(struct call *c, const struct plan_step *step)
{
    fault_from_plan(&c->error, step);
    notices_log(&c->client->notices, NOTICE_WARNING, "gave_up", "%s", c->error.message);
    end(c);
}

/* The attempts of the whole request, whatever answer is told. */
static void return_kept(struct call *c, const struct plan_step *step)
{
    if (!c->has_kept) {
        give_up(c, step);
        return;
    }
    memcpy(c->kept.attempts, c->error.attempts, sizeof c->kept.attempts);
    c->kept.attempt_count = c->error.attempt_count;
    c->error = c->kept;
    end(c);
}

static void follow(struct call *c, const struct plan_step *step, struct key_entry *entry);

/* As the gateway does: what changed between the plan's word and our being counted as waiting is
 * learnt by asking once more. */
static void wait_on(struct call *c)
{
    struct plan_step step;
    struct key_entry *entry;

    if (!c->waiting) {
        c->waiting = true;
        atomic_fetch_add(&c->client->waiting, 1);
        keyring_next(ring_of(c), &c->plan, c->lane->now_ns, &step, &entry);
        if (step.action != PLAN_WAIT) {
            follow(c, &step, entry);
            return;
        }
        c->due_ns = step.until_ns;
    }
    lane_due(c->lane, c->due_ns);
}

static void follow(struct call *c, const struct plan_step *step, struct key_entry *entry)
{
    if (step->action == PLAN_WAIT) {
        c->due_ns = step->until_ns;
        wait_on(c);
        return;
    }
    if (c->waiting)
        atomic_fetch_sub(&c->client->waiting, 1);
    c->waiting = false;
    switch (step->action) {
    case PLAN_SEND: send_on(c, entry); return;
    case PLAN_RETURN: end(c); return;
    case PLAN_RETURN_KEPT: return_kept(c, step); return;
    case PLAN_GIVE_UP: give_up(c, step); return;
    case PLAN_WAIT: return;
    }
}

static void ask(struct call *c)
{
    struct plan_step step;
    struct key_entry *entry;

    keyring_next(ring_of(c), &c->plan, c->lane->now_ns, &step, &entry);
    follow(c, &step, entry);
}

/* ---- the beginning ----------------------------------------------------------------------- */

static void read_request(struct call *c)
{
    const struct buffer *path = &c->request.path;
    const char *query = memchr(path->data, '?', path->len);

    c->endpoint =
        endpoint_lookup(slice_str(c->request.method),
                        slice_of(path->data, query ? (size_t)(query - path->data) : path->len));
    peek_init(&c->peek);
    if (!c->request.is_json)
        return;
    peek_feed(&c->peek, c->request.body.data, c->request.body.len);
    peek_finish(&c->peek);
}

static int64_t deadline_of(struct call *c)
{
    int64_t ms = c->client->settings.request_timeout_ms;

    c->caller_deadline = c->options.timeout_ms > 0 && c->options.timeout_ms < ms;
    return c->lane->now_ns + (c->caller_deadline ? c->options.timeout_ms : ms) * 1000000;
}

static void begin_plan(struct call *c)
{
    struct plan_step step;
    struct key_entry *entry;
    struct plan_request request;
    struct demand demand = {
        .endpoint = c->endpoint,
        .method = slice_str(c->request.method),
        .peek = &c->peek,
        .json = c->request.is_json ? buffer_slice(&c->request.body) : slice_of(NULL, 0),
        .affinity = c->client->settings.prompt_affinity,
    };

    demand_plan(&demand, &request);
    request.deadline_ns = deadline_of(c);
    c->planned = true;
    keyring_begin(ring_of(c), &c->plan, &request, c->lane->now_ns, &step, &entry);
    follow(c, &step, entry);
}

static bool is_over(struct call *c)
{
    if (cancel_fired(c->options.cancel)) {
        end_with(c, SPAREKEY_ERROR_CANCELLED, "cancelled by the caller");
        return true;
    }
    if (c->lane->quitting || atomic_load(&c->client->closing)) {
        end_with(c, SPAREKEY_ERROR_CLOSED, "the client is being freed");
        return true;
    }
    return false;
}

void call_begin(struct call *c, struct lane *lane)
{
    c->lane = lane;
    list_append(&lane->calls, &c->link);
    lane->call_count++;
    cancel_join(c->options.cancel, &c->cancel, lane);
    hints_init(&c->hints);
    if (is_over(c))
        return;
    read_request(c);
    begin_plan(c);
}

/* ---- the answer -------------------------------------------------------------------------- */

/* One event reaches the caller. */
static bool on_event(void *context, const char *name, const char *data, size_t len)
{
    struct call *c = context;
    const sparekey_call_options *o = &c->options;
    sparekey_event event = {name, data, len};
    struct slice text;

    if (slice_eq(slice_of(data, len), SLICE("[DONE]")))
        return true;
    if (merge_event(&c->merge, slice_of(data, len), &text) == STATUS_NO_MEMORY)
        c->no_memory = true;
    if (o->on_event && o->on_event(o->user, &event) != 0)
        c->stopped = true;
    if (!c->stopped && o->on_text && text.len && o->on_text(o->user, text.ptr, text.len) != 0)
        c->stopped = true;
    return !c->stopped && !c->no_memory;
}

/* Shows what has come since; false when the call has ended by that. */
static bool deliver(struct call *c)
{
    struct slice piece = slice_from(buffer_slice(&c->answer), c->delivered);

    c->delivered = c->answer.len;
    enum status status = event_reader_feed(&c->reader, piece, on_event, c);
    if (c->stopped)
        end_with(c, SPAREKEY_ERROR_CANCELLED, "a callback of the caller's has stopped the stream");
    else if (c->no_memory || status == STATUS_NO_MEMORY)
        end_without_memory(c);
    else if (status == STATUS_LIMIT)
        end_with(c, SPAREKEY_ERROR_ANSWER, "an event of the stream is longer than 64 MiB");
    return !c->ended;
}

/* From here on nothing is repeated. */
static void begin_flow(struct call *c)
{
    struct limit_report limits;
    struct answer_facts facts = facts_of(c, &limits);

    keyring_proven(ring_of(c), &c->plan, &facts, c->lane->now_ns);
    log_served(c);
    c->flowing = true;
    merge_init(&c->merge, c->endpoint.stream);
}

void call_look(struct call *c)
{
    if (!c->is_stream || c->ended)
        return;
    if (!c->flowing && c->sse.error && !c->sse.content) {
        judge(c, TRANSPORT_OK);
        return;
    }
    if (!c->flowing && c->sse.content)
        begin_flow(c);
    if (c->flowing)
        (void)deliver(c);
}

/* ---- the answer's end -------------------------------------------------------------------- */

static void succeed(struct call *c)
{
    struct limit_report limits;
    struct answer_facts facts = facts_of(c, &limits);

    if (!c->flowing)
        log_served(c);
    note_attempt(c, FAILURE_NONE, c->hints.request_id);
    keyring_succeed(ring_of(c), &c->plan, &facts, c->lane->now_ns);
    result_note(c->result, &c->error, c->hints.request_id);
    end(c);
}

static enum status make_result(struct call *c)
{
    struct result_source source = {
        .kind = c->request.kind,
        .http_status = c->status,
        .content_type = c->content_type,
        .body = &c->answer,
        .wants_image_url = c->request.wants_image_url,
    };

    if (c->is_stream && c->request.kind != RESULT_RAW)
        source.document = merge_document(&c->merge);
    (void)echo_mask(secret_bytes(c->key->secret), c->answer.data, c->answer.len);
    return result_new(&source, &c->result);
}

/* Whether what calls itself JSON is one document from its first byte to its last. */
static bool is_whole(const struct call *c)
{
    if (c->is_stream || c->status == 204 || strcmp(c->request.method, "HEAD") == 0)
        return true;
    if (c->request.kind == RESULT_RAW && !json_content_type(slice_str(c->content_type)))
        return true;
    return json_whole(buffer_slice(&c->answer));
}

static bool is_failed_response(const struct call *c)
{
    return c->endpoint.family == FAMILY_RESPONSES && !c->endpoint.stateful && !c->is_stream &&
           strcmp(c->request.method, "POST") == 0 && response_failed(buffer_slice(&c->answer));
}

/* The answer is complete, and nothing says that it is a failure. */
static void take_answer(struct call *c)
{
    enum status status = make_result(c);

    if (status == STATUS_OK)
        succeed(c);
    else if (status == STATUS_NO_MEMORY)
        end_without_memory(c);
    else if (c->flowing)
        end_with(c, SPAREKEY_ERROR_ANSWER, "the stream's events do not make an answer");
    else
        judge(c, TRANSPORT_CUT); /* what is framed as JSON and is none has lost something */
}

/* The stream broke behind its first content. */
static void cut(struct call *c, enum transport transport)
{
    bool told = c->sse.error;

    report(c, transport);
    if (!told || transport != TRANSPORT_OK)
        (void)slice_copy(SLICE("the stream broke off before it was complete"), c->error.message,
                         sizeof c->error.message);
    c->error.code = SPAREKEY_ERROR_CUT;
    end(c);
}

static void finish_stream(struct call *c)
{
    bool made_up = sse_finish(&c->sse); /* the blank line behind the last event is missing */

    if (made_up && buffer_append(&c->answer, SLICE("\n"), SIZE_MAX) != STATUS_OK) {
        end_without_memory(c);
        return;
    }
    if (!c->flowing && (c->sse.error || !c->sse.terminal)) {
        judge(c, TRANSPORT_OK);
        return;
    }
    if (!c->flowing)
        begin_flow(c);
    if (!deliver(c))
        return;
    if (c->sse.error || !c->sse.terminal)
        cut(c, TRANSPORT_OK);
    else
        take_answer(c);
}

static void finish_document(struct call *c)
{
    if (c->status >= 300) { /* what it is redirected to is not followed: the key would go along */
        judge(c, TRANSPORT_OK);
    } else if (!is_whole(c)) {
        judge(c, TRANSPORT_CUT);
    } else if (is_failed_response(c)) {
        c->failed_document = true;
        judge(c, TRANSPORT_OK);
    } else {
        take_answer(c);
    }
}

void call_transferred(struct call *c, CURLcode result)
{
    enum transport transport = transfer_outcome(c, result);

    transfer_stop(c);
    c->due_ns = INT64_MAX;
    if (c->no_memory || result == CURLE_OUT_OF_MEMORY)
        end_without_memory(c);
    else if (c->too_large)
        end_with(c, SPAREKEY_ERROR_ANSWER, "the answer is larger than 1 GiB");
    else if (transport != TRANSPORT_OK && c->flowing)
        cut(c, transport);
    else if (transport != TRANSPORT_OK)
        judge(c, transport);
    else if (c->is_stream)
        finish_stream(c);
    else
        finish_document(c);
}

/* ---- time and other threads -------------------------------------------------------------- */

void call_check_time(struct call *c)
{
    int64_t now_ns = c->lane->now_ns;

    if (c->due_ns > now_ns) {
        lane_due(c->lane, c->due_ns);
        return;
    }
    if (c->waiting) {
        ask(c);
        return;
    }
    bool deadline = now_ns >= c->plan.deadline_ns;
    if (deadline && c->caller_deadline) { /* nobody's fault: the plan hears of no verdict */
        note_attempt(c, FAILURE_TIMEOUT, c->hints.request_id);
        end_with(c, SPAREKEY_ERROR_TIMEOUT, "no answer within the call's timeout_ms");
    } else if (c->flowing) {
        cut(c, TRANSPORT_TIMEOUT);
    } else {
        judge(c, TRANSPORT_TIMEOUT);
    }
}

void call_lost(struct call *c)
{
    if (c->in_flight)
        end_without_memory(c);
}

void call_check_cancelled(struct call *c)
{
    (void)is_over(c);
}

void call_pool_changed(struct call *c)
{
    if (c->waiting)
        ask(c);
}
