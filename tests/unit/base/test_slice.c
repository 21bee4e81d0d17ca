#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/slice.h"

static const struct slice empty = {NULL, 0};

static void test_equality(void **state)
{
    (void)state;
    assert_true(slice_eq(SLICE("abc"), SLICE("abc")));
    assert_false(slice_eq(SLICE("abc"), SLICE("abd")));
    assert_false(slice_eq(SLICE("abc"), SLICE("ab")));
    assert_false(slice_eq(SLICE("abc"), SLICE("ABC")));
    assert_true(slice_eq(SLICE("a\0b"), SLICE("a\0b")));
    assert_false(slice_eq(SLICE("a\0b"), SLICE("a\0c")));
    assert_true(slice_eq(empty, SLICE("")));
    assert_true(slice_ieq(SLICE("Retry-After"), SLICE("retry-AFTER")));
    assert_false(slice_ieq(SLICE("Retry-After"), SLICE("retry_after")));
    assert_false(slice_ieq(SLICE("ab"), SLICE("abc")));
    assert_true(slice_ieq(empty, empty));
}

static void test_ends(void **state)
{
    (void)state;
    assert_true(slice_starts(SLICE("/v1/x"), SLICE("/v1")));
    assert_true(slice_starts(SLICE("/v1"), SLICE("/v1")));
    assert_false(slice_starts(SLICE("/v"), SLICE("/v1")));
    assert_true(slice_starts(SLICE("x"), empty));
    assert_true(slice_starts(empty, empty));
    assert_true(slice_ends(SLICE("a.json"), SLICE(".json")));
    assert_false(slice_ends(SLICE("json"), SLICE(".json")));
    assert_true(slice_ends(empty, empty));
}

static void test_from(void **state)
{
    (void)state;
    assert_true(slice_eq(slice_from(SLICE("abc"), 0), SLICE("abc")));
    assert_true(slice_eq(slice_from(SLICE("abc"), 2), SLICE("c")));
    assert_int_equal(slice_from(SLICE("abc"), 3).len, 0);
    assert_int_equal(slice_from(SLICE("abc"), 99).len, 0);
    assert_int_equal(slice_from(empty, 0).len, 0);
}

static void test_trim(void **state)
{
    (void)state;
    assert_true(slice_eq(slice_trim(SLICE(" \t a b\t ")), SLICE("a b")));
    assert_true(slice_eq(slice_trim(SLICE("a")), SLICE("a")));
    assert_int_equal(slice_trim(SLICE(" \t ")).len, 0);
    assert_int_equal(slice_trim(empty).len, 0);
    assert_true(slice_eq(slice_trim(SLICE("\na\r")), SLICE("\na\r"))); /* spaces and tabs only */
}

static void test_contains(void **state)
{
    (void)state;
    assert_true(slice_contains_nocase(SLICE("You exceeded your Quota"), SLICE("QUOTA")));
    assert_true(slice_contains_nocase(SLICE("abc"), SLICE("abc")));
    assert_true(slice_contains_nocase(SLICE("aab"), SLICE("ab")));
    assert_false(slice_contains_nocase(SLICE("abc"), SLICE("abcd")));
    assert_false(slice_contains_nocase(SLICE("abc"), SLICE("ca")));
    assert_true(slice_contains_nocase(SLICE("abc"), empty));
    assert_true(slice_contains_nocase(empty, empty));
    assert_false(slice_contains_nocase(empty, SLICE("a")));
}

static void test_copy(void **state)
{
    char out[4];

    (void)state;
    assert_int_equal(slice_copy(SLICE("ab"), out, sizeof out), 2);
    assert_string_equal(out, "ab");
    assert_int_equal(slice_copy(SLICE("abcdef"), out, sizeof out), 3);
    assert_string_equal(out, "abc");
    assert_int_equal(slice_copy(empty, out, sizeof out), 0);
    assert_string_equal(out, "");
    out[0] = 'x';
    assert_int_equal(slice_copy(SLICE("ab"), out, 0), 0);
    assert_int_equal(out[0], 'x'); /* no room, not even for the terminator */
    assert_int_equal(slice_copy(SLICE("ab"), out, 1), 0);
    assert_string_equal(out, "");
}

static void test_items(void **state)
{
    struct slice rest = SLICE(" a ,b,, c"), item;
    static const char *const expected[] = {"a", "b", "", "c"};

    (void)state;
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        assert_true(slice_next_item(&rest, ',', &item));
        assert_true(slice_eq(item, slice_str(expected[i])));
    }
    assert_false(slice_next_item(&rest, ',', &item));
    rest = empty;
    assert_false(slice_next_item(&rest, ',', &item));
}

static void test_str(void **state)
{
    (void)state;
    assert_int_equal(slice_str(NULL).len, 0);
    assert_int_equal(slice_str("abc").len, 3);
}

static void assert_unescaped(const char *text, bool form, const char *expected)
{
    char out[8];

    assert_int_equal(slice_unescape(slice_str(text), form, out, sizeof out), strlen(expected));
    assert_string_equal(out, expected);
}

static void test_unescape(void **state)
{
    (void)state;
    assert_unescaped("", false, "");
    assert_unescaped("a%2fB%2F", false, "a/B/");
    assert_unescaped("a+b", false, "a+b");
    assert_unescaped("a+b", true, "a b");
    assert_unescaped("%4", false, "%4");
    assert_unescaped("%4g%", false, "%4g%");
    assert_unescaped("123456789", false, "1234567");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equality), cmocka_unit_test(test_ends),
        cmocka_unit_test(test_from),     cmocka_unit_test(test_trim),
        cmocka_unit_test(test_contains), cmocka_unit_test(test_copy),
        cmocka_unit_test(test_items),    cmocka_unit_test(test_str),
        cmocka_unit_test(test_unescape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
