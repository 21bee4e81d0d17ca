#include "pool_test.h"

#include <string.h>

/* Asked once, not 32 times: a cold start at concurrency 32 with a revoked primary. */
static void an_unproven_key_is_asked_once_at_a_cold_start(void **state)
{
    struct pool_options options = options_of(STRATEGY_PRIMARY_FIRST);
    struct pool *pool;
    struct plan plans[32];
    uint64_t epoch;
    int sent = 0;

    (void)state;
    options.proof_wait_ns = 300 * MS;
    pool = pool_of(&options, 2, NULL);
    for (int i = 0; i < 32; i++) {
        struct plan_step step;
        begin(&plans[i], pool, 10);
        step = next(&plans[i], 10);
        sent += step.action == PLAN_SEND;
        if (i > 0)
            assert_int_equal(step.until_ns, 10 + 300 * MS);
    }
    assert_int_equal(sent, 1);
    epoch = pool_epoch(pool);
    hear(&plans[0], revoked, 401, 20);
    assert_true(pool_epoch(pool) != epoch);
    assert_sends(&plans[0], 20, 1);
    for (int i = 1; i < 32; i++)
        assert_int_equal(next(&plans[i], 20).action, PLAN_WAIT); /* for the fallback's proof */
    hear(&plans[0], served, 200, 30);
    for (int i = 1; i < 32; i++) {
        assert_sends(&plans[i], 30, 1);
        hear(&plans[i], served, 200, 40);
    }
    for (int i = 0; i < 32; i++)
        plan_end(&plans[i], 50);
    assert_int_equal(view(pool, 0, 50).requests, 1);
    assert_int_equal(view(pool, 1, 50).requests, 32);
    pool_free(pool);
}

/* Who has waited long enough goes elsewhere, where somebody is ready. */
static void waiting_for_a_proof_ends(void **state)
{
    struct pool_options options = options_of(STRATEGY_PRIMARY_FIRST);
    struct plan first, second;
    struct pool *pool;

    (void)state;
    options.proof_wait_ns = 300 * MS;
    pool = pool_of(&options, 2, NULL);
    begin(&first, pool, 0);
    assert_sends(&first, 0, 0);
    begin(&second, pool, 100 * MS);
    assert_int_equal(wait_of(&second, 100 * MS), 300 * MS);
    assert_sends(&second, 300 * MS, 1);
    plan_end(&first, 300 * MS);
    plan_end(&second, 300 * MS);
    pool_free(pool);
}

/* A crowd at two keys, neither of which ever says a word: one request each, and then after each wait
 * twice as many. */
static void a_silent_key_is_asked_by_few(void **state)
{
    static const unsigned so_far[][2] = {{1, 0}, {1, 1}, {4, 2}, {8, 4}};
    struct pool_options options = options_of(STRATEGY_PRIMARY_FIRST);
    struct plan plans[64];
    struct pool *pool;

    (void)state;
    options.proof_wait_ns = 300 * MS;
    pool = pool_of(&options, 2, NULL);
    for (int i = 0; i < 64; i++)
        begin(&plans[i], pool, 0);
    for (unsigned step = 0; step < sizeof so_far / sizeof *so_far; step++) {
        int64_t now = 300 * MS * step;
        for (int i = 0; i < 64; i++)
            if (plans[i].current == KEY_NONE)
                (void)next(&plans[i], now);
        for (unsigned key = 0; key < 2; key++)
            assert_int_equal(view(pool, key, now).in_flight, so_far[step][key]);
    }
    for (int i = 0; i < 64; i++)
        plan_end(&plans[i], 2 * S);
    pool_free(pool);
}

static void a_proof_ends_when_the_stream_flows(void **state)
{
    struct pool_options options = options_of(STRATEGY_PRIMARY_FIRST);
    struct plan first, second;
    struct pool *pool;

    (void)state;
    options.proof_wait_ns = 300 * MS;
    pool = pool_of(&options, 2, NULL);
    begin(&first, pool, 0);
    assert_sends(&first, 0, 0);
    begin(&second, pool, 0);
    wait_of(&second, 0);
    plan_proven(&first, 1);
    assert_sends(&second, 1, 0);
    plan_end(&first, 2);
    plan_end(&second, 2);
    pool_free(pool);
}

static void a_lone_key_needs_no_proof(void **state)
{
    struct pool_options options = options_of(STRATEGY_PRIMARY_FIRST);
    struct plan first, second;
    struct pool *pool;

    (void)state;
    options.proof_wait_ns = 300 * MS;
    pool = pool_of(&options, 1, NULL);
    begin(&first, pool, 0);
    assert_sends(&first, 0, 0);
    begin(&second, pool, 0);
    assert_sends(&second, 0, 0);
    plan_end(&first, 1);
    plan_end(&second, 1);
    pool_free(pool);
}

static void a_key_in_trial_is_waited_for_when_it_is_the_only_one(void **state)
{
    struct pool *pool = plain_pool(1);
    struct plan trial, other;
    int64_t now = 20 * S;

    (void)state;
    one(pool, 0, with_wait(limited, 10 * S), 0);
    begin(&trial, pool, now);
    assert_sends(&trial, now, 0);
    begin(&other, pool, now);
    assert_int_equal(wait_of(&other, now), now + PLAN_PATIENCE_NS);
    assert_int_equal(next(&other, now + PLAN_PATIENCE_NS).status, 429);
    assert_int_equal(next(&other, now + PLAN_PATIENCE_NS).retry_after_s, 1);
    plan_end(&other, now + PLAN_PATIENCE_NS);
    begin(&other, pool, now);
    wait_of(&other, now);
    hear(&trial, served, 200, now + 1);
    assert_sends(&other, now + 1, 0);
    plan_end(&other, now + 2);
    plan_end(&trial, now + 2);
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unproven_key_is_asked_once_at_a_cold_start),
        cmocka_unit_test(waiting_for_a_proof_ends),
        cmocka_unit_test(a_silent_key_is_asked_by_few),
        cmocka_unit_test(a_proof_ends_when_the_stream_flows),
        cmocka_unit_test(a_lone_key_needs_no_proof),
        cmocka_unit_test(a_key_in_trial_is_waited_for_when_it_is_the_only_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
