#include "pool_test.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "pool/fast.h"
#include "pool/headroom.h"
#include "pool/state.h"

/* What the gateway does: without the lock where that goes, else with it. */
struct ring {
    struct pool *pool;
    pthread_mutex_t lock;
};

static const struct slice nothing;

static bool try_begin(struct pool_reader *reader, struct plan *plan, int64_t now, uint64_t *cookie)
{
    struct plan_request request = {
        .stateless = true, .model = SLICE("m"), .deadline_ns = now + 600 * S};
    struct plan_step step;
    bool begun;

    pool_enter(reader);
    begun = fast_begin(reader, plan, &request, now, &step, cookie);
    pool_leave(reader);
    return begun;
}

static bool try_succeed(struct pool_reader *reader, struct plan *plan, struct slice org,
                        struct slice project)
{
    const struct answer_facts facts = {.organization = org, .project = project};
    bool ended;

    pool_enter(reader);
    ended = fast_succeed(reader, plan, &facts);
    pool_leave(reader);
    return ended;
}

static struct pool_reader *reader_of(struct pool *pool)
{
    struct pool_reader *reader;

    assert_int_equal(pool_reader_new(pool, &reader), STATUS_OK);
    return reader;
}

static void assert_fast(struct pool_reader *reader, uint64_t wanted, int64_t now)
{
    struct plan plan;
    uint64_t cookie;

    assert_true(try_begin(reader, &plan, now, &cookie));
    assert_int_equal(cookie, wanted);
    assert_int_equal(view(reader->pool, wanted, now).in_flight, 1);
    assert_int_equal(view(reader->pool, wanted, now).last_used_ns, now);
    assert_true(try_succeed(reader, &plan, nothing, nothing));
    pool_check(reader->pool);
}

static void refuse(struct pool_reader *reader, int64_t now)
{
    struct plan plan;
    uint64_t cookie;

    assert_false(try_begin(reader, &plan, now, &cookie));
    plan_end(&plan, now);
}

static struct pool *proven_pool(size_t count, const struct owner_names *owners)
{
    struct pool *pool = rotating_pool(count, owners);

    for (size_t i = 0; i < count; i++)
        one(pool, i, served, 0);
    return pool;
}

static void healthy_keys_take_turns(void **state)
{
    struct pool *pool = proven_pool(3, NULL);
    struct pool_reader *reader = reader_of(pool);

    (void)state;
    for (uint64_t turn = 0; turn < 7; turn++)
        assert_fast(reader, turn % 3, (int64_t)turn);
    assert_int_equal(view(pool, 0, 9).requests, 4);
    assert_int_equal(view(pool, 0, 9).successes, 4);
    assert_int_equal(view(pool, 0, 9).in_flight, 0);
    pool_free(pool);
}

static void the_primary_goes_first_and_fallbacks_rotate(void **state)
{
    struct pool *pool = proven_pool(3, NULL);
    struct pool_reader *reader = reader_of(pool);
    struct pool_options options = options_of(STRATEGY_PRIMARY_FIRST);

    (void)state;
    pool_configure(pool, &options);
    assert_fast(reader, 0, 1);
    assert_fast(reader, 0, 2);
    one(pool, 0, revoked, 3);
    assert_fast(reader, 1, 4);
    assert_fast(reader, 2, 4);
    assert_fast(reader, 1, 4);
    options.fallback_enabled = false;
    pool_configure(pool, &options);
    refuse(reader, 5);
    pool_free(pool);
}

static void whatever_needs_a_decision_is_refused(void **state)
{
    struct pool *pool = rotating_pool(2, NULL);
    struct pool_reader *reader = reader_of(pool);
    struct pool_options options = options_of(STRATEGY_LEAST_LOADED);

    (void)state;
    refuse(reader, 0); /* unproven */
    one(pool, 0, served, 0);
    one(pool, 1, served, 0);
    assert_fast(reader, 0, 1);
    one(pool, 1, limited, 2);
    assert_fast(reader, 0, 2 * MS); /* passed over */
    refuse(reader, 2 + 2 * S);      /* due */
    pool_configure(pool, &options);
    refuse(reader, 4);
    pool_free(pool);
}

