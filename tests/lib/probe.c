/* The probe: libsparekey behind lines of JSON, so that tests/e2e/test_library*.py can use it as a
 * program would. One command a line on standard input, one answer a line on standard output:
 *
 *     {"op": "text", "prompt": "hi"}          {"status": 0, "text": "echo: hi", …}
 *     {"op": "text", …, "async": "thread", "id": 7}   {"submitted": 0} … {"done": 7, "status": 0, …}
 *
 * `probe URL [NAME=value…] KEY…` makes a client of these settings and keys, without URL one of the
 * environment. Log and changes of health go to standard error. */
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sparekey/sparekey.h"

enum { LINE_MAX_BYTES = 1 << 20, THREADS_MAX = 64, SETTINGS_MAX = 16 };

struct probe {
    _Atomic(sparekey_client *) client; /* a callback may free it */
    sparekey_client *direct;
    sparekey_loop *loop;
    sparekey_cancel *cancel;
    pthread_mutex_t out; /* callbacks come on other threads */
};

static struct probe probe = {.out = PTHREAD_MUTEX_INITIALIZER};

/* ---- saying ------------------------------------------------------------------------------- */

static void say(json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT);

    if (!text)
        abort();
    pthread_mutex_lock(&probe.out);
    puts(text);
    fflush(stdout);
    pthread_mutex_unlock(&probe.out);
    free(text);
    json_decref(object);
}

static json_t *attempts_of(const sparekey_attempt *attempts, unsigned count)
{
    json_t *array = json_array();

    for (unsigned i = 0; i < count && i < SPAREKEY_ATTEMPTS_MAX; i++)
        json_array_append_new(array,
                              json_pack("{s:s, s:s, s:i, s:s}", "key", attempts[i].key, "failure",
                                        attempts[i].failure, "status", attempts[i].http_status,
                                        "request_id", attempts[i].request_id));
    return array;
}

static json_t *error_of(int status, const sparekey_error *e)
{
    return json_pack("{s:i, s:s, s:i, s:I, s:i, s:s, s:s, s:s, s:s, s:s, s:o}", "status", status,
                     "name", sparekey_status_text(status), "http_status", e->http_status,
                     "retry_after_ms", (json_int_t)e->retry_after_ms, "attempt_count",
                     (int)e->attempt_count, "message", e->message, "code", e->upstream_code, "type",
                     e->upstream_type, "param", e->upstream_param, "request_id", e->request_id,
                     "attempts", attempts_of(e->attempts, e->attempt_count));
}

static json_t *calls_of(const sparekey_result *r)
{
    json_t *array = json_array();
    sparekey_tool_call call;

    for (size_t i = 0; sparekey_result_tool_call(r, i, &call) == SPAREKEY_OK; i++)
        json_array_append_new(array, json_pack("{s:s, s:s, s:s}", "id", call.id, "name", call.name,
                                               "arguments", call.arguments));
    return array;
}

static json_t *choices_of(const sparekey_result *r)
{
    json_t *array = json_array();

    for (size_t i = 0; i < sparekey_result_count(r); i++) {
        size_t bytes = 0, numbers = 0;
        const char *url = sparekey_result_image_url(r, i), *id = sparekey_result_model_id(r, i);
        const unsigned char *image = sparekey_result_image_bytes(r, i, &bytes);
        const float *vector = sparekey_result_embedding(r, i, &numbers);
        json_array_append_new(array, json_pack("{s:s, s:s, s:s?, s:s?, s:i, s:i, s:i, s:f}", "text",
                                               sparekey_result_choice(r, i), "finish",
                                               sparekey_result_finish_reason(r, i), "url", url,
                                               "id", id, "bytes", (int)bytes, "first_byte",
                                               image ? image[0] : -1, "numbers", (int)numbers,
                                               "first_number", numbers ? (double)vector[0] : 0.0));
    }
    return array;
}

