#include "gateway/last_resort.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/text.h"
#include "gateway/credential.h"
#include "gateway/exchange_state.h"
#include "gateway/headers.h"

#define MARK_FILE   "x-sparekey-last-resort: file\r\n"
#define MARK_SERVER "x-sparekey-last-resort: server\r\n"

/* Nobody could have served the request, now; the caller did nothing wrong, and has time left. (A service
 * that hangs ends an attempt in time; that the request's own time is up is told by the same name.) */
static bool is_outage(const struct exchange *x, enum failure failure)
{
    switch (failure) {
    case FAILURE_TIMEOUT: return exchange_now(x) < x->plan.deadline_ns;
    case FAILURE_RATE:
    case FAILURE_SLOW_DOWN:
    case FAILURE_QUOTA:
    case FAILURE_REVOKED:
    case FAILURE_DEACTIVATED:
    case FAILURE_MISMATCHED:
    case FAILURE_EGRESS_IP:
    case FAILURE_REGION:
    case FAILURE_NETWORK:
    case FAILURE_OVERLOADED:
    case FAILURE_SERVER:
    case FAILURE_CUT:
    case FAILURE_GARBAGE:
    case FAILURE_DISABLED: return true;
    case FAILURE_NONE:
    case FAILURE_CALLER:
    case FAILURE_POLICY:
    case FAILURE_SCOPE:
    case FAILURE_FORBIDDEN:
    case FAILURE_UNVERIFIED:
    case FAILURE_MODEL:
    case FAILURE_TIER:
    case FAILURE_TOO_LARGE:
    case FAILURE_CONFLICT:
    case FAILURE_ABANDONED:
    case FAILURE_COUNT: break;
    }
    return false;
}

static void count(struct exchange *x, const char *what)
{
    if (!x->drill)
        metric_add(&x->worker->metrics.last_resorts);
    log_line(x->worker->shared->log, x->drill ? LOG_SEVERITY_INFO : LOG_SEVERITY_WARN,
             "last_resort", "%severy key is out: %s answers (SPAREKEY_LAST_RESORT)",
             x->drill ? "drill: " : "", what);
}

/* No key stands behind what comes now. */
static void forget_key(struct exchange *x)
{
    key_entry_unref(x->key);
    x->key = NULL;
}

/* ---- the file ---------------------------------------------------------------------------- */

/* Of a canned answer, its choices together: such a one is made on the loop's thread, within some
 * milliseconds. */
#define CANNED_BYTES_MAX   4194304
#define CANNED_CHOICES_MAX 128 /* as many as OpenAI gives; who asks for more gets the error */

/* What a canned answer is made of. */
struct canned {
    const char *text;
    char model[PEEK_VALUE_MAX + 1];
    json_int_t created_s;
    int choices;        /* chat: "n" */
    bool include_usage; /* chat, streamed: "stream_options" ask for it */
};

static json_t *no_usage(const char *in, const char *out)
{
    return json_pack("{s:i, s:i, s:i}", in, 0, out, 0, "total_tokens", 0);
}

/* Takes `choices`, an array, over. */
static json_t *chat_object(const struct canned *c, const char *object, json_t *choices)
{
    return json_pack("{s:s, s:s, s:I, s:s, s:o}", "id", "chatcmpl-lastresort", "object", object,
                     "created", c->created_s, "model", c->model, "choices", choices);
}

static json_t *chat_whole(const struct canned *c)
{
    json_t *choices = json_array();

    for (int i = 0; i < c->choices; i++)
        (void)json_array_append_new(choices,
                                    json_pack("{s:i, s:{s:s, s:s, s:n}, s:n, s:s}", "index", i,
                                              "message", "role", "assistant", "content", c->text,
                                              "refusal", "logprobs", "finish_reason", "stop"));
    json_t *root = chat_object(c, "chat.completion", choices);

    (void)json_object_set_new(root, "usage", no_usage("prompt_tokens", "completion_tokens"));
    return root;
}

