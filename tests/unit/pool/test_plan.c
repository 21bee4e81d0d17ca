#include "pool_test.h"

#include <string.h>

static void a_served_request_returns(void **state)
{
    struct pool *pool = plain_pool(2);
    struct plan plan;

    (void)state;
    begin(&plan, pool, 0);
    assert_sends(&plan, 0, 0);
    assert_int_equal(view(pool, 0, 0).in_flight, 1);
    assert_false(hear(&plan, served, 200, 5));
    assert_int_equal(next(&plan, 5).action, PLAN_RETURN);
    assert_int_equal(next(&plan, 6).action, PLAN_RETURN); /* an end does not change */
    assert_int_equal(plan.attempt_count, 1);
    assert_int_equal(plan.attempts[0].failure, FAILURE_NONE);
    plan_end(&plan, 7);
    assert_int_equal(view(pool, 0, 7).in_flight, 0);
    assert_int_equal(view(pool, 0, 7).successes, 1);
    assert_int_equal(view(pool, 0, 7).last_used_ns, 0);
    assert_int_equal(view(pool, 1, 7).last_used_ns, -1);
    pool_free(pool);
}

static void a_revoked_primary_is_replaced_at_once(void **state)
{
    struct pool *pool = plain_pool(3);
    struct plan plan;

    (void)state;
    begin(&plan, pool, 0);
    assert_sends(&plan, 0, 0);
    assert_false(hear(&plan, revoked, 401, 1));
    assert_sends(&plan, 1, 1);
    hear(&plan, served, 200, 2);
    assert_int_equal(next(&plan, 2).action, PLAN_RETURN);
    plan_end(&plan, 2);
    one(pool, 2, served, 3);
    assert_int_equal(view(pool, 0, 3).circuit, CIRCUIT_OPEN);
    assert_int_equal(view(pool, 0, 3).consecutive_errors, 1);
    pool_free(pool);
}

static void the_callers_own_fault_touches_nothing(void **state)
{
    struct pool *pool = plain_pool(2);
    struct plan plan;

    (void)state;
    begin(&plan, pool, 0);
    assert_sends(&plan, 0, 0);
    hear(&plan, caller_fault, 400, 1);
    assert_int_equal(next(&plan, 1).action, PLAN_RETURN);
    plan_end(&plan, 1);
    assert_int_equal(view(pool, 0, 1).circuit, CIRCUIT_CLOSED);
    assert_int_equal(view(pool, 0, 1).consecutive_errors, 0);
    one(pool, 0, served, 2);
    pool_free(pool);
}

static void a_rate_limit_moves_to_another_bucket(void **state)
{
    static const struct owner_names owners[] = {{"o", "p"}, {"o", "p"}, {"o", "q"}, {"o", "q"}};
    struct pool_options options = options_of(STRATEGY_PRIMARY_FIRST);
    struct pool *pool = pool_of(&options, 4, owners);
    struct plan plan;

    (void)state;
    begin(&plan, pool, 0);
    assert_sends(&plan, 0, 0);
    hear(&plan, limited, 429, 0);
    assert_sends(&plan, 0, 2); /* not the sibling 1 */
    hear(&plan, limited, 429, 0);
    assert_int_equal(next(&plan, 0).action, PLAN_RETURN_KEPT);
    plan_end(&plan, 0);
    pool_free(pool);
}

static void another_model_is_another_bucket(void **state)
{
    struct pool *pool = plain_pool(2);
    struct plan plan;

    (void)state;
    one(pool, 0, limited, 0);
    begin_with(&plan, pool, (struct plan_request){.model = SLICE("other")}, 1);
    assert_sends(&plan, 1, 0);
    plan_end(&plan, 1);
    one(pool, 1, served, 1);
    pool_free(pool);
}

static void quota_moves_to_another_organization(void **state)
{
    static const struct owner_names owners[] = {{"o", "p"}, {"o", "q"}, {"n", "p"}};
    struct pool_options options = options_of(STRATEGY_PRIMARY_FIRST);
    struct pool *pool = pool_of(&options, 3, owners);
    struct plan plan;

    (void)state;
    begin(&plan, pool, 0);
    assert_sends(&plan, 0, 0);
    hear(&plan, no_quota, 429, 0);
    assert_sends(&plan, 0, 2);
    hear(&plan, served, 200, 0);
    plan_end(&plan, 0);
    assert_int_equal(view(pool, 1, 0).circuit, CIRCUIT_OPEN);
    assert_int_equal(view(pool, 1, 0).scope, SCOPE_ORG);
    pool_free(pool);
}

