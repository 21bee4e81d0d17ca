/* Standing in line, seen from the plan. */
#include "pool_test.h"

#include "pool/state.h"

static struct pool *patient_pool(size_t count, const struct owner_names *owners, uint32_t queue_max)
{
    struct pool_options options = options_of(STRATEGY_PRIMARY_FIRST);

    options.max_wait_ns = 20 * S;
    options.queue_max = queue_max;
    return pool_of(&options, count, owners);
}

static struct plan_step begins(struct plan *plan, struct pool *pool, int64_t now)
{
    begin(plan, pool, now);
    return next(plan, now);
}

/* The only key is at its limit: the request that found out waits and is served by it. */
static void a_limit_is_waited_for(void **state)
{
    struct pool *pool = patient_pool(1, NULL, 10);
    struct plan_step step;
    struct plan plan;

    (void)state;
    send_one(&plan, pool, 0, 0);
    hear(&plan, with_wait(limited, 3 * S), 429, 0);
    step = next(&plan, 0);
    assert_int_equal(step.action, PLAN_WAIT);
    assert_in_range(step.until_ns, 3 * S, 3300 * MS);
    assert_int_equal(pool_waiting(pool), 1);
    assert_sends(&plan, step.until_ns, 0);
    assert_int_equal(pool_waiting(pool), 0);
    hear(&plan, served, 200, step.until_ns);
    plan_end(&plan, step.until_ns);
    pool_free(pool);
}

static void what_takes_longer_is_refused_at_once(void **state)
{
    struct pool *pool = patient_pool(1, NULL, 10);
    struct plan_step step;
    struct plan plan;

    (void)state;
    one(pool, 0, with_wait(limited, 25 * S), 0);
    step = begins(&plan, pool, 1);
    assert_int_equal(step.action, PLAN_GIVE_UP);
    assert_int_equal(step.status, 429);
    assert_in_range(step.retry_after_s, 25, 28);
    plan_end(&plan, 1);
    pool_free(pool);
}

static void a_deadline_before_recovery_is_honoured(void **state)
{
    struct pool *pool = patient_pool(1, NULL, 10);
    struct plan_step step;
    struct plan plan;

    (void)state;
    one(pool, 0, with_wait(limited, 5 * S), 0);
    begin_with(&plan, pool, (struct plan_request){.model = SLICE("m"), .deadline_ns = 4 * S}, 1);
    step = next(&plan, 1);
    assert_int_equal(step.action, PLAN_GIVE_UP);
    assert_int_equal(step.status, 429);
    plan_end(&plan, 1);
    pool_free(pool);
}

static void a_full_line_refuses_at_once(void **state)
{
    struct pool *pool = patient_pool(1, NULL, 2);
    struct plan plans[3], other;
    struct plan_step step;

    (void)state;
    one(pool, 0, with_wait(limited, 5 * S), 0);
    assert_int_equal(begins(&plans[0], pool, 1).action, PLAN_WAIT);
    assert_int_equal(begins(&plans[1], pool, 1).action, PLAN_WAIT);
    step = begins(&plans[2], pool, 1);
    assert_int_equal(step.action, PLAN_GIVE_UP);
    assert_int_equal(step.status, 429);
    assert_in_range(step.retry_after_s, 5, 7);
    /* Another model has another line, or none. */
    begin_with(&other, pool, (struct plan_request){.model = SLICE("n")}, 1);
    assert_sends(&other, 1, 0);
    plan_end(&other, 1);
    for (int i = 0; i < 3; i++)
        plan_end(&plans[i], 2);
    pool_free(pool);
}

/* Who comes when the way is free again still stands behind those who waited for it. */
static void nobody_jumps_the_line(void **state)
{
    struct pool *pool = patient_pool(1, NULL, 10);
    struct plan old, middle, young;
    struct plan_step step;
    int64_t now;

    (void)state;
    one(pool, 0, with_wait(limited, 5 * S), 0);
    now = begins(&old, pool, 1).until_ns;
    (void)begins(&middle, pool, 1);
    step = begins(&young, pool, now);
    assert_int_equal(step.action, PLAN_WAIT);
    assert_true(step.until_ns > now);
    assert_int_equal(next(&middle, now).action, PLAN_WAIT);
    assert_sends(&old, now, 0);
    hear(&old, served, 200, now);
    assert_int_equal(next(&young, now + 1).action, PLAN_WAIT);
    plan_abandon(&middle, now + 1); /* leaves the line to the next */
    assert_sends(&young, now + 1, 0);
    plan_end(&young, now + 1);
    plan_end(&middle, now + 1);
    plan_end(&old, now + 1);
    pool_free(pool);
}

