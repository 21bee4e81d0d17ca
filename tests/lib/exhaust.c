/* Memory runs out: each scenario is run again and again, and in run i the i-th allocation fails, until
 * a run needs fewer. Whatever the library answers then, it must answer; that nothing leaks and
 * nothing crashes is for the sanitizers to see.
 *
 * `exhaust URL GOOD BAD`: the mock behind URL knows the key GOOD and refuses BAD. Says for each scenario
 * how many allocations it makes and how the runs ended. */
#include <curl/curl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sparekey/sparekey.h"

/* ---- allocations that fail ---------------------------------------------------------------- */

static atomic_long made, fail_at = -1;

static bool fails(void)
{
    return atomic_fetch_add(&made, 1) == atomic_load(&fail_at);
}

/* The linker leads the library's calls here (--wrap); jansson and libcurl are told. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

/* ---- scenarios ---------------------------------------------------------------------------- */

static const char *url, *good, *bad;

static int open_client(bool failover, sparekey_client **ret)
{
    static const char *const settings[] = {"SPAREKEY_MAX_WAIT=0", "SPAREKEY_PROOF_WAIT=0",
                                           "SPAREKEY_REQUEST_TIMEOUT=20s", NULL};
    const char *keys[] = {failover ? bad : good, good};
    sparekey_client_options o = sparekey_client_options_init();

    o.base_url = url;
    o.keys = keys;
    o.key_count = failover ? 2 : 1;
    o.settings = settings;
    return sparekey_client_new(&o, ret, NULL);
}

static int only_a_client(sparekey_client *c)
{
    (void)c;
    return SPAREKEY_OK;
}

static int take(int status, sparekey_result *result)
{
    if (status == SPAREKEY_OK)
        sparekey_result_free(result);
    return status;
}

static int text(sparekey_client *c)
{
    sparekey_result *r = NULL;

    int status = sparekey_generate_text(c, "hi", NULL, &r, NULL);
    return take(status, r);
}

static int keep_going(void *user, const char *piece, size_t len)
{
    (void)user;
    (void)piece;
    (void)len;
    return 0;
}

static int stream(sparekey_client *c)
{
    sparekey_call_options call = sparekey_call_options_init();
    sparekey_text_options o = sparekey_text_options_init();
    sparekey_result *r = NULL;

    call.on_text = keep_going;
    o.call = &call;
    o.extra = "{\"seed\":1}";
    int status = sparekey_generate_text(c, "some words to stream", &o, &r, NULL);
    return take(status, r);
}

static int response_stream(sparekey_client *c)
{
    sparekey_call_options call = sparekey_call_options_init();
    sparekey_response_options o = sparekey_response_options_init();
    sparekey_result *r = NULL;

    call.on_text = keep_going;
    o.call = &call;
    o.store = 0;
    int status = sparekey_create_response(c, "some words", &o, &r, NULL);
    return take(status, r);
}

static int response(sparekey_client *c)
{
    sparekey_result *r = NULL;

    int status = sparekey_create_response(c, "some words", NULL, &r, NULL);
    return take(status, r);
}

static int image(sparekey_client *c)
{
    sparekey_image_options o = sparekey_image_options_init();
    sparekey_result *r = NULL;

    o.form = SPAREKEY_IMAGE_URL;
    int status = sparekey_generate_image(c, "a cat", &o, &r, NULL);
    return take(status, r);
}

static int embeddings(sparekey_client *c)
{
    static const char *const texts[] = {"one", "two"};
    sparekey_result *r = NULL;

    int status = sparekey_create_embeddings(c, texts, 2, NULL, &r, NULL);
    return take(status, r);
}

static int models(sparekey_client *c)
{
    sparekey_result *r = NULL;

    int status = sparekey_list_models(c, NULL, &r, NULL);
    return take(status, r);
}

static int multipart(sparekey_client *c)
{
    sparekey_part parts[2] = {{.name = "model", .data = "whisper-1", .len = 9},
                              {.name = "file", .data = "RIFF", .len = 4, .file_name = "a.wav"}};
    sparekey_request_options o = sparekey_request_options_init();
    sparekey_result *r = NULL;

    o.path = "/audio/transcriptions";
    o.parts = parts;
    o.part_count = 2;
    int status = sparekey_request(c, &o, &r, NULL);
    return take(status, r);
}

static int health(sparekey_client *c)
{
    sparekey_health *h;
    int status = sparekey_key_health(c, &h, NULL);

    if (status == SPAREKEY_OK)
        sparekey_health_free(h);
    return status;
}

