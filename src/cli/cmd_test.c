/* sparekey test: one operation through a gateway, and the trail it left; or a drill.
 *
 * Asks POST /api/openai/test-fallback of a running gateway (where it listens by these settings, or
 * --url), or, with --direct, of a private one that lives in this process for as long as the test.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/own_options.h"
#include "cli/serving.h"
#include "net/tls.h"
#include "net/upstream.h"
#include "settings/address.h"
#include "settings/arena.h"

enum {
    EXIT_NOT_SERVED = 1,
    EXIT_NOT_ASKED = 2,
    HEAD_MAX = 1024,
    BODY_MAX = 16384,
    ANSWER_MAX = 1 << 20,
    CONNECT_MS = 10000,
    ANSWER_MS = 90000, /* longer than the gateway takes for a test at most */
    TOKEN_BYTES = 24,
    ADDED_VARIABLES = 2,
};

struct test {
    /* what is asked for; NULL = not said */
    const char *type, *inject, *n, *prompt, *model, *max_tokens, *url;
    bool json, direct;
    /* where */
    struct service_url service;
    struct slice token; /* empty: none */
    const char *ca_file;
    struct arena strings;
    /* the one request */
    struct net_loop loop;
    struct upstream upstream;
    struct upstream_call call;
    char head[HEAD_MAX], end[HEAD_MAX];
    char *body;
    struct buffer answer;
    int status; /* 0: no answer */
    char why[UPSTREAM_REASON];
};

/* ---- arguments --------------------------------------------------------------------------- */

/* Takes our own arguments out of the list; the rest are settings. */
static bool take_own(struct test *t, char **arguments)
{
    const struct own_option own[] = {
        {"--type", .text = &t->type},     {"--inject", .text = &t->inject},
        {"--n", .text = &t->n},           {"--prompt", .text = &t->prompt},
        {"--model", .text = &t->model},   {"--max-tokens", .text = &t->max_tokens},
        {"--url", .text = &t->url},       {"--json", .flag = &t->json},
        {"--direct", .flag = &t->direct}, {NULL}};

    return own_options_take(own, arguments);
}

/* ---- the request ------------------------------------------------------------------------- */

static struct test *of_call(struct upstream_call *call)
{
    return container_of(call, struct test, call);
}

static void on_head(struct upstream_call *call, const struct http_head *head)
{
    of_call(call)->status = head->status;
}

static void on_body(struct upstream_call *call, const char *data, size_t len)
{
    struct test *t = of_call(call);

    /* Out of memory shows as an answer that cannot be read. */
    if (buffer_append(&t->answer, slice_of(data, len), ANSWER_MAX) != STATUS_OK)
        t->answer.len = 0;
}

static void on_complete(struct upstream_call *call)
{
    upstream_stop(&of_call(call)->upstream);
}

static void on_failed(struct upstream_call *call, enum status status)
{
    struct test *t = of_call(call);
    const char *reason = t->upstream.failure;

    t->status = 0;
    (void)snprintf(t->why, sizeof t->why, "%s", *reason ? reason : status_text(status));
    upstream_stop(&t->upstream);
}

static const struct upstream_ops ops = {
    .head = on_head, .body = on_body, .complete = on_complete, .failed = on_failed};

static json_t *number_or_text(const char *value)
{
    char *end;
    long number = strtol(value, &end, 10);

    return *value && !*end ? json_integer(number) : json_string(value); /* the gateway refuses it */
}

static char *body_of(const struct test *t)
{
    json_t *root = json_object();

    if (t->prompt)
        (void)json_object_set_new(root, "prompt", json_string(t->prompt));
    if (t->model)
        (void)json_object_set_new(root, "model", json_string(t->model));
    if (t->max_tokens)
        (void)json_object_set_new(root, "maxTokens", number_or_text(t->max_tokens));
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    return text;
}

/* Only what a name may consist of goes into the request line as it is. */
static void put_value(char *out, size_t size, const char *name, const char *value)
{
    size_t len = strlen(out);

    if (!value)
        return;
    len += (size_t)snprintf(out + len, size - len, "%c%s=", strchr(out, '?') ? '&' : '?', name);
    for (; *value && len + 4 < size; value++)
        len += (size_t)snprintf(out + len, size - len,
                                strchr("&=?#% +", *value) || *value < ' ' ? "%%%02X" : "%c",
                                (unsigned char)*value);
}

