#include "keyring/condition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void all_keys_together(void **state)
{
    (void)state;
    assert_string_equal(condition_overall(0, 0), "unhealthy");
    assert_string_equal(condition_overall(0, 2), "unhealthy");
    assert_string_equal(condition_overall(1, 2), "degraded");
    assert_string_equal(condition_overall(1, 0), "healthy");
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
        cmocka_unit_test(all_keys_together),
        cmocka_unit_test(what_brings_it_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