static void too_large_asks_each_bucket_once_and_cools_nothing(void **state)
{
    static const struct owner_names owners[] = {{"o", "p"}, {"o", "p"}, {"o", "q"}};
    struct pool_options options = options_of(STRATEGY_PRIMARY_FIRST);
    struct pool *pool = pool_of(&options, 3, owners);
    struct plan plan;

    (void)state;
    begin(&plan, pool, 0);
    assert_sends(&plan, 0, 0);
    assert_true(hear(&plan, too_large, 429, 0));
    assert_sends(&plan, 0, 2);
    assert_false(hear(&plan, too_large, 429, 0)); /* the first is kept */
    assert_int_equal(next(&plan, 0).action, PLAN_RETURN_KEPT);
    plan_end(&plan, 0);
    one(pool, 0, served, 1);
    pool_free(pool);
}

static void service_failures_take_six_attempts_with_backoff(void **state)
{
    struct pool *pool = plain_pool(1);
    struct plan plan;
    int64_t now = 0, before;

    (void)state;
    begin(&plan, pool, now);
    for (int attempt = 1; attempt <= PLAN_SERVICE_ATTEMPTS; attempt++) {
        assert_sends(&plan, now, 0);
        assert_int_equal(hear(&plan, server_error, 500, now), attempt == 1);
        before = now;
        if (attempt < PLAN_SERVICE_ATTEMPTS)
            now = wait_of(&plan, now);
        assert_true(now - before <= (500 * MS << (attempt - 1)));
    }
    assert_int_equal(next(&plan, now).action, PLAN_RETURN_KEPT);
    assert_true(next(&plan, now).should_not_retry);
    plan_end(&plan, now);
    assert_int_equal(view(pool, 0, now).consecutive_errors, 0); /* nobody's fault */
    pool_free(pool);
}

static void a_dead_network_ends_in_502(void **state)
{
    struct pool *pool = plain_pool(1);
    struct verdict refused = cut_off;
    struct plan plan;
    int64_t now = 0;

    (void)state;
    refused.maybe_ran = false;
    begin(&plan, pool, now);
    for (int attempt = 1; attempt <= PLAN_SERVICE_ATTEMPTS; attempt++) {
        assert_sends(&plan, now, 0);
        assert_false(hear(&plan, refused, 0, now));
        if (attempt < PLAN_SERVICE_ATTEMPTS)
            now = wait_of(&plan, now);
    }
    assert_int_equal(next(&plan, now).action, PLAN_GIVE_UP);
    assert_int_equal(next(&plan, now).status, 502);
    assert_true(next(&plan, now).should_not_retry);
    plan_end(&plan, now);
    pool_free(pool);
}

static void a_second_key_failing_the_same_way_blames_the_service(void **state)
{
    struct pool *pool = plain_pool(3);
    struct plan plan;
    int64_t now;

    (void)state;
    begin(&plan, pool, 0);
    assert_sends(&plan, 0, 0);
    hear(&plan, server_error, 500, 0);
    assert_int_equal(view(pool, 0, 0).circuit, CIRCUIT_CLOSED);
    now = wait_of(&plan, 0);
    assert_sends(&plan, now, 1);
    hear(&plan, server_error, 500, now);
    assert_int_equal(view(pool, 2, now).circuit, CIRCUIT_OPEN); /* for all keys */
    assert_int_equal(view(pool, 2, now).scope, SCOPE_SERVICE_MODEL);
    assert_int_equal(view(pool, 0, now).consecutive_errors, 0);
    /* The third attempt waits for the service: one request tries it. */
    while (next(&plan, now).action == PLAN_WAIT)
        now = wait_of(&plan, now);
    assert_true(now >= 1 * S);
    hear(&plan, served, 200, now);
    plan_end(&plan, now);
    assert_int_equal(view(pool, 2, now).circuit, CIRCUIT_CLOSED);
    pool_free(pool);
}

static void a_key_that_fails_alone_is_avoided_for_a_while(void **state)
{
    struct pool *pool = plain_pool(2);

    (void)state;
    one(pool, 0, server_error, 0);
    one(pool, 1, served, 1);
    one(pool, 1, served, 2);
    one(pool, 0, served, 11 * S);
    pool_free(pool);
}

