/* Figures: breakers are counted through every way their states take, and what is left of limits. */
#include "pool/figures.h"

#include "pool/operator.h"
#include "pool_test.h"

static uint32_t standing(struct pool *pool, enum scope scope, enum circuit state)
{
    struct pool_figures figures;

    pool_figures(pool, &figures);
    return figures.breakers[scope][state];
}

static size_t blocking(struct pool *pool)
{
    struct pool_figures figures;

    pool_figures(pool, &figures);
    return figures.blocking;
}

static void breakers_are_counted_as_they_change(void **state)
{
    struct pool *pool = rotating_pool(2, NULL);
    int64_t due_ns;

    (void)state;
    assert_int_equal(blocking(pool), 0);
    one(pool, 0, revoked, 5 * S);
    assert_int_equal(standing(pool, SCOPE_KEY, CIRCUIT_OPEN), 1);
    assert_int_equal(blocking(pool), 1);
    due_ns = view(pool, 0, 6 * S).open_until_ns;
    one(pool, 1, served, due_ns - 1);
    one(pool, 0, revoked, due_ns); /* half-open, and it fails again */
    assert_int_equal(standing(pool, SCOPE_KEY, CIRCUIT_OPEN), 1);
    assert_int_equal(standing(pool, SCOPE_KEY, CIRCUIT_HALF_OPEN), 0);
    due_ns = view(pool, 0, due_ns).open_until_ns;
    one(pool, 1, served, due_ns);
    assert_int_equal(standing(pool, SCOPE_KEY, CIRCUIT_HALF_OPEN), 1);
    assert_int_equal(blocking(pool), 1);
    one(pool, 0, served, due_ns);
    assert_int_equal(blocking(pool), 0);
    pool_free(pool);
}

static void a_breaker_that_goes_with_its_key_is_not_counted(void **state)
{
    struct pool *pool = rotating_pool(2, NULL);
    struct key_spec other = {.identity = 7};

    (void)state;
    one(pool, 0, revoked, 5 * S);
    assert_int_equal(pool_load(pool, &other, 1, 6 * S), STATUS_OK);
    pool_check(pool);
    assert_int_equal(blocking(pool), 0);
    pool_free(pool);
}

static void conditions_are_those_of_health(void **state)
{
    struct pool *pool = rotating_pool(3, NULL);
    struct key_view v;

    (void)state;
    one(pool, 0, revoked, S);
    one(pool, 1, limited, S);
    v = view(pool, 0, S);
    assert_int_equal(key_condition_of(&v), KEY_UNHEALTHY);
    v = view(pool, 1, S);
    assert_int_equal(key_condition_of(&v), KEY_RATE_LIMITED);
    v = view(pool, 2, S);
    assert_int_equal(key_condition_of(&v), KEY_HEALTHY);
    pool_free(pool);
}

/* A key that lacks one model is of use for all the others. */
static void a_key_without_one_model_is_healthy(void **state)
{
    struct pool *pool = rotating_pool(2, NULL);
    struct key_view v;

    (void)state;
    one(pool, 0, no_model, S);
    v = view(pool, 0, S);
    assert_int_equal(v.circuit, CIRCUIT_OPEN);
    assert_int_equal(key_condition_of(&v), KEY_HEALTHY);
    assert_true(key_is_ready(&v));
    pool_free(pool);
}

/* Ready before a request has come to tell the pool what time it is; a fault is disproved by none. */
static void what_is_due_is_ready(void **state)
{
    struct pool *pool = rotating_pool(2, NULL);
    struct key_view v;

    (void)state;
    one(pool, 0, revoked, S);
    one(pool, 1, limited, S);
    v = view(pool, 0, S);
    assert_false(key_is_ready(&v));
    v = view(pool, 0, v.open_until_ns);
    assert_true(key_is_ready(&v));
    assert_int_equal(key_condition_of(&v), KEY_UNHEALTHY);
    v = view(pool, 1, S);
    assert_true(key_is_ready(&v)); /* for other models */
    v = view(pool, 1, v.open_until_ns);
    assert_int_equal(key_condition_of(&v), KEY_HEALTHY);
    pool_free(pool);
}

