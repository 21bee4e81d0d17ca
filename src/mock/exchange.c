/* The phases of an exchange, and what moves it on:
 *
 *   RECEIVING ──complete──▶ DELAYED ──timer──▶ SENDING ──all sent──▶ ENDING ──▶ freed
 *                             │ stall_at_head    │  ▲ timer, drained
 *                             ▼                  ▼  │ release
 *                           STALLED ◀─────── stall_at_stop
 *
 * In every phase the client may leave: `gone`, and the exchange is freed. ENDING is only lived in
 * by answers that end in a reset: RST would overtake bytes that are still in the socket, so it
 * waits RESET_DELAY_MS behind them.
 */
#include "mock/exchange.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "mock/errors.h"
#include "mock/limits.h"
#include "mock/shapes.h"

enum { RESET_DELAY_MS = 20, PATH_MAX_BYTES = 65536, BODY_PIECE = 65536 };

/* --- beginning and end --- */

static void free_exchange(struct exchange *x)
{
    net_timer_stop(x->mock->loop, &x->timer);
    list_remove(&x->node);
    EVP_MD_CTX_free(x->digest);
    buffer_clear(&x->method);
    buffer_clear(&x->path);
    buffer_clear(&x->content_type);
    buffer_clear(&x->bearer);
    buffer_clear(&x->body);
    call_clear(&x->call);
    reply_clear(&x->reply);
    free(x);
}

static struct tally *tally_of(struct exchange *x)
{
    return x->key ? &x->key->tally : &x->mock->ring.unknown;
}

/* The record of what became of it. After this the exchange is only to be freed. */
static void conclude(struct exchange *x, enum journal_outcome outcome)
{
    int status = x->head_sent ? x->reply.status : 0;
    struct tally *tally = tally_of(x);

    if (outcome == JOURNAL_CLIENT_LEFT)
        tally->client_left++;
    tally_status(tally, status);
    journal_done(&x->mock->journal, x->n, outcome, status, x->bytes_sent);
}

static void finish(struct exchange *x)
{
    struct server_conn *request = x->request;
    enum ending ending = x->delivery.ending;

    conclude(x, x->delivery.whole ? JOURNAL_COMPLETE : JOURNAL_CUT);
    free_exchange(x);
    /* Last, because the next request of the connection may begin inside. */
    if (ending == ENDING_WHOLE)
        server_reply_end(request);
    else if (ending == ENDING_ABORT)
        server_abort(request);
    else
        server_reset(request);
}

/* --- sending --- */

static void send_head(struct exchange *x)
{
    struct reply *reply = &x->reply;

    x->head_sent = true;
    if (x->delivery.raw) {
        server_raw(x->request, x->delivery.raw, strlen(x->delivery.raw));
        x->head_sent = false; /* no status was answered */
    } else if (x->delivery.head) {
        server_reply_head(x->request, reply->status, buffer_slice(&reply->fields),
                          x->delivery.length);
    } else {
        x->head_sent = false;
    }
}

static void send_units(struct exchange *x)
{
    struct slice bytes;

    if (x->delivery.stream) {
        bytes = reply_frame(&x->reply, x->next++);
    } else {
        size_t len =
            x->delivery.stop - x->next < BODY_PIECE ? x->delivery.stop - x->next : BODY_PIECE;
        bytes = slice_of(x->reply.body.data + x->next, len);
        x->next += len;
    }
    x->bytes_sent += bytes.len;
    server_reply_body(x->request, bytes.ptr, bytes.len);
}

static int64_t pick_ms(struct mock *mock, const int64_t span[2])
{
    return span[0] + (int64_t)rng_below(&mock->rng, (uint64_t)(span[1] - span[0] + 1));
}

/* Whether the next event has to wait; then the timer runs. */
static bool must_pause(struct exchange *x)
{
    const int64_t *span = x->key ? x->key->config.stream_interval_ms : NULL;

    if (!x->delivery.stream || x->next == 0 || !span || span[1] == 0)
        return false;
    server_flush(x->request);
    net_timer_start(x->mock->loop, &x->timer, pick_ms(x->mock, span));
    return true;
}

static void stall(struct exchange *x)
{
    server_flush(x->request);
    x->phase = EXCHANGE_STALLED;
    journal_stalled(&x->mock->journal, x->n, true);
}