static void news_of_an_owner_are_refused(void **state)
{
    static const struct owner_names owners[] = {{"acme", "p"}};
    struct pool *pool = proven_pool(1, owners);
    struct pool_reader *reader = reader_of(pool);
    struct plan plan;
    uint64_t cookie;

    (void)state;
    assert_true(try_begin(reader, &plan, 1, &cookie));
    assert_false(try_succeed(reader, &plan, SLICE("other"), SLICE("p")));
    assert_false(try_succeed(reader, &plan, SLICE("acme"), SLICE("q")));
    assert_true(try_succeed(reader, &plan, SLICE("acme"), SLICE("p")));
    pool_check(pool);
    pool_free(pool);
}

/* An attempt that began without the lock and failed. */
static void a_failure_is_reported_as_ever(void **state)
{
    struct pool *pool = proven_pool(2, NULL);
    struct pool_reader *reader = reader_of(pool);
    struct plan plan;
    uint64_t cookie;

    (void)state;
    assert_true(try_begin(reader, &plan, 1, &cookie));
    hear(&plan, revoked, 401, 2);
    assert_sends(&plan, 2, 1);
    assert_false(try_succeed(reader, &plan, nothing, nothing)); /* it has a trail */
    hear(&plan, served, 200, 3);
    plan_end(&plan, 3);
    assert_int_equal(view(pool, 0, 3).circuit, CIRCUIT_OPEN);
    assert_int_equal(view(pool, 0, 3).in_flight, 0);
    assert_int_equal(view(pool, 1, 3).successes, 2);
    pool_check(pool);
    pool_free(pool);
}

static struct garbage *released;

static void release(struct garbage *garbage)
{
    released = garbage;
}

static void nothing_is_released_under_a_reader(void **state)
{
    struct key_spec specs[1] = {{.identity = 5, .cookie = 5}};
    struct pool *pool = proven_pool(2, NULL);
    struct pool_reader *reader = reader_of(pool), *other = reader_of(pool);
    struct garbage garbage = {.release = release};

    (void)state;
    pool_enter(reader);
    assert_int_equal(pool_load(pool, specs, 1, 1), STATUS_OK);
    pool_defer(pool, &garbage);
    assert_int_equal(pool->retired_count, 2);
    pool_enter(other); /* came later: holds nothing up */
    assert_null(released);
    pool_leave(reader);
    one(pool, 5, served, 1); /* whoever takes the lock next collects */
    assert_ptr_equal(released, &garbage);
    assert_int_equal(pool->retired_count, 0);
    pool_leave(other);
    pool_check(pool);
    released = NULL;
    pool_free(pool);
}

static void the_last_attempt_of_a_retired_key_lets_it_go(void **state)
{
    struct key_spec specs[1] = {{.identity = 5, .cookie = 5}};
    struct pool *pool = proven_pool(1, NULL);
    struct pool_reader *reader = reader_of(pool);
    struct plan plan;
    uint64_t cookie;

    (void)state;
    assert_true(try_begin(reader, &plan, 1, &cookie));
    assert_int_equal(pool_load(pool, specs, 1, 1), STATUS_OK);
    assert_int_equal(pool->retired_count, 1);
    assert_true(try_succeed(reader, &plan, nothing, nothing));
    refuse(reader, 2); /* so that somebody collects */
    one(pool, 5, served, 2);
    assert_int_equal(pool->retired_count, 0);
    pool_check(pool);
    pool_free(pool);
}

/* ---- loans ------------------------------------------------------------------------------- */

static struct limit_report left(int64_t limit, int64_t requests, int64_t tokens)
{
    struct limit_report report;

    for (int i = 0; i < REPORT_DIMENSIONS; i++)
        report.readings[i] = (struct limit_reading){-1, -1, -1};
    report.readings[REPORT_REQUESTS] = (struct limit_reading){limit, requests, 3600 * S};
    report.readings[REPORT_TOKENS] = (struct limit_reading){limit * 100, tokens, 3600 * S};
    return report;
}

/* A pool of one key whose account is known to have so much left. */
static struct pool *taught_pool(struct limit_report report)
{
    struct pool *pool = proven_pool(1, NULL);
    struct plan plan;

    send_one(&plan, pool, 0, 0);
    plan_limits(&plan, &report, 0);
    hear(&plan, served, 200, 0);
    plan_end(&plan, 0);
    return pool;
}