static bool write_head(struct test *t)
{
    char target[HEAD_MAX / 2] = "/api/openai/test-fallback";
    bool v6 = strchr(t->service.host, ':') != NULL;

    put_value(target, sizeof target, "type", t->type);
    put_value(target, sizeof target, "inject", t->inject);
    put_value(target, sizeof target, "n", t->n);
    int len = snprintf(t->head, sizeof t->head,
                       "POST %s HTTP/1.1\r\nHost: %s%s%s:%u\r\nContent-Type: "
                       "application/json\r\nContent-Length: %zu\r\n%s",
                       target, v6 ? "[" : "", t->service.host, v6 ? "]" : "", t->service.port,
                       strlen(t->body), t->token.len ? "Authorization: Bearer " : "");
    (void)snprintf(t->end, sizeof t->end, "%s\r\n", t->token.len ? "\r\n" : "");
    return len > 0 && (size_t)len < sizeof t->head;
}

static void add_part(struct test *t, struct slice bytes)
{
    if (bytes.len)
        t->call.parts[t->call.part_count++] =
            (struct iovec){(void *)(uintptr_t)bytes.ptr, bytes.len};
}

static enum status send_it(struct test *t)
{
    if (!write_head(t))
        return STATUS_LIMIT;
    add_part(t, slice_str(t->head));
    add_part(t, t->token);
    add_part(t, slice_str(t->end));
    add_part(t, slice_str(t->body));
    t->call.secret = true;
    return upstream_send(&t->upstream, &t->call, &ops);
}

static enum status ask(struct test *t)
{
    static const struct upstream_timeouts timeouts = {CONNECT_MS, ANSWER_MS, ANSWER_MS};
    struct tls_context *tls = NULL;
    struct buffer reason = {0};
    enum status status = net_loop_init(&t->loop);

    if (status != STATUS_OK)
        return status;
    if (t->service.tls)
        status = tls_client_context_new(t->ca_file, &reason, &tls);
    if (status == STATUS_OK)
        status =
            upstream_init(&t->upstream, &t->loop, t->service.host, t->service.port, tls, &timeouts);
    if (status == STATUS_OK) {
        status = send_it(t);
        if (status != STATUS_OK)
            upstream_stop(&t->upstream);
        (void)uv_run(&t->loop.uv, UV_RUN_DEFAULT);
        upstream_fini(&t->upstream);
    }
    tls_context_free(tls);
    slice_copy(buffer_slice(&reason), t->why, sizeof t->why);
    buffer_clear(&reason);
    net_loop_fini(&t->loop);
    return status;
}

/* ---- the answer -------------------------------------------------------------------------- */

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static void print_attempts(const json_t *attempts)
{
    size_t i;
    json_t *a;

    (void)printf("  %-3s %-20s %-28s %-22s %6s %10s\n", "#", "key", "name", "class", "status",
                 "ms");
    json_array_foreach(attempts, i, a)
    {
        (void)printf("  %-3zu %-20s %-28s %-22s %6lld %10.1f%s\n", i + 1, text_of(a, "key"),
                     text_of(a, "name"), text_of(a, "class"),
                     (long long)json_integer_value(json_object_get(a, "status")),
                     json_number_value(json_object_get(a, "ms")),
                     json_is_true(json_object_get(a, "drill")) ? "  (drill)" : "");
    }
}

static void print_outcome(const json_t *root, bool served)
{
    const json_t *result = json_object_get(root, "result"), *error = json_object_get(root, "error");
    const char *resort = text_of(root, "lastResort");

    if (!served)
        (void)printf("not served: %s (%s)\n", text_of(error, "message"), text_of(error, "code"));
    else if (*resort)
        (void)printf("served by the last resort (%s)", resort);
    else
        (void)printf("served by %s (%s)", text_of(root, "keyName"), text_of(root, "keyUsed"));
    if (served)
        (void)printf(" in %.1f ms\n", json_number_value(json_object_get(root, "durationMs")));
    if (json_is_string(result))
        (void)printf("  %s\n", json_string_value(result));
    else if (json_is_array(result))
        (void)printf("  %zu models\n", json_array_size(result));
}

/* An answer that is none of a test: an error of the gateway. */
static int refused(const struct test *t, const json_t *root)
{
    const char *message = text_of(json_object_get(root, "error"), "message");

    (void)fprintf(stderr, "sparekey test: %s answered with %d%s%s\n", t->service.text, t->status,
                  *message ? ": " : "", message);
    return EXIT_NOT_ASKED;
}

static int show(const struct test *t)
{
    json_t *root = json_loadb(t->answer.data ? t->answer.data : "", t->answer.len, 0, NULL);
    const json_t *success = json_object_get(root, "success");
    bool served = json_is_true(success);
    int code = served ? EXIT_OK : EXIT_NOT_SERVED;

    if (!json_is_boolean(success)) {
        code = refused(t, root);
    } else if (t->json) {
        (void)printf("%.*s\n", (int)t->answer.len, t->answer.data);
    } else {
        print_attempts(json_object_get(root, "attempts"));
        print_outcome(root, served);
    }
    json_decref(root);
    return cli_end_output(EXIT_OK) == EXIT_OK ? code : EXIT_NOT_ASKED;
}

