/* A window of requests and retries, its floor, and a clock that stands and leaps. */
#include "pool_test.h"

#include "pool/budget.h"

static struct pool_options limits(uint32_t percent, uint32_t floor)
{
    struct pool_options options;

    pool_options_init(&options);
    options.retry_percent = percent;
    options.retry_floor = floor;
    return options;
}

static unsigned retries_left(struct budget *budget, const struct pool_options *options, int64_t now)
{
    unsigned count = 0;

    while (count < 100000 && budget_retry(budget, options, now))
        count++;
    return count;
}

static void a_share_of_the_requests(void **state)
{
    (void)state;
    const struct pool_options options = limits(10, 0);
    struct budget budget = {0};

    assert_false(budget_retry(&budget, &options, S));
    budget_requests(&budget, 9, S);
    assert_false(budget_retry(&budget, &options, S)); /* rounded down */
    budget_requests(&budget, 1, S);
    assert_int_equal(retries_left(&budget, &options, S), 1);
    budget_requests(&budget, 990, S);
    assert_int_equal(retries_left(&budget, &options, S), 99);
}

static void the_floor_is_always_there(void **state)
{
    (void)state;
    const struct pool_options options = limits(10, 5);
    struct budget budget = {0};

    assert_int_equal(retries_left(&budget, &options, S), 5);
    budget_requests(&budget, 40, S); /* four more would be their share: less than the floor */
    assert_int_equal(retries_left(&budget, &options, S), 0);
    budget_requests(&budget, 40, S);
    assert_int_equal(retries_left(&budget, &options, S), 3);
}

/* Every moment counts for the whole window and not beyond, wherever it began. */
static void the_window_moves(void **state)
{
    (void)state;
    const struct pool_options options = limits(50, 0);
    const int64_t slot = RETRY_WINDOW_NS / BUDGET_SLOTS;

    for (int64_t begin = 0; begin < 3 * slot; begin += slot / 3) {
        struct budget budget = {0};
        budget_requests(&budget, 20, begin);
        assert_int_equal(retries_left(&budget, &options, begin + RETRY_WINDOW_NS - slot), 10);
        assert_int_equal(retries_left(&budget, &options, begin + RETRY_WINDOW_NS + slot), 0);
    }
    /* Retries are forgotten in the same way. */
    struct budget budget = {0};
    const struct pool_options floor = limits(0, 3);
    assert_int_equal(retries_left(&budget, &floor, 0), 3);
    assert_int_equal(retries_left(&budget, &floor, RETRY_WINDOW_NS - 1), 0);
    assert_int_equal(retries_left(&budget, &floor, RETRY_WINDOW_NS), 3);
}

static void after_a_long_silence(void **state)
{
    (void)state;
    const struct pool_options options = limits(100, 0);
    struct budget budget = {0};

    budget_requests(&budget, 100, S);
    assert_int_equal(retries_left(&budget, &options, FAR), 0);
    budget_requests(&budget, 2, FAR);
    assert_int_equal(retries_left(&budget, &options, FAR), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_share_of_the_requests),
        cmocka_unit_test(the_floor_is_always_there),
        cmocka_unit_test(the_window_moves),
        cmocka_unit_test(after_a_long_silence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