static void end(struct exchange *x)
{
    if (x->delivery.stall_at_stop) {
        stall(x);
        return;
    }
    if (x->delivery.ending != ENDING_RESET || (!x->head_sent && !x->delivery.raw)) {
        finish(x);
        return;
    }
    server_flush(x->request);
    x->phase = EXCHANGE_ENDING;
    net_timer_start(x->mock->loop, &x->timer, RESET_DELAY_MS);
}

/* Sends until the end, a pause, or more is queued than the client takes. */
static void pump(struct exchange *x, bool paused)
{
    while (x->next < x->delivery.stop) {
        if (server_queued(x->request) > CONN_HIGH_WATER)
            return; /* `drained` goes on */
        if (!paused && must_pause(x))
            return;
        paused = false;
        send_units(x);
    }
    end(x);
}

static void begin_sending(struct exchange *x)
{
    if (x->delivery.stall_at_head) {
        stall(x);
        return;
    }
    x->phase = EXCHANGE_SENDING;
    send_head(x);
    pump(x, true);
}

bool exchange_release(struct exchange *x)
{
    if (x->phase != EXCHANGE_STALLED)
        return false;
    journal_stalled(&x->mock->journal, x->n, false);
    if (x->delivery.stall_at_head) {
        x->delivery.stall_at_head = false;
        begin_sending(x);
        return true;
    }
    x->delivery.stall_at_stop = false;
    x->delivery.stop = x->delivery.stream ? x->reply.frame_count : x->reply.body.len;
    x->phase = EXCHANGE_SENDING;
    pump(x, true);
    return true;
}

static void go_on(struct exchange *x)
{
    switch (x->phase) {
    case EXCHANGE_DELAYED: begin_sending(x); return;
    case EXCHANGE_SENDING: pump(x, true); return;
    case EXCHANGE_ENDING: finish(x); return;
    case EXCHANGE_RECEIVING:
    case EXCHANGE_STALLED: return;
    }
}

static void timer_fired(struct wheel_timer *timer)
{
    go_on(container_of(timer, struct exchange, timer));
}

/* --- deciding --- */

static void add_identity(struct exchange *x)
{
    struct reply *reply = &x->reply;

    reply_field(reply, "x-request-id", "req_%016" PRIx64 "%016" PRIx64, x->mock->seed, x->serial);
    reply_field(reply, "openai-processing-ms", "%" PRId64, x->latency_ms);
    reply_field(reply, "openai-version", "2020-10-01");
    if (x->key) {
        reply_field(reply, "openai-organization", "%s", x->key->config.organization);
        reply_field(reply, "openai-project", "%s", x->key->config.project);
    }
}

static bool refuse_key(struct exchange *x)
{
    if (x->bearer.len == 0)
        reply_error(
            &x->reply, 401, "invalid_request_error", NULL, NULL,
            "You didn't provide an API key. You need to provide your API key in an "
            "Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).");
    else if (!x->key)
        error_invalid_key(x->bearer.data, &x->reply);
    return !x->key;
}

/* Faults that are an answer of their own. */
static bool answer_by_fault(struct exchange *x, const struct fault *fault)
{
    struct error_subject subject = {x->key ? x->key->key : "", "", "", x->call.model};
    struct slice name = slice_str(fault->name);

    if (x->key) {
        subject.organization = x->key->config.organization;
        subject.project = x->key->config.project;
    }
    switch ((int)fault->kind) {
    case FAULT_ERROR:
        error_row_answer(slice_from(name, strlen("error:")), &subject, fault->retry_after_ms,
                         &x->reply);
        return true;
    case FAULT_STATUS: error_plain(fault->status, &x->reply); return true;
    case FAULT_HTML: error_html(fault->status, &x->reply); return true;
    case FAULT_INTEGER_CODE:
        reply_json(&x->reply, 502,
                   json_pack("{s:{s:s, s:s, s:n, s:i}}", "error", "message", "Bad gateway", "type",
                             "cf_bad_gateway", "param", "code", 502));
        return true;
    case FAULT_FAILED_RESPONSE:
        if (!x->call.route || strcmp(x->call.route->path, "/responses") != 0 || !x->call.body)
            return false;
        shape_responses_failed(&x->call, fault->code, &x->reply);
        return true;
    default: return false;
    }
}