static void a_success_between_clears_the_service(void **state)
{
    struct pool *pool = plain_pool(3);

    (void)state;
    one(pool, 0, server_error, 0);
    one(pool, 1, served, 1);
    one(pool, 2, server_error, 2); /* a new suspicion, not a proof */
    assert_int_equal(view(pool, 0, 3).circuit, CIRCUIT_CLOSED);
    pool_free(pool);
}

static void work_that_may_have_run_is_repeated_once_if_stateless(void **state)
{
    struct pool *pool = plain_pool(4);
    struct plan plan;
    int64_t now;

    (void)state;
    begin(&plan, pool, 0);
    assert_sends(&plan, 0, 0);
    hear(&plan, cut_off, 0, 0);
    now = wait_of(&plan, 0);
    assert_sends(&plan, now, 1);
    hear(&plan, cut_off, 0, now);
    assert_int_equal(next(&plan, now).action, PLAN_GIVE_UP);
    assert_int_equal(next(&plan, now).status, 502);
    assert_true(next(&plan, now).should_not_retry);
    plan_end(&plan, now);
    pool_free(pool);
}

static void work_that_may_have_run_is_not_repeated_if_stateful(void **state)
{
    struct pool *pool = plain_pool(4);
    struct verdict timeout = cut_off;
    struct plan plan;

    (void)state;
    timeout.failure = FAILURE_TIMEOUT;
    begin_with(&plan, pool, (struct plan_request){.model = SLICE("m")}, 0);
    assert_sends(&plan, 0, 0);
    hear(&plan, timeout, 504, 0);
    assert_int_equal(next(&plan, 0).action, PLAN_RETURN); /* the answer is there */
    assert_true(next(&plan, 0).should_not_retry);
    plan_end(&plan, 0);
    pool_free(pool);
}

static void an_opaque_request_is_repeated_only_if_it_was_not_sent(void **state)
{
    struct pool *pool = plain_pool(4);
    struct verdict refused = cut_off;
    struct plan plan;
    int64_t now;

    (void)state;
    refused.maybe_ran = false;
    begin_with(&plan, pool, (struct plan_request){.opaque = true}, 0);
    assert_sends(&plan, 0, 0);
    hear(&plan, refused, 0, 0);
    now = wait_of(&plan, 0);
    assert_sends(&plan, now, 1);
    hear(&plan, revoked, 401, now);
    assert_int_equal(next(&plan, now).action, PLAN_GIVE_UP);
    assert_int_equal(next(&plan, now).status, 503);
    assert_false(next(&plan, now).should_not_retry); /* another key serves the next one */
    plan_end(&plan, now);
    pool_free(pool);
}

static void same_stays_with_the_key_and_ends_after_its_hops(void **state)
{
    struct pool *pool = plain_pool(3);
    struct plan plan;
    int64_t now;

    (void)state;
    begin(&plan, pool, 0);
    assert_sends(&plan, 0, 0);
    assert_true(hear(&plan, locked, 409, 0));
    now = wait_of(&plan, 0);
    assert_in_range(now, 1 * S, 1100 * MS);
    assert_sends(&plan, now, 0);
    assert_false(hear(&plan, locked, 409, now));
    assert_int_equal(next(&plan, now).action, PLAN_RETURN_KEPT);
    plan_end(&plan, now);
    pool_free(pool);
}

static void a_hint_beyond_patience_is_not_waited_for(void **state)
{
    struct pool *pool = plain_pool(1);
    struct plan plan;

    (void)state;
    begin(&plan, pool, 0);
    assert_sends(&plan, 0, 0);
    hear(&plan, with_wait(locked, 9 * S), 409, 0);
    assert_int_equal(next(&plan, 0).action, PLAN_RETURN_KEPT);
    plan_end(&plan, 0);
    pool_free(pool);
}

