#include "pool_test.h"

#include <stdlib.h>

#include "../support/failing_memory.h"
#include "pool/fast.h"
#include "pool/state.h"

static void load(struct pool *pool, const uint64_t *identities, size_t count)
{
    struct key_spec specs[8] = {0};

    for (size_t i = 0; i < count; i++)
        specs[i] = (struct key_spec){.identity = identities[i], .cookie = identities[i]};
    assert_int_equal(pool_load(pool, specs, count, 0), STATUS_OK);
    pool_check(pool);
}

static void a_reload_keeps_the_state_of_the_keys_that_stay(void **state)
{
    static const uint64_t before[] = {1, 2, 3}, after[] = {3, 4, 1};
    struct pool *pool = rotating_pool(0, NULL);
    uint64_t epoch;

    (void)state;
    load(pool, before, 3);
    one(pool, 1, revoked, 0);
    pool_learn(pool, 2, SLICE("acme"), SLICE("p"));
    epoch = pool_epoch(pool);
    load(pool, after, 3);
    assert_true(pool_epoch(pool) != epoch);
    assert_int_equal(pool_count(pool), 3);
    assert_int_equal(view(pool, 2, 0).cookie, 1);
    assert_int_equal(view(pool, 2, 0).circuit, CIRCUIT_OPEN);
    assert_int_equal(view(pool, 0, 0).cookie, 3);
    assert_true(slice_eq(view(pool, 0, 0).organization, SLICE("acme")));
    one(pool, 4, served, 0);
    one(pool, 3, served, 0);
    one(pool, 4, served, 0);
    pool_free(pool);
}

static void duplicates_are_ignored(void **state)
{
    static const uint64_t identities[] = {1, 2, 1, 2, 1};
    struct pool *pool = rotating_pool(0, NULL);

    (void)state;
    load(pool, identities, 5);
    assert_int_equal(pool_count(pool), 2);
    one(pool, 1, served, 0);
    one(pool, 2, served, 0);
    one(pool, 1, served, 0);
    pool_free(pool);
}

static void a_retired_key_lives_until_its_last_plan_ends(void **state)
{
    static const uint64_t before[] = {1, 2}, after[] = {2, 3};
    struct pool *pool = rotating_pool(0, NULL);
    struct plan plan;
    key_id id;

    (void)state;
    load(pool, before, 2);
    send_one(&plan, pool, 1, 0);
    id = plan.current;
    load(pool, after, 2);
    assert_int_equal(pool_key_cookie(pool, id), 1);
    hear(&plan, revoked, 401, 1);
    assert_int_equal(pool_key_cookie(pool, id), 1); /* the trail still names it */
    assert_sends(&plan, 1, 3);
    assert_int_not_equal(plan.current, id);
    plan_end(&plan, 1);
    pool_check(pool);
    load(pool, before, 2);
    assert_int_equal(view(pool, 0, 1).circuit, CIRCUIT_CLOSED); /* it was forgotten */
    pool_free(pool);
}

static void a_key_that_returns_in_time_has_its_state_back(void **state)
{
    static const uint64_t both[] = {1, 2}, second[] = {2};
    struct pool *pool = rotating_pool(0, NULL);
    struct plan plan;

    (void)state;
    load(pool, both, 2);
    send_one(&plan, pool, 1, 0);
    load(pool, second, 1);
    load(pool, both, 2);
    hear(&plan, revoked, 401, 1);
    plan_end(&plan, 1);
    assert_int_equal(view(pool, 0, 1).circuit, CIRCUIT_OPEN);
    pool_free(pool);
}

static void all_keys_can_go_and_come(void **state)
{
    static const uint64_t both[] = {1, 2};
    struct pool *pool = rotating_pool(0, NULL);
    struct plan plan;

    (void)state;
    load(pool, both, 2);
    load(pool, both, 0);
    begin(&plan, pool, 0);
    assert_int_equal(next(&plan, 0).action, PLAN_GIVE_UP);
    plan_end(&plan, 0);
    load(pool, both, 2);
    one(pool, 1, served, 0);
    pool_free(pool);
}

/* ---- in steps ---------------------------------------------------------------------------- */

/* Stages these, one a step; a cookie is the identity and `cookie_from`. */
static struct pool_load *staged(struct pool *pool, const uint64_t *identities, size_t count,
                                uint64_t cookie_from)
{
    struct pool_load *load;

    assert_int_equal(pool_load_new(pool, count, &load), STATUS_OK);
    for (size_t i = 0; i < count; i++) {
        struct key_spec spec = {.identity = identities[i], .cookie = cookie_from + identities[i]};
        assert_int_equal(pool_load_stage(pool, load, &spec, 1), STATUS_OK);
    }
    return load;
}

static void settle(struct pool *pool, struct pool_load *load)
{
    while (!pool_load_settle(pool, load, 1))
        ;
    pool_load_free(load);
    pool_check(pool);
}

