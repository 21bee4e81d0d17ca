/* What a call by libsparekey costs over the same request by bare libcurl.
 *
 *     bench-library URL [CALLS [THREADS]]      (defaults 2000, 1)
 *
 * URL is that of `sparekey mock`, whose keys are all good. In rounds, so that what disturbs the machine
 * disturbs all of them: bare libcurl (one handle, used again and again), sparekey_request with the
 * same bytes, sparekey_generate_text, which also writes the JSON and reads the answer. The figure is
 * CPU time of this process, user and system, for a call: the mock's is not in it. The median of the
 * rounds counts. With THREADS each thread makes CALLS calls, through one client. */
#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sparekey/sparekey.h"

enum { ROUNDS = 15, THREADS_MAX = 64, KEY_BYTES = 64, URL_BYTES = 512 };

static const char body[] =
    "{\"model\":\"gpt-5.4-mini\",\"messages\":[{\"role\":\"user\",\"content\":"
    "\"How much does a call cost?\"}]}";
static const char prompt[] = "How much does a call cost?";
static const char key[] = "sk-proj-bench-0123456789abcdefghijklmnopqrstuv";

static double seconds(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void must(int good, const char *what)
{
    if (good)
        return;
    (void)fprintf(stderr, "bench-library: %s failed\n", what);
    exit(2);
}

/* ---- the three -------------------------------------------------------------------------- */

struct answer {
    char *data;
    size_t len, room;
};

static size_t append(char *data, size_t size, size_t count, void *user)
{
    struct answer *a = user;
    size_t len = size * count;

    if (a->len + len > a->room) {
        a->room = (a->len + len) * 2;
        a->data = realloc(a->data, a->room);
        must(a->data != NULL, "memory");
    }
    memcpy(a->data + a->len, data, len);
    a->len += len;
    return len;
}

struct bench {
    const char *url;
    sparekey_client *client;
    long calls;
};

static void by_libcurl(const struct bench *b)
{
    CURL *easy = curl_easy_init();
    struct curl_slist *headers = NULL;
    struct answer answer = {NULL, 0, 0};
    char url[URL_BYTES], credential[KEY_BYTES + 32];

    (void)snprintf(url, sizeof url, "%s/chat/completions", b->url);
    (void)snprintf(credential, sizeof credential, "Authorization: Bearer %s", key);
    headers = curl_slist_append(headers, "Content-Type: application/json");
    headers = curl_slist_append(headers, credential);
    headers = curl_slist_append(headers, "Expect:");
    (void)curl_easy_setopt(easy, CURLOPT_URL, url);
    (void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
    (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, append);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, &answer);
    for (long i = 0; i < b->calls; i++) {
        long status = 0;
        answer.len = 0;
        must(curl_easy_perform(easy) == CURLE_OK, "libcurl");
        (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        must(status == 200 && answer.len > 0, "libcurl's answer");
    }
    free(answer.data);
    curl_slist_free_all(headers);
    curl_easy_cleanup(easy);
}

static void by_request(const struct bench *b)
{
    sparekey_request_options options = sparekey_request_options_init();

    options.path = "/chat/completions";
    options.json = body;
    for (long i = 0; i < b->calls; i++) {
        sparekey_result *result = NULL;
        must(sparekey_request(b->client, &options, &result, NULL) == SPAREKEY_OK,
             "sparekey_request");
        sparekey_result_free(result);
    }
}

static void by_text(const struct bench *b)
{
    for (long i = 0; i < b->calls; i++) {
        sparekey_result *result = NULL;
        must(sparekey_generate_text(b->client, prompt, NULL, &result, NULL) == SPAREKEY_OK,
             "sparekey_generate_text");
        sparekey_result_free(result);
    }
}

/* ---- rounds ------------------------------------------------------------------------------- */

typedef void way(const struct bench *b);

struct runner {
    way *way;
    const struct bench *bench;
};

static void *run(void *argument)
{
    const struct runner *r = argument;

    r->way(r->bench);
    return NULL;
}

/* CPU microseconds for a call. */
static double measure(way *how, const struct bench *b, long threads, double *ret_per_second)
{
    pthread_t ids[THREADS_MAX];
    struct runner runner = {how, b};
    double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID), wall = seconds(CLOCK_MONOTONIC);

    for (long i = 0; i < threads; i++)
        must(pthread_create(&ids[i], NULL, run, &runner) == 0, "pthread_create");
    for (long i = 0; i < threads; i++)
        must(pthread_join(ids[i], NULL) == 0, "pthread_join");
    double calls = (double)b->calls * (double)threads;
    *ret_per_second = calls / (seconds(CLOCK_MONOTONIC) - wall);
    return (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) * 1e6 / calls;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values)
{
    qsort(values, ROUNDS, sizeof values[0], by_size);
    return values[ROUNDS / 2];
}

int main(int argc, char **argv)
{
    static way *const ways[] = {by_libcurl, by_request, by_text};
    static const char *const names[] = {"bare libcurl", "sparekey_request",
                                        "sparekey_generate_text"};
    static double cpu[3][ROUNDS], rate[3][ROUNDS], over[3][ROUNDS];
    const char *keys[] = {key};
    long threads = argc > 3 ? strtol(argv[3], NULL, 10) : 1;
    struct bench b = {.url = argc > 1 ? argv[1] : NULL,
                      .calls = argc > 2 ? strtol(argv[2], NULL, 10) : 2000};
    sparekey_client_options options = sparekey_client_options_init();

    must(b.url && b.calls > 0 && threads > 0 && threads <= THREADS_MAX,
         "usage: bench-library URL [CALLS [THREADS]]");
    must(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK, "curl_global_init");
    options.keys = keys;
    options.key_count = 1;
    options.base_url = b.url;
    must(sparekey_client_new(&options, &b.client, NULL) == SPAREKEY_OK, "sparekey_client_new");
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < 3; i++)
            cpu[i][round] = measure(ways[i], &b, threads, &rate[i][round]);
        for (int i = 0; i < 3; i++)
            over[i][round] = cpu[i][round] - cpu[0][round];
    }
    printf("%ld threads, %d rounds of %ld calls each\n", threads, (int)ROUNDS, b.calls);
    for (int i = 0; i < 3; i++)
        printf("%-24s %7.1f us CPU a call, %+6.1f us over libcurl, %8.0f calls/s\n", names[i],
               median(cpu[i]), median(over[i]), median(rate[i]));
    sparekey_client_free(b.client);
    curl_global_cleanup();
    return 0;
}
