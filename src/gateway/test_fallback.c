#include "gateway/test_fallback.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "gateway/exchange_state.h"
#include "gateway/headers.h"

enum { VALUE_MAX = 16, NUMBER_MAX = 12, REQUEST_ID_MAX = 96, RESORT_MAX = 16 };

/* ---- the operations ---------------------------------------------------------------------- */

/* What one test asks for. */
struct order {
    const struct operation *operation;
    char prompt[TEST_PROMPT_MAX], model[TEST_MODEL_MAX];
    uint64_t max_tokens;
    enum drill drill;
    uint64_t keys;
};

struct operation {
    const char *type, *method, *target;
    json_t *(*body)(const struct order *order); /* NULL: it has none */
    json_t *(*result)(const json_t *answer);    /* NULL: not the answer that was asked for */
};

static json_t *chat_body(const struct order *order)
{
    return json_pack("{s:s, s:[{s:s, s:s}], s:I, s:b}", "model", order->model, "messages", "role",
                     "user", "content", order->prompt, "max_completion_tokens",
                     (json_int_t)order->max_tokens, "store", 0);
}

static json_t *text_body(const struct order *order)
{
    return json_pack("{s:s, s:s, s:I, s:b}", "model", order->model, "input", order->prompt,
                     "max_output_tokens", (json_int_t)order->max_tokens, "store", 0);
}

static json_t *chat_result(const json_t *answer)
{
    const json_t *choice = json_array_get(json_object_get(answer, "choices"), 0);
    const json_t *content = json_object_get(json_object_get(choice, "message"), "content");

    return json_is_string(content) ? json_string(json_string_value(content)) : NULL;
}

/* The texts of a message's parts, one behind the other. */
static bool gather_text(const json_t *parts, struct buffer *out)
{
    bool found = false;
    size_t i;
    json_t *part;

    json_array_foreach(parts, i, part)
    {
        const json_t *text = json_object_get(part, "text");
        if (!json_is_string(text))
            continue;
        found = true;
        if (buffer_append(out, slice_of(json_string_value(text), json_string_length(text)),
                          TEST_ANSWER_MAX) != STATUS_OK)
            return false;
    }
    return found;
}

/* output[] of a response also holds what is no message: reasoning, calls. A response that used up
 * its tokens while it reasoned has no text and is an answer all the same. */
static json_t *text_result(const json_t *answer)
{
    const json_t *items = json_object_get(answer, "output");
    struct buffer text = {0};
    size_t i;
    json_t *item;

    json_array_foreach(items, i, item)(void) gather_text(json_object_get(item, "content"), &text);
    json_t *result =
        json_is_array(items) ? json_stringn(text.data ? text.data : "", text.len) : NULL;
    buffer_clear(&text);
    return result;
}

static json_t *models_result(const json_t *answer)
{
    const json_t *data = json_object_get(answer, "data");
    json_t *ids = json_is_array(data) ? json_array() : NULL;

    for (size_t i = 0; ids && i < json_array_size(data) && i < TEST_RESULT_MODELS; i++) {
        const json_t *id = json_object_get(json_array_get(data, i), "id");
        if (json_is_string(id))
            (void)json_array_append_new(ids, json_string(json_string_value(id)));
    }
    return ids;
}

static const struct operation operations[] = {
    {"text", "POST", "/responses", text_body, text_result},
    {"models", "GET", "/models", NULL, models_result},
    {"chat", "POST", "/chat/completions", chat_body, chat_result},
};

static const struct operation *operation_find(const char *type)
{
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++)
        if (strcmp(operations[i].type, type) == 0)
            return &operations[i];
    return NULL;
}

/* ---- a test ------------------------------------------------------------------------------ */

struct test {
    struct server_conn request; /* the exchange's: its answer comes here */
    struct own_request *own;
    struct rehearsal rehearsal;
    const struct operation *operation;
    int64_t began_ns;
    int status; /* of the answer */
    struct buffer answer;
    bool too_long, cut;
    bool starting, over; /* `over` within the call that starts it: finished behind that */
    char request_id[REQUEST_ID_MAX], resort[RESORT_MAX];
};

