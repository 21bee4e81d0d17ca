#include "openai/advice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void every_failure_has_advice(void **state)
{
    (void)state;
    for (int f = 0; f < FAILURE_COUNT; f++) {
        const char *text = advice_on((enum failure)f);
        assert_non_null(text);
        assert_true(strlen(text) > 10);
        assert_int_not_equal(text[strlen(text) - 1], '.');
    }
}

static void it_says_what_to_do(void **state)
{
    (void)state;
    assert_non_null(strstr(advice_on(FAILURE_QUOTA), "billing"));
    assert_non_null(strstr(advice_on(FAILURE_REVOKED), "OPENAI_API_KEY"));
    assert_non_null(strstr(advice_on(FAILURE_NETWORK), "SPAREKEY_UPSTREAM_URL"));
    assert_string_equal(advice_on(FAILURE_COUNT), advice_on(FAILURE_NONE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failure_has_advice),
        cmocka_unit_test(it_says_what_to_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
