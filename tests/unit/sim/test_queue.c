#include "sim_test.h"

#include "base/rng.h"
#include "sim/queue.h"

static void put(struct queue *q, int64_t at, uint32_t subject)
{
    assert_int_equal(queue_put(q, (struct event){.at_ns = at, .subject = subject}), STATUS_OK);
}

static void empty_gives_nothing(void **state)
{
    struct queue q = {0};
    struct event e;

    (void)state;
    assert_false(queue_take(&q, &e));
    put(&q, 5, 1);
    assert_true(queue_take(&q, &e));
    assert_false(queue_take(&q, &e));
    queue_fini(&q);
}

static void equals_keep_their_order(void **state)
{
    struct queue q = {0};
    struct event e;

    (void)state;
    for (uint32_t i = 0; i < 1000; i++)
        put(&q, i % 3, i);
    for (uint32_t time = 0; time < 3; time++) {
        for (uint32_t i = time; i < 1000; i += 3) {
            assert_true(queue_take(&q, &e));
            assert_int_equal(e.at_ns, time);
            assert_int_equal(e.subject, i);
        }
    }
    queue_fini(&q);
}

static void comes_out_by_time(void **state)
{
    struct queue q = {0};
    struct rng rng = {3};
    struct event e;
    int64_t last = -1;

    (void)state;
    for (int round = 0; round < 5000; round++) {
        put(&q, last + 1 + (int64_t)rng_below(&rng, 1000), 0);
        if (round % 3 == 2) {
            assert_true(queue_take(&q, &e));
            assert_true(e.at_ns >= last);
            last = e.at_ns;
        }
    }
    while (queue_take(&q, &e)) {
        assert_true(e.at_ns >= last);
        last = e.at_ns;
    }
    queue_fini(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_gives_nothing),
        cmocka_unit_test(equals_keep_their_order),
        cmocka_unit_test(comes_out_by_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