static void requests_go_on_between_the_steps_of_a_load(void **state)
{
    static const uint64_t before[] = {1, 2, 3}, after[] = {3, 4, 1};
    struct pool *pool = rotating_pool(0, NULL);

    (void)state;
    load(pool, before, 3);
    struct pool_load *l = staged(pool, after, 3, 10);
    one(pool, 1, served, 0);
    one(pool, 2, revoked, 0);
    one(pool, 3, revoked, 0);
    pool_learn(pool, pool->order[0]->id, SLICE("acme"), SLICE("p"));
    assert_int_equal(pool_load_commit(pool, l), STATUS_OK);
    assert_int_equal(pool_count(pool), 3);
    assert_int_equal(view(pool, 0, 0).circuit, CIRCUIT_OPEN);
    assert_int_equal(view(pool, 0, 0).cookie, 3); /* not told yet */
    one(pool, 14, served, 0);
    one(pool, 1, served, 0);
    settle(pool, l);
    assert_int_equal(view(pool, 0, 0).cookie, 13);
    assert_true(slice_eq(view(pool, 2, 0).organization, SLICE("acme")));
    one(pool, 14, served, 0);
    one(pool, 11, served, 0);
    pool_free(pool);
}

/* Its last plan ends between the steps: whoever staged it still has it in hand. */
static void a_key_that_returns_is_spared_until_it_is_back(void **state)
{
    static const uint64_t both[] = {1, 2}, second[] = {2};

    (void)state;
    for (int abandoned = 0; abandoned < 2; abandoned++) {
        struct pool *pool = rotating_pool(0, NULL);
        struct plan plan;

        load(pool, both, 2);
        send_one(&plan, pool, 1, 0);
        load(pool, second, 1);
        struct pool_load *l = staged(pool, both, 2, 0);
        hear(&plan, revoked, 401, 1);
        plan_end(&plan, 1);
        assert_int_equal(pool->retired_count, 1);
        if (abandoned) {
            pool_load_abandon(pool, l);
            one(pool, 2, served, 1);
            assert_int_equal(pool->keys.live, 1);
            pool_check(pool);
        } else {
            assert_int_equal(pool_load_commit(pool, l), STATUS_OK);
            settle(pool, l);
            assert_int_equal(view(pool, 0, 1).circuit, CIRCUIT_OPEN);
        }
        assert_int_equal(pool->retired_count, 0);
        pool_free(pool);
    }
}

static void many_that_go_are_freed_by_and_by(void **state)
{
    enum { MANY = 10000 };
    struct key_spec *specs = calloc(MANY, sizeof *specs);
    struct pool *pool = rotating_pool(0, NULL);
    struct pool_reader *reader;
    struct pool_load *l;

    (void)state;
    assert_non_null(specs);
    for (size_t i = 0; i < MANY; i++)
        specs[i] = (struct key_spec){.identity = i + 1, .cookie = i + 1};
    assert_int_equal(pool_load(pool, specs, MANY, 0), STATUS_OK);
    assert_int_equal(pool_reader_new(pool, &reader), STATUS_OK);
    pool_enter(reader);
    assert_int_equal(pool_load_new(pool, 1, &l), STATUS_OK);
    assert_int_equal(pool_load_stage(pool, l, specs, 1), STATUS_OK);
    assert_int_equal(pool_load_commit(pool, l), STATUS_OK);
    assert_true(pool_load_settle(pool, l, 1)); /* the reader holds the sweep up, not the load */
    assert_int_equal(pool->keys.live, MANY);
    pool_leave(reader);
    pool_collect(pool);
    assert_in_range(pool->keys.live, MANY / 2, MANY - 2);
    assert_false(pool_load_settle(pool, l, 1));
    settle(pool, l);
    assert_int_equal(pool->keys.live, 1);
    assert_int_equal(pool->retired_count, 0);
    pool_free(pool);
    free(specs);
}

static void a_load_without_memory_changes_nothing(void **state)
{
    struct key_spec specs[80] = {0};
    enum status status = STATUS_NO_MEMORY;
    unsigned failures = 0;

    (void)state;
    for (uint64_t i = 0; i < 80; i++)
        specs[i] = (struct key_spec){
            .identity = 1002 - i, .organization = SLICE("acme"), .project = SLICE("p")};
    while (status == STATUS_NO_MEMORY) {
        struct pool *pool = rotating_pool(3, NULL);
        one(pool, 0, revoked, 0);
        fail_at = ++failures;
        status = pool_load(pool, specs, 80, 1);
        fail_at = 0;
        pool_check(pool);
        if (status == STATUS_NO_MEMORY) {
            assert_int_equal(pool_count(pool), 3);
            assert_int_equal(view(pool, 0, 1).circuit, CIRCUIT_OPEN);
            assert_int_equal(view(pool, 1, 1).organization.len, 0);
            one(pool, 1, served, 1);
        }
        pool_free(pool);
    }
    assert_int_equal(status, STATUS_OK);
    assert_true(failures > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reload_keeps_the_state_of_the_keys_that_stay),
        cmocka_unit_test(duplicates_are_ignored),
        cmocka_unit_test(a_retired_key_lives_until_its_last_plan_ends),
        cmocka_unit_test(a_key_that_returns_in_time_has_its_state_back),
        cmocka_unit_test(all_keys_can_go_and_come),
        cmocka_unit_test(requests_go_on_between_the_steps_of_a_load),
        cmocka_unit_test(a_key_that_returns_is_spared_until_it_is_back),
        cmocka_unit_test(many_that_go_are_freed_by_and_by),
        cmocka_unit_test(a_load_without_memory_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
