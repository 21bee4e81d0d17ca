#include "pool/operator.h"

#include "pool_test.h"

static void a_disabled_key_is_chosen_by_nobody(void **state)
{
    struct pool *pool = rotating_pool(3, NULL);

    (void)state;
    assert_true(pool_disable(pool, pool_key_at(pool, 1), S));
    pool_check(pool);
    assert_true(view(pool, 1, S).disabled);
    assert_false(view(pool, 0, S).disabled);
    for (int i = 0; i < 3; i++) {
        one(pool, 0, served, S);
        one(pool, 2, served, S);
    }
    assert_true(pool_enable(pool, pool_key_at(pool, 1)));
    pool_check(pool);
    one(pool, 0, served, S);
    one(pool, 1, served, S);
    pool_free(pool);
}

static void it_is_told_when_all_are(void **state)
{
    struct pool *pool = rotating_pool(2, NULL);
    struct plan plan;

    (void)state;
    assert_true(pool_disable(pool, 0, S));
    assert_true(pool_disable(pool, 1, S));
    begin(&plan, pool, S);
    struct plan_step step = next(&plan, S);
    assert_int_equal(step.action, PLAN_GIVE_UP);
    assert_int_equal(step.status, 503);
    assert_int_equal(step.failure, FAILURE_DISABLED);
    plan_end(&plan, S);
    pool_free(pool);
}

static void breakers_go_on_below(void **state)
{
    struct pool *pool = rotating_pool(2, NULL);

    (void)state;
    one(pool, 0, revoked, S);
    assert_true(pool_disable(pool, 0, S));
    assert_true(pool_enable(pool, 0));
    pool_check(pool);
    assert_int_equal(view(pool, 0, S).circuit, CIRCUIT_OPEN);
    one(pool, 1, served, S);
    one(pool, 1, served, S);
    pool_free(pool);
}

/* The primary is passed over too, whatever else would go first. */
static void a_disabled_primary(void **state)
{
    struct pool_options options = options_of(STRATEGY_PRIMARY_FIRST);
    struct pool *pool = pool_of(&options, 2, NULL);

    (void)state;
    assert_true(pool_disable(pool, 0, S));
    one(pool, 1, served, S);
    assert_true(pool_enable(pool, 0));
    one(pool, 0, served, S);
    pool_free(pool);
}

static void what_is_under_way_ends_as_it_would(void **state)
{
    struct pool *pool = rotating_pool(2, NULL);
    struct plan plan;

    (void)state;
    send_one(&plan, pool, 0, S);
    assert_true(pool_disable(pool, 0, S));
    hear(&plan, served, 200, 2 * S);
    plan_end(&plan, 2 * S);
    assert_int_equal(view(pool, 0, 2 * S).successes, 1);
    pool_free(pool);
}

static void it_holds_across_a_reload(void **state)
{
    struct pool *pool = rotating_pool(3, NULL);
    struct key_spec specs[3] = {{.identity = 1002}, {.identity = 1001}, {.identity = 1000}};

    (void)state;
    assert_true(pool_disable(pool, 1, S));
    assert_int_equal(pool_load(pool, specs, 3, 2 * S), STATUS_OK);
    pool_check(pool);
    assert_false(view(pool, 0, 2 * S).disabled);
    assert_true(view(pool, 1, 2 * S).disabled);
    pool_free(pool);
}

static void a_reset_forgets_what_stopped_the_key(void **state)
{
    static const struct owner_names owners[] = {{"org", "p1"}, {"org", "p2"}};
    struct pool *pool = rotating_pool(2, owners);

    (void)state;
    one(pool, 0, limited, S);
    one(pool, 1, no_quota, S + 1); /* the organisation's */
    assert_int_equal(view(pool, 0, S + 1).scope, SCOPE_ORG);
    pool_reset(pool, 1);
    pool_check(pool);
    assert_int_equal(view(pool, 0, S + 1).scope, SCOPE_PROJECT_MODEL); /* of another project */
    assert_int_equal(view(pool, 1, S + 1).circuit, CIRCUIT_CLOSED);
    assert_int_equal(view(pool, 1, S + 1).consecutive_errors, 0);
    assert_int_equal(view(pool, 1, S + 1).requests, 1);
    pool_free(pool);
}

/* The lease went with the breaker; whoever held it ends in peace. */
static void a_reset_while_a_request_tries_the_key(void **state)
{
    struct pool *pool = rotating_pool(1, NULL);
    struct plan plan;
    int64_t due_ns;

    (void)state;
    one(pool, 0, revoked, S);
    due_ns = view(pool, 0, S).open_until_ns;
    send_one(&plan, pool, 0, due_ns);
    pool_reset(pool, 0);
    pool_check(pool);
    hear(&plan, revoked, 401, due_ns + 1);
    plan_end(&plan, due_ns + 1);
    pool_check(pool);
    assert_int_equal(view(pool, 0, due_ns + 1).circuit, CIRCUIT_OPEN);
    pool_free(pool);
}

#define test(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(a_disabled_key_is_chosen_by_nobody),
        test(it_is_told_when_all_are),
        test(breakers_go_on_below),
        test(a_disabled_primary),
        test(what_is_under_way_ends_as_it_would),
        test(it_holds_across_a_reload),
        test(a_reset_forgets_what_stopped_the_key),
        test(a_reset_while_a_request_tries_the_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
