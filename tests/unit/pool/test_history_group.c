#include "pool/history_group.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* The name of each group, and every class of failures has one. */
static void classes_have_groups(void **state)
{
    (void)state;
    assert_int_equal(history_group_of(FAILURE_RATE), HISTORY_RATE_LIMITED);
    assert_int_equal(history_group_of(FAILURE_QUOTA), HISTORY_QUOTA);
    assert_int_equal(history_group_of(FAILURE_REVOKED), HISTORY_KEY);
    assert_int_equal(history_group_of(FAILURE_SERVER), HISTORY_SERVICE);
    assert_int_equal(history_group_of(FAILURE_TIMEOUT), HISTORY_NETWORK);
    assert_int_equal(history_group_of(FAILURE_CALLER), HISTORY_CALLER);
    for (int f = 0; f < FAILURE_COUNT; f++)
        assert_in_range(history_group_of((enum failure)f), 0, HISTORY_GROUPS - 1);
    assert_string_equal(history_group_name(HISTORY_RATE_LIMITED), "rate_limited");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(classes_have_groups)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