static struct test *of_request(struct server_conn *request)
{
    return container_of(request, struct test, request);
}

static void test_free(struct test *t)
{
    buffer_clear(&t->answer);
    free(t);
}

static json_t *attempt_json(const struct rehearsal_attempt *a)
{
    int64_t took_ns = a->ended_ns > a->began_ns ? a->ended_ns - a->began_ns : 0;

    return json_pack("{s:s, s:s, s:s, s:i, s:f, s:b}", "key", a->mask, "name", a->name, "class",
                     failure_name(a->failure), "status", a->status, "ms", (double)took_ns / 1e6,
                     "drill", a->drilled);
}

static unsigned recorded(const struct rehearsal *r)
{
    return r->count < REHEARSAL_ATTEMPTS_MAX ? r->count : REHEARSAL_ATTEMPTS_MAX;
}

static json_t *attempts_json(const struct rehearsal *r)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < recorded(r); i++)
        (void)json_array_append_new(list, attempt_json(&r->attempts[i]));
    return list;
}

/* What the answer says went wrong, or what is wrong with it. */
static json_t *error_json(const struct test *t, const json_t *answer)
{
    const json_t *error = json_object_get(answer, "error");
    const char *code = json_string_value(json_object_get(error, "code"));
    const char *message = json_string_value(json_object_get(error, "message"));

    if (t->too_long)
        message = "The answer is longer than a test reads.";
    else if (t->cut)
        message = "The answer broke off.";
    else if (!message)
        message = "The answer is not the one that was asked for.";
    return json_pack("{s:i, s:s, s:s}", "status", t->status, "code", code ? code : "bad_answer",
                     "message", message);
}

/* The key that stands behind the answer: the last that was asked, if it did serve. */
static void add_key(const struct test *t, json_t *root)
{
    const struct rehearsal *r = &t->rehearsal;
    const struct rehearsal_attempt *last =
        r->count && r->count <= REHEARSAL_ATTEMPTS_MAX ? &r->attempts[r->count - 1] : NULL;
    bool served = last && last->failure == FAILURE_NONE && !*t->resort && t->status < 400;

    (void)json_object_set_new(root, "keyUsed", served ? json_string(last->mask) : json_null());
    (void)json_object_set_new(root, "keyName", served ? json_string(last->name) : json_null());
}

static json_t *document(const struct test *t, bool *ret_success)
{
    json_t *answer = json_loadb(t->answer.data ? t->answer.data : "", t->answer.len, 0, NULL);
    bool whole = t->status / 100 == 2 && !t->too_long && !t->cut;
    json_t *result = whole ? t->operation->result(answer) : NULL;
    double took_ms = (double)(net_now_ns(&t->own->worker->loop) - t->began_ns) / 1e6;
    json_t *root =
        json_pack("{s:b, s:s, s:o, s:o, s:i, s:f, s:s}", "success", result != NULL, "type",
                  t->operation->type, "result", result ? result : json_null(), "attempts",
                  attempts_json(&t->rehearsal), "attemptCount", (int)t->rehearsal.count,
                  "durationMs", took_ms, "requestId", t->request_id);

    *ret_success = root && result;
    if (root)
        add_key(t, root);
    if (root && *t->resort)
        (void)json_object_set_new(root, "lastResort", json_string(t->resort));
    if (root && t->rehearsal.keys)
        (void)json_object_set_new(root, "inject", json_string(drill_name(t->rehearsal.drill)));
    if (root && !*ret_success)
        (void)json_object_set_new(root, "error", error_json(t, answer));
    json_decref(answer);
    return root;
}

/* The exchange is over: so is the test. */
static void finish(struct test *t)
{
    struct own_request *own = t->own;
    bool success;
    json_t *root = document(t, &success);
    char *text = root ? json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;

    json_decref(root);
    test_free(t);
    own->state = NULL;
    own->gone = NULL;
    if (text)
        own_reply_json(own, success ? 200 : 503, slice_str(text));
    else
        own_reply_error(own, 503, "out_of_memory", "The gateway is out of memory; try again.");
    free(text);
}

/* ---- the answer -------------------------------------------------------------------------- */