static struct bucket *bucket_of(struct pool *pool)
{
    struct bucket *b =
        headroom_find(pool->order[0], hash_bytes(&pool->hash_seed, SLICE("m")), LEVEL_PROJECT, 1);

    assert_non_null(b);
    return b;
}

static bool succeeds_with(struct pool_reader *reader, struct plan *plan,
                          const struct limit_report *limits, int64_t tokens)
{
    const struct answer_facts facts = {.limits = limits, .tokens = tokens};
    bool ended;

    pool_enter(reader);
    ended = fast_succeed(reader, plan, &facts);
    pool_leave(reader);
    return ended;
}

/* One under the lock, so that there is a loan. */
static void renew(struct pool *pool)
{
    one(pool, 0, served, 1);
}

static void what_is_plentiful_is_lent(void **state)
{
    struct limit_report report = left(1000, 900, 90000);
    struct pool *pool = taught_pool(report);
    struct pool_reader *reader = reader_of(pool);
    struct plan plan[3];
    uint64_t cookie;
    struct bucket *b;

    (void)state;
    refuse(reader, 1); /* nobody could have drawn: nothing was lent */
    renew(pool);
    for (int i = 0; i < 3; i++)
        assert_true(try_begin(reader, &plan[i], 1, &cookie));
    assert_true(succeeds_with(reader, &plan[0], &report, 0));
    assert_true(succeeds_with(reader, &plan[1], &report, 30));
    pool_check(pool);
    b = bucket_of(pool);
    assert_int_equal((int64_t)gauge_left(&b->gauges[COST_REQUESTS], 1), 896); /* one was `renew` */
    assert_int_equal((int64_t)gauge_left(&b->gauges[COST_TOKENS], 1), 90000 - 30);
    assert_int_equal(b->abroad[COST_REQUESTS], 1);
    plan_end(&plan[2], 2); /* the client left */
    assert_int_equal(bucket_of(pool)->abroad[COST_REQUESTS], 0);
    pool_check(pool);
    pool_free(pool);
}

/* A loan ends, and is renewed as long as there is plenty; then everybody takes the lock. */
static void near_the_edge_it_takes_the_lock(void **state)
{
    struct limit_report report = left(1000, 900, 90000);
    struct pool *pool = taught_pool(report);
    struct pool_reader *reader = reader_of(pool);
    struct plan plan;
    uint64_t cookie;
    int fast = 0, renewals = 0;

    (void)state;
    while (renewals < 100) {
        if (try_begin(reader, &plan, 1, &cookie)) {
            assert_true(succeeds_with(reader, &plan, NULL, 0));
            fast++;
        } else {
            plan_end(&plan, 1);
            renew(pool);
            renewals++;
        }
    }
    assert_in_range(fast, 500, 900 - 1000 / LEND_FLOOR_DIVISOR);
    assert_int_equal((int64_t)gauge_left(&bucket_of(pool)->gauges[COST_REQUESTS], 1),
                     900 - fast - renewals);
    pool_free(pool);
}

static void news_of_limits_are_refused(void **state)
{
    struct limit_report report = left(1000, 900, 90000), less = left(1000, 300, 90000);
    struct limit_report fewer = left(1000, 900, 30000), other = left(2000, 1900, 190000);
    struct limit_report images = report, own = report;
    struct pool *pool = taught_pool(report);
    struct pool_reader *reader = reader_of(pool);
    struct plan plan;
    uint64_t cookie;

    (void)state;
    images.readings[REPORT_IMAGES] = (struct limit_reading){5, 5, 0};
    own.readings[REPORT_PROJECT_REQUESTS] = (struct limit_reading){1000, 900, 0};
    renew(pool);
    assert_true(try_begin(reader, &plan, 1, &cookie));
    assert_false(succeeds_with(reader, &plan, &less, 0));
    assert_false(succeeds_with(reader, &plan, &fewer, 0));
    assert_false(succeeds_with(reader, &plan, &other, 0));
    assert_false(succeeds_with(reader, &plan, &images, 0));
    assert_false(succeeds_with(reader, &plan, &own, 0));
    assert_int_equal(plan.flight.holds[LEVEL_PROJECT].birth, bucket_of(pool)->birth);
    plan_limits(&plan, &less, 1); /* somebody else drinks */
    hear(&plan, served, 200, 1);
    plan_end(&plan, 1);
    assert_int_equal((int64_t)gauge_left(&bucket_of(pool)->gauges[COST_REQUESTS], 1), 300);
    pool_free(pool);
}