static json_t *result_of(const sparekey_result *r)
{
    sparekey_usage usage = sparekey_result_usage(r);
    size_t len;
    const char *body = sparekey_result_body(r, &len);
    unsigned count = sparekey_result_attempt_count(r);
    json_t *attempts = json_array();
    const sparekey_attempt *a;

    for (size_t i = 0; (a = sparekey_result_attempt(r, i)); i++)
        json_array_append_new(attempts, json_pack("{s:s, s:s, s:i}", "key", a->key, "failure",
                                                  a->failure, "status", a->http_status));
    return json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:o, s:o, s:o, s:[I,I,I], s:s%}",
                     "status", SPAREKEY_OK, "text", sparekey_result_text(r), "model",
                     sparekey_result_model(r), "id", sparekey_result_id(r), "request_id",
                     sparekey_result_request_id(r), "type", sparekey_result_content_type(r),
                     "http_status", sparekey_result_http_status(r), "attempt_count", (int)count,
                     "attempts", attempts, "choices", choices_of(r), "calls", calls_of(r), "usage",
                     (json_int_t)usage.input_tokens, (json_int_t)usage.output_tokens,
                     (json_int_t)usage.total_tokens, "body", body, len);
}

static json_t *outcome_of(int status, sparekey_result *result, const sparekey_error *error)
{
    json_t *said = status == SPAREKEY_OK ? result_of(result) : error_of(status, error);

    if (!said) /* a body that is no UTF-8 */
        said = json_pack("{s:i, s:i}", "status", status, "bytes", 1);
    if (status == SPAREKEY_OK)
        sparekey_result_free(result);
    return said;
}

/* ---- reading commands --------------------------------------------------------------------- */

static const char *text_in(const json_t *command, const char *name)
{
    return json_string_value(json_object_get(command, name));
}

static int64_t number_in(const json_t *command, const char *name, int64_t otherwise)
{
    const json_t *value = json_object_get(command, name);

    return json_is_integer(value) ? (int64_t)json_integer_value(value) : otherwise;
}

static double decimal_in(const json_t *command, const char *name)
{
    const json_t *value = json_object_get(command, name);

    return json_is_number(value) ? json_number_value(value) : SPAREKEY_UNSET;
}

/* ---- calls -------------------------------------------------------------------------------- */

/* What one call's callbacks know. */
struct told {
    int64_t id;
    int64_t stop_after; /* pieces of text; -1: never */
    int64_t pieces, events;
    char *text;
    size_t len;
    bool nested, frees, fires;
    sparekey_client *client;
};

static int nested_text(struct told *told)
{
    sparekey_result *result = NULL;
    sparekey_health *health = NULL;

    told->nested = false;
    if (sparekey_generate_text(told->client, "nested", NULL, &result, NULL) != SPAREKEY_OK ||
        sparekey_key_health(told->client, &health, NULL) != SPAREKEY_OK)
        abort();
    bool good = strcmp(sparekey_result_text(result), "echo: nested") == 0 &&
                sparekey_health_count(health) > 0;
    sparekey_result_free(result);
    sparekey_health_free(health);
    return good ? 0 : 1;
}

static int on_text(void *user, const char *text, size_t len)
{
    struct told *told = user;
    char *grown = realloc(told->text, told->len + len + 1);

    if (!grown)
        abort();
    told->text = grown;
    memcpy(told->text + told->len, text, len);
    told->len += len;
    told->text[told->len] = '\0';
    told->pieces++;
    if (told->fires) {
        told->fires = false;
        sparekey_cancel_fire(probe.cancel);
    }
    if (told->frees) {
        told->frees = false;
        probe.client = NULL;
        sparekey_client_free(told->client);
    }
    if (told->nested && nested_text(told) != 0)
        return 1;
    if (told->id && told->pieces == 1)
        say(json_pack("{s:I}", "flowing", (json_int_t)told->id));
    return told->stop_after >= 0 && told->pieces >= told->stop_after;
}