static struct fault *pick_fault(struct exchange *x)
{
    struct fault_query query = {buffer_slice(&x->bearer), buffer_slice(&x->path),
                                slice_str(x->call.model), x->call.stream};
    struct fault *fault = x->key ? faults_pick(&x->key->faults, &query, &x->mock->rng) : NULL;
    if (!fault)
        fault = faults_pick(&x->mock->ring.faults, &query, &x->mock->rng);
    if (fault) {
        tally_of(x)->faulted++;
        journal_fault(&x->mock->journal, x->n, fault->name);
    }
    return fault;
}

/* The true answer, or the true refusal. `problem`: what is wrong with the request itself. */
static void answer_truly(struct exchange *x, struct reply *problem)
{
    const struct route *route = x->call.route;

    if (refuse_key(x))
        return;
    if (route && !key_admits(&x->mock->ring, x->key, &x->call, &x->reply))
        return;
    if (problem->status != 200) {
        struct reply made = x->reply;
        x->reply = *problem;
        *problem = made;
        return;
    }
    if (!route)
        return; /* an unknown path is a problem, handled above */
    if (route->limited &&
        !limits_admit(&x->mock->buckets, x->key, &x->call, net_now_ns(x->mock->loop), &x->reply))
        return;
    route->answer(&x->call, &x->reply);
}

/* Fills x->call; what is wrong goes to `problem`. */
static void understand(struct exchange *x, struct reply *problem)
{
    struct call *call = &x->call;

    call->serial = hash_mix(~x->mock->seed, x->serial);
    call->created = net_wall_ms() / 1000;
    call->models = x->mock->ring.models;
    if (x->key) {
        call->answer_bytes = (size_t)x->key->config.answer_bytes;
        call->stream_events = (uint32_t)x->key->config.stream_events;
    }
    call->route = route_find(buffer_slice(&x->method), buffer_slice(&x->path), call->id, problem);
    if (!call->route)
        return;
    if (x->body_too_large)
        reply_error(problem, 413, "server_error", NULL, NULL,
                    "Maximum content size limit (536870912) exceeded");
    else
        call_read(call, buffer_slice(&x->content_type), buffer_slice(&x->body), problem);
}

static void note_arrival(struct exchange *x)
{
    unsigned char sha256[EVP_MAX_MD_SIZE] = {0};
    EVP_DigestFinal_ex(x->digest, sha256, NULL);
    tally_of(x)->requests++;
    journal_arrived(
        &x->mock->journal, x->n,
        &(struct journal_body){x->body_bytes, sha256, slice_str(x->call.model), x->call.stream});
}

static void decide(struct exchange *x)
{
    struct reply problem;
    struct mock *mock = x->mock;

    reply_init(&problem);
    x->key = x->bearer.len ? keyring_get(&mock->ring, buffer_slice(&x->bearer)) : NULL;
    understand(x, &problem);
    note_arrival(x);
    if (x->key)
        x->latency_ms = pick_ms(mock, x->key->config.latency_ms);
    struct fault *fault = pick_fault(x);
    if (fault)
        x->latency_ms += fault->delay_ms;
    if (!fault || !answer_by_fault(x, fault))
        answer_truly(x, &problem);
    if (!fault || fault->kind != FAULT_HTML)
        add_identity(x);
    delivery_plan(&x->delivery, &x->reply, fault);
    reply_clear(&problem);
    buffer_clear(&x->body);
}

/* --- the server's callbacks --- */

static bool keep(struct buffer *at, struct slice text)
{
    return buffer_append(at, text, PATH_MAX_BYTES) == STATUS_OK;
}

static struct slice bearer_of(const struct http_head *head)
{
    struct slice value = http_head_get(head, SLICE("authorization"));
    struct slice scheme = SLICE("Bearer ");
    if (value.len <= scheme.len || !slice_ieq(slice_of(value.ptr, scheme.len), scheme))
        return slice_of(NULL, 0);
    return slice_trim(slice_from(value, scheme.len));
}

static void note_head(struct exchange *x, const struct http_head *head, struct slice path,
                      struct slice query)
{
    struct journal_pair fields[HTTP_FIELDS_MAX];
    struct journal_head entry = {
        .key = buffer_slice(&x->bearer),
        .method = head->method,
        .path = path,
        .query = query,
        .fields = fields,
        .connection = x->request->number,
        .wall_ms = net_wall_ms(),
    };
    for (; entry.field_count < head->field_count && entry.field_count < HTTP_FIELDS_MAX;
         entry.field_count++)
        fields[entry.field_count] = (struct journal_pair){head->fields[entry.field_count].name,
                                                          head->fields[entry.field_count].value};
    x->n = journal_begin(&x->mock->journal, &entry);
}

