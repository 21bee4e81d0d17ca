#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void what_is_utf8(void **state)
{
    (void)state;
    assert_true(utf8_valid(SLICE("")));
    assert_true(utf8_valid(SLICE("plain, gr\xC3\xBC\xC3\x9F, \xE2\x82\xAC, \xF0\x9F\x94\x91")));
    assert_false(utf8_valid(SLICE("\xFF")));
    assert_false(utf8_valid(SLICE("cut \xE2\x82")));
    assert_false(utf8_valid(SLICE("overlong \xC0\xAF")));
    assert_false(utf8_valid(SLICE("surrogate \xED\xA0\x80")));
    assert_false(utf8_valid(SLICE("beyond \xF4\x90\x80\x80")));
}

static void the_length_of_one(void **state)
{
    (void)state;
    assert_int_equal(utf8_length(SLICE("a\xFF")), 1);
    assert_int_equal(utf8_length(SLICE("\xE2\x82\xAC")), 3);
    assert_int_equal(utf8_length(SLICE("\x80")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_utf8),
        cmocka_unit_test(the_length_of_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