static void without_fallback_only_the_primary_is_asked(void **state)
{
    struct pool_options options = options_of(STRATEGY_ROUND_ROBIN);
    struct pool *pool;
    struct plan plan;
    int64_t now;

    (void)state;
    options.fallback_enabled = false;
    pool = pool_of(&options, 3, NULL);
    begin(&plan, pool, 0);
    assert_sends(&plan, 0, 0);
    hear(&plan, server_error, 500, 0);
    now = wait_of(&plan, 0);
    assert_sends(&plan, now, 0);
    hear(&plan, revoked, 401, now);
    assert_int_equal(next(&plan, now).action, PLAN_RETURN_KEPT); /* the 500 */
    plan_end(&plan, now);
    begin(&plan, pool, now);
    assert_int_equal(next(&plan, now).status, 503);
    plan_end(&plan, now);
    pool_free(pool);
}

static void nothing_starts_after_the_deadline(void **state)
{
    struct pool *pool = plain_pool(2);
    struct plan plan;

    (void)state;
    begin_with(&plan, pool, (struct plan_request){.stateless = true, .deadline_ns = 1 * S}, 0);
    assert_sends(&plan, 0, 0);
    hear(&plan, revoked, 401, 1 * S);
    assert_int_equal(next(&plan, 1 * S).action, PLAN_GIVE_UP);
    assert_int_equal(next(&plan, 1 * S).status, 503);
    assert_int_equal(next(&plan, 1 * S).failure, FAILURE_TIMEOUT);
    plan_end(&plan, 1 * S);
    pool_free(pool);
}

static void hanging_up_blames_nobody_and_returns_the_lease(void **state)
{
    struct pool *pool = plain_pool(2);
    struct plan plan, other;
    uint64_t epoch;

    (void)state;
    one(pool, 0, revoked, 0);
    begin(&plan, pool, 1000 * S);
    assert_sends(&plan, 1000 * S, 0); /* the half-open lease */
    begin(&other, pool, 1000 * S);
    assert_sends(&other, 1000 * S, 1);
    plan_end(&other, 1000 * S);
    epoch = pool_epoch(pool);
    plan_abandon(&plan, 1001 * S);
    assert_true(pool_epoch(pool) != epoch);
    assert_int_equal(plan.attempts[0].failure, FAILURE_ABANDONED);
    plan_end(&plan, 1001 * S);
    assert_int_equal(view(pool, 0, 1001 * S).consecutive_errors, 1);
    assert_int_equal(view(pool, 0, 1001 * S).circuit, CIRCUIT_HALF_OPEN);
    one(pool, 0, served, 1002 * S);
    assert_int_equal(view(pool, 0, 1002 * S).circuit, CIRCUIT_CLOSED);
    pool_free(pool);
}

static void what_flows_is_never_taken_back(void **state)
{
    struct pool *pool = plain_pool(2);
    struct plan plan;

    (void)state;
    one(pool, 0, revoked, 0);
    begin(&plan, pool, 1000 * S);
    assert_sends(&plan, 1000 * S, 0);
    plan_proven(&plan, 1001 * S);
    assert_int_equal(view(pool, 0, 1001 * S).circuit, CIRCUIT_CLOSED);
    plan_proven(&plan, 1002 * S);
    hear(&plan, cut_off, 200, 1003 * S);
    assert_int_equal(next(&plan, 1003 * S).action, PLAN_RETURN);
    plan_end(&plan, 1003 * S);
    assert_int_equal(view(pool, 0, 1003 * S).successes, 0);
    pool_free(pool);
}

static void a_long_trail_grows_and_asks_every_key_once(void **state)
{
    struct pool *pool = plain_pool(20);
    struct plan plan;
    struct plan_step step;

    (void)state;
    begin(&plan, pool, 0);
    for (int i = 0; i < 20; i++) {
        assert_sends(&plan, 0, i);
        hear(&plan, revoked, 401, 0);
    }
    step = next(&plan, 0);
    assert_int_equal(step.action, PLAN_GIVE_UP);
    assert_int_equal(plan.attempt_count, 20);
    assert_int_equal(plan.attempts[19].failure, FAILURE_REVOKED);
    plan_end(&plan, 0);
    pool_free(pool);
}

static void overload_ends_after_its_hops(void **state)
{
    struct pool *pool = plain_pool(3);
    struct plan plan;
    int64_t now = 0;

    (void)state;
    begin(&plan, pool, 0);
    for (int i = 0; i < 3; i++) {
        while (next(&plan, now).action == PLAN_WAIT)
            now = wait_of(&plan, now);
        hear(&plan, overloaded, 503, now);
    }
    assert_int_equal(next(&plan, now).action, PLAN_RETURN_KEPT);
    assert_true(next(&plan, now).should_not_retry);
    assert_in_range(now, 3 * S, 4 * S); /* 1 s, then 2 s, each up to a tenth more */
    plan_end(&plan, now);
    pool_free(pool);
}