/* Whoever was called and does not come is passed by. */
static void the_lost_hold_up_nobody(void **state)
{
    struct pool *pool = patient_pool(1, NULL, 10);
    struct plan lost, other;
    int64_t now;

    (void)state;
    one(pool, 0, with_wait(limited, 5 * S), 0);
    now = begins(&lost, pool, 1).until_ns;
    (void)begins(&other, pool, 1);
    assert_int_equal(next(&other, now).action, PLAN_WAIT);
    assert_sends(&other, now + 2 * S, 0);
    plan_end(&other, now + 2 * S);
    plan_end(&lost, now + 2 * S);
    pool_free(pool);
}

/* The waits of one request add up to max_wait_ns. */
static void waiting_has_an_end(void **state)
{
    struct pool *pool = patient_pool(1, NULL, 10);
    struct plan plan;
    struct plan_step step;
    int64_t now = 0;

    (void)state;
    send_one(&plan, pool, 0, 0);
    for (int i = 0; i < 20; i++) {
        hear(&plan, with_wait(limited, 6 * S), 429, now);
        step = next(&plan, now);
        if (step.action != PLAN_WAIT)
            break;
        now = step.until_ns;
        assert_sends(&plan, now, 0);
    }
    assert_int_not_equal(step.action, PLAN_SEND);
    assert_in_range(now, 10 * S, 20 * S);
    plan_end(&plan, now);
    pool_free(pool);
}

/* The service fails the one who tried it: nobody in line has to ask again before it may be tried
 * the next time. */
static void nobody_looks_in_vain_while_the_service_rests(void **state)
{
    struct pool *pool = patient_pool(1, NULL, 10);
    struct plan trial, first, second;
    int64_t until;

    (void)state;
    one(pool, 0, overloaded, 0);
    send_one(&trial, pool, 0, 2 * S);
    assert_int_equal(begins(&first, pool, 2 * S).action, PLAN_WAIT);
    assert_int_equal(begins(&second, pool, 2 * S).action, PLAN_WAIT);
    assert_int_equal(pool_waiting(pool), 2);
    hear(&trial, overloaded, 503, 2 * S + 10 * MS);
    until = next(&first, 2 * S + 200 * MS).until_ns;
    assert_in_range(until, 4 * S, 4300 * MS);
    assert_true(next(&second, 2 * S + 200 * MS).until_ns >= until);
    plan_end(&second, 3 * S);
    plan_end(&first, 3 * S);
    plan_end(&trial, 3 * S);
    pool_free(pool);
}

/* Asks until it is sent; returns when that is. */
static int64_t patiently(struct plan *plan, int64_t now)
{
    struct plan_step step;

    while ((step = next(plan, now)).action == PLAN_WAIT)
        now = step.until_ns;
    assert_int_equal(step.action, PLAN_SEND);
    return now;
}

/* A request that has one attempt left on a service that may be tried again at the time returned. */
static int64_t with_one_attempt_left(struct plan *plan, struct pool *pool)
{
    int64_t now = 0;

    begin(plan, pool, now);
    for (int attempt = 1; attempt < PLAN_SERVICE_ATTEMPTS; attempt++) {
        now = patiently(plan, now);
        hear(plan, attempt == PLAN_SERVICE_ATTEMPTS - 1 ? overloaded : server_error, 503, now);
    }
    return now + 8 * S;
}

/* If the service is not back yet, the trial costs its request an attempt: not the one that has but
 * one left, where another comes. */
static void the_last_attempt_is_no_trial(void **state)
{
    struct pool *pool = patient_pool(1, NULL, 10);
    struct plan old, young;
    int64_t now = with_one_attempt_left(&old, pool);

    (void)state;
    assert_int_equal(next(&old, now).action, PLAN_WAIT);
    send_one(&young, pool, 0, now + 1);
    assert_int_equal(next(&old, now + 2).action, PLAN_WAIT);
    hear(&young, served, 200, now + 3);
    assert_true(patiently(&old, now + 3) < now + 100 * MS);
    plan_end(&old, now + S);
    plan_end(&young, now + S);
    pool_free(pool);
}

static void the_last_attempt_is_a_trial_where_nobody_else_comes(void **state)
{
    struct pool *pool = patient_pool(1, NULL, 10);
    struct plan plan;
    int64_t now = with_one_attempt_left(&plan, pool);

    (void)state;
    assert_in_range(patiently(&plan, now), now + 1, now + 100 * MS);
    plan_end(&plan, now + S);
    pool_free(pool);
}

enum { CROWD = 64 };

/* A line of CROWD behind the only key, which rests for 10 s. */
static struct pool *crowded_pool(struct plan plans[CROWD])
{
    struct pool *pool = patient_pool(1, NULL, CROWD);

    one(pool, 0, with_wait(limited, 10 * S), 0);
    for (unsigned i = 0; i < CROWD; i++)
        assert_int_equal(begins(&plans[i], pool, 1).action, PLAN_WAIT);
    return pool;
}

