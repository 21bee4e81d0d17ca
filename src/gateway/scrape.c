#include "gateway/scrape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gateway/tracer.h"
#include "openai/endpoint.h"

_Static_assert(METRICS_SERVICES_MAX == FIGURES_SERVICES_MAX, "a figure for each series");

/* What a page is written from. */
struct scraping {
    struct shared *shared;
    int64_t now_ns;
    struct metrics_page *page;
    struct metrics sum;
    struct keyring_census census;
};

/* ---- samples ----------------------------------------------------------------------------- */

static void sample(struct scraping *s, double value)
{
    metrics_sample(s->page, value, NULL);
}

static void sample1(struct scraping *s, double value, const char *label)
{
    metrics_sample(s->page, value, (const char *[]){label});
}

static void sample2(struct scraping *s, double value, const char *first, const char *second)
{
    metrics_sample(s->page, value, (const char *[]){first, second});
}

static void plain(struct scraping *s, enum metric metric, double value)
{
    metrics_family(s->page, metric);
    sample(s, value);
}

/* ---- the process ------------------------------------------------------------------------- */

static double resident_bytes(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");

    if (file && fscanf(file, "%*u %lu", &pages) != 1)
        pages = 0;
    if (file)
        (void)fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static double processor_seconds(void)
{
    struct timespec used = {0};

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

static void put_process(struct scraping *s)
{
    metrics_family(s->page, METRIC_BUILD);
    sample1(s, 1, SPAREKEY_VERSION);
    plain(s, METRIC_WORKERS, s->shared->worker_count);
    plain(s, METRIC_START, (double)s->shared->started_wall_ms / 1000);
    plain(s, METRIC_CPU, processor_seconds());
    plain(s, METRIC_MEMORY, resident_bytes());
    plain(s, METRIC_LOG_DROPPED, s->shared->log ? (double)log_dropped(s->shared->log) : 0);
    plain(s, METRIC_RELOADS, (double)__atomic_load_n(&s->shared->reloads, __ATOMIC_RELAXED));
}

/* ---- requests ---------------------------------------------------------------------------- */

/* A family nobody has asked for yet has no series; one that was asked for has all classes. */
static uint64_t put_family(struct scraping *s, enum family family)
{
    static const char *const classes[METRIC_CLASSES] = {"gone", "2xx", "3xx", "4xx", "5xx"};
    const uint64_t *counts = s->sum.requests[family];
    uint64_t all = 0;

    for (unsigned i = 0; i < METRIC_CLASSES; i++)
        all += counts[i];
    for (unsigned i = 0; all && i < METRIC_CLASSES; i++)
        sample2(s, (double)counts[i], family_name(family), classes[i]);
    return all;
}

static void put_requests(struct scraping *s)
{
    uint64_t ended = 0;

    metrics_family(s->page, METRIC_REQUESTS);
    for (enum family family = 0; family < FAMILY_COUNT; family++)
        ended += put_family(s, family);
    /* A sum of several threads: one that ended meanwhile may be among these and not among those. */
    plain(s, METRIC_IN_FLIGHT, s->sum.begun > ended ? (double)(s->sum.begun - ended) : 0);
    metrics_family(s->page, METRIC_FIRST_BYTE);
    metrics_histogram(s->page, metrics_coarse_ns, &s->sum.first_byte);
    metrics_family(s->page, METRIC_OVERHEAD);
    metrics_histogram(s->page, metrics_fine_ns, &s->sum.overhead);
    metrics_family(s->page, METRIC_WAIT);
    metrics_histogram(s->page, metrics_coarse_ns, &s->sum.wait);
}

static void put_attempts(struct scraping *s)
{
    metrics_family(s->page, METRIC_ATTEMPTS);
    for (enum failure failure = 0; failure < FAILURE_COUNT; failure++)
        sample1(s, (double)s->sum.attempts[failure], failure_name(failure));
    plain(s, METRIC_FAILOVERS, (double)s->sum.failovers);
    plain(s, METRIC_RESCUED, (double)s->sum.rescued);
    plain(s, METRIC_LAST_RESORT, (double)s->sum.last_resorts);
    metrics_family(s->page, METRIC_GIVEN_UP);
    for (enum failure failure = 0; failure < FAILURE_COUNT; failure++)
        sample1(s, (double)s->sum.given_up[failure],
                failure == FAILURE_NONE ? "none" : failure_name(failure));
    plain(s, METRIC_CUT, (double)s->sum.cut);
}

/* ---- connections and queues -------------------------------------------------------------- */

struct upstream_sum {
    uint64_t idle, busy, dialled, reused;
};

static void add_upstreams(const struct worker *w, struct upstream_sum *sum)
{
    for (unsigned i = 0; i < KEYRING_SERVICES_MAX; i++) {
        const struct upstream *u = __atomic_load_n(&w->upstreams[i], __ATOMIC_ACQUIRE);
        if (!u)
            continue;
        sum->idle += __atomic_load_n(&u->idle_count, __ATOMIC_RELAXED);
        sum->busy += __atomic_load_n(&u->busy_count, __ATOMIC_RELAXED);
        sum->dialled += __atomic_load_n(&u->dialled, __ATOMIC_RELAXED);
        sum->reused += __atomic_load_n(&u->reused, __ATOMIC_RELAXED);
    }
}

static void put_connections(struct scraping *s)
{
    const struct shared *shared = s->shared;
    struct upstream_sum sum = {0};

    for (unsigned i = 0; i < shared->worker_count; i++)
        add_upstreams(&shared->workers[i], &sum);
    plain(s, METRIC_CLIENTS, __atomic_load_n(&shared->connections, __ATOMIC_RELAXED));
    metrics_family(s->page, METRIC_UPSTREAMS);
    sample1(s, (double)sum.busy, "busy");
    sample1(s, (double)sum.idle, "idle");
    plain(s, METRIC_DIALS, (double)sum.dialled);
    plain(s, METRIC_REUSES, (double)sum.reused);
    plain(s, METRIC_WAITING, __atomic_load_n(&shared->waiting, __ATOMIC_RELAXED));
    plain(s, METRIC_BUFFERED, (double)__atomic_load_n(&shared->buffered, __ATOMIC_RELAXED));
}

/* ---- the pool ---------------------------------------------------------------------------- */

static void put_headroom(struct scraping *s)
{
    metrics_family(s->page, METRIC_HEADROOM);
    for (uint32_t i = 0; i < s->census.services && i < FIGURES_SERVICES_MAX; i++) {
        const struct headroom_figure *figure = &s->census.headroom[i];
        if (!figure->known)
            continue;
        const char *url = keyring_service(s->shared->keyring, i)->text;
        sample2(s, figure->lowest, url, "lowest");
        sample2(s, figure->total, url, "all");
    }
}

static void put_pool(struct scraping *s)
{
    static const char *const conditions[] = {"healthy", "rate_limited", "unhealthy"};

    metrics_family(s->page, METRIC_KEYS);
    for (unsigned i = 0; i < KEY_CONDITIONS; i++)
        sample1(s, (double)s->census.keys[i], conditions[i]);
    plain(s, METRIC_KEYS_READY, (double)s->census.ready);
    metrics_family(s->page, METRIC_BREAKERS);
    for (enum scope scope = SCOPE_KEY; scope < SCOPE_COUNT; scope++) {
        sample2(s, s->census.pool.breakers[scope][CIRCUIT_OPEN], scope_name(scope), "open");
        sample2(s, s->census.pool.breakers[scope][CIRCUIT_HALF_OPEN], scope_name(scope),
                "half_open");
    }
    put_headroom(s);
}

/* ---- single keys ------------------------------------------------------------------------- */

/* Copies, because a family's samples stand together and a key may go meanwhile. */
struct few_keys {
    size_t count;
    struct key_status keys[METRICS_KEYS_MAX];
};

static bool same_labels(const struct key_status *a, const struct key_status *b)
{
    return strcmp(a->name, b->name) == 0 && strcmp(a->mask, b->mask) == 0;
}

/* Two series of the same labels would spoil the page. */
static bool is_told(const struct few_keys *few, const struct key_status *key)
{
    for (size_t i = 0; i < few->count; i++) {
        if (same_labels(&few->keys[i], key))
            return true;
    }
    return false;
}

/* None when there are too many, or no memory: the page does without. */
static struct few_keys *take_keys(struct scraping *s)
{
    struct few_keys *few = s->census.pool.keys <= METRICS_KEYS_MAX ? malloc(sizeof *few) : NULL;

    if (!few)
        return NULL;
    few->count = 0;
    for (size_t i = 0; i < METRICS_KEYS_MAX; i++) {
        struct key_status *next = &few->keys[few->count];
        if (!keyring_status(s->shared->keyring, i, s->now_ns, next))
            break;
        few->count += !is_told(few, next);
    }
    return few;
}

static double key_value(enum metric metric, const struct key_view *view)
{
    switch ((int)metric) {
    case METRIC_KEY_REQUESTS: return (double)view->requests;
    case METRIC_KEY_FAILURES: return (double)(view->requests - view->successes);
    case METRIC_KEY_IN_FLIGHT: return view->in_flight;
    default: return key_is_ready(view);
    }
}

static void put_keys(struct scraping *s)
{
    static const enum metric metrics[] = {METRIC_KEY_REQUESTS, METRIC_KEY_FAILURES,
                                          METRIC_KEY_IN_FLIGHT, METRIC_KEY_READY};
    struct few_keys *few = take_keys(s);

    for (size_t m = 0; m < sizeof metrics / sizeof metrics[0]; m++) {
        metrics_family(s->page, metrics[m]);
        for (size_t i = 0; few && i < few->count; i++)
            sample2(s, key_value(metrics[m], &few->keys[i].view), few->keys[i].name,
                    few->keys[i].mask);
    }
    free(few);
}

/* ---- tracing ----------------------------------------------------------------------------- */

static void put_spans(struct scraping *s)
{
    struct tracer_counts counts = {0};

    if (s->shared->tracer)
        tracer_count(s->shared->tracer, &counts);
    metrics_family(s->page, METRIC_SPANS);
    sample1(s, (double)counts.exported, "exported");
    sample1(s, (double)counts.dropped, "dropped");
    sample1(s, (double)counts.lost, "lost");
}

/* ---- the page ---------------------------------------------------------------------------- */

enum status scrape(struct shared *shared, int64_t now_ns, bool openmetrics, struct buffer *ret_page)
{
    struct metrics_page page = {.openmetrics = openmetrics};
    struct scraping s = {.shared = shared, .now_ns = now_ns, .page = &page};

    keyring_census(shared->keyring, now_ns, &s.census);
    for (unsigned i = 0; i < shared->worker_count; i++)
        metrics_gather(&shared->workers[i].metrics, &s.sum);
    put_process(&s);
    put_requests(&s);
    put_attempts(&s);
    put_connections(&s);
    put_pool(&s);
    put_spans(&s);
    put_keys(&s);
    metrics_end(&page);
    if (page.status == STATUS_OK)
        *ret_page = page.out;
    else
        buffer_clear(&page.out);
    return page.status;
}

/* ---- the route --------------------------------------------------------------------------- */

struct job {
    int64_t now_ns;
    bool openmetrics;
    enum status status;
    struct buffer page;
};

static void work(struct own_request *own)
{
    struct job *job = own->state;

    job->status = scrape(own->worker->shared, job->now_ns, job->openmetrics, &job->page);
}

static void done(struct own_request *own)
{
    struct job job = *(struct job *)own->state;

    free(own->state);
    if (job.status != STATUS_OK)
        own_reply_error(own, 503, "metrics_failed", "The page of metrics could not be made: %s.",
                        status_text(job.status));
    else
        own_reply(own, 200,
                  job.openmetrics ? SLICE("content-type: " METRICS_OPENMETRICS_TYPE "\r\n")
                                  : SLICE("content-type: " METRICS_TEXT_TYPE "\r\n"),
                  buffer_slice(&job.page));
    buffer_clear(&job.page);
}

void scrape_answer(struct own_request *own)
{
    struct job *job = calloc(1, sizeof *job);

    if (!job) {
        own_reply_error(own, 503, "out_of_memory", "The gateway is out of memory; try again.");
        return;
    }
    job->now_ns = net_now_ns(&own->worker->loop);
    job->openmetrics = metrics_wants_openmetrics(slice_str(own->accept));
    own->state = job;
    own_background(own, work, done);
}