/* The value of a line of the fields, as this gateway writes them. */
static void read_field(struct slice fields, struct slice name, char *out, size_t size)
{
    struct slice line;

    while (slice_next_item(&fields, '\n', &line)) {
        if (!slice_ieq(slice_of(line.ptr, line.len < name.len ? line.len : name.len), name))
            continue;
        struct slice value = slice_trim(slice_from(line, name.len));
        if (value.len && value.ptr[value.len - 1] == '\r')
            value.len--;
        slice_copy(value, out, size);
        return;
    }
}

static void on_answer_head(struct server_conn *request, int status, struct slice fields)
{
    struct test *t = of_request(request);

    t->status = status;
    read_field(fields, SLICE("x-request-id:"), t->request_id, sizeof t->request_id);
    read_field(fields, SLICE("x-sparekey-last-resort:"), t->resort, sizeof t->resort);
}

static void on_answer_body(struct server_conn *request, const char *data, size_t len)
{
    struct test *t = of_request(request);

    if (buffer_append(&t->answer, slice_of(data, len), TEST_ANSWER_MAX) != STATUS_OK)
        t->too_long = true;
}

static void on_answer_end(struct server_conn *request, bool whole)
{
    struct test *t = of_request(request);

    t->cut = !whole;
    rehearsal_ends(&t->rehearsal, &t->own->worker->loop, t->status);
    t->over = true;
    if (!t->starting)
        finish(t);
}

static const struct server_sink answer_sink = {
    .head = on_answer_head, .body = on_answer_body, .end = on_answer_end};

/* The client of the test has left: so has that of its exchange. */
static void on_gone(struct own_request *own)
{
    struct test *t = own->state;
    struct request_handler *handler = t->request.user;

    net_timer_stop(&own->worker->loop, &t->rehearsal.timer);
    t->request.user = NULL;
    if (handler)
        handler->ops->gone(handler);
    test_free(t);
    own_end(own);
}

/* ---- starting ---------------------------------------------------------------------------- */

static bool begin_exchange(struct test *t, size_t body_len)
{
    static const struct http_field fields[] = {
        {SLICE("content-type"), SLICE("application/json")},
        {SLICE("accept"), SLICE("application/json")},
        {SLICE("user-agent"), SLICE("sparekey/" SPAREKEY_VERSION)},
    };
    struct worker *w = t->own->worker;
    struct http_head head = {.method = slice_str(t->operation->method),
                             .target = slice_str(t->operation->target),
                             .content_length = (int64_t)body_len,
                             .fields = t->operation->body ? fields : fields + 1,
                             .field_count = t->operation->body ? 3 : 2};
    struct request_facts facts;
    struct buffer lines = {0};
    struct exchange *x = NULL;

    if (headers_upstream(&head, slice_str(w->shared->via), &lines, &facts) == STATUS_OK) {
        struct admission admission = {.path_suffix = head.target,
                                      .fields = buffer_slice(&lines),
                                      .content_type = facts.content_type,
                                      .timeout_ms = TEST_TIMEOUT_MS,
                                      .rehearsal = &t->rehearsal};
        x = exchange_start(w, &t->request, &head, &admission);
    }
    buffer_clear(&lines);
    return x != NULL;
}

static void feed(struct test *t, struct slice body)
{
    struct request_handler *handler = t->request.user;

    t->starting = true;
    if (body.len)
        handler->ops->body(handler, body.ptr, body.len);
    if (t->request.user) /* else it was refused, and answered */
        handler->ops->complete(handler);
    t->starting = false;
    if (t->over)
        finish(t);
}

static void start(struct own_request *own, const struct order *order)
{
    struct test *t = calloc(1, sizeof *t);
    json_t *root = order->operation->body ? order->operation->body(order) : NULL;
    char *body = root ? json_dumps(root, JSON_COMPACT) : NULL;

    json_decref(root);
    if (!t || (order->operation->body && !body))
        goto no_memory;
    t->own = own;
    t->operation = order->operation;
    t->began_ns = net_now_ns(&own->worker->loop);
    rehearsal_init(&t->rehearsal, order->drill, (uint16_t)order->keys);
    server_request_to(&t->request, &own->worker->server, &answer_sink);
    if (!begin_exchange(t, body ? strlen(body) : 0))
        goto no_memory;
    own->state = t;
    own->gone = on_gone;
    feed(t, slice_str(body));
    free(body);
    return;

no_memory:
    free(t);
    free(body);
    own_reply_error(own, 503, "out_of_memory", "The gateway is out of memory; try again.");
}