static int direct(sparekey_client *c)
{
    sparekey_client *d;
    int status = sparekey_direct_client(c, "0", &d, NULL);

    if (status != SPAREKEY_OK)
        return status;
    status = text(d);
    sparekey_client_free(d);
    return status;
}

struct ending {
    pthread_mutex_t lock;
    pthread_cond_t came;
    bool done;
    int status;
};

static void on_done(void *user, sparekey_result *result, const sparekey_error *error)
{
    struct ending *e = user;

    sparekey_result_free(result);
    pthread_mutex_lock(&e->lock);
    e->done = true;
    e->status = error ? error->code : SPAREKEY_OK;
    pthread_cond_signal(&e->came);
    pthread_mutex_unlock(&e->lock);
}

static int later(sparekey_client *c)
{
    struct ending e = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0};
    sparekey_call_options call = sparekey_call_options_init();
    sparekey_text_options o = sparekey_text_options_init();

    call.on_done = on_done;
    call.user = &e;
    o.call = &call;
    int status = sparekey_generate_text(c, "later", &o, NULL, NULL);
    if (status != SPAREKEY_OK)
        return status;
    pthread_mutex_lock(&e.lock);
    while (!e.done)
        pthread_cond_wait(&e.came, &e.lock);
    pthread_mutex_unlock(&e.lock);
    return e.status;
}

static int in_a_loop(sparekey_client *c)
{
    struct ending e = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0};
    sparekey_call_options call = sparekey_call_options_init();
    sparekey_text_options o = sparekey_text_options_init();
    int status = sparekey_loop_new(c, &call.loop, NULL);

    if (status != SPAREKEY_OK)
        return status;
    call.on_done = on_done;
    call.user = &e;
    o.call = &call;
    status = sparekey_generate_text(c, "in a loop", &o, NULL, NULL);
    while (status == SPAREKEY_OK && !e.done)
        (void)sparekey_loop_run(call.loop, -1);
    sparekey_loop_free(call.loop);
    return status == SPAREKEY_OK ? e.status : status;
}

/* ---- runs --------------------------------------------------------------------------------- */

struct scenario {
    const char *name;
    int (*run)(sparekey_client *client);
    bool failover;
};

static int run_once(const struct scenario *s, long at, bool *ret_complete)
{
    sparekey_client *client = NULL;

    atomic_store(&made, 0);
    atomic_store(&fail_at, at);
    int status = open_client(s->failover, &client);
    if (status == SPAREKEY_OK) {
        status = s->run(client);
        sparekey_client_free(client);
    }
    *ret_complete = atomic_load(&made) <= at;
    atomic_store(&fail_at, -1);
    return status;
}

static bool exhaust(const struct scenario *s)
{
    long out_of_memory = 0, served = 0, other = 0;
    bool complete = false;
    int status = 0;

    for (long at = 0; !complete; at++) {
        status = run_once(s, at, &complete);
        if (status == SPAREKEY_OK)
            served++;
        else if (status == SPAREKEY_ERROR_MEMORY)
            out_of_memory++;
        else
            other++;
    }
    printf("{\"scenario\": \"%s\", \"status\": %d, \"served\": %ld, \"memory\": %ld, \"other\": "
           "%ld}\n",
           s->name, status, served, out_of_memory, other);
    fflush(stdout);
    return status == SPAREKEY_OK && out_of_memory > 0;
}

int main(int argc, char **argv)
{
    static const struct scenario scenarios[] = {
        {"client", only_a_client, false}, {"text", text, false},
        {"failover", text, true},         {"stream", stream, true},
        {"response", response, false},    {"response_stream", response_stream, false},
        {"image", image, false},          {"embeddings", embeddings, false},
        {"models", models, false},        {"multipart", multipart, false},
        {"health", health, false},        {"direct", direct, false},
        {"later", later, false},          {"loop", in_a_loop, false},
    };
    bool all = argc == 5;

    if (!all)
        return 2;
    url = argv[1];
    good = argv[2];
    bad = argv[3];
    json_set_alloc_funcs(__wrap_malloc, free);
    if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, __wrap_malloc, free, __wrap_realloc,
                             __wrap_strdup, __wrap_calloc) != CURLE_OK)
        return 2;
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
        if (strcmp(argv[4], "all") == 0 || strcmp(argv[4], scenarios[i].name) == 0)
            all = exhaust(&scenarios[i]) && all;
    }
    curl_global_cleanup();
    return all ? 0 : 1;
}