static struct plan_request bound_request(void)
{
    return (struct plan_request){.stateless = true, .bound = true, .model = SLICE("m")};
}

/* Files and stored responses exist in one project: the others are not even asked. */
static void a_bound_request_stays_in_its_project(void **state)
{
    static const struct owner_names owners[] = {{"o", "p1"}, {"o", "p2"}, {"o", "p1"}};
    struct pool *pool = rotating_pool(3, owners);
    struct plan plan;

    (void)state;
    begin_with(&plan, pool, bound_request(), 0);
    assert_sends(&plan, 0, 0);
    hear(&plan, revoked, 401, 1);
    assert_sends(&plan, 1, 2);
    hear(&plan, revoked, 401, 2);
    assert_int_equal(next(&plan, 2).action, PLAN_GIVE_UP);
    plan_end(&plan, 2);
    one(pool, 1, served, 3); /* who names nothing goes on as ever */
    pool_free(pool);
}

/* Keys of unknown projects count as projects of their own. */
static void a_bound_request_stays_with_a_key_nobody_knows(void **state)
{
    struct pool *pool = rotating_pool(2, NULL);
    struct plan plan;

    (void)state;
    begin_with(&plan, pool, bound_request(), 0);
    assert_sends(&plan, 0, 0);
    hear(&plan, server_error, 500, 0);
    int64_t until_ns = next(&plan, 1).until_ns;
    assert_sends(&plan, until_ns, 0);
    hear(&plan, served, 200, until_ns);
    plan_end(&plan, until_ns);
    pool_free(pool);
}

/* An error that may have come behind the work: a second attempt, and no third. */
static void what_creates_objects_is_repeated_once_after_an_error(void **state)
{
    struct pool *pool = rotating_pool(4, NULL);
    struct plan plan;
    struct plan_step step;
    int64_t now = 0;

    (void)state;
    begin_with(&plan, pool, (struct plan_request){.stateless = false, .model = SLICE("m")}, 0);
    for (unsigned i = 0; i < 2; i++) {
        while ((step = next(&plan, now)).action == PLAN_WAIT)
            now = step.until_ns;
        assert_int_equal(step.action, PLAN_SEND);
        hear(&plan, server_error, 500, now);
    }
    assert_int_equal(next(&plan, now).action, PLAN_RETURN);
    plan_end(&plan, now);
    pool_free(pool);
}

/* ---- drills ------------------------------------------------------------------------------ */

static void begin_drill(struct plan *plan, struct pool *pool, uint16_t keys, int64_t now)
{
    begin_with(plan, pool,
               (struct plan_request){.stateless = true, .model = SLICE("m"), .drill_keys = keys},
               now);
}

static void assert_untouched(struct pool *pool, size_t index, int64_t now)
{
    struct key_view v = view(pool, index, now);

    assert_int_equal(v.requests, 0);
    assert_int_equal(v.consecutive_errors, 0);
    assert_int_equal(v.in_flight, 0);
    assert_int_equal(v.circuit, CIRCUIT_CLOSED);
    assert_int_equal(v.last_used_ns, -1);
}

static void a_drill_moves_its_plan_and_nothing_else(void **state)
{
    struct pool *pool = rotating_pool(3, NULL);
    uint64_t epoch = pool_epoch(pool);
    struct plan plan;

    (void)state;
    begin_drill(&plan, pool, 2, S);
    assert_sends(&plan, S, 0);
    assert_true(plan.drilled);
    hear(&plan, revoked, 401, S);
    assert_sends(&plan, S, 1);
    assert_true(plan.drilled);
    hear(&plan, no_quota, 429, S);
    assert_untouched(pool, 0, S);
    assert_untouched(pool, 1, S);
    assert_int_equal(pool_epoch(pool), epoch);
    assert_sends(&plan, S, 2);
    assert_false(plan.drilled);
    hear(&plan, served, 200, S);
    assert_true(plan.attempts[0].drilled && plan.attempts[1].drilled);
    assert_false(plan.attempts[2].drilled);
    plan_end(&plan, S);
    pool_check(pool);
    assert_int_equal(view(pool, 2, S).successes, 1);
    pool_free(pool);
}

