#include "sim_test.h"

#include "sim/fleet.h"

static void rest_and_wake(void **state)
{
    const struct world_spec world = {.orgs = 3, .projects = 1, .keys = 1};
    const struct policy_setup setup = {.world = &world};
    struct fleet *f = (struct fleet *)fleet_make(&policy_rotation, &setup);

    (void)state;
    assert_non_null(f);
    assert_int_equal(f->awake_count, 3);
    fleet_rest(f, 1, 10);
    fleet_rest(f, 1, 99); /* it rests already */
    fleet_rest(f, 0, 20);
    assert_int_equal(f->awake_count, 1);
    assert_int_equal(f->awake[0], 2);
    fleet_wake(f, 9);
    assert_int_equal(f->awake_count, 1);
    fleet_wake(f, 10);
    assert_int_equal(f->awake_count, 2);
    fleet_rest(f, 2, 30);
    fleet_rest(f, 1, 40);
    assert_int_equal(f->awake_count, 0);
    fleet_wake(f, 40);
    assert_int_equal(f->awake_count, 3);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(f->awake[f->keys[i].place], i);
    fleet_free(&f->base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rest_and_wake)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