/* More than was thought is only believed of an attempt that knows what was under way beside it. */
static void an_answer_without_notes_raises_nothing(void **state)
{
    struct limit_report report = left(1000, 600, 90000), more = left(1000, 999, 99999);
    struct pool *pool = taught_pool(report);
    struct pool_reader *reader = reader_of(pool);
    struct plan plan;
    uint64_t cookie;

    (void)state;
    renew(pool);
    assert_true(try_begin(reader, &plan, 1, &cookie));
    plan_limits(&plan, &more, 1);
    hear(&plan, served, 200, 1);
    plan_end(&plan, 1);
    assert_int_equal((int64_t)gauge_left(&bucket_of(pool)->gauges[COST_REQUESTS], 1), 598);
    send_one(&plan, pool, 0, 1);
    plan_limits(&plan, &more, 1);
    hear(&plan, served, 200, 1);
    plan_end(&plan, 1);
    assert_int_equal((int64_t)gauge_left(&bucket_of(pool)->gauges[COST_REQUESTS], 1), 999);
    pool_free(pool);
}

/* The bucket goes, and another is made in its place, while an attempt that drew from it lasts. */
static void a_bucket_that_is_gone_is_not_returned_to(void **state)
{
    struct limit_report report = left(1000, 900, 90000);
    struct pool *pool = taught_pool(report);
    struct pool_reader *reader = reader_of(pool);
    struct bucket *b, *again;
    struct plan early, late;
    uint64_t cookie;

    (void)state;
    renew(pool);
    assert_true(try_begin(reader, &early, 1, &cookie));
    assert_true(try_begin(reader, &late, 1, &cookie));
    b = bucket_of(pool);
    headroom_clear(pool, &pool->order[0]->node);
    assert_int_equal(b->birth, 0);
    pool_check(pool);
    assert_true(succeeds_with(reader, &early, NULL, 0));
    send_one(&early, pool, 0, 1);
    plan_limits(&early, &report, 1);
    hear(&early, served, 200, 1);
    plan_end(&early, 1);
    again = bucket_of(pool);
    assert_ptr_equal(again, b);
    assert_true(succeeds_with(reader, &late, NULL, 0));
    again = bucket_of(pool);
    assert_int_equal(again->abroad[COST_REQUESTS], 0);
    pool_check(pool);
    pool_free(pool);
}

static void who_waits_hears_of_limits(void **state)
{
    struct limit_report report = left(1000, 900, 90000);
    struct pool *pool = taught_pool(report);
    struct pool_reader *reader = reader_of(pool);
    struct plan plan;
    uint64_t cookie;

    (void)state;
    renew(pool);
    assert_true(try_begin(reader, &plan, 1, &cookie));
    TALLY_SET(&pool->waiting, 1);
    assert_false(succeeds_with(reader, &plan, &report, 0));
    TALLY_SET(&pool->waiting, 0);
    assert_true(succeeds_with(reader, &plan, &report, 0));
    pool_free(pool);
}

/* ---- threads ----------------------------------------------------------------------------- */

enum { STRESS_KEYS = 200, STRESS_THREADS = 3, STRESS_REQUESTS = 20000, STRESS_CHANGES = 1500 };

struct stress {
    struct ring ring;
    int64_t now;      /* of all threads */
    unsigned running; /* requesters */
};

struct requester {
    struct stress *stress;
    struct pool_reader *reader;
    struct rng rng;
    uint64_t fast, served;
    uint64_t drawn; /* of them, from loans */
};

static const struct slice orgs[] = {{"", 0}, {"acme", 4}, {"other", 5}};

static struct verdict any_verdict(struct rng *rng)
{
    static const struct verdict *const failures[] = {&limited,    &revoked,      &no_model,
                                                     &no_quota,   &server_error, &cut_off,
                                                     &overloaded, &caller_fault};
    struct verdict verdict = *failures[rng_below(rng, 8)];

    verdict.base_ns = verdict.base_ns ? 1 + (int64_t)rng_below(rng, 40) * 1000 : 0;
    verdict.cap_ns = verdict.base_ns;
    return verdict;
}