/* One event; takes `data` over. `name` NULL: nameless, as chat has them. */
static void put_event(struct text *t, const char *name, json_t *data)
{
    char *line = data ? json_dumps(data, JSON_COMPACT) : NULL;

    if (!line && t->status == STATUS_OK)
        t->status = STATUS_NO_MEMORY;
    if (name) {
        text_put(t, SLICE("event: "));
        text_put_str(t, name);
        text_put(t, SLICE("\n"));
    }
    text_put(t, SLICE("data: "));
    text_put_str(t, line);
    text_put(t, SLICE("\n\n"));
    free(line);
    json_decref(data);
}

/* Takes both over; with usage asked for, every chunk has the member, and only the last one says it. */
static void put_chunk(struct text *t, const struct canned *c, json_t *choices, json_t *usage)
{
    json_t *chunk = chat_object(c, "chat.completion.chunk", choices);

    if (c->include_usage)
        (void)json_object_set_new(chunk, "usage", usage);
    else
        json_decref(usage);
    put_event(t, NULL, chunk);
}

static void chat_stream(const struct canned *c, struct text *t)
{
    for (int i = 0; i < c->choices; i++)
        put_chunk(t, c,
                  json_pack("[{s:i, s:{s:s, s:s}, s:n}]", "index", i, "delta", "role", "assistant",
                            "content", c->text, "finish_reason"),
                  json_null());
    for (int i = 0; i < c->choices; i++)
        put_chunk(t, c,
                  json_pack("[{s:i, s:{}, s:s}]", "index", i, "delta", "finish_reason", "stop"),
                  json_null());
    if (c->include_usage)
        put_chunk(t, c, json_array(), no_usage("prompt_tokens", "completion_tokens"));
    text_put(t, SLICE("data: [DONE]\n\n"));
}

static json_t *text_part(const char *text)
{
    return json_pack("{s:s, s:s, s:[]}", "type", "output_text", "text", text, "annotations");
}

/* The message of a response; takes `content`, an array, over. */
static json_t *message_item(const char *status, json_t *content)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:o}", "id", "msg_lastresort", "type", "message",
                     "status", status, "role", "assistant", "content", content);
}

/* Takes `output` over. */
static json_t *response_object(const struct canned *c, const char *status, json_t *output)
{
    json_t *root =
        json_pack("{s:s, s:s, s:I, s:s, s:s, s:o, s:n, s:n, s:n, s:{}, s:b, s:s, s:[], s:n, s:n}",
                  "id", "resp_lastresort", "object", "response", "created_at", c->created_s,
                  "status", status, "model", c->model, "output", output, "error",
                  "incomplete_details", "instructions", "metadata", "parallel_tool_calls", 1,
                  "tool_choice", "auto", "tools", "temperature", "top_p");
    json_t *usage = no_usage("input_tokens", "output_tokens");

    (void)json_object_set_new(usage, "input_tokens_details",
                              json_pack("{s:i}", "cached_tokens", 0));
    (void)json_object_set_new(usage, "output_tokens_details",
                              json_pack("{s:i}", "reasoning_tokens", 0));
    (void)json_object_set_new(root, "usage", usage);
    return root;
}

static json_t *response_whole(const struct canned *c)
{
    json_t *content = json_pack("[o]", text_part(c->text));

    return response_object(c, "completed", json_pack("[o]", message_item("completed", content)));
}

/* The next event of a response's stream; takes `data` over. */
static void put_response_event(struct text *t, int *number, const char *type, json_t *data)
{
    (void)json_object_set_new(data, "type", json_string(type));
    (void)json_object_set_new(data, "sequence_number", json_integer((*number)++));
    put_event(t, type, data);
}

/* Fields that name the one part of the one message. */
static json_t *part_event(const char *name, json_t *value)
{
    return json_pack("{s:s, s:i, s:i, s:o}", "item_id", "msg_lastresort", "output_index", 0,
                     "content_index", 0, name, value);
}

