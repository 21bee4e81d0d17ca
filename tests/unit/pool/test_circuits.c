#include "pool_test.h"

#include "base/rng.h"
#include "pool/circuits.h"
#include "pool/tree.h"

#define MANY 3000

static struct place at(struct node *node, uint64_t detail)
{
    return (struct place){node, detail, SCOPE_PROJECT_MODEL};
}

static void each_place_is_found_until_removed(void **state)
{
    struct node nodes[3] = {0};
    struct circuits c;

    (void)state;
    assert_int_equal(circuits_init(&c), STATUS_OK);
    for (uint64_t i = 0; i < MANY; i++)
        assert_non_null(circuits_add(&c, at(&nodes[i % 3], i)));
    for (uint64_t i = 0; i < MANY; i += 2)
        circuits_remove(&c, circuits_find(&c, at(&nodes[i % 3], i)));
    for (uint64_t i = 0; i < MANY; i++)
        assert_int_equal(circuits_find(&c, at(&nodes[i % 3], i)) != NULL, i % 2);
    assert_null(circuits_find(&c, at(&nodes[0], 1)));
    assert_int_equal(c.count, MANY / 2);
    circuits_fini(&c);
}

static void what_is_due_comes_in_order(void **state)
{
    struct node node = {0};
    struct rng rng = {9};
    struct circuits c;
    struct breaker *b;
    int64_t last = -1;
    size_t seen = 0;

    (void)state;
    assert_int_equal(circuits_init(&c), STATUS_OK);
    for (uint64_t i = 0; i < MANY; i++) {
        b = circuits_add(&c, at(&node, i));
        b->due_ns = (int64_t)rng_below(&rng, 1000);
        circuits_schedule(&c, b);
        if (i % 5 == 0) { /* some change their mind */
            b->due_ns = (int64_t)rng_below(&rng, 1000);
            circuits_schedule(&c, b);
        }
        if (i % 7 == 0)
            circuits_unschedule(&c, b);
    }
    assert_null(circuits_due(&c, -1));
    while ((b = circuits_due(&c, 1000))) {
        assert_true(b->due_ns >= last);
        last = b->due_ns;
        circuits_remove(&c, b);
        seen++;
    }
    assert_int_equal(seen, MANY - (MANY + 6) / 7);
    circuits_fini(&c);
}

static void invented_models_are_bounded(void **state)
{
    struct node node = {0};
    struct circuits c;

    (void)state;
    assert_int_equal(circuits_init(&c), STATUS_OK);
    for (uint64_t i = 0; i < CIRCUITS_DETAIL_MAX; i++)
        assert_non_null(circuits_add(&c, at(&node, i)));
    assert_null(circuits_add(&c, at(&node, CIRCUITS_DETAIL_MAX)));
    assert_non_null(circuits_add(&c, (struct place){&node, 0, SCOPE_KEY}));
    circuits_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_place_is_found_until_removed),
        cmocka_unit_test(what_is_due_comes_in_order),
        cmocka_unit_test(invented_models_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
