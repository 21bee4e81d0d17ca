/* What the engine costs: one choice of a key and the report of its success, in nanoseconds, for
 * few keys and a million, with none, half and nearly all of them out, on one thread and on two;
 * how many bytes a key takes; how long a million keys load, and reload beside requests.
 *
 * A request goes as the gateway sends it: fast_begin and fast_succeed (pool/fast.h), and where they
 * say no, the same under a mutex. Which keys are out is spread evenly: revoked (out as a whole) or
 * limited (out for the model that is asked for; of these the engine remembers 65,536). Limits are
 * "known" where every answer tells of them, as OpenAI's do: then the engine keeps account. Each figure
 * is the median of RUNS runs of REQUESTS requests a thread. The clock is only read around a run, and
 * it is the thread's processor time, so that a busy machine measures the same: with two threads,
 * what they cost each other is in it (cache lines in contention, calls into the kernel for a lock).
 *
 *     bench-pool            prints the tables, then judges the numbers; 1 when one does not hold
 *     bench-pool --table    only prints
 */
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "pool/fast.h"

#define RUNS        9
#define REQUESTS    100000
#define MILLION     1000000
#define THREADS_MAX 2
#define TOKENS      200 /* used by a request, and estimated as twice that */
#define S           INT64_C(1000000000)

static const struct verdict served = {.reaction = REACT_SUCCESS, .wait_ns = -1};
static const struct verdict revoked = {
    .reaction = REACT_NEXT, .scope = SCOPE_KEY, .failure = FAILURE_REVOKED, .base_ns = 900 * S};
static const struct verdict limited = {.reaction = REACT_NEXT,
                                       .scope = SCOPE_PROJECT_MODEL,
                                       .failure = FAILURE_RATE,
                                       .base_ns = 900 * S};

static int64_t read_clock(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return t.tv_sec * S + t.tv_nsec;
}

static int64_t clock_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

static void die(const char *what)
{
    fprintf(stderr, "bench-pool: %s\n", what);
    exit(1);
}

/* ---- requests ---------------------------------------------------------------------------- */

struct bench {
    struct pool *pool;
    pthread_mutex_t lock;
    struct pool_reader *readers[THREADS_MAX];
    const struct limit_report *limits; /* what answers tell of them; NULL: nothing */
};

/* As OpenAI says it of a much used account: there is plenty, and it refills as fast. */
static const struct limit_report plenty = {
    {[REPORT_REQUESTS] = {10000, 9990, 60 * S / 1000},
     [REPORT_TOKENS] = {30000000, 29900000, 60 * S / 300},
     [REPORT_PROJECT_REQUESTS] = {-1, -1, -1},
     [REPORT_PROJECT_TOKENS] = {-1, -1, -1},
     [REPORT_IMAGES] = {-1, -1, -1}},
};

static bool begin(struct bench *bench, struct pool_reader *reader, struct plan *plan, int64_t now)
{
    static const struct plan_request request = {.stateless = true,
                                                .model = {"gpt-5.4-mini", 12},
                                                .deadline_ns = INT64_MAX,
                                                .tokens = 2 * TOKENS};
    struct plan_step step;
    uint64_t cookie;
    bool fast;

    pool_enter(reader);
    fast = fast_begin(reader, plan, &request, now, &step, &cookie);
    pool_leave(reader);
    if (fast)
        return true;
    pthread_mutex_lock(&bench->lock);
    fast_lend_rotation(reader);
    plan_next(plan, now, &step);
    fast_take_rotation(reader);
    pthread_mutex_unlock(&bench->lock);
    return step.action == PLAN_SEND;
}

static void end(struct bench *bench, struct pool_reader *reader, struct plan *plan,
                const struct verdict *verdict, int64_t now)
{
    static const struct evidence evidence = {.status = 429};
    const struct answer_facts facts = {.limits = bench->limits, .tokens = TOKENS};
    bool fast;

    pool_enter(reader);
    fast = verdict == &served && fast_succeed(reader, plan, &facts);
    pool_leave(reader);
    if (fast)
        return;
    pthread_mutex_lock(&bench->lock);
    if (bench->limits)
        plan_limits(plan, bench->limits, now);
    plan_usage(plan, TOKENS);
    plan_hear(plan, verdict, &evidence, now);
    plan_end(plan, now);
    pthread_mutex_unlock(&bench->lock);
}

/* One request whose first attempt ends so. */
static void request(struct bench *bench, struct pool_reader *reader, const struct verdict *verdict,
                    int64_t now)
{
    struct plan plan;

    if (!begin(bench, reader, &plan, now))
        die("no key was ready");
    end(bench, reader, &plan, verdict, now);
}

/* ---- pools ------------------------------------------------------------------------------- */