static int64_t stress_now(struct stress *stress)
{
    return (int64_t)TALLY_ADD(&stress->now, 5);
}

static bool begin_any(struct requester *r, struct plan *plan)
{
    struct ring *ring = &r->stress->ring;
    int64_t now = stress_now(r->stress);
    struct plan_step step;
    uint64_t cookie;

    if (try_begin(r->reader, plan, now, &cookie)) {
        r->fast++;
        r->drawn += plan->flight.holds[LEVEL_PROJECT].birth != 0;
        return true;
    }
    pthread_mutex_lock(&ring->lock);
    plan_next(plan, now, &step);
    if (step.action != PLAN_SEND)
        plan_end(plan, now);
    pthread_mutex_unlock(&ring->lock);
    return step.action == PLAN_SEND;
}

/* Mostly plenty, now and then less, and now and then of another limit. */
static struct limit_report any_limits(struct rng *rng)
{
    int64_t limit = rng_below(rng, 500) == 0 ? 3000 : 2000;
    int64_t requests = rng_below(rng, 50) == 0 ? (int64_t)rng_below(rng, 2000) : limit - 10;

    return left(limit, requests, limit * 90);
}

static void end_any(struct requester *r, struct plan *plan)
{
    struct ring *ring = &r->stress->ring;
    bool fails = rng_below(&r->rng, 100) == 0;
    struct limit_report report = any_limits(&r->rng);
    struct answer_facts facts = {.organization =
                                     orgs[rng_below(&r->rng, 100) == 0 ? 2 : rng_below(&r->rng, 2)],
                                 .limits = rng_below(&r->rng, 4) ? &report : NULL,
                                 .tokens = (int64_t)rng_below(&r->rng, 50)};
    struct verdict verdict = fails ? any_verdict(&r->rng) : served;
    struct evidence evidence = {.status = fails ? 429 : 200};
    int64_t now = stress_now(r->stress);
    bool ended = false;

    r->served += !fails;
    pool_enter(r->reader);
    if (!fails && rng_below(&r->rng, 8) == 0)
        (void)fast_proven(r->reader, plan, &facts);
    if (!fails)
        ended = fast_succeed(r->reader, plan, &facts);
    pool_leave(r->reader);
    if (ended)
        return;
    pthread_mutex_lock(&ring->lock);
    pool_learn(ring->pool, plan->current, facts.organization, nothing);
    if (facts.limits)
        plan_limits(plan, facts.limits, now);
    plan_usage(plan, facts.tokens);
    if (rng_below(&r->rng, 20)) /* else the client has left */
        (void)plan_hear(plan, &verdict, &evidence, now);
    plan_end(plan, now);
    pthread_mutex_unlock(&ring->lock);
}

static void *send_requests(void *argument)
{
    struct requester *r = argument;
    struct plan plans[4];
    unsigned open = 0;

    /* However the threads are scheduled, each meets the fast path a few times. */
    for (unsigned i = 0; i < STRESS_REQUESTS || (r->fast < 10 && i < STRESS_REQUESTS * 100); i++) {
        if (open < 4 && begin_any(r, &plans[open]))
            open++;
        if (open && rng_below(&r->rng, 2))
            end_any(r, &plans[--open]);
    }
    while (open)
        end_any(r, &plans[--open]);
    (void)__atomic_sub_fetch(&r->stress->running, 1, __ATOMIC_RELEASE);
    return NULL;
}

/* Some of the keys, in some order; the cookie is the identity. */
static void load_some(struct pool *pool, struct rng *rng)
{
    struct key_spec specs[STRESS_KEYS] = {0};
    size_t count = 0, from = rng_below(rng, STRESS_KEYS);

    for (size_t i = 0; i < STRESS_KEYS; i++) {
        uint64_t identity = 1 + (from + i) % STRESS_KEYS;
        if (i == 0 || rng_below(rng, 8))
            specs[count++] = (struct key_spec){.identity = identity, .cookie = identity};
    }
    assert_int_equal(pool_load(pool, specs, count, 0), STATUS_OK);
}

