#include "pool_test.h"

static void a_revoked_primary_is_replaced_at_once(void **state)
{
    struct pool_options options = options_of(STRATEGY_PRIMARY_FIRST);
    struct pool *pool = pool_of(&options, 3, NULL);
    struct plan plan;

    (void)state;
    begin(&plan, pool, 0);
    assert_sends(&plan, 0, 0);
    assert_false(hear(&plan, revoked, 401, 1));
    assert_sends(&plan, 1, 1);
    hear(&plan, served, 200, 2);
    assert_int_equal(next(&plan, 2).action, PLAN_RETURN);
    plan_end(&plan, 2);
    begin(&plan, pool, 3);
    assert_sends(&plan, 3, 2);
    plan_end(&plan, 4);
    assert_int_equal(view(pool, 0, 3).circuit, CIRCUIT_OPEN);
    assert_int_equal(view(pool, 0, 3).consecutive_errors, 1);
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_revoked_primary_is_replaced_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
