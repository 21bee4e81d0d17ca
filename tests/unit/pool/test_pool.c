#include "pool_test.h"

#include <stdlib.h>

#include "../support/failing_memory.h"

static void a_running_pool_can_be_switched(void **state)
{
    struct pool_options options = options_of(STRATEGY_PRIMARY_FIRST);
    struct pool *pool = rotating_pool(3, NULL);
    uint64_t epoch = pool_epoch(pool);

    (void)state;
    one(pool, 0, served, 0);
    pool_configure(pool, &options);
    assert_true(pool_epoch(pool) != epoch);
    one(pool, 0, served, 0);
    pool_free(pool);
}
static void the_view_shows_the_worst(void **state)
{
    struct pool *pool = rotating_pool(2, NULL);
    struct plan plan;
    struct key_view v;

    (void)state;
    send_one(&plan, pool, 0, 5);
    hear(&plan, limited, 429, 6);
    plan_end(&plan, 6);
    v = view(pool, 0, 7);
    assert_true(v.rate_limited);
    assert_int_equal(v.scope, SCOPE_PROJECT_MODEL);
    assert_int_equal(v.reason, FAILURE_RATE);
    assert_int_equal(v.open_since_ns, 6);
    assert_int_equal(v.evidence.status, 429);
    assert_string_equal(v.evidence.code, "test");
    assert_int_equal(v.consecutive_errors, 1);
    assert_int_equal(v.requests, 1);
    v = view(pool, 1, 7);
    assert_int_equal(v.circuit, CIRCUIT_CLOSED);
    assert_false(v.rate_limited);
    pool_free(pool);
}

static void a_pool_is_made_whole_or_not_at_all(void **state)
{
    struct pool_options options = options_of(STRATEGY_ROUND_ROBIN);
    enum status status = STATUS_NO_MEMORY;
    struct pool *pool = NULL;

    (void)state;
    for (unsigned n = 1; status == STATUS_NO_MEMORY; n++) {
        fail_at = n;
        status = pool_new(&options, &pool);
        fail_at = 0;
        assert_true((status == STATUS_OK) == (pool != NULL));
    }
    pool_free(pool);
    pool_free(NULL);
}

static void requests_go_on_without_memory(void **state)
{
    struct pool_options options = options_of(STRATEGY_PRIMARY_FIRST);
    struct pool *pool = pool_of(&options, 8, NULL);
    struct plan plan;
    struct plan_step step;

    (void)state;
    begin(&plan, pool, 0);
    for (uint64_t i = 0; i < PLAN_INLINE_ATTEMPTS; i++) {
        assert_sends(&plan, 0, i);
        fail_at = 1;
        hear(&plan, revoked, 401, 0); /* no breaker: not remembered, nothing worse */
        fail_at = 0;
        assert_int_equal(view(pool, i, 0).circuit, CIRCUIT_CLOSED);
    }
    fail_at = 1;
    step = next(&plan, 0); /* no room in the trail */
    fail_at = 0;
    assert_int_equal(step.action, PLAN_GIVE_UP);
    assert_int_equal(step.status, 503);
    plan_end(&plan, 0);
    fail_at = 1;
    pool_learn(pool, 0, SLICE("acme"), SLICE("p"));
    fail_at = 0;
    pool_check(pool);
    assert_int_equal(view(pool, 0, 0).organization.len, 0);
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_running_pool_can_be_switched),
        cmocka_unit_test(the_view_shows_the_worst),
        cmocka_unit_test(a_pool_is_made_whole_or_not_at_all),
        cmocka_unit_test(requests_go_on_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
