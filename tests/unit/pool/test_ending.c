#include "pool_test.h"

#include <string.h>

static void all_keys_cooling_is_a_truthful_429(void **state)
{
    struct pool *pool = plain_pool(2);
    struct plan plan;
    struct plan_step step;

    (void)state;
    one(pool, 0, with_wait(limited, 40 * S), 0);
    one(pool, 1, with_wait(limited, 10 * S), 0);
    begin(&plan, pool, 2 * S);
    step = next(&plan, 2 * S);
    assert_int_equal(step.action, PLAN_GIVE_UP);
    assert_int_equal(step.status, 429);
    assert_in_range(step.retry_after_s, 8, 10); /* jitter is up to 1 s */
    assert_false(step.should_not_retry);
    assert_int_equal(step.failure, FAILURE_RATE);
    plan_end(&plan, 2 * S);
    one(pool, 1, served, 12 * S); /* and it was true */
    pool_free(pool);
}

static void retry_after_stays_within_a_minute(void **state)
{
    struct pool *pool = plain_pool(1);
    struct plan plan;

    (void)state;
    one(pool, 0, with_wait(limited, 5000 * S), 0);
    begin(&plan, pool, 1);
    assert_int_equal(next(&plan, 1).retry_after_s, 60);
    plan_end(&plan, 1);
    pool_free(pool);
}

static void what_only_operators_mend_is_a_503(void **state)
{
    struct pool *pool = plain_pool(2);
    struct plan plan;
    struct plan_step step;

    (void)state;
    begin(&plan, pool, 0);
    assert_sends(&plan, 0, 0);
    assert_false(hear(&plan, revoked, 401, 0)); /* never a key's 401 */
    assert_sends(&plan, 0, 1);
    assert_false(hear(&plan, no_quota, 429, 0));
    step = next(&plan, 0);
    assert_int_equal(step.action, PLAN_GIVE_UP);
    assert_int_equal(step.status, 503);
    assert_int_equal(step.retry_after_s, 0);
    assert_true(step.should_not_retry);
    assert_int_equal(step.failure, FAILURE_REVOKED);
    plan_end(&plan, 0);
    pool_free(pool);
}

static void the_most_useful_answer_is_kept(void **state)
{
    struct pool *pool = plain_pool(4);
    struct plan plan;

    (void)state;
    begin(&plan, pool, 0);
    assert_sends(&plan, 0, 0);
    assert_true(hear(&plan, with_wait(limited, 50 * S), 429, 0));
    assert_sends(&plan, 0, 1);
    assert_true(hear(&plan, with_wait(limited, 20 * S), 429, 0)); /* sooner */
    assert_sends(&plan, 0, 2);
    assert_false(hear(&plan, revoked, 401, 0));
    assert_sends(&plan, 0, 3);
    assert_true(hear(&plan, no_model, 404, 0)); /* the caller's fault beats all */
    assert_int_equal(next(&plan, 0).action, PLAN_RETURN_KEPT);
    plan_end(&plan, 0);
    pool_free(pool);
}

static void a_403_of_a_key_is_never_kept(void **state)
{
    struct pool *pool = plain_pool(1);
    struct plan plan;

    (void)state;
    begin(&plan, pool, 0);
    assert_sends(&plan, 0, 0);
    assert_false(hear(&plan, no_model, 403, 0));
    assert_int_equal(next(&plan, 0).status, 503);
    plan_end(&plan, 0);
    pool_free(pool);
}

static void an_upstream_429_is_returned_when_no_key_comes_back_sooner(void **state)
{
    struct pool *pool = plain_pool(2);
    struct plan plan;

    (void)state;
    one(pool, 0, with_wait(limited, 100 * S), 0);
    begin(&plan, pool, 1);
    assert_sends(&plan, 1, 1);
    assert_true(hear(&plan, with_wait(limited, 20 * S), 429, 1));
    assert_int_equal(next(&plan, 1).action, PLAN_RETURN_KEPT);
    assert_false(next(&plan, 1).should_not_retry);
    plan_end(&plan, 1);
    begin(&plan, pool, 101 * S + 10 * S); /* both recovered; now the other way round */
    assert_sends(&plan, 111 * S, 0);
    assert_true(hear(&plan, with_wait(limited, 300 * S), 429, 111 * S));
    assert_sends(&plan, 111 * S, 1);
    hear(&plan, with_wait(limited, 5 * S), 429, 111 * S);
    plan_end(&plan, 111 * S);
    begin(&plan, pool, 112 * S);
    assert_int_equal(next(&plan, 112 * S).action, PLAN_GIVE_UP);
    assert_int_equal(next(&plan, 112 * S).status, 429);
    plan_end(&plan, 112 * S);
    pool_free(pool);
}

static void an_empty_pool_gives_up(void **state)
{
    struct pool *pool = plain_pool(0);
    struct plan plan;

    (void)state;
    begin(&plan, pool, 0);
    assert_int_equal(next(&plan, 0).action, PLAN_GIVE_UP);
    assert_int_equal(next(&plan, 0).status, 503);
    plan_end(&plan, 0);
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_keys_cooling_is_a_truthful_429),
        cmocka_unit_test(retry_after_stays_within_a_minute),
        cmocka_unit_test(what_only_operators_mend_is_a_503),
        cmocka_unit_test(the_most_useful_answer_is_kept),
        cmocka_unit_test(a_403_of_a_key_is_never_kept),
        cmocka_unit_test(an_upstream_429_is_returned_when_no_key_comes_back_sooner),
        cmocka_unit_test(an_empty_pool_gives_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
