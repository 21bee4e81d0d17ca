/* What the engine costs: one choice of a key and the report of its success, in nanoseconds, for
 * few keys and a million, with none, half and nearly all of them out, on one thread and on two;
 * how many bytes a key takes; how long a million keys load, and reload beside requests.
 *
 * A request goes as the gateway sends it: fast_begin and fast_succeed (pool/fast.h), and where they
 * say no, the same under a mutex. Which keys are out is spread evenly: revoked (out as a whole) or
 * limited (out for the model that is asked for; of these the engine remembers 65,536). Limits are
 * "known" where every answer tells of them, as OpenAI's do: then the engine keeps account.
 *
 * A round is three short runs: one thread on the one processor, one thread on the other, both
 * together. "ns" is the median of the runs alone. "times" is the median over rounds of what both
 * sent a second together, by the mean of what each sent alone, so that neither a slow processor nor
 * a slow moment counts for or against it; "2 threads" is the first by the second. Together means
 * together: who is done first ends the run for both. The clock is read around a run and is the
 * thread's processor time: what threads cost each other is in it (cache lines in contention, calls
 * into the kernel for a lock).
 *
 * Others on the machine spoil a round in ways that processor time hides: two threads that take turns
 * do not disturb each other. So a round in which a thread was kept waiting (wall time beyond
 * processor time by more than DISTURBED) is thrown away; for the row that is judged there are up to
 * ROUNDS_MAX, until RUNS are left. With fewer than RUNS_LEAST left a row shows all its rounds, and
 * no number is judged to hold by it. What no process can see, a neighbour on the same core outside a
 * virtual machine, shows in the quartiles.
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

#define RUNS        25
#define RUNS_LEAST  9
#define ROUNDS_MAX  400 /* of what is judged; of other rows RUNS are all */
#define REQUESTS    20000
#define BLOCK       500  /* requests between two looks whether the other is done */
#define DISTURBED   1.05 /* wall time by processor time */
#define REFUSALS    1000
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
    bench->limits = NULL;
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
    bool *done; /* one of those who run together has sent its requests */
    unsigned processor;
    double ns; /* a request */
    bool disturbed;
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
    int64_t sent = 0, cpu_ns, wall_ns;

    pin(worker->processor);
    pthread_barrier_wait(worker->start);
    wall_ns = clock_ns();
    cpu_ns = read_clock(CLOCK_THREAD_CPUTIME_ID);
    while (sent < REQUESTS && !__atomic_load_n(worker->done, __ATOMIC_RELAXED)) {
        for (int64_t i = 0; i < BLOCK; i++)
            request(worker->bench, worker->reader, &served, 2);
        sent += BLOCK;
    }
    cpu_ns = read_clock(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;
    wall_ns = clock_ns() - wall_ns;
    __atomic_store_n(worker->done, true, __ATOMIC_RELAXED);
    worker->ns = sent ? (double)cpu_ns / (double)sent : 0;
    worker->disturbed = sent == 0 || (double)wall_ns > DISTURBED * (double)cpu_ns;
    return NULL;
}

/* Threads on the processors from `first` on; false when one of them was disturbed. */
static bool run(struct bench *bench, unsigned first, unsigned threads, double *ret_ns)
{
    struct worker workers[THREADS_MAX];
    pthread_t ids[THREADS_MAX];
    pthread_barrier_t start;
    bool done = false, good = true;

    pthread_barrier_init(&start, NULL, threads);
    for (unsigned i = 0; i < threads; i++) {
        workers[i] = (struct worker){.bench = bench,
                                     .reader = bench->readers[first + i],
                                     .start = &start,
                                     .done = &done,
                                     .processor = first + i};
        if (pthread_create(&ids[i], NULL, run_worker, &workers[i]) != 0)
            die("no thread");
    }
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
        good &= !workers[i].disturbed;
        ret_ns[i] = workers[i].ns;
    }
    pthread_barrier_destroy(&start);
    return good;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

struct quartiles {
    double low, median, high;
};

static struct quartiles quartiles_of(double *values, size_t count)
{
    qsort(values, count, sizeof *values, by_value);
    return (struct quartiles){values[count / 4], values[count / 2], values[count - 1 - count / 4]};
}

struct price {
    struct quartiles one_ns, times;
    unsigned rounds, spoiled;
};

struct rounds {
    double one_ns[2 * ROUNDS_MAX], times[ROUNDS_MAX];
    unsigned count;
};

static void add_round(struct rounds *rounds, const double alone[2], const double together[2])
{
    rounds->one_ns[2 * rounds->count] = alone[0];
    rounds->one_ns[2 * rounds->count + 1] = alone[1];
    rounds->times[rounds->count++] =
        2 * (1 / together[0] + 1 / together[1]) / (1 / alone[0] + 1 / alone[1]);
}

/* Alone and together in turn, so that what slows the machine slows both. */
static struct price measure(struct bench *bench, unsigned rounds_max)
{
    struct rounds good = {.count = 0}, all = {.count = 0}, *told = &good;
    struct price price = {.rounds = 0};

    while (price.rounds < rounds_max && good.count < RUNS) {
        double alone[2], together[THREADS_MAX];
        bool calm = run(bench, 0, 1, &alone[0]);
        calm &= run(bench, 1, 1, &alone[1]);
        calm &= run(bench, 0, 2, together);
        price.rounds++;
        if (together[0] <= 0 || together[1] <= 0)
            continue; /* one was over before the other began */
        add_round(&all, alone, together);
        if (calm)
            add_round(&good, alone, together);
    }
    price.spoiled = price.rounds - good.count;
    if (good.count < RUNS_LEAST)
        told = &all;
    if (told->count == 0)
        die("two threads never ran at the same time");
    price.one_ns = quartiles_of(told->one_ns, 2 * told->count);
    price.times = quartiles_of(told->times, told->count);
    return price;
}