static int on_event(void *user, const sparekey_event *event)
{
    struct told *told = user;

    if (event->data[event->data_len] != '\0')
        abort();
    told->events++;
    return 0;
}

static void add_told(json_t *said, struct told *told)
{
    json_object_set_new(said, "streamed", json_string(told->text ? told->text : ""));
    json_object_set_new(said, "pieces", json_integer(told->pieces));
    json_object_set_new(said, "events", json_integer(told->events));
    free(told->text);
}

static void on_done(void *user, sparekey_result *result, const sparekey_error *error)
{
    struct told *told = user;
    int status = error ? error->code : SPAREKEY_OK;
    json_t *said = outcome_of(status, result, error);

    json_object_set_new(said, "done", json_integer(told->id));
    add_told(said, told);
    if (told->nested)
        (void)nested_text(told);
    free(told);
    say(said);
}

struct call_args {
    sparekey_call_options call;
    const char *headers[8];
    struct told *told;
};

static void read_call(const json_t *command, struct call_args *a)
{
    const char *async = text_in(command, "async");
    json_t *line;
    size_t i;

    memset(a, 0, sizeof *a);
    a->told = calloc(1, sizeof *a->told);
    if (!a->told)
        abort();
    a->told->id = number_in(command, "id", 0);
    a->told->stop_after = number_in(command, "stop_after", -1);
    a->told->nested = json_is_true(json_object_get(command, "nested"));
    a->told->frees = json_is_true(json_object_get(command, "frees"));
    a->told->fires = json_is_true(json_object_get(command, "fires"));
    a->told->client = probe.client;
    a->call = sparekey_call_options_init();
    a->call.user = a->told;
    a->call.timeout_ms = number_in(command, "timeout_ms", 0);
    json_array_foreach(json_object_get(command, "headers"), i, line)
    {
        if (i < 7)
            a->headers[i] = json_string_value(line);
    }
    a->call.headers = a->headers;
    if (json_is_true(json_object_get(command, "stream")))
        a->call.on_text = on_text;
    if (json_is_true(json_object_get(command, "events")))
        a->call.on_event = on_event;
    if (json_is_true(json_object_get(command, "cancel")))
        a->call.cancel = probe.cancel;
    if (async)
        a->call.on_done = on_done;
    if (async && strcmp(async, "loop") == 0)
        a->call.loop = probe.loop;
}

static json_t *make_text(const json_t *command, struct call_args *a, sparekey_client *client)
{
    sparekey_text_options o = sparekey_text_options_init();
    sparekey_error error = SPAREKEY_ERROR_INIT;
    sparekey_result *result = NULL, **ret = a->call.on_done ? NULL : &result;
    json_t *given = json_object_get(command, "messages"), *one;
    sparekey_message messages[16];
    size_t i, count = json_array_size(given);
    int status;

    o.call = &a->call;
    o.model = text_in(command, "model");
    o.system = text_in(command, "system");
    o.temperature = decimal_in(command, "temperature");
    o.top_p = decimal_in(command, "top_p");
    o.max_tokens = number_in(command, "max_tokens", SPAREKEY_UNSET);
    o.n = (int)number_in(command, "n", SPAREKEY_UNSET);
    o.tools = text_in(command, "tools");
    o.tool_choice = text_in(command, "tool_choice");
    o.response_format = text_in(command, "response_format");
    o.extra = text_in(command, "extra");
    if (number_in(command, "options_size", 0))
        o.size = (size_t)number_in(command, "options_size", 0);
    memset(messages, 0, sizeof messages);
    json_array_foreach(given, i, one)
    {
        if (i < 16)
            messages[i] = (sparekey_message){.role = text_in(one, "role"),
                                             .content = text_in(one, "content"),
                                             .parts = text_in(one, "parts"),
                                             .tool_calls = text_in(one, "tool_calls"),
                                             .tool_call_id = text_in(one, "tool_call_id"),
                                             .name = text_in(one, "name")};
    }
    if (given)
        status = sparekey_create_chat_completion(client, messages, count, &o, ret, &error);
    else
        status = sparekey_generate_text(client, text_in(command, "prompt"), &o, ret, &error);
    if (a->call.on_done && status == SPAREKEY_OK)
        return json_pack("{s:i}", "submitted", 0);
    return outcome_of(status, result, &error);
}

