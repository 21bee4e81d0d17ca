#include "pool_test.h"

static struct pool *probing_pool(size_t count)
{
    struct pool_options options = options_of(STRATEGY_ROUND_ROBIN);

    options.probe_interval_ns = 300 * S;
    options.lease_ns = 60 * S;
    return pool_of(&options, count, NULL);
}

static bool probe(struct pool *pool, int64_t now, uint64_t *cookie, key_id *key, int64_t *due)
{
    bool found = pool_probe_next(pool, now, key, due);

    pool_check(pool);
    if (found)
        *cookie = pool_key_cookie(pool, *key);
    return found;
}

static void only_what_a_probe_can_disprove(void **state)
{
    struct pool *pool = probing_pool(3);
    uint64_t epoch = pool_epoch(pool), cookie;
    int64_t due;
    key_id key;

    (void)state;
    assert_false(probe(pool, 0, &cookie, &key, &due));
    assert_true(due == INT64_MAX);
    one(pool, 0, no_quota, 0);
    assert_false(probe(pool, 1, &cookie, &key, &due));
    assert_true(due == INT64_MAX);
    one(pool, 1, revoked, 1);
    assert_true(pool_epoch(pool) != epoch);
    assert_false(probe(pool, 2, &cookie, &key, &due));
    assert_int_equal(due, 300 * S + 1);
    assert_true(probe(pool, due, &cookie, &key, &due));
    assert_int_equal(cookie, 1);
    pool_probe_hear(pool, key, &served, NULL, 301 * S);
    assert_int_equal(view(pool, 1, 302 * S).circuit, CIRCUIT_CLOSED);
    pool_free(pool);
}

static void a_key_still_dead_stays_out_and_is_probed_again(void **state)
{
    struct pool *pool = probing_pool(2);
    struct evidence evidence = {.status = 401, .code = "invalid_api_key", .request_id = "r2"};
    uint64_t cookie;
    int64_t due, now = 300 * S;
    key_id key;

    (void)state;
    one(pool, 0, revoked, 0);
    for (int i = 0; i < 10; i++) {
        assert_true(probe(pool, now, &cookie, &key, &due));
        pool_probe_hear(pool, key, &revoked, &evidence, now + 1);
        assert_false(probe(pool, now + 2, &cookie, &key, &due));
        assert_int_equal(due, now + 300 * S);
        now = due;
        /* 50 minutes: no request is spent on it, though its 15 are over. */
        one(pool, 1, served, now);
    }
    assert_int_equal(view(pool, 0, now).circuit, CIRCUIT_OPEN);
    assert_string_equal(view(pool, 0, now).evidence.request_id, "r2");
    pool_free(pool);
}

static void two_at_once_spread_out_and_the_lost_return(void **state)
{
    struct pool *pool = probing_pool(10);
    uint64_t cookie;
    int64_t due, now = 300 * S;
    key_id keys[3];

    (void)state;
    for (uint64_t i = 0; i < 10; i++)
        one(pool, i, revoked, 0);
    assert_true(probe(pool, now, &cookie, &keys[0], &due));
    assert_false(probe(pool, now, &cookie, &keys[1], &due));
    assert_int_equal(due, now + 30 * S);
    now = due;
    assert_true(probe(pool, now, &cookie, &keys[1], &due));
    assert_false(probe(pool, now + 29 * S, &cookie, &keys[2], &due)); /* two are under way */
    assert_int_equal(due, 360 * S);
    assert_true(probe(pool, due, &cookie, &keys[2], &due));      /* the first is lost */
    pool_probe_hear(pool, keys[0], &served, NULL, now + 31 * S); /* too late */
    assert_int_equal(view(pool, 0, now).circuit, CIRCUIT_OPEN);
    pool_probe_hear(pool, keys[1], NULL, NULL, now + 31 * S);
    pool_probe_hear(pool, keys[2], &server_error, NULL, now + 31 * S);
    pool_check(pool);
    assert_int_equal(view(pool, 1, now).circuit, CIRCUIT_OPEN);
    pool_free(pool);
}

/* When nobody probes any more, time half-opens again. */
static void without_a_prober_time_decides(void **state)
{
    struct pool *pool = probing_pool(1);
    struct plan plan;

    (void)state;
    one(pool, 0, revoked, 0);
    send_one(&plan, pool, 0, 1000 * S);
    plan_end(&plan, 1000 * S);
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_a_probe_can_disprove),
        cmocka_unit_test(a_key_still_dead_stays_out_and_is_probed_again),
        cmocka_unit_test(two_at_once_spread_out_and_the_lost_return),
        cmocka_unit_test(without_a_prober_time_decides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
