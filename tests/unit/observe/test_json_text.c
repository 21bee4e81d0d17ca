/* Text in JSON, whatever it is made of. test_log.c reads the same rules in whole lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "observe/json_text.h"

static void assert_written(struct slice text, const char *expected)
{
    struct buffer out = {0};
    struct text t = text_into(&out, 1024);

    json_put_string(&t, text);
    assert_int_equal(t.status, STATUS_OK);
    if (!slice_eq(buffer_slice(&out), slice_str(expected)))
        fail_msg("%.*s instead of %s", (int)out.len, out.data, expected);
    buffer_clear(&out);
}

static void strings_are_quoted(void **state)
{
    (void)state;
    assert_written(SLICE(""), "\"\"");
    assert_written(SLICE("say \"hi\" \\"), "\"say \\\"hi\\\" \\\\\"");
    assert_written(SLICE("a\nb\x01\x7f\xc2\x9b"), "\"a\\nb\\u0001\\u007f\\u009b\"");
    assert_written(SLICE("\xff.\xe2\x82"), "\"\\ufffd.\\ufffd\\ufffd\"");
    assert_written(SLICE("\xf0\x9f\x94\x91"), "\"\xf0\x9f\x94\x91\"");
    assert_written(slice_of("a\0b", 3), "\"a\\u0000b\"");
}

static void the_first_failure_sticks(void **state)
{
    struct buffer out = {0};
    struct text t = text_into(&out, 4);

    (void)state;
    json_put_string(&t, SLICE("too long"));
    assert_int_equal(t.status, STATUS_LIMIT);
    buffer_clear(&out);
}

static void times_are_of_iso_8601(void **state)
{
    char out[JSON_TIME_MAX];

    (void)state;
    assert_string_equal(json_time(0, out), "1970-01-01T00:00:00.000Z");
    assert_string_equal(json_time(1767225599007, out), "2025-12-31T23:59:59.007Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_quoted),
        cmocka_unit_test(the_first_failure_sticks),
        cmocka_unit_test(times_are_of_iso_8601),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
