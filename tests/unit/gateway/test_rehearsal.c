/* The drills there are, and that each is the failure it is named for. What playing one does to a
 * request, its keys and the client is tests/e2e/test_drills.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/rehearsal.h"

static void names_are_found(void **state)
{
    (void)state;
    for (int i = 0; i < DRILL_COUNT; i++)
        assert_int_equal(drill_find(drill_name((enum drill)i)), i);
    assert_int_equal(drill_find("quota"), DRILL_QUOTA);
    assert_int_equal(drill_find(""), DRILL_COUNT);
    assert_int_equal(drill_find("42"), DRILL_COUNT);
    assert_string_equal(drill_name(DRILL_COUNT), "unknown");
}

static void a_rehearsal_begins_empty(void **state)
{
    struct rehearsal r;

    (void)state;
    rehearsal_init(&r, DRILL_CUT, 3);
    assert_int_equal(r.drill, DRILL_CUT);
    assert_int_equal(r.keys, 3);
    assert_int_equal(r.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_found),
        cmocka_unit_test(a_rehearsal_begins_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