static json_t *make_response(const json_t *command, struct call_args *a, sparekey_client *client)
{
    sparekey_response_options o = sparekey_response_options_init();
    sparekey_error error = SPAREKEY_ERROR_INIT;
    sparekey_result *result = NULL, **ret = a->call.on_done ? NULL : &result;

    o.call = &a->call;
    o.model = text_in(command, "model");
    o.instructions = text_in(command, "instructions");
    o.items = text_in(command, "items");
    o.previous_response_id = text_in(command, "previous_response_id");
    o.tools = text_in(command, "tools");
    o.temperature = decimal_in(command, "temperature");
    o.max_output_tokens = number_in(command, "max_tokens", SPAREKEY_UNSET);
    o.store = (int)number_in(command, "store", SPAREKEY_UNSET);
    int status = sparekey_create_response(client, text_in(command, "input"), &o, ret, &error);
    if (a->call.on_done && status == SPAREKEY_OK)
        return json_pack("{s:i}", "submitted", 0);
    return outcome_of(status, result, &error);
}

static json_t *make_image(const json_t *command, struct call_args *a, sparekey_client *client)
{
    sparekey_image_options o = sparekey_image_options_init();
    sparekey_error error = SPAREKEY_ERROR_INIT;
    sparekey_result *result = NULL;

    o.call = &a->call;
    o.model = text_in(command, "model");
    o.image_size = text_in(command, "size");
    o.quality = text_in(command, "quality");
    o.style = text_in(command, "style");
    o.background = text_in(command, "background");
    o.file_type = text_in(command, "file_type");
    o.n = (int)number_in(command, "n", SPAREKEY_UNSET);
    o.form = (sparekey_image_form)number_in(command, "form", SPAREKEY_IMAGE_AS_MADE);
    int status = sparekey_generate_image(client, text_in(command, "prompt"), &o, &result, &error);
    return outcome_of(status, result, &error);
}

static json_t *make_embeddings(const json_t *command, struct call_args *a, sparekey_client *client)
{
    sparekey_embedding_options o = sparekey_embedding_options_init();
    sparekey_error error = SPAREKEY_ERROR_INIT;
    sparekey_result *result = NULL;
    json_t *texts = json_object_get(command, "texts"), *one;
    const char *list[16] = {NULL};
    size_t i, count = (size_t)number_in(command, "count", (int64_t)json_array_size(texts));

    json_array_foreach(texts, i, one)
    {
        if (i < 16)
            list[i] = json_string_value(one);
    }
    o.call = &a->call;
    o.model = text_in(command, "model");
    o.extra = text_in(command, "extra");
    o.dimensions = number_in(command, "dimensions", SPAREKEY_UNSET);
    int status =
        sparekey_create_embeddings(client, texts ? list : NULL, count, &o, &result, &error);
    return outcome_of(status, result, &error);
}

static json_t *make_models(const json_t *command, struct call_args *a, sparekey_client *client)
{
    sparekey_error error = SPAREKEY_ERROR_INIT;
    sparekey_result *result = NULL;

    (void)command;
    int status = sparekey_list_models(client, &a->call, &result, &error);
    return outcome_of(status, result, &error);
}

static size_t read_parts(const json_t *command, sparekey_part parts[8])
{
    json_t *given = json_object_get(command, "parts"), *one;
    size_t i;

    memset(parts, 0, 8 * sizeof parts[0]);
    json_array_foreach(given, i, one)
    {
        const json_t *data = json_object_get(one, "data");
        if (i < 8)
            parts[i] = (sparekey_part){.name = text_in(one, "name"),
                                       .data = json_string_value(data),
                                       .len = json_string_length(data),
                                       .file_name = text_in(one, "file"),
                                       .content_type = text_in(one, "type")};
    }
    return json_array_size(given);
}