static void change(struct stress *stress, struct rng *rng, unsigned i)
{
    struct pool_options options = options_of(i & 1 ? STRATEGY_PRIMARY_FIRST : STRATEGY_ROUND_ROBIN);

    options.ramp_ns = 0; /* while one lasts, everybody takes the lock */
    pthread_mutex_lock(&stress->ring.lock);
    if (rng_below(rng, 4) == 0)
        load_some(stress->ring.pool, rng);
    else if (rng_below(rng, 4) == 0)
        pool_configure(stress->ring.pool, &options);
    else
        pool_collect(stress->ring.pool);
    if (i % 100 == 0)
        pool_check(stress->ring.pool);
    pthread_mutex_unlock(&stress->ring.lock);
}

/* Every attempt is over, so no bucket has anything abroad or held. */
static void the_buckets_are_right(struct pool *pool)
{
    for (struct list *at = pool->buckets.next; at != &pool->buckets; at = at->next) {
        struct bucket *b = container_of(at, struct bucket, all);
        bucket_recall(b, 0);
        for (unsigned i = 0; i < COST_COUNT; i++) {
            assert_int_equal(b->abroad[i], 0);
            assert_int_equal(b->gauges[i].pending, 0);
            assert_int_equal(b->gauges[i].sent, b->gauges[i].ended);
        }
    }
}

static void the_books_are_right(struct pool *pool)
{
    the_buckets_are_right(pool);
    for (size_t i = 0; i < pool_count(pool); i++)
        assert_int_equal(view(pool, i, 0).in_flight, 0);
    pool_check(pool);
}

/* Three threads send requests while a fourth loads and configures; keys fail, recover, change their
 * owner, meet their limits, and leave with requests in flight. For ThreadSanitizer to watch, and for the books. */
static void threads_and_reloads_do_not_meet(void **state)
{
    struct pool_options options = options_of(STRATEGY_ROUND_ROBIN);
    struct stress stress = {.ring.lock = PTHREAD_MUTEX_INITIALIZER, .running = STRESS_THREADS};
    struct requester requesters[STRESS_THREADS] = {0};
    pthread_t threads[STRESS_THREADS];
    struct rng rng = {3};
    uint64_t fast = 0, drawn = 0;

    (void)state;
    options.ramp_ns = 0;
    assert_int_equal(pool_new(&options, &stress.ring.pool), STATUS_OK);
    load_some(stress.ring.pool, &rng);
    for (unsigned i = 0; i < STRESS_THREADS; i++) {
        requesters[i].stress = &stress;
        requesters[i].reader = reader_of(stress.ring.pool);
        requesters[i].rng.state = i;
    }
    for (unsigned i = 0; i < STRESS_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, send_requests, &requesters[i]), 0);
    for (unsigned i = 0;
         i < STRESS_CHANGES || __atomic_load_n(&stress.running, __ATOMIC_ACQUIRE) > 0; i++) {
        change(&stress, &rng, i);
        sched_yield(); /* the lock is not fair */
    }
    for (unsigned i = 0; i < STRESS_THREADS; i++) {
        pthread_join(threads[i], NULL);
        fast += requesters[i].fast;
        drawn += requesters[i].drawn;
    }
    assert_true(fast > 20 && drawn > 10); /* else this tests nothing */
    pool_collect(stress.ring.pool);
    the_books_are_right(stress.ring.pool);
    pool_free(stress.ring.pool);
}

/* ---- an account that is used up ---------------------------------------------------------- */

enum { ACCOUNT = 20000, DRINKERS = 3 };

struct account {
    struct ring ring;
    int64_t used; /* of all threads; tells the truth in every answer */
};

struct drinker {
    struct account *account;
    struct pool_reader *reader;
    int64_t fast;
};

/* Until the lock says that there is nothing left. */
static void *drink(void *argument)
{
    struct drinker *d = argument;
    struct account *account = d->account;
    struct plan_step step = {.action = PLAN_SEND};
    struct plan plan;
    uint64_t cookie;

    while (step.action == PLAN_SEND) {
        bool fast = try_begin(d->reader, &plan, 1, &cookie);
        d->fast += fast;
        if (!fast) {
            pthread_mutex_lock(&account->ring.lock);
            plan_next(&plan, 1, &step);
            if (bucket_of(account->ring.pool)->trial)
                step.action = PLAN_GIVE_UP; /* it goes although there seems to be nothing */
            if (step.action != PLAN_SEND)
                plan_end(&plan, 1);
            pthread_mutex_unlock(&account->ring.lock);
        }
        if (step.action != PLAN_SEND)
            break;
        int64_t used = TALLY_ADD(&account->used, 1) + 1;
        struct limit_report report =
            left(ACCOUNT, used < ACCOUNT ? ACCOUNT - used : 0, ACCOUNT * 100);
        if (succeeds_with(d->reader, &plan, &report, 0))
            continue;
        pthread_mutex_lock(&account->ring.lock);
        plan_limits(&plan, &report, 1);
        hear(&plan, served, 200, 1);
        plan_end(&plan, 1);
        pthread_mutex_unlock(&account->ring.lock);
    }
    return NULL;
}

