#include "pool/models.h"

#include <string.h>

#include "pool_test.h"

static void a_name_is_found_by_its_hash(void **state)
{
    static struct model_names names;

    (void)state;
    models_name(&names, 17, SLICE("gpt-x"));
    assert_string_equal(models_find(&names, 17), "gpt-x");
    assert_string_equal(models_find(&names, 17 + MODEL_NAMES_MAX), "");
    models_name(&names, 17 + MODEL_NAMES_MAX, SLICE("gpt-y")); /* the same place: the later stays */
    assert_string_equal(models_find(&names, 17 + MODEL_NAMES_MAX), "gpt-y");
    assert_string_equal(models_find(&names, 17), "");
    models_name(&names, 3, SLICE(""));
    models_name(&names, 0, SLICE("none"));
    assert_string_equal(models_find(&names, 3), "");
    assert_string_equal(models_find(&names, 0), "");
}

static void a_long_name_is_cut(void **state)
{
    static struct model_names names;
    char name[200];

    (void)state;
    memset(name, 'm', sizeof name);
    models_name(&names, 5, slice_of(name, sizeof name));
    assert_int_equal(strlen(models_find(&names, 5)), MODEL_NAME_MAX - 1);
}

static void what_stops_a_model_is_shown_at_every_key_it_stops(void **state)
{
    static const struct owner_names owners[] = {{"org", "p1"}, {"org", "p1"}, {"org", "p2"}};
    struct pool *pool = rotating_pool(3, owners);
    struct model_view views[MODEL_VIEWS_MAX];

    (void)state;
    one(pool, 0, limited, S);
    assert_int_equal(pool_view_models(pool, 0, S, views), 1);
    assert_int_equal(views[0].circuit, CIRCUIT_OPEN);
    assert_int_equal(views[0].reason, FAILURE_RATE);
    assert_true(views[0].until_ns > S);
    assert_int_equal(views[0].requests_limit, -1);
    assert_int_equal(pool_view_models(pool, 1, S, views), 1);
    assert_int_equal(pool_view_models(pool, 2, S, views), 0);
    pool_free(pool);
}

/* Plain limits are the project's too: what is shown is the least of both. */
static void what_is_left_is_shown(void **state)
{
    struct limit_report report;
    struct model_view views[MODEL_VIEWS_MAX];
    struct pool *pool = rotating_pool(1, NULL);
    struct plan plan;

    (void)state;
    for (int i = 0; i < REPORT_DIMENSIONS; i++)
        report.readings[i] = (struct limit_reading){-1, -1, -1};
    report.readings[REPORT_REQUESTS] = (struct limit_reading){60, 30, 30 * S};
    send_one(&plan, pool, 0, S);
    plan_limits(&plan, &report, S);
    hear(&plan, served, 200, S);
    plan_end(&plan, S);
    assert_int_equal(pool_view_models(pool, 0, S, views), 1);
    assert_int_equal(views[0].requests_limit, 60);
    assert_int_equal(views[0].requests_left, 30);
    assert_int_equal(views[0].tokens_limit, -1);
    assert_int_equal(views[0].circuit, CIRCUIT_CLOSED);
    pool_view_models(pool, 0, 11 * S, views);
    assert_in_range(views[0].requests_left, 39, 41); /* it refills by one a second */
    pool_free(pool);
}

#define test(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(a_name_is_found_by_its_hash),
        test(a_long_name_is_cut),
        test(what_stops_a_model_is_shown_at_every_key_it_stops),
        test(what_is_left_is_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