static json_t *make_request(const json_t *command, struct call_args *a, sparekey_client *client)
{
    sparekey_request_options o = sparekey_request_options_init();
    sparekey_error error = SPAREKEY_ERROR_INIT;
    sparekey_result *result = NULL, **ret = a->call.on_done ? NULL : &result;
    sparekey_part parts[8];

    o.call = &a->call;
    o.method = text_in(command, "method");
    o.path = text_in(command, "path");
    o.json = text_in(command, "json");
    o.part_count = read_parts(command, parts);
    o.parts = parts;
    o.body = text_in(command, "body");
    o.body_len = json_string_length(json_object_get(command, "body"));
    o.content_type = text_in(command, "type");
    int status = sparekey_request(client, &o, ret, &error);
    if (a->call.on_done && status == SPAREKEY_OK)
        return json_pack("{s:i}", "submitted", 0);
    return outcome_of(status, result, &error);
}

typedef json_t *make_call(const json_t *command, struct call_args *a, sparekey_client *client);

static json_t *call(const json_t *command, make_call *make)
{
    struct call_args a;
    sparekey_client *client = probe.direct ? probe.direct : probe.client;

    if (json_is_true(json_object_get(command, "no_client")))
        client = NULL;
    read_call(command, &a);
    json_t *said = make(command, &a, client);
    if (json_object_get(said, "submitted"))
        return said; /* the callback has what was told */
    add_told(said, a.told);
    free(a.told);
    return said;
}

/* ---- other commands ----------------------------------------------------------------------- */

static json_t *health(void)
{
    sparekey_error error = SPAREKEY_ERROR_INIT;
    sparekey_health *health;
    json_t *keys = json_array();
    const sparekey_key *k;
    int status = sparekey_key_health(probe.direct ? probe.direct : probe.client, &health, &error);

    if (status != SPAREKEY_OK) {
        json_decref(keys);
        return error_of(status, &error);
    }
    for (size_t i = 0; (k = sparekey_health_key(health, i)); i++)
        json_array_append_new(
            keys,
            json_pack("{s:s, s:s, s:b, s:b, s:i, s:i, s:i, s:f, s:b, s:b, s:s, s:s, s:s, s:s, "
                      "s:i, s:s, s:s}",
                      "keyId", k->key_id, "name", k->name, "healthy", k->is_healthy, "limited",
                      k->is_rate_limited, "errors", (int)k->error_count, "successes",
                      (int)k->success_count, "requests", (int)k->total_requests, "rate",
                      k->success_rate, "used", k->last_used_ms > 0, "recovers", k->recovery_ms > 0,
                      "circuit", k->circuit, "scope", k->scope, "reason", k->reason, "back",
                      k->readmitted_by, "evidence", k->evidence_status, "organization",
                      k->organization, "project", k->project));
    json_t *said = json_pack("{s:i, s:s, s:o}", "status", 0, "overall",
                             sparekey_health_status(health), "keys", keys);
    sparekey_health_free(health);
    return said;
}

static json_t *direct(const json_t *command)
{
    sparekey_error error = SPAREKEY_ERROR_INIT;

    sparekey_client_free(probe.direct);
    probe.direct = NULL;
    if (json_is_true(json_object_get(command, "off")))
        return json_pack("{s:i}", "status", 0);
    int status =
        sparekey_direct_client(probe.client, text_in(command, "key"), &probe.direct, &error);
    return error_of(status, &error);
}

struct work {
    pthread_t thread;
    int64_t requests, good;
};

