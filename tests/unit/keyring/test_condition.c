#include "keyring/condition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void each_key_is_one_of_three(void **state)
{
    struct key_view open = {.circuit = CIRCUIT_OPEN, .scope = SCOPE_KEY};

    (void)state;
    assert_int_equal(condition_of(&(struct key_view){.circuit = CIRCUIT_CLOSED}),
                     CONDITION_HEALTHY);
    assert_int_equal(condition_of(&(struct key_view){.disabled = true}), CONDITION_UNHEALTHY);
    assert_int_equal(condition_of(&open), CONDITION_UNHEALTHY);
    open.scope = SCOPE_PROJECT_MODEL; /* it serves all other models */
    assert_int_equal(condition_of(&open), CONDITION_HEALTHY);
    open.rate_limited = true;
    assert_int_equal(condition_of(&open), CONDITION_RATE_LIMITED);
}

static void what_brings_it_back(void **state)
{
    struct key_view open = {.circuit = CIRCUIT_OPEN, .probe = PROBE_FREE};

    (void)state;
    assert_null(condition_readmission(&(struct key_view){.circuit = CIRCUIT_CLOSED}));
    assert_string_equal(condition_readmission(&open), "free probe");
    open.probe = PROBE_LIVE;
    assert_string_equal(condition_readmission(&open), "a live request");
    open.probe = PROBE_TIME;
    assert_string_equal(condition_readmission(&open), "time");
    open.disabled = true;
    assert_string_equal(condition_readmission(&open), "operator");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_key_is_one_of_three),
        cmocka_unit_test(what_brings_it_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