/* A limit at every key: the plan ends, though no breaker tells when it will be over. */
static void a_drill_of_every_key_ends(void **state)
{
    struct pool_options options = options_of(STRATEGY_ROUND_ROBIN);
    struct plan plan;

    (void)state;
    options.max_wait_ns = 20 * S;
    struct pool *pool = pool_of(&options, 2, NULL);
    begin_drill(&plan, pool, 2, S);
    for (uint64_t i = 0; i < 2; i++) {
        assert_sends(&plan, S, i);
        hear(&plan, limited, 429, S);
    }
    assert_int_equal(next(&plan, S).action, PLAN_RETURN_KEPT);
    plan_end(&plan, S);
    assert_untouched(pool, 0, S);
    assert_untouched(pool, 1, S);
    pool_free(pool);
}

/* A service in trouble may be asked again, also by a key that was drilled: it fails again. */
static void a_drilled_key_stays_drilled(void **state)
{
    struct pool *pool = rotating_pool(1, NULL);
    struct plan plan;
    int64_t now = S;

    (void)state;
    begin_drill(&plan, pool, 1, now);
    for (unsigned i = 0; i < PLAN_SERVICE_ATTEMPTS; i++) {
        struct plan_step step = next(&plan, now);
        while (step.action == PLAN_WAIT) {
            now = step.until_ns;
            step = next(&plan, now);
        }
        assert_int_equal(step.action, PLAN_SEND);
        assert_true(plan.drilled);
        hear(&plan, server_error, 500, now);
    }
    assert_int_equal(next(&plan, now).action, PLAN_RETURN_KEPT);
    plan_end(&plan, now);
    assert_untouched(pool, 0, now);
    pool_free(pool);
}

static void a_drill_that_is_abandoned_leaves_nothing(void **state)
{
    struct pool *pool = rotating_pool(1, NULL);
    struct plan plan;

    (void)state;
    begin_drill(&plan, pool, 1, S);
    assert_sends(&plan, S, 0);
    plan_end(&plan, S);
    pool_check(pool);
    assert_untouched(pool, 0, S);
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bound_request_stays_in_its_project),
        cmocka_unit_test(a_bound_request_stays_with_a_key_nobody_knows),
        cmocka_unit_test(what_creates_objects_is_repeated_once_after_an_error),
        cmocka_unit_test(a_served_request_returns),
        cmocka_unit_test(a_revoked_primary_is_replaced_at_once),
        cmocka_unit_test(the_callers_own_fault_touches_nothing),
        cmocka_unit_test(a_rate_limit_moves_to_another_bucket),
        cmocka_unit_test(another_model_is_another_bucket),
        cmocka_unit_test(quota_moves_to_another_organization),
        cmocka_unit_test(too_large_asks_each_bucket_once_and_cools_nothing),
        cmocka_unit_test(service_failures_take_six_attempts_with_backoff),
        cmocka_unit_test(a_dead_network_ends_in_502),
        cmocka_unit_test(a_second_key_failing_the_same_way_blames_the_service),
        cmocka_unit_test(a_key_that_fails_alone_is_avoided_for_a_while),
        cmocka_unit_test(a_success_between_clears_the_service),
        cmocka_unit_test(work_that_may_have_run_is_repeated_once_if_stateless),
        cmocka_unit_test(work_that_may_have_run_is_not_repeated_if_stateful),
        cmocka_unit_test(an_opaque_request_is_repeated_only_if_it_was_not_sent),
        cmocka_unit_test(same_stays_with_the_key_and_ends_after_its_hops),
        cmocka_unit_test(a_hint_beyond_patience_is_not_waited_for),
        cmocka_unit_test(without_fallback_only_the_primary_is_asked),
        cmocka_unit_test(nothing_starts_after_the_deadline),
        cmocka_unit_test(hanging_up_blames_nobody_and_returns_the_lease),
        cmocka_unit_test(what_flows_is_never_taken_back),
        cmocka_unit_test(a_long_trail_grows_and_asks_every_key_once),
        cmocka_unit_test(overload_ends_after_its_hops),
        cmocka_unit_test(a_drill_moves_its_plan_and_nothing_else),
        cmocka_unit_test(a_drill_of_every_key_ends),
        cmocka_unit_test(a_drilled_key_stays_drilled),
        cmocka_unit_test(a_drill_that_is_abandoned_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