static void load(struct bench *bench, size_t count, uint64_t first)
{
    struct key_spec *specs = calloc(count, sizeof(*specs));

    for (size_t i = 0; specs && i < count; i++)
        specs[i].identity = first + i;
    pthread_mutex_lock(&bench->lock);
    if (!specs || pool_load(bench->pool, specs, count, 0) != STATUS_OK)
        die("out of memory");
    pthread_mutex_unlock(&bench->lock);
    free(specs);
}

static struct pool_options options_for(enum strategy strategy)
{
    struct pool_options options;

    pool_options_init(&options);
    options.strategy = strategy;
    options.proof_wait_ns = 0;
    return options;
}

static void bench_init(struct bench *bench, size_t count)
{
    struct pool_options options = options_for(STRATEGY_ROUND_ROBIN);

    pthread_mutex_init(&bench->lock, NULL);
    if (pool_new(&options, &bench->pool) != STATUS_OK)
        die("out of memory");
    load(bench, count, 1);
    for (int i = 0; i < THREADS_MAX; i++)
        if (pool_reader_new(bench->pool, &bench->readers[i]) != STATUS_OK)
            die("out of memory");
}

static void bench_fini(struct bench *bench)
{
    pool_free(bench->pool);
    pthread_mutex_destroy(&bench->lock);
}

/* One round over all keys, of which `out` in a thousand fail, evenly spread. */
static void put_out(struct bench *bench, size_t count, unsigned out, const struct verdict *verdict)
{
    for (size_t i = 0; i < count; i++) {
        bool fails = (i + 1) * out / 1000 > i * out / 1000;
        request(bench, bench->readers[0], fails ? verdict : &served, 1);
    }
}

/* ---- nanoseconds ------------------------------------------------------------------------- */

struct worker {
    struct bench *bench;
    struct pool_reader *reader;
    pthread_barrier_t *start;
    unsigned index;
    int64_t cpu_ns;
};

/* The i-th processor this process may use, so that two threads do run beside each other. */
static void pin(unsigned index)
{
    cpu_set_t allowed, one;

    CPU_ZERO(&one);
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return;
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &allowed) && index-- == 0)
            CPU_SET(cpu, &one);
    if (CPU_COUNT(&one) == 1)
        (void)pthread_setaffinity_np(pthread_self(), sizeof one, &one);
}

static void *run_worker(void *argument)
{
    struct worker *worker = argument;
    int64_t began;

    pin(worker->index);
    pthread_barrier_wait(worker->start);
    began = read_clock(CLOCK_THREAD_CPUTIME_ID);
    for (int64_t i = 0; i < REQUESTS; i++)
        request(worker->bench, worker->reader, &served, 2);
    worker->cpu_ns = read_clock(CLOCK_THREAD_CPUTIME_ID) - began;
    return NULL;
}

/* Nanoseconds a request, of the time in which all threads together send them. */
static double run(struct bench *bench, unsigned threads)
{
    struct worker workers[THREADS_MAX];
    pthread_t ids[THREADS_MAX];
    pthread_barrier_t start;
    int64_t cpu_ns = 0;

    pthread_barrier_init(&start, NULL, threads);
    for (unsigned i = 0; i < threads; i++)
        workers[i] = (struct worker){bench, bench->readers[i], &start, i, 0};
    for (unsigned i = 0; i < threads; i++)
        if (pthread_create(&ids[i], NULL, run_worker, &workers[i]) != 0)
            die("no thread");
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
        cpu_ns += workers[i].cpu_ns;
    }
    pthread_barrier_destroy(&start);
    return (double)cpu_ns / threads / REQUESTS / threads;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, by_value);
    return values[count / 2];
}

struct price {
    double one_ns, two_ns;
};

/* One thread and two in turn, so that what disturbs the machine disturbs both. */
static struct price measure(struct bench *bench)
{
    double one[RUNS], two[RUNS];

    for (int i = 0; i < RUNS; i++) {
        one[i] = run(bench, 1);
        two[i] = run(bench, 2);
    }
    return (struct price){median(one, RUNS), median(two, RUNS)};
}

static const char *strategy_text(enum strategy strategy)
{
    return strategy == STRATEGY_ROUND_ROBIN ? "round-robin" : "primary-first";
}

static struct price row(enum strategy strategy, size_t count, unsigned out,
                        const struct verdict *verdict, const struct limit_report *limits)
{
    struct pool_options options = options_for(strategy);
    struct bench bench;
    struct price cost;

    bench_init(&bench, count);
    bench.limits = limits;
    put_out(&bench, count, out, verdict);
    pool_configure(bench.pool, &options);
    cost = measure(&bench);
    printf("%-14s %7zu %-7s %5.4g %% %-14s %8.1f %8.1f %6.2f\n", strategy_text(strategy), count,
           limits ? "known" : "-", out / 10.0, out == 0 ? "-" : scope_name(verdict->scope),
           cost.one_ns, cost.two_ns, cost.one_ns / cost.two_ns);
    fflush(stdout);
    bench_fini(&bench);
    return cost;
}

/* ---- a million keys ---------------------------------------------------------------------- */