static void *work(void *argument)
{
    struct work *w = argument;

    for (int64_t i = 0; i < w->requests; i++) {
        sparekey_result *result;
        char prompt[64];
        char expected[80];
        (void)snprintf(prompt, sizeof prompt, "thread %p request %lld", (void *)w, (long long)i);
        (void)snprintf(expected, sizeof expected, "echo: %s", prompt);
        if (sparekey_generate_text(probe.client, prompt, NULL, &result, NULL) != SPAREKEY_OK)
            continue;
        w->good += strcmp(sparekey_result_text(result), expected) == 0;
        sparekey_result_free(result);
    }
    return NULL;
}

static json_t *threads(const json_t *command)
{
    struct work works[THREADS_MAX];
    int64_t count = number_in(command, "threads", 8), good = 0;

    if (count > THREADS_MAX)
        abort();
    for (int64_t i = 0; i < count; i++) {
        works[i] = (struct work){.requests = number_in(command, "requests", 10)};
        if (pthread_create(&works[i].thread, NULL, work, &works[i]) != 0)
            abort();
    }
    for (int64_t i = 0; i < count; i++) {
        pthread_join(works[i].thread, NULL);
        good += works[i].good;
    }
    return json_pack("{s:i, s:I}", "status", 0, "good", (json_int_t)good);
}

static json_t *run_loop(const json_t *command)
{
    bool by_fd = json_is_true(json_object_get(command, "fd"));
    bool by_timeout = json_is_true(json_object_get(command, "timeout"));
    int left, turns = 0;

    do {
        /* "fd": as a foreign loop does, which knows nothing but the descriptor. */
        struct pollfd readable = {.fd = sparekey_loop_fd(probe.loop), .events = POLLIN};
        if (by_fd)
            (void)poll(&readable, 1, -1);
        else if (by_timeout)
            (void)poll(&readable, 1, sparekey_loop_timeout_ms(probe.loop));
        left = sparekey_loop_run(probe.loop, by_fd || by_timeout ? 0 : -1);
        turns++;
    } while (left > number_in(command, "until", 0));
    return json_pack("{s:i, s:i, s:i}", "status", 0, "left", left, "turns", turns);
}

static void on_log(void *user, int level, const char *event, const char *message)
{
    (void)user;
    (void)fprintf(stderr, "%d %s %s\n", level, event, message);
}

static void on_health(void *user, const sparekey_health_change *c)
{
    (void)user;
    (void)fprintf(stderr, "health %s %s: %s to %s, %s of %s, status %d, open %d\n", c->key, c->name,
                  c->from, c->to, c->reason, c->scope, c->http_status, c->open_ms > 0);
}

static int open_client(int argc, char **argv, sparekey_client **ret, sparekey_error *error)
{
    sparekey_client_options o = sparekey_client_options_init();
    const char *settings[SETTINGS_MAX] = {NULL};
    size_t count = 0;

    o.on_log = on_log;
    o.on_health = on_health;
    if (argc < 2)
        return sparekey_client_from_environment(&o, ret, error);
    o.base_url = argv[1];
    for (int i = 2; i < argc && strchr(argv[i], '=') && count + 1 < SETTINGS_MAX; i++)
        settings[count++] = argv[i];
    o.settings = settings;
    o.keys = (const char *const *)(argv + 2 + count);
    o.key_count = (size_t)argc - 2 - count;
    return sparekey_client_new(&o, ret, error);
}

/* The parent's client is refused, a new one works. */
static json_t *child(int argc, char **argv)
{
    sparekey_error error = SPAREKEY_ERROR_INIT;
    sparekey_result *result;
    sparekey_client *own;
    int status = 0;
    pid_t pid = fork();

    if (pid < 0)
        abort();
    if (pid == 0) {
        bool good = sparekey_generate_text(probe.client, "x", NULL, &result, &error) ==
                    SPAREKEY_ERROR_FORKED;
        sparekey_client_free(probe.client);
        good = good && open_client(argc, argv, &own, &error) == SPAREKEY_OK;
        good = good && sparekey_generate_text(own, "child", NULL, &result, &error) == SPAREKEY_OK;
        if (good) {
            good = strcmp(sparekey_result_text(result), "echo: child") == 0;
            sparekey_result_free(result);
            sparekey_client_free(own);
        }
        _exit(good ? 0 : 1);
    }
    (void)waitpid(pid, &status, 0);
    return json_pack("{s:i}", "status", WIFEXITED(status) ? WEXITSTATUS(status) : 99);
}