static void response_stream(const struct canned *c, struct text *t)
{
    int n = 0;

    put_response_event(
        t, &n, "response.created",
        json_pack("{s:o}", "response", response_object(c, "in_progress", json_array())));
    put_response_event(t, &n, "response.output_item.added",
                       json_pack("{s:i, s:o}", "output_index", 0, "item",
                                 message_item("in_progress", json_array())));
    put_response_event(t, &n, "response.content_part.added", part_event("part", text_part("")));
    put_response_event(t, &n, "response.output_text.delta",
                       part_event("delta", json_string(c->text)));
    put_response_event(t, &n, "response.output_text.done",
                       part_event("text", json_string(c->text)));
    put_response_event(t, &n, "response.content_part.done", part_event("part", text_part(c->text)));
    put_response_event(t, &n, "response.output_item.done",
                       json_pack("{s:i, s:o}", "output_index", 0, "item",
                                 message_item("completed", json_pack("[o]", text_part(c->text)))));
    put_response_event(t, &n, "response.completed",
                       json_pack("{s:o}", "response", response_whole(c)));
}

struct shape {
    enum family family;
    json_t *(*whole)(const struct canned *c);
    void (*stream)(const struct canned *c, struct text *t);
};

/* The shape of what was asked for, or NULL: only new answers to a prompt are canned. */
static const struct shape *shape_of(const struct exchange *x)
{
    static const struct shape shapes[] = {
        {FAMILY_CHAT, chat_whole, chat_stream},
        {FAMILY_RESPONSES, response_whole, response_stream},
    };
    bool post = slice_eq(slice_of(x->ws->method, x->ws->method_len), SLICE("POST"));

    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        if (post && !x->endpoint.stateful && shapes[i].family == x->endpoint.family)
            return &shapes[i];
    return NULL;
}

static enum status write_canned(const struct exchange *x, const struct shape *shape,
                                struct buffer *out)
{
    struct text t = text_into(out, SIZE_MAX);
    const struct peek *peek = &x->ws->peek;
    struct canned c = {.text = x->settings->last_resort_text,
                       .created_s = net_wall_ms() / 1000,
                       .choices = peek->n ? (int)peek->n : 1,
                       .include_usage = peek->include_usage};

    if (strlen(c.text) * (uint64_t)peek->n > CANNED_BYTES_MAX || peek->n > CANNED_CHOICES_MAX)
        return STATUS_LIMIT;
    (void)slice_copy(peek_model(&x->ws->peek), c.model, sizeof c.model);
    if (x->ws->peek.stream) {
        shape->stream(&c, &t);
        return t.status;
    }
    json_t *root = shape->whole(&c);
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    if (text)
        text_put_str(&t, text);
    json_decref(root);
    free(text);
    return text ? t.status : STATUS_NO_MEMORY;
}

static bool serve_file(struct exchange *x)
{
    const struct shape *shape = shape_of(x);
    struct server_conn *request = x->request;
    struct buffer body = {0}, fields = {0};
    enum status status = shape ? write_canned(x, shape, &body) : STATUS_INVALID;

    if (status == STATUS_OK)
        status = buffer_printf(&fields, EXCHANGE_FIELDS_MAX, "content-type: %s\r\n" MARK_FILE,
                               x->ws->peek.stream ? "text/event-stream" : "application/json");
    if (status == STATUS_OK) {
        forget_key(x);
        answer_add_fields(x, &fields);
        count(x, "a file");
        exchange_end_failed(x);
        request->user = NULL;
        server_reply(request, 200, buffer_slice(&fields), buffer_slice(&body));
    }
    buffer_clear(&body);
    buffer_clear(&fields);
    return status == STATUS_OK;
}

/* ---- the server -------------------------------------------------------------------------- */

static struct exchange *of_call(struct upstream_call *call)
{
    return container_of(call, struct exchange, call);
}

/* It is no help: what would have been said without it. */
static void decline(struct exchange *x)
{
    upstream_cancel(&x->call);
    exchange_ask(x); /* the plan has decided and says the same again; x->resorted keeps us out */
}

