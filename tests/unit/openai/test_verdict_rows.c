/* What must hold of every row of the table; what each of them decides is in test_verdict.c. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "openai/verdict.h"

static unsigned row_count(void)
{
    unsigned count = 0;
    while (verdict_row(count))
        count++;
    return count;
}

static void test_bounds(void **state)
{
    (void)state;
    assert_in_range(row_count(), 60, 1000);
    assert_null(verdict_row(row_count()));
    assert_null(verdict_row(UINT32_MAX));
}

static void test_names_are_unique(void **state)
{
    (void)state;
    for (unsigned i = 0; i < row_count(); i++) {
        assert_true(*verdict_row(i)->name);
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(verdict_row(j)->name, verdict_row(i)->name);
    }
}

/* Messages are compared with their case folded: a capital in a pattern would never match. */
static void test_patterns_are_lower_case(void **state)
{
    (void)state;
    for (unsigned i = 0; i < row_count(); i++) {
        for (const char *p = verdict_row(i)->message; p && *p; p++)
            assert_false(isupper((unsigned char)*p));
    }
}

/* A text can quote the request: its row must say which statuses it is known from. */
static void test_text_rows_name_their_statuses(void **state)
{
    (void)state;
    for (unsigned i = 0; i < row_count(); i++) {
        const struct verdict_row *row = verdict_row(i);
        if (row->message && !row->code)
            assert_in_range(row->status, 400, 599);
    }
}

static void test_verdicts_are_sound(void **state)
{
    (void)state;
    for (unsigned i = 0; i < row_count(); i++) {
        const struct verdict *v = &verdict_row(i)->verdict;
        assert_int_not_equal(v->reaction, REACT_SUCCESS);
        assert_int_not_equal(v->failure, FAILURE_NONE);
        assert_true(v->wait_ns == -1);
        assert_true(v->base_ns >= 0 && v->base_ns <= v->cap_ns);
        if (v->scope != SCOPE_REQUEST) /* a breaker that opens stays open for a while */
            assert_true(v->base_ns > 0);
        if (v->failure == FAILURE_POLICY || v->failure == FAILURE_CALLER)
            assert_int_equal(v->scope, SCOPE_REQUEST);
        if (v->failure == FAILURE_POLICY)
            assert_int_equal(v->reaction, REACT_RETURN);
        if (v->blame_on_second)
            assert_true(v->scope == SCOPE_SERVICE || v->scope == SCOPE_SERVICE_MODEL);
        if (v->reaction == REACT_SAME) /* nothing repeats without end */
            assert_int_not_equal(v->max_hops, 0);
    }
}

/* Whatever the status and the failure, some row catches it. */
static void test_nothing_falls_through(void **state)
{
    const struct verdict_row *last = verdict_row(row_count() - 1);

    (void)state;
    assert_int_equal(last->status, 0);
    assert_int_equal(last->transport, TRANSPORT_OK);
    assert_true(!last->code && !last->type && !last->message && !last->param);
    for (enum transport t = TRANSPORT_DNS; t < TRANSPORT_COUNT; t++) {
        unsigned found = 0;
        for (unsigned i = 0; i < row_count(); i++)
            found += verdict_row(i)->transport == t;
        assert_int_equal(found, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_names_are_unique),
        cmocka_unit_test(test_patterns_are_lower_case),
        cmocka_unit_test(test_text_rows_name_their_statuses),
        cmocka_unit_test(test_verdicts_are_sound),
        cmocka_unit_test(test_nothing_falls_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
