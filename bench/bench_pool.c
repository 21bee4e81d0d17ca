/* What the engine costs a request: one selection and one report, on one thread, warm.
 *
 * A pool of n keys, a part of them out (revoked: out as a whole; limited: out for the model that is
 * asked for), spread evenly; then plan_start, plan_next, plan_hear(served), plan_next, plan_end, as
 * the gateway calls them, in both strategies. Each figure is the median of RUNS runs of REQUESTS
 * requests; the clock only reads around a whole run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "pool/plan.h"

#define RUNS     9
#define REQUESTS 100000
#define S        INT64_C(1000000000)

static const struct verdict served = {.reaction = REACT_SUCCESS, .wait_ns = -1};
static const struct verdict revoked = {
    .reaction = REACT_NEXT, .scope = SCOPE_KEY, .failure = FAILURE_REVOKED, .base_ns = 900 * S};
static const struct verdict limited = {.reaction = REACT_NEXT,
                                       .scope = SCOPE_PROJECT_MODEL,
                                       .failure = FAILURE_RATE,
                                       .base_ns = 900 * S};

static int64_t clock_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * S + t.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "bench-pool: %s\n", what);
    exit(1);
}

/* One request whose first attempt ends so. */
static void request(struct pool *pool, const struct verdict *verdict, int64_t now)
{
    static const struct plan_request request = {
        .stateless = true, .model = {"gpt-5.4-mini", 12}, .deadline_ns = INT64_MAX};
    struct evidence evidence = {.status = 429};
    struct plan_step step;
    struct plan plan;

    plan_start(&plan, pool, &request, now);
    plan_next(&plan, now, &step);
    if (step.action != PLAN_SEND)
        die("no key was ready");
    plan_hear(&plan, verdict, &evidence, now);
    if (verdict == &served)
        plan_next(&plan, now, &step);
    plan_end(&plan, now);
}

static struct pool *pool_with(size_t count)
{
    struct key_spec *specs = calloc(count, sizeof(*specs));
    struct pool_options options;
    struct pool *pool;

    pool_options_init(&options);
    options.strategy = STRATEGY_ROUND_ROBIN;
    options.proof_wait_ns = 0;
    if (!specs || pool_new(&options, &pool) != STATUS_OK)
        die("out of memory");
    for (size_t i = 0; i < count; i++)
        specs[i].identity = i;
    if (pool_load(pool, specs, count, 0) != STATUS_OK)
        die("out of memory");
    free(specs);
    return pool;
}

/* One round over all keys, of which `out` percent fail, evenly spread. */
static void put_out(struct pool *pool, size_t count, unsigned out, const struct verdict *verdict)
{
    for (size_t i = 0; i < count; i++) {
        bool fails = (i + 1) * out / 100 > i * out / 100;
        request(pool, fails ? verdict : &served, 1);
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double measure(struct pool *pool)
{
    double runs[RUNS];

    for (int run = 0; run < RUNS; run++) {
        int64_t began = clock_ns();
        for (int64_t i = 0; i < REQUESTS; i++)
            request(pool, &served, 2 + i);
        runs[run] = (double)(clock_ns() - began) / REQUESTS;
    }
    qsort(runs, RUNS, sizeof *runs, by_value);
    return runs[RUNS / 2];
}

static void row(enum strategy strategy, size_t count, unsigned out, const struct verdict *verdict)
{
    struct pool *pool = pool_with(count);
    struct pool_options options;

    put_out(pool, count, out, verdict);
    pool_options_init(&options);
    options.strategy = strategy;
    options.proof_wait_ns = 0;
    pool_configure(pool, &options);
    printf("%-14s %6zu %5u %% %-18s %8.1f\n",
           strategy == STRATEGY_ROUND_ROBIN ? "round-robin" : "primary-first", count, out,
           out == 0 ? "-" : scope_name(verdict->scope), measure(pool));
    pool_free(pool);
}

int main(void)
{
    static const size_t counts[] = {4, 1000};
    static const unsigned outs[] = {0, 50, 99};

    printf("select + report, median of %d runs\n\n", RUNS);
    printf("%-14s %6s %7s %-18s %8s\n", "strategy", "keys", "out", "by", "ns");
    for (size_t c = 0; c < 2; c++) {
        for (size_t o = 0; o < 3; o++) {
            row(STRATEGY_PRIMARY_FIRST, counts[c], outs[o], &revoked);
            row(STRATEGY_ROUND_ROBIN, counts[c], outs[o], &revoked);
            if (outs[o])
                row(STRATEGY_ROUND_ROBIN, counts[c], outs[o], &limited);
        }
    }
    return 0;
}