/* Three threads empty one account: what they send together is what there was, and no more. */
static void nobody_is_let_in_past_the_bucket(void **state)
{
    struct account account = {.ring.lock = PTHREAD_MUTEX_INITIALIZER};
    struct drinker drinkers[DRINKERS] = {0};
    pthread_t threads[DRINKERS];
    int64_t fast = 0;

    (void)state;
    account.ring.pool = taught_pool(left(ACCOUNT, ACCOUNT, ACCOUNT * 100));
    for (unsigned i = 0; i < DRINKERS; i++) {
        drinkers[i].account = &account;
        drinkers[i].reader = reader_of(account.ring.pool);
    }
    for (unsigned i = 0; i < DRINKERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, drink, &drinkers[i]), 0);
    for (unsigned i = 0; i < DRINKERS; i++) {
        pthread_join(threads[i], NULL);
        fast += drinkers[i].fast;
    }
    assert_true(account.used <= ACCOUNT);
    assert_true(account.used > ACCOUNT - 10);
    assert_in_range(fast, ACCOUNT / 2, ACCOUNT - ACCOUNT / LEND_FLOOR_DIVISOR);
    the_books_are_right(account.ring.pool);
    pool_free(account.ring.pool);
}

/* A reader remembers names by their length and last letter: two that share both, one that is too
 * long to be remembered, and none at all are told apart as under the lock. */
static void models_are_known_by_their_whole_name(void **state)
{
    (void)state;
    char longest[READER_MODEL_LEN + 1];
    const struct slice names[] = {SLICE("gpt-a-mini"), SLICE("gpt-b-mini"),
                                  slice_of(longest, READER_MODEL_LEN),
                                  slice_of(longest, READER_MODEL_LEN + 1), nothing};
    struct pool *pool = proven_pool(2, NULL);
    struct pool_reader *reader = reader_of(pool);

    memset(longest, 'x', sizeof longest);
    for (unsigned i = 0; i < 4 * sizeof names / sizeof *names; i++) {
        struct slice name = names[i % (sizeof names / sizeof *names)];
        struct plan_request request = {.model = name, .deadline_ns = FAR};
        struct plan_step step;
        struct plan plan;
        uint64_t cookie;

        pool_enter(reader);
        (void)fast_begin(reader, &plan, &request, 1, &step, &cookie);
        pool_leave(reader);
        assert_true(plan.route.model == plan_model(pool, name));
        plan_end(&plan, 1);
    }
    assert_true(plan_model(pool, names[0]) != plan_model(pool, names[1]));
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_are_known_by_their_whole_name),
        cmocka_unit_test(healthy_keys_take_turns),
        cmocka_unit_test(the_primary_goes_first_and_fallbacks_rotate),
        cmocka_unit_test(whatever_needs_a_decision_is_refused),
        cmocka_unit_test(news_of_an_owner_are_refused),
        cmocka_unit_test(a_failure_is_reported_as_ever),
        cmocka_unit_test(nothing_is_released_under_a_reader),
        cmocka_unit_test(the_last_attempt_of_a_retired_key_lets_it_go),
        cmocka_unit_test(what_is_plentiful_is_lent),
        cmocka_unit_test(near_the_edge_it_takes_the_lock),
        cmocka_unit_test(news_of_limits_are_refused),
        cmocka_unit_test(an_answer_without_notes_raises_nothing),
        cmocka_unit_test(a_bucket_that_is_gone_is_not_returned_to),
        cmocka_unit_test(who_waits_hears_of_limits),
        cmocka_unit_test(threads_and_reloads_do_not_meet),
        cmocka_unit_test(nobody_is_let_in_past_the_bucket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