static void disperse(struct plan plans[CROWD], int64_t now)
{
    for (unsigned i = 0; i < CROWD; i++)
        plan_end(&plans[i], now);
}

/* All who are called when the epoch has moved ask; how many that are. */
static unsigned wake(struct plan plans[CROWD], int64_t now)
{
    bool called[CROWD];
    unsigned asked = 0;

    for (unsigned i = 0; i < CROWD; i++)
        called[i] = plans[i].current == KEY_NONE && plan_is_called(&plans[i]);
    for (unsigned i = 0; i < CROWD; i++) {
        if (called[i])
            (void)next(&plans[i], now);
        asked += called[i];
    }
    return asked;
}

static void assert_in_flight(struct pool *pool, uint64_t wanted, int64_t now)
{
    uint64_t in_flight = 0;

    for (size_t i = 0; i < pool_count(pool); i++)
        in_flight += view(pool, i, now).in_flight;
    assert_int_equal(in_flight, wanted);
}

static void news_that_help_nobody_call_one(void **state)
{
    struct plan plans[CROWD];
    struct pool *pool = crowded_pool(plans);
    uint64_t epoch;

    (void)state;
    assert_int_equal(wake(plans, 2), 0);
    for (int i = 0; i < 10; i++) {
        epoch = pool_epoch(pool);
        pool_configure(pool, &pool->options);
        assert_true(pool_epoch(pool) != epoch);
        assert_int_equal(wake(plans, S + i), 1);
    }
    assert_int_equal(pool_waiting(pool), CROWD);
    disperse(plans, 2 * S);
    pool_free(pool);
}

/* A key that can serve everybody is loaded: each who goes calls the next, so all go now and each
 * has asked once. */
static void keys_that_come_call_one_by_one(void **state)
{
    const struct key_spec specs[] = {{.identity = 1000}, {.identity = 1001, .cookie = 1}};
    struct plan plans[CROWD];
    struct pool *pool = crowded_pool(plans);
    uint64_t epoch;

    (void)state;
    assert_int_equal(pool_load(pool, specs, 2, 2), STATUS_OK);
    for (unsigned gone = 0; gone < CROWD; gone++) {
        assert_in_flight(pool, gone, 2);
        assert_int_equal(wake(plans, 2), 1);
    }
    assert_int_equal(pool_waiting(pool), 0);
    epoch = pool_epoch(pool);
    disperse(plans, 3);
    assert_true(pool_epoch(pool) - epoch <= CROWD);
    pool_free(pool);
}

/* Who is first and gives up calls the next; one further behind calls nobody. */
static void who_gives_up_calls_the_next(void **state)
{
    struct plan plans[CROWD];
    struct pool *pool = crowded_pool(plans);

    (void)state;
    plan_abandon(&plans[5], 2);
    for (unsigned i = 0; i < CROWD; i++)
        assert_int_equal(plans[i].queue && plan_is_called(&plans[i]), 0);
    plan_abandon(&plans[0], 2);
    assert_true(plan_is_called(&plans[1]));
    assert_false(plan_is_called(&plans[2]));
    disperse(plans, 2);
    pool_free(pool);
}

/* The line goes by the clock where nothing turns out better than foretold: nobody calls. */
static void a_line_at_its_pace_calls_nobody(void **state)
{
    struct plan plans[CROWD];
    struct pool *pool = crowded_pool(plans);
    int64_t now = next(&plans[0], 2).until_ns;
    uint64_t epoch;

    (void)state;
    assert_sends(&plans[0], now, 0);
    hear(&plans[0], served, 200, now);
    assert_sends(&plans[1], plans[1].told_ns, 0);
    epoch = pool_epoch(pool);
    assert_sends(&plans[2], plans[2].told_ns, 0);
    assert_sends(&plans[3], plans[3].told_ns, 0);
    assert_int_equal(pool_epoch(pool), epoch);
    disperse(plans, now + S);
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_limit_is_waited_for),
        cmocka_unit_test(what_takes_longer_is_refused_at_once),
        cmocka_unit_test(a_deadline_before_recovery_is_honoured),
        cmocka_unit_test(a_full_line_refuses_at_once),
        cmocka_unit_test(nobody_jumps_the_line),
        cmocka_unit_test(the_lost_hold_up_nobody),
        cmocka_unit_test(waiting_has_an_end),
        cmocka_unit_test(nobody_looks_in_vain_while_the_service_rests),
        cmocka_unit_test(the_last_attempt_is_no_trial),
        cmocka_unit_test(the_last_attempt_is_a_trial_where_nobody_else_comes),
        cmocka_unit_test(news_that_help_nobody_call_one),
        cmocka_unit_test(keys_that_come_call_one_by_one),
        cmocka_unit_test(who_gives_up_calls_the_next),
        cmocka_unit_test(a_line_at_its_pace_calls_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
