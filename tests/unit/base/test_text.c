#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"

static void test_pieces(void **state)
{
    struct buffer out = {0};
    struct text t = text_into(&out, 100);

    (void)state;
    text_put(&t, SLICE("a\0b"));
    text_put_str(&t, "=");
    text_put_number(&t, 0);
    text_put_str(&t, NULL);
    text_put_number(&t, UINT64_MAX);
    assert_int_equal(t.status, STATUS_OK);
    assert_true(slice_eq(buffer_slice(&out), SLICE("a\0b=018446744073709551615")));
    buffer_clear(&out);
}

/* The first failure sticks: a shorter piece that would fit must not close the gap. */
static void test_first_failure_sticks(void **state)
{
    struct buffer out = {0};
    struct text t = text_into(&out, 5);

    (void)state;
    text_put_str(&t, "abc");
    text_put_str(&t, "def");
    assert_int_equal(t.status, STATUS_LIMIT);
    text_put_str(&t, "g");
    text_put_number(&t, 7);
    assert_int_equal(t.status, STATUS_LIMIT);
    assert_true(slice_eq(buffer_slice(&out), SLICE("abc")));
    buffer_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_first_failure_sticks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
