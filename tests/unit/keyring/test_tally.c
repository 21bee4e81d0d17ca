/* Failures by key, in a fixed place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "keyring/tally.h"

static void counts_by_key_and_group(void **state)
{
    struct tally tally = {0};
    struct history_counts counts = {0};

    (void)state;
    tally_failure(&tally, 7, HISTORY_QUOTA);
    tally_failure(&tally, 7, HISTORY_QUOTA);
    tally_failure(&tally, 7 + TALLY_SLOTS, HISTORY_KEY); /* the same slot */
    tally_failover(&tally, 7 + TALLY_SLOTS);
    assert_null(tally_find(&tally, 8));
    tally_move(tally_find(&tally, 7), &counts);
    assert_int_equal(counts.failures[HISTORY_QUOTA], 2);
    assert_int_equal(counts.failures[HISTORY_KEY], 0);
    tally_move(tally_find(&tally, 7), &counts); /* nothing left */
    assert_int_equal(counts.failures[HISTORY_QUOTA], 2);
    tally_move(tally_find(&tally, 7 + TALLY_SLOTS), &counts);
    assert_int_equal(counts.failures[HISTORY_KEY], 1);
    assert_int_equal(counts.failovers, 1);
}

static void keys_beyond_the_most_are_summed(void **state)
{
    struct tally tally = {0};

    (void)state;
    for (uint64_t i = 1; i <= TALLY_KEYS_MAX + 100; i++)
        tally_failure(&tally, i, HISTORY_SERVICE);
    tally_failure(&tally, 0, HISTORY_SERVICE); /* 0 marks what is free */
    tally_failure(&tally, 1, HISTORY_SERVICE);
    assert_int_equal(tally.rest.failures[HISTORY_SERVICE], 101);
    assert_int_equal(tally_find(&tally, 1)->failures[HISTORY_SERVICE], 2);
    assert_null(tally_find(&tally, TALLY_KEYS_MAX + 1));
    assert_null(tally_find(&tally, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_by_key_and_group),
        cmocka_unit_test(keys_beyond_the_most_are_summed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