/* ---- what is asked for ------------------------------------------------------------------- */

static void refuse(struct own_request *own, const char *what)
{
    own_reply_error(own, 400, "invalid_test", "%s", what);
}

/* A whole number, of the query; `*value` stays where there is none. */
static bool read_number(const struct own_request *own, const char *name, uint64_t max,
                        uint64_t *value)
{
    char text[NUMBER_MAX + 1];

    return !own_parameter(own, name, text, sizeof text) ||
           (number_parse(slice_str(text), max, value) == STATUS_OK && *value > 0);
}

/* "" when all is well, else what is wrong. */
static const char *read_query(const struct own_request *own, struct order *order)
{
    char type[VALUE_MAX] = "text", drill[VALUE_MAX] = "";
    bool counted;

    (void)own_parameter(own, "type", type, sizeof type);
    order->operation = operation_find(type);
    if (!order->operation)
        return "type must be text, models or chat.";
    if (own_parameter(own, "inject", drill, sizeof drill)) {
        order->drill = drill_find(drill);
        if (order->drill == DRILL_COUNT)
            return "inject must be 429, 401, quota, 500, timeout, reset or cut.";
        order->keys = 1;
    }
    counted = own_parameter(own, "n", drill, sizeof drill);
    if (counted && !order->keys)
        return "n is the number of keys that fail: it needs inject.";
    if (!read_number(own, "n", DRILL_KEYS_MAX, &order->keys))
        return "n must be a whole number from 1 to 64.";
    return "";
}

_Static_assert(DRILL_KEYS_MAX == 64, "as said above");

static bool copy_member(const json_t *root, const char *name, char *out, size_t size)
{
    const json_t *value = json_object_get(root, name);

    if (!value || json_is_null(value))
        return true;
    if (!json_is_string(value) || json_string_length(value) >= size)
        return false;
    (void)slice_copy(slice_of(json_string_value(value), json_string_length(value)), out, size);
    return true;
}

static const char *read_members(const json_t *root, struct order *order)
{
    const json_t *tokens = json_object_get(root, "maxTokens");

    if (!json_is_object(root))
        return "The body must be a JSON object with prompt, model and maxTokens, each optional.";
    if (!copy_member(root, "prompt", order->prompt, sizeof order->prompt))
        return "prompt must be a string of less than 4096 bytes.";
    if (!copy_member(root, "model", order->model, sizeof order->model))
        return "model must be a string of less than 128 bytes.";
    if (tokens && !json_is_null(tokens)) {
        json_int_t value = json_integer_value(tokens); /* 0 where it is none */
        if (value < 1 || value > TEST_TOKENS_MAX)
            return "maxTokens must be a whole number from 1 to 4096.";
        order->max_tokens = (uint64_t)value;
    }
    return "";
}

_Static_assert(TEST_PROMPT_MAX == 4096 && TEST_MODEL_MAX == 128 && TEST_TOKENS_MAX == 4096,
               "as said above");

static const char *read_body(const struct own_request *own, struct order *order)
{
    if (!own->body.len)
        return "";
    json_t *root = json_loadb(own->body.data, own->body.len, 0, NULL);
    const char *wrong = read_members(root, order);
    json_decref(root);
    return wrong;
}

void test_fallback_answer(struct own_request *own)
{
    const char *model = own->worker->settings->text_model;
    struct order order = {.max_tokens = TEST_TOKENS, .prompt = "Say hello in one short sentence."};

    (void)slice_copy(slice_str(model), order.model, sizeof order.model);
    const char *wrong = read_query(own, &order);
    if (!*wrong)
        wrong = read_body(own, &order);
    if (*wrong)
        refuse(own, wrong);
    else
        start(own, &order);
}
