#include "pool_test.h"

#include <string.h>

static void every_scope_and_failure_has_its_own_name(void **state)
{
    (void)state;
    for (int i = 0; i < SCOPE_COUNT; i++)
        for (int j = 0; j < i; j++)
            assert_string_not_equal(scope_name((enum scope)i), scope_name((enum scope)j));
    for (int i = 0; i < FAILURE_COUNT; i++)
        for (int j = 0; j < i; j++)
            assert_string_not_equal(failure_name((enum failure)i), failure_name((enum failure)j));
    assert_string_equal(scope_name(SCOPE_PROJECT_MODEL), "project+model");
    assert_string_equal(failure_name(FAILURE_RATE), "rate_limited");
}

static void values_outside_the_tables_are_unknown(void **state)
{
    (void)state;
    assert_string_equal(scope_name(SCOPE_COUNT), "unknown");
    assert_string_equal(failure_name((enum failure)1000), "unknown");
}

/* No class passes that disables a key, and only what the caller can understand outranks the rest. */
static void classes_have_their_facts(void **state)
{
    (void)state;
    assert_true(failure_passes(FAILURE_RATE));
    assert_true(failure_passes(FAILURE_NETWORK));
    assert_false(failure_passes(FAILURE_REVOKED));
    assert_false(failure_passes(FAILURE_QUOTA));
    assert_false(failure_passes(FAILURE_DISABLED));
    assert_false(failure_passes(FAILURE_COUNT));
    assert_int_equal(failure_rank(FAILURE_CALLER), RANK_CALLER);
    assert_int_equal(failure_rank(FAILURE_SLOW_DOWN), RANK_RATE);
    assert_int_equal(failure_rank(FAILURE_SERVER), RANK_SERVICE);
    assert_int_equal(failure_rank(FAILURE_REVOKED), RANK_NONE);
    assert_int_equal(failure_rank(FAILURE_COUNT), RANK_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_scope_and_failure_has_its_own_name),
        cmocka_unit_test(values_outside_the_tables_are_unknown),
        cmocka_unit_test(classes_have_their_facts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