static bool was_calm(const struct price *price)
{
    return price->rounds - price->spoiled >= RUNS_LEAST;
}

static const char *strategy_text(enum strategy strategy)
{
    return strategy == STRATEGY_ROUND_ROBIN ? "round-robin" : "primary-first";
}

static struct price row(enum strategy strategy, size_t count, unsigned out,
                        const struct verdict *verdict, const struct limit_report *limits,
                        unsigned rounds_max)
{
    struct pool_options options = options_for(strategy);
    struct bench bench;
    struct price cost;

    bench_init(&bench, count);
    bench.limits = limits;
    put_out(&bench, count, out, verdict);
    pool_configure(bench.pool, &options);
    cost = measure(&bench, rounds_max);
    printf("%-14s %7zu %-7s %5.4g %% %-14s %8.1f %8.1f %6.2f\n", strategy_text(strategy), count,
           limits ? "known" : "-", out / 10.0, out == 0 ? "-" : scope_name(verdict->scope),
           cost.one_ns.median, cost.one_ns.median / cost.times.median, cost.times.median);
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

/* All keys are out: what a refusal costs under the lock. The first after the keys went out makes
 * room for what it learns and is not counted. */
static double refusal_us(void)
{
    struct bench bench;
    double us[REFUSALS];

    bench_init(&bench, MILLION);
    put_out(&bench, MILLION, 1000, &revoked);
    for (int i = -1; i < REFUSALS; i++) {
        struct plan plan;
        int64_t began = read_clock(CLOCK_THREAD_CPUTIME_ID);
        if (begin(&bench, bench.readers[0], &plan, 2))
            die("a key was ready that is out");
        plan_end(&plan, 2);
        if (i >= 0)
            us[i] = (double)(read_clock(CLOCK_THREAD_CPUTIME_ID) - began) / 1e3;
    }
    bench_fini(&bench);
    qsort(us, REFUSALS, sizeof *us, by_value);
    printf("%-34s %8.1f us, 99 of 100 within %.1f us\n", "a refusal, all of them out",
           us[REFUSALS / 2], us[REFUSALS * 99 / 100]);
    return us[REFUSALS * 99 / 100];
}

struct size {
    double bytes_per_key, load_ms, reload_ms, refusal_us;
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
    size.refusal_us = refusal_us();
    return size;
}

/* ---- judgement --------------------------------------------------------------------------- */

static bool holds(bool good, const char *what, double value)
{
    printf("%-4s %s: %.4g\n", good ? "ok" : "FAIL", what, value);
    return good;
}

static void tell(const char *what, const struct quartiles *q)
{
    printf("     %s: %.4g, quartiles %.4g and %.4g\n", what, q->median, q->low, q->high);
}

/* Half of a million keys out. */
static bool judge_price(const struct price *half)
{
    bool good = true;

    printf("     %u rounds, %u of them disturbed by others\n", half->rounds, half->spoiled);
    tell("ns, one thread", &half->one_ns);
    tell("times, two threads", &half->times);
    if (!was_calm(half)) {
        printf("FAIL the machine is too busy to tell: come back when it is not\n");
        return false;
    }
    good &= holds(half->one_ns.median < 100, "a million keys, half of them out: under 100 ns",
                  half->one_ns.median);
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
        printf("skip two threads: there is one processor\n");
    else
        good &= holds(half->times.median >= 1.7, "two threads: at least 1.7 times one",
                      half->times.median);
    return good;
}

static bool judge(const struct price *half, const struct size *size)
{
    bool good;

    printf("\n");
    good = judge_price(half);
    good &= holds(size->bytes_per_key < 256, "under 256 bytes a key", size->bytes_per_key);
    good &= holds(size->load_ms < 1000, "a million keys load within 1000 ms", size->load_ms);
    good &= holds(size->reload_ms < 1000, "… and reload within 1000 ms beside requests",
                  size->reload_ms);
    good &= holds(size->refusal_us < 1000, "a refusal holds the lock less than 1000 us",
                  size->refusal_us);
    return good;
}

int main(int argc, char **argv)
{
    static const size_t counts[] = {4, 1000, MILLION};
    static const unsigned outs[] = {0, 500, 999};
    struct price half = {0};
    struct size size;

    printf("select + report, median of %d rounds; ns a request\n\n", RUNS);
    printf("%-14s %7s %-7s %7s %-14s %8s %8s %6s\n", "strategy", "keys", "limits", "out", "by",
           "ns", "2 threads", "times");
    for (size_t c = 0; c < 3; c++) {
        for (size_t o = 0; o < 3; o++) {
            bool judged = counts[c] == MILLION && outs[o] == 500;
            struct price cost = row(STRATEGY_ROUND_ROBIN, counts[c], outs[o], &revoked, NULL,
                                    judged ? ROUNDS_MAX : RUNS);
            if (judged)
                half = cost;
            row(STRATEGY_PRIMARY_FIRST, counts[c], outs[o], &revoked, NULL, RUNS);
            if (outs[o] && counts[c] < MILLION)
                row(STRATEGY_ROUND_ROBIN, counts[c], outs[o], &limited, NULL, RUNS);
        }
        row(STRATEGY_ROUND_ROBIN, counts[c], 0, &served, &plenty, RUNS);
        row(STRATEGY_ROUND_ROBIN, counts[c], 500, &revoked, &plenty, RUNS);
        row(STRATEGY_PRIMARY_FIRST, counts[c], 0, &served, &plenty, RUNS);
    }
    size = measure_million();
    if (argc > 1 && strcmp(argv[1], "--table") == 0)
        return 0;
    return judge(&half, &size) ? 0 : 1;
}
