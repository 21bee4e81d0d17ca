/* The strategies that compare keys, and rules of keys as a request meets them. */
#include "pool_test.h"

static struct pool *pool_with(enum strategy strategy, const struct key_spec *rules, size_t count)
{
    struct pool_options options = options_of(strategy);

    return pool_of_specs(&options, rules, count);
}

static void turns_follow_weights(void **state)
{
    const struct key_spec rules[] = {{.weight = 3}, {.weight = 1}, {.weight = 2}};
    struct pool *pool = pool_with(STRATEGY_WEIGHTED, rules, 3);
    unsigned turns[3] = {0};

    (void)state;
    for (int i = 0; i < 60; i++) {
        struct plan plan;
        struct plan_step step;
        begin(&plan, pool, i);
        step = next(&plan, i);
        turns[pool_key_cookie(pool, step.key)]++;
        plan_end(&plan, i);
    }
    assert_int_equal(turns[0], 30);
    assert_int_equal(turns[1], 10);
    assert_int_equal(turns[2], 20);
    pool_free(pool);
}

static void the_least_loaded_is_asked(void **state)
{
    const struct key_spec rules[] = {{.weight = 1}, {.weight = 2}, {.weight = 1}};
    struct pool *pool = pool_with(STRATEGY_LEAST_LOADED, rules, 3);
    struct plan plans[8];
    unsigned load[3] = {0};

    (void)state;
    for (int i = 0; i < 8; i++) {
        begin(&plans[i], pool, i);
        load[pool_key_cookie(pool, next(&plans[i], i).key)]++;
    }
    assert_int_equal(load[0], 2);
    assert_int_equal(load[1], 4);
    assert_int_equal(load[2], 2);
    for (int i = 0; i < 8; i++)
        plan_end(&plans[i], 9);
    pool_free(pool);
}

static void the_fullest_bucket_is_asked(void **state)
{
    const struct key_spec rules[2] = {{.weight = 1}, {.weight = 1}};
    struct pool *pool = pool_with(STRATEGY_HEADROOM, rules, 2);
    struct limit_report report;

    (void)state;
    for (uint64_t i = 0; i < 2; i++) {
        struct plan plan;
        for (int d = 0; d < REPORT_DIMENSIONS; d++)
            report.readings[d] = (struct limit_reading){-1, -1, -1};
        report.readings[REPORT_TOKENS] =
            (struct limit_reading){1000, 300 + (int64_t)i * 400, 10000 * S};
        send_one(&plan, pool, i, 0);
        plan_limits(&plan, &report, 0);
        hear(&plan, served, 200, 0);
        plan_end(&plan, 0);
    }
    one(pool, 1, served, 1);
    one(pool, 1, served, 2);
    pool_free(pool);
}

static void a_cap_is_never_passed(void **state)
{
    const struct key_spec rules[] = {{.max_in_flight = 1}, {.max_in_flight = 2}};
    struct pool *pool = pool_with(STRATEGY_PRIMARY_FIRST, rules, 2);
    struct plan a, b, c, d;
    struct plan_step step;

    (void)state;
    send_one(&a, pool, 0, 0);
    send_one(&b, pool, 1, 0);
    send_one(&c, pool, 1, 0);
    begin(&d, pool, 0);
    step = next(&d, 0);
    assert_int_equal(step.action, PLAN_GIVE_UP);
    assert_int_equal(step.status, 429);
    plan_end(&d, 0);
    plan_end(&a, 0);
    send_one(&d, pool, 0, 1);
    plan_end(&b, 1);
    plan_end(&c, 1);
    plan_end(&d, 1);
    pool_free(pool);
}

static void only_its_models(void **state)
{
    static const struct slice small[] = {SLICE("small")};
    const struct key_spec rules[] = {{.models = small, .model_count = 1}, {.weight = 1}};
    struct pool *pool = pool_with(STRATEGY_PRIMARY_FIRST, rules, 2);
    struct pool *alone = pool_with(STRATEGY_PRIMARY_FIRST, rules, 1);
    struct plan plan;
    struct plan_step step;

    (void)state;
    begin_with(&plan, pool, (struct plan_request){.model = SLICE("small")}, 0);
    assert_sends(&plan, 0, 0);
    plan_end(&plan, 0);
    begin_with(&plan, pool, (struct plan_request){.model = SLICE("large")}, 0);
    assert_sends(&plan, 0, 1);
    plan_end(&plan, 0);
    begin_with(&plan, alone, (struct plan_request){.model = SLICE("large")}, 0);
    step = next(&plan, 0);
    assert_int_equal(step.action, PLAN_GIVE_UP);
    assert_int_equal(step.status, 503);
    assert_int_equal(step.failure, FAILURE_MODEL);
    plan_end(&plan, 0);
    pool_free(alone);
    pool_free(pool);
}

/* The same affinity goes to the same organisation, others elsewhere, and moves only when it must. */
static void affinity_keeps_to_an_organization(void **state)
{
    struct pool_options options = options_of(STRATEGY_ROUND_ROBIN);
    static const struct owner_names owners[] = {{"a", "p"}, {"a", "q"}, {"b", "p"},
                                                {"c", "p"}, {"d", "p"}, {"e", "p"}};
    unsigned used = 0;
    struct pool *pool;

    (void)state;
    options.affinity = true;
    pool = pool_of(&options, 6, owners);
    for (uint64_t affinity = 1; affinity <= 40; affinity++) {
        char first = 0;
        for (int i = 0; i < 4; i++) {
            struct plan plan;
            begin_with(&plan, pool, (struct plan_request){.affinity = affinity * 77}, 0);
            char org = owners[pool_key_cookie(pool, next(&plan, 0).key)].org[0];
            assert_true(!first || first == org);
            first = org;
            plan_end(&plan, 0);
        }
        used |= 1u << (first - 'a');
    }
    assert_int_equal(used, 31);
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turns_follow_weights),
        cmocka_unit_test(the_least_loaded_is_asked),
        cmocka_unit_test(the_fullest_bucket_is_asked),
        cmocka_unit_test(a_cap_is_never_passed),
        cmocka_unit_test(only_its_models),
        cmocka_unit_test(affinity_keeps_to_an_organization),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
