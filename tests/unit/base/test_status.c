#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/status.h"

static void test_texts(void **state)
{
    static const enum status all[] = {
#define X(code, value, text) code,
        STATUS_TABLE(X)
#undef X
    };

    (void)state;
    assert_int_equal(STATUS_OK, 0);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        assert_true(all[i] <= 0);
        assert_true(*status_text(all[i]));
        for (size_t j = 0; j < i; j++) {
            assert_int_not_equal(all[i], all[j]);
            assert_string_not_equal(status_text(all[i]), status_text(all[j]));
        }
    }
    assert_string_equal(status_text((enum status)12345), "unknown status");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_texts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
