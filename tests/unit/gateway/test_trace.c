/* traceparent: what is one, and what must be ignored (W3C Trace Context §3.2). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/trace.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN  "00f067aa0ba902b7"

static void a_good_one_is_read(void **state)
{
    (void)state;
    struct trace_parent parent;
    assert_true(trace_parse(SLICE("00-" TRACE "-" SPAN "-01"), &parent));
    assert_true(parent.trace[0] == UINT64_C(0x4bf92f3577b34da6));
    assert_true(parent.trace[1] == UINT64_C(0xa3ce929d0e0e4736));
    assert_true(parent.span == UINT64_C(0x00f067aa0ba902b7));
    assert_true(parent.sampled);
    assert_true(trace_parse(SLICE("00-" TRACE "-" SPAN "-00"), &parent));
    assert_false(parent.sampled);
    assert_true(trace_parse(SLICE("00-" TRACE "-" SPAN "-fe"), &parent));
    assert_false(parent.sampled);
}

static void a_version_to_come_may_say_more(void **state)
{
    (void)state;
    struct trace_parent parent;
    assert_true(trace_parse(SLICE("cc-" TRACE "-" SPAN "-01"), &parent));
    assert_true(trace_parse(SLICE("cc-" TRACE "-" SPAN "-01-what-the-future-holds"), &parent));
}

static void what_is_none_is_ignored_and_leaves_all_as_it_was(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "00",
        "00-" TRACE "-" SPAN,
        "00-" TRACE "-" SPAN "-0",
        "00-" TRACE "-" SPAN "-01-more",
        "00-" TRACE "-" SPAN "-01 ",
        "cc-" TRACE "-" SPAN "-01x",
        "ff-" TRACE "-" SPAN "-01",
        "0x-" TRACE "-" SPAN "-01",
        "00_" TRACE "-" SPAN "-01",
        "00-" TRACE "_" SPAN "-01",
        "00-" TRACE "-" SPAN "_01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01",
        "00-00000000000000000000000000000000-" SPAN "-01",
        "00-" TRACE "-0000000000000000-01",
        "00-" TRACE "-00f067aa0ba902bg-01",
    };
    struct trace_parent parent = {.span = 7};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (trace_parse(slice_str(bad[i]), &parent))
            fail_msg("taken: %s", bad[i]);
    }
    assert_int_equal(parent.span, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_one_is_read),
        cmocka_unit_test(a_version_to_come_may_say_more),
        cmocka_unit_test(what_is_none_is_ignored_and_leaves_all_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