static size_t bytes_in_use(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

struct traffic {
    struct bench *bench;
    bool stop;
    int64_t requests, longest_ns;
};

/* Requests one behind the other until told to stop; how long the slowest took. */
static void *run_traffic(void *argument)
{
    struct traffic *traffic = argument;
    int64_t before = clock_ns();

    while (!__atomic_load_n(&traffic->stop, __ATOMIC_RELAXED)) {
        int64_t now;

        request(traffic->bench, traffic->bench->readers[1], &served, 2);
        now = clock_ns();
        if (now - before > traffic->longest_ns)
            traffic->longest_ns = now - before;
        before = now;
        __atomic_add_fetch(&traffic->requests, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static double reload_ms(struct bench *bench, uint64_t first, const char *what)
{
    struct traffic traffic = {.bench = bench};
    pthread_t thread;
    int64_t began, took;

    if (pthread_create(&thread, NULL, run_traffic, &traffic) != 0)
        die("no thread");
    while (__atomic_load_n(&traffic.requests, __ATOMIC_RELAXED) == 0)
        sched_yield();
    began = clock_ns();
    load(bench, MILLION, first);
    took = clock_ns() - began;
    __atomic_store_n(&traffic.stop, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    printf("%-34s %8.1f ms, the slowest of %lld requests beside it %.1f ms\n", what,
           (double)took / 1e6, (long long)traffic.requests, (double)traffic.longest_ns / 1e6);
    return (double)took / 1e6;
}

struct size {
    double bytes_per_key, load_ms, reload_ms;
};

static struct size measure_million(void)
{
    size_t before = bytes_in_use();
    struct bench bench;
    struct size size;
    int64_t began = clock_ns();
    double other;

    bench_init(&bench, MILLION);
    size.load_ms = (double)(clock_ns() - began) / 1e6;
    size.bytes_per_key = (double)(bytes_in_use() - before) / MILLION;
    printf("\na million keys\n\n");
    printf("%-34s %8.1f\n", "bytes a key", size.bytes_per_key);
    printf("%-34s %8.1f ms\n", "load", size.load_ms);
    put_out(&bench, MILLION, 0, &served);
    size.reload_ms = reload_ms(&bench, 1, "reload, the same keys");
    other = reload_ms(&bench, 1 + MILLION / 2, "reload, half of them others");
    if (other > size.reload_ms)
        size.reload_ms = other;
    bench_fini(&bench);
    return size;
}

/* ---- judgement --------------------------------------------------------------------------- */

static bool holds(bool good, const char *what, double value)
{
    printf("%-4s %s: %.1f\n", good ? "ok" : "FAIL", what, value);
    return good;
}

static bool judge(const struct price *half, const struct size *size)
{
    bool good = true;

    printf("\n");
    good &=
        holds(half->one_ns < 100, "a million keys, half of them out: under 100 ns", half->one_ns);
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
        printf("skip two threads: there is one processor\n");
    else
        good &= holds(half->one_ns / half->two_ns >= 1.7, "two threads: at least 1.7 times one",
                      half->one_ns / half->two_ns);
    good &= holds(size->bytes_per_key < 256, "under 256 bytes a key", size->bytes_per_key);
    good &= holds(size->load_ms < 1000, "a million keys load within 1000 ms", size->load_ms);
    good &= holds(size->reload_ms < 1000, "… and reload within 1000 ms beside requests",
                  size->reload_ms);
    return good;
}

int main(int argc, char **argv)
{
    static const size_t counts[] = {4, 1000, MILLION};
    static const unsigned outs[] = {0, 500, 999};
    struct price half = {0};
    struct size size;

    printf("select + report, median of %d runs; ns a request\n\n", RUNS);
    printf("%-14s %7s %-7s %7s %-14s %8s %8s %6s\n", "strategy", "keys", "limits", "out", "by",
           "ns", "2 threads", "times");
    for (size_t c = 0; c < 3; c++) {
        for (size_t o = 0; o < 3; o++) {
            struct price cost = row(STRATEGY_ROUND_ROBIN, counts[c], outs[o], &revoked, NULL);
            if (counts[c] == MILLION && outs[o] == 500)
                half = cost;
            row(STRATEGY_PRIMARY_FIRST, counts[c], outs[o], &revoked, NULL);
            if (outs[o] && counts[c] < MILLION)
                row(STRATEGY_ROUND_ROBIN, counts[c], outs[o], &limited, NULL);
        }
        row(STRATEGY_ROUND_ROBIN, counts[c], 0, &served, &plenty);
        row(STRATEGY_ROUND_ROBIN, counts[c], 500, &revoked, &plenty);
        row(STRATEGY_PRIMARY_FIRST, counts[c], 0, &served, &plenty);
    }
    size = measure_million();
    if (argc > 1 && strcmp(argv[1], "--table") == 0)
        return 0;
    return judge(&half, &size) ? 0 : 1;
}