static void on_head(struct upstream_call *call, const struct http_head *head)
{
    struct exchange *x = of_call(call);
    struct buffer *fields = &x->ws->held_fields;

    fields->len = 0;
    /* A redirection is no answer either: it would send the client somewhere else. */
    if (head->status / 100 != 2 || headers_downstream(head, fields) != STATUS_OK ||
        buffer_append(fields, SLICE(MARK_SERVER), EXCHANGE_FIELDS_MAX) != STATUS_OK) {
        log_line(x->worker->shared->log, LOG_SEVERITY_WARN, "last_resort_failed",
                 "the server of SPAREKEY_LAST_RESORT answered with %d", head->status);
        decline(x);
        return;
    }
    forget_key(x);
    answer_add_fields(x, fields);
    count(x, "the server");
    x->phase = PHASE_FLOWING;
    server_reply_head(x->request, head->status, buffer_slice(fields),
                      head->chunked ? -1 : head->content_length);
}

static void on_body(struct upstream_call *call, const char *data, size_t len)
{
    struct exchange *x = of_call(call);

    server_reply_body(x->request, data, len);
    if (server_queued(x->request) > CONN_HIGH_WATER)
        upstream_pause(call);
}

static void on_flush(struct upstream_call *call)
{
    struct exchange *x = of_call(call);

    if (x->phase == PHASE_FLOWING)
        server_flush(x->request);
}

static void on_complete(struct upstream_call *call)
{
    struct exchange *x = of_call(call);
    struct server_conn *request = x->request;

    exchange_end_failed(x);
    request->user = NULL;
    server_reply_end(request);
}

static void on_failed(struct upstream_call *call, enum status status)
{
    struct exchange *x = of_call(call);
    struct server_conn *request = x->request;

    log_line(x->worker->shared->log, LOG_SEVERITY_WARN, "last_resort_failed",
             "the server of SPAREKEY_LAST_RESORT: %s", status_text(status));
    if (x->phase != PHASE_FLOWING) {
        decline(x);
        return;
    }
    exchange_end_failed(x);
    request->user = NULL;
    server_abort(request);
}

static const struct upstream_ops server_ops = {.head = on_head,
                                               .body = on_body,
                                               .complete = on_complete,
                                               .failed = on_failed,
                                               .flush = on_flush};

/* Like an attempt's, without a credential. `fields` begin with the end of the credential's line. */
static enum status arrange(struct exchange *x, const struct service_url *url)
{
    struct workspace *ws = x->ws;
    struct upstream_call *call = &x->call;
    struct text t = text_into(&ws->head, EXCHANGE_FIELDS_MAX);
    struct slice fields = slice_from(buffer_slice(&ws->fields), 2);

    ws->head.len = 0;
    text_put(&t, slice_of(ws->method, ws->method_len));
    text_put(&t, SLICE(" "));
    text_put_str(&t, url->path);
    text_put(&t, buffer_slice(&ws->suffix));
    credential_put_host(&t, url);
    call->parts[0] = (struct iovec){ws->head.data, ws->head.len};
    call->parts[1] = (struct iovec){(void *)(uintptr_t)fields.ptr, fields.len};
    call->parts[2] = (struct iovec){ws->body.data, ws->body.len};
    call->part_count = ws->body.len ? 3 : 2;
    call->secret = false;
    call->head_request = x->head_method;
    call->sent = call->answered = false;
    return t.status;
}

static bool ask_server(struct exchange *x)
{
    uint32_t service;

    if (!keyring_last_resort(exchange_ring(x), &service))
        return false;
    struct upstream *upstream = worker_upstream(x->worker, service);
    return upstream && arrange(x, keyring_service(exchange_ring(x), service)) == STATUS_OK &&
           upstream_send(upstream, &x->call, &server_ops) == STATUS_OK;
}

bool last_resort_takes(struct exchange *x, const struct plan_step *step)
{
    if (!x->settings->last_resort || x->resorted || !x->ws || !is_outage(x, step->failure))
        return false;
    x->resorted = true;
    return x->settings->last_resort_text ? serve_file(x) : ask_server(x);
}