/* A fault whose time has come hides nothing that still stands. */
static void what_is_due_hides_nothing(void **state)
{
    struct pool *pool = rotating_pool(1, NULL);
    struct plan plan;
    struct key_view v;

    (void)state;
    one(pool, 0, no_model, S);

    begin_with(&plan, pool, (struct plan_request){.stateless = true, .model = SLICE("other")},
               2 * S);
    assert_sends(&plan, 2 * S, 0);
    hear(&plan, revoked, 401, 2 * S);
    plan_end(&plan, 2 * S);
    v = view(pool, 0, 3 * S);
    assert_int_equal(v.scope, SCOPE_KEY);
    v = view(pool, 0, v.open_until_ns);
    assert_int_equal(v.circuit, CIRCUIT_OPEN);
    assert_int_equal(v.scope, SCOPE_PROJECT_MODEL);
    pool_free(pool);
}

static void a_disabled_key_is_counted_until_it_goes(void **state)
{
    struct pool *pool = rotating_pool(2, NULL);
    struct key_spec other = {.identity = 7};
    struct key_view v;

    (void)state;
    assert_true(pool_disable(pool, 1, 3 * S));
    assert_false(pool_disable(pool, 1, 4 * S));
    v = view(pool, 1, 5 * S);
    assert_int_equal(v.disabled_ns, 3 * S);
    assert_int_equal(key_condition_of(&v), KEY_UNHEALTHY);
    assert_false(key_is_ready(&v));
    assert_int_equal(blocking(pool), 1);
    assert_int_equal(pool_load(pool, &other, 1, 6 * S), STATUS_OK);
    pool_check(pool);
    assert_int_equal(blocking(pool), 0);
    pool_free(pool);
}

static void teach(struct pool *pool, uint64_t wanted, int64_t limit, int64_t remaining)
{
    struct limit_report report;
    struct plan plan;

    for (int i = 0; i < REPORT_DIMENSIONS; i++)
        report.readings[i] = (struct limit_reading){-1, -1, -1};
    report.readings[REPORT_REQUESTS] = (struct limit_reading){limit, remaining, 3600 * S};
    send_one(&plan, pool, wanted, 0);
    plan_limits(&plan, &report, 0);
    hear(&plan, served, 200, 0);
    plan_end(&plan, 0);
}

static void headroom_is_that_of_the_least_and_of_all(void **state)
{
    static const struct owner_names owners[] = {{"a", "a1"}, {"b", "b1"}};
    struct pool *pool = rotating_pool(2, owners);
    struct headroom_figure figures[FIGURES_SERVICES_MAX];

    (void)state;
    pool_headroom(pool, 0, figures);
    assert_false(figures[0].known);
    teach(pool, 0, 1000, 200);
    teach(pool, 1, 1000, 800);
    pool_headroom(pool, 0, figures);
    assert_true(figures[0].known);
    assert_true(figures[0].lowest > 0.19 && figures[0].lowest < 0.21);
    assert_true(figures[0].total > 0.49 && figures[0].total < 0.51);
    assert_false(figures[1].known);
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(breakers_are_counted_as_they_change),
        cmocka_unit_test(a_breaker_that_goes_with_its_key_is_not_counted),
        cmocka_unit_test(conditions_are_those_of_health),
        cmocka_unit_test(a_key_without_one_model_is_healthy),
        cmocka_unit_test(what_is_due_is_ready),
        cmocka_unit_test(what_is_due_hides_nothing),
        cmocka_unit_test(a_disabled_key_is_counted_until_it_goes),
        cmocka_unit_test(headroom_is_that_of_the_least_and_of_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