static json_t *free_all(void)
{
    sparekey_client_free(probe.direct);
    sparekey_loop_free(probe.loop);
    sparekey_client_free(probe.client);
    sparekey_cancel_free(probe.cancel);
    probe.client = probe.direct = NULL;
    probe.loop = NULL;
    probe.cancel = NULL;
    return json_pack("{s:i}", "status", 0);
}

static json_t *cancel(const json_t *command)
{
    if (json_is_true(json_object_get(command, "fire")))
        sparekey_cancel_fire(probe.cancel);
    else if (!probe.cancel)
        return json_pack("{s:i}", "status", sparekey_cancel_new(&probe.cancel));
    return json_pack("{s:i}", "status", 0);
}

static atomic_uint interruptions; /* signals come to any thread */

static void on_alarm(int number)
{
    (void)number;
    interruptions++;
}

/* From now on whatever waits is interrupted a thousand times a second. Our own reading goes on by itself;
 * epoll_wait never does. */
static json_t *interrupt(void)
{
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    struct itimerval often = {{0, 1000}, {0, 1000}};

    sigemptyset(&action.sa_mask);
    if (sigaction(SIGALRM, &action, NULL) != 0 || setitimer(ITIMER_REAL, &often, NULL) != 0)
        abort();
    while (interruptions == 0)
        (void)pause();
    return json_pack("{s:i}", "status", 0);
}

static json_t *open_loop(void)
{
    int status = probe.loop ? 0 : sparekey_loop_new(probe.client, &probe.loop, NULL);

    return json_pack("{s:i, s:b}", "status", status, "fd",
                     probe.loop && sparekey_loop_fd(probe.loop) >= 0);
}

static json_t *obey(const json_t *command, int argc, char **argv)
{
    static const struct {
        const char *op;
        make_call *make;
    } calls[] = {{"text", make_text},     {"response", make_response},
                 {"image", make_image},   {"embeddings", make_embeddings},
                 {"models", make_models}, {"request", make_request}};
    const char *op = text_in(command, "op");

    if (!op)
        return json_pack("{s:s}", "wrong", "no op");
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        if (strcmp(op, calls[i].op) == 0)
            return call(command, calls[i].make);
    }
    if (strcmp(op, "health") == 0)
        return health();
    if (strcmp(op, "direct") == 0)
        return direct(command);
    if (strcmp(op, "threads") == 0)
        return threads(command);
    if (strcmp(op, "loop") == 0)
        return open_loop();
    if (strcmp(op, "run") == 0)
        return run_loop(command);
    if (strcmp(op, "cancel") == 0)
        return cancel(command);
    if (strcmp(op, "interrupt") == 0)
        return interrupt();
    if (strcmp(op, "fork") == 0)
        return child(argc, argv);
    if (strcmp(op, "free") == 0)
        return free_all();
    return json_pack("{s:s}", "wrong", op);
}

int main(int argc, char **argv)
{
    sparekey_error error = SPAREKEY_ERROR_INIT;
    static char line[LINE_MAX_BYTES];
    sparekey_client *client = NULL;
    int status = open_client(argc, argv, &client, &error);

    probe.client = client;
    say(error_of(status, &error));
    while (status == SPAREKEY_OK && fgets(line, sizeof line, stdin)) {
        json_t *command = json_loads(line, 0, NULL);
        if (!command)
            abort();
        json_t *said = obey(command, argc, argv);
        say(said ? said : json_pack("{s:s}", "wrong", "nothing to say"));
        json_decref(command);
    }
    json_decref(free_all());
    return 0;
}
