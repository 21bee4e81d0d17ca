/* The tracer: the fields it sends spans with. Queue, retries and the end are in tests/e2e/test_traces.py,
 * where there is a collector; the spans themselves in test_otlp.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/tracer.h"

static void assert_fields(const char *headers, const char *expected)
{
    struct buffer out = {0};

    assert_int_equal(tracer_fields(&out, slice_str(headers)), STATUS_OK);
    if (!slice_eq(buffer_slice(&out), slice_str(expected)))
        fail_msg("%s: %.*s", headers, (int)out.len, out.len ? out.data : "");
    buffer_clear(&out);
}

static void headers_become_fields(void **state)
{
    (void)state;
    assert_fields("", "");
    assert_fields("a=b", "a: b\r\n");
    assert_fields("authorization=Basic%20dXNlcg==, x-b = 2",
                  "authorization: Basic dXNlcg==\r\nx-b: 2\r\n");
    assert_fields("a=%4", "a: %4\r\n");
    assert_fields("no value,bad name=1,=2,a=1", "a: 1\r\n");
}

static void no_field_can_bring_another(void **state)
{
    (void)state;
    assert_fields("a=b%0d%0ahost:%20evil", "a: bhost: evil\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_become_fields),
        cmocka_unit_test(no_field_can_bring_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