static struct exchange *new_exchange(struct server_conn *request, const struct http_head *head)
{
    struct mock *mock = request->server->user;
    struct exchange *x = calloc(1, sizeof(*x));
    const char *mark = memchr(head->target.ptr, '?', head->target.len);
    size_t path_len = mark ? (size_t)(mark - head->target.ptr) : head->target.len;
    struct slice path = slice_of(head->target.ptr, path_len);

    if (!x)
        return NULL;
    x->mock = mock;
    x->request = request;
    x->serial = ++mock->serial;
    list_append(&mock->exchanges, &x->node);
    wheel_timer_init(&x->timer, timer_fired);
    reply_init(&x->reply);
    x->digest = EVP_MD_CTX_new();
    /* The bearer is kept with a zero behind it: it is read as a string too. */
    if (x->digest && EVP_DigestInit_ex(x->digest, EVP_sha256(), NULL) == 1 &&
        keep(&x->method, head->method) && keep(&x->path, path) &&
        keep(&x->content_type, http_head_get(head, SLICE("content-type"))) &&
        keep(&x->bearer, bearer_of(head)) && keep(&x->bearer, SLICE("\0"))) {
        x->bearer.len--;
        note_head(x, head, path, slice_from(head->target, path_len + 1));
        return x;
    }
    free_exchange(x);
    return NULL;
}

static void on_head(struct server_conn *request, const struct http_head *head)
{
    request->user = new_exchange(request, head);
    if (!request->user)
        server_reply(request, 503, SLICE("content-type: application/json\r\n"),
                     SLICE("{\"error\":{\"message\":\"The mock is out of memory.\",\"type\":"
                           "\"server_error\",\"param\":null,\"code\":null}}"));
    else if (head->expect_continue)
        server_continue(request);
}

static void on_body(struct server_conn *request, const char *data, size_t len)
{
    struct exchange *x = request->user;

    x->body_bytes += len;
    EVP_DigestUpdate(x->digest, data, len);
    if (!x->body_too_large &&
        buffer_append(&x->body, slice_of(data, len), MOCK_BODY_MAX) != STATUS_OK) {
        x->body_too_large = true;
        buffer_clear(&x->body);
    }
}

static void on_complete(struct server_conn *request)
{
    struct exchange *x = request->user;

    decide(x);
    if (x->reply.failed) { /* out of memory while shaping: no half answers */
        reply_clear(&x->reply);
        error_plain(500, &x->reply);
        delivery_plan(&x->delivery, &x->reply, NULL);
    }
    if (buffer_printf(&x->reply.fields, REPLY_FIELDS_MAX, "content-type: %s\r\n",
                      x->reply.content_type) != STATUS_OK)
        x->delivery.ending = ENDING_RESET;
    x->phase = EXCHANGE_DELAYED;
    if (x->latency_ms)
        net_timer_start(x->mock->loop, &x->timer, x->latency_ms);
    else
        begin_sending(x);
}

static void on_gone(struct server_conn *request)
{
    struct exchange *x = request->user;
    if (!x)
        return;
    request->user = NULL;
    conclude(x, JOURNAL_CLIENT_LEFT);
    free_exchange(x);
}

static void on_drained(struct server_conn *request)
{
    struct exchange *x = request->user;
    if (x && x->phase == EXCHANGE_SENDING && !wheel_armed(&x->timer))
        pump(x, true);
}

static void on_error(struct server *server, int status, const char *message, struct buffer *out)
{
    struct reply reply;

    (void)server;
    reply_init(&reply);
    reply_error(&reply, status, "invalid_request_error", NULL, NULL, message);
    if (!reply.failed &&
        buffer_append(out, buffer_slice(&reply.body), REPLY_FIELDS_MAX) != STATUS_OK)
        out->len = 0;
    reply_clear(&reply);
}

const struct server_ops exchange_ops = {
    .head = on_head,
    .body = on_body,
    .complete = on_complete,
    .gone = on_gone,
    .drained = on_drained,
    .error = on_error,
};
