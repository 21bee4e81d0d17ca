#include "pool_test.h"

static void siblings_share_what_was_open_before_they_were_known(void **state)
{
    struct pool *pool = rotating_pool(3, NULL);
    struct plan plan;

    (void)state;
    one(pool, 0, no_quota, 0); /* on the organisation of key 0, unknown yet */
    send_one(&plan, pool, 1, 1);
    pool_learn(pool, plan.current, SLICE("acme"), SLICE("p"));
    hear(&plan, served, 200, 2);
    plan_end(&plan, 2);
    assert_int_equal(view(pool, 1, 3).circuit, CIRCUIT_CLOSED);
    pool_learn(pool, 0, SLICE("acme"), SLICE("q"));
    pool_check(pool);
    assert_int_equal(view(pool, 1, 3).circuit, CIRCUIT_OPEN);
    assert_true(slice_eq(view(pool, 0, 3).organization, SLICE("acme")));
    one(pool, 2, served, 3);
    one(pool, 2, served, 3);
    pool_free(pool);
}

static void a_projects_organization_is_learned_for_all_its_keys(void **state)
{
    static const struct owner_names owners[] = {{"", "p"}, {"", "p"}, {"", "q"}};
    struct pool *pool = rotating_pool(3, owners);

    (void)state;
    one(pool, 0, no_quota, 0);
    pool_learn(pool, 1, SLICE("acme"), SLICE("p"));
    pool_learn(pool, 2, SLICE("acme"), SLICE("q"));
    pool_check(pool);
    for (size_t i = 0; i < 3; i++) {
        assert_true(slice_eq(view(pool, i, 1).organization, SLICE("acme")));
        assert_int_equal(view(pool, i, 1).circuit, CIRCUIT_OPEN);
    }
    pool_free(pool);
}

static void of_two_openings_the_longer_stays(void **state)
{
    struct pool *pool = rotating_pool(2, NULL);

    (void)state;
    one(pool, 0, with_wait(no_quota, 700 * S), 0);
    one(pool, 1, with_wait(no_quota, 3000 * S), 0);
    pool_learn(pool, 1, SLICE("acme"), SLICE("p"));
    pool_learn(pool, 0, SLICE("acme"), SLICE("p"));
    pool_check(pool);
    assert_true(view(pool, 0, 1).open_until_ns >= 3000 * S / 16);
    pool_free(pool);
}

static void configured_owners_win_over_learned(void **state)
{
    static const struct owner_names owners[] = {{"acme", "p"}, {"acme", ""}};
    struct pool *pool = rotating_pool(2, owners);

    (void)state;
    pool_learn(pool, 0, SLICE("other"), SLICE("q"));
    pool_learn(pool, 1, SLICE("other"), SLICE("q"));
    pool_check(pool);
    assert_true(slice_eq(view(pool, 0, 0).organization, SLICE("acme")));
    assert_true(slice_eq(view(pool, 0, 0).project, SLICE("p")));
    assert_true(slice_eq(view(pool, 1, 0).organization, SLICE("acme")));
    assert_true(slice_eq(view(pool, 1, 0).project, SLICE("q")));
    pool_free(pool);
}

static void a_moved_key_leaves_its_account_behind(void **state)
{
    struct pool *pool = rotating_pool(2, NULL);

    (void)state;
    pool_learn(pool, 0, SLICE("a"), SLICE("p"));
    pool_learn(pool, 1, SLICE("a"), SLICE("p"));
    one(pool, 0, no_quota, 0);
    pool_learn(pool, 1, SLICE("b"), SLICE("p"));
    pool_learn(pool, 1, SLICE(""), SLICE("")); /* says nothing */
    pool_check(pool);
    assert_int_equal(view(pool, 0, 1).circuit, CIRCUIT_OPEN);
    assert_int_equal(view(pool, 1, 1).circuit, CIRCUIT_CLOSED);
    assert_true(slice_eq(view(pool, 1, 1).organization, SLICE("b")));
    pool_free(pool);
}

static void a_lease_left_with_the_old_owner_is_returned(void **state)
{
    static const int64_t later = 1000 * S;
    struct pool *pool = rotating_pool(2, NULL);
    struct plan plan;

    (void)state;
    pool_learn(pool, 0, SLICE("a"), SLICE("p"));
    pool_learn(pool, 1, SLICE("a"), SLICE("p"));
    one(pool, 0, no_quota, 0);
    send_one(&plan, pool, 1, later);
    pool_learn(pool, plan.current, SLICE("b"), SLICE("p"));
    hear(&plan, served, 200, later);
    plan_end(&plan, later);
    assert_int_equal(view(pool, 0, later).circuit, CIRCUIT_HALF_OPEN);
    one(pool, 0, served, later);
    assert_int_equal(view(pool, 0, later).circuit, CIRCUIT_CLOSED);
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(siblings_share_what_was_open_before_they_were_known),
        cmocka_unit_test(a_projects_organization_is_learned_for_all_its_keys),
        cmocka_unit_test(of_two_openings_the_longer_stays),
        cmocka_unit_test(configured_owners_win_over_learned),
        cmocka_unit_test(a_moved_key_leaves_its_account_behind),
        cmocka_unit_test(a_lease_left_with_the_old_owner_is_returned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