static int ask_and_show(struct test *t)
{
    t->body = body_of(t);
    enum status status = t->body && strlen(t->body) < BODY_MAX ? ask(t) : STATUS_LIMIT;
    int code = EXIT_NOT_ASKED;

    if (status != STATUS_OK)
        (void)fprintf(stderr, "sparekey test: %s\n", *t->why ? t->why : status_text(status));
    else if (t->status == 0)
        (void)fprintf(stderr, "sparekey test: %s does not answer: %s\n", t->service.text, t->why);
    else
        code = show(t);
    free(t->body);
    buffer_clear(&t->answer);
    return code;
}

/* ---- where ------------------------------------------------------------------------------- */

static int set_service(struct test *t, const char *url)
{
    const char *why;

    if (url_parse(slice_str(url), &t->strings, &why, &t->service) == STATUS_OK)
        return EXIT_OK;
    (void)fprintf(stderr, "sparekey test: --url: expected " URL_EXPECTED ": %s\n", why);
    return EXIT_NOT_ASKED;
}

static int set_listen(struct test *t, const struct settings *settings)
{
    char url[LISTEN_URL_MAX];

    settings_listen_url(settings, settings->listen.port, url);
    return set_service(t, url);
}

static struct slice token_of(const struct settings *settings)
{
    if (settings->admin_token)
        return secret_bytes(settings->admin_token);
    return settings->client_token_count ? secret_bytes(settings->client_tokens[0])
                                        : slice_of(NULL, 0);
}

static int test_running(struct test *t, char **arguments)
{
    struct vault *vault;
    struct settings *settings;
    int code = cli_load_settings(arguments, NULL, &vault, &settings, NULL);

    if (code != EXIT_OK)
        return EXIT_NOT_ASKED;
    t->token = token_of(settings);
    t->ca_file = settings->ca_file;
    code = t->url ? set_service(t, t->url) : set_listen(t, settings);
    if (code == EXIT_OK)
        code = ask_and_show(t);
    settings_unref(settings);
    vault_free(vault);
    return code;
}

/* A gateway of our own: on a free port, with an admin token nobody else knows. */
static char **own_environment(char token[static 128], char *listen)
{
    unsigned char bytes[TOKEN_BYTES];
    size_t count = 0;

    while (environ[count])
        count++;
    char **copy = calloc(count + ADDED_VARIABLES + 1, sizeof *copy);
    if (!copy || getrandom(bytes, sizeof bytes, 0) != sizeof bytes) {
        free(copy);
        return NULL;
    }
    int len = snprintf(token, 128, "SPAREKEY_ADMIN_TOKEN=sk-sparekey-");
    for (size_t i = 0; i < sizeof bytes; i++)
        len += snprintf(token + len, 128 - (size_t)len, "%02x", bytes[i]);
    count = 0;
    for (char **v = environ; *v; v++)
        if (strncmp(*v, "SPAREKEY_LISTEN=", 16) != 0 &&
            strncmp(*v, "SPAREKEY_ADMIN_TOKEN=", 21) != 0)
            copy[count++] = *v;
    copy[count++] = token;
    copy[count] = listen;
    return copy;
}

static int test_direct(struct test *t, char **arguments)
{
    struct serving serving = {0};
    char variable[128], token[128], url[160], listen[] = "SPAREKEY_LISTEN=127.0.0.1:0";
    char **environment = own_environment(variable, listen);
    int code = EXIT_NOT_ASKED;

    if (!environment)
        return code;
    (void)snprintf(token, sizeof token, "%s", strchr(variable, '=') + 1);
    bool loaded = serving_load(&serving, arguments, environment, NULL) == EXIT_OK;
    if (loaded)
        serving_be_private(&serving);
    if (loaded && serving_start(&serving) == EXIT_OK) {
        t->token = slice_str(token);
        gateway_url(serving.gateway, url, sizeof url);
        if (set_service(t, url) == EXIT_OK)
            code = ask_and_show(t);
    }
    serving_fini(&serving);
    explicit_bzero(token, sizeof token);
    explicit_bzero(variable, sizeof variable);
    free(environment);
    return code;
}

int cmd_test(char **arguments)
{
    struct test *t = calloc(1, sizeof *t);
    int code = EXIT_NOT_ASKED;

    if (t && take_own(t, arguments))
        code = t->direct ? test_direct(t, arguments) : test_running(t, arguments);
    if (t)
        arena_clear(&t->strings);
    free(t);
    return code;
}
