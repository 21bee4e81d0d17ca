/* The comparison is fair only if the others do what they are known for. */
#include "sim_test.h"

#include "sim/policy.h"

static const struct world_spec world = {.orgs = 3, .projects = 1, .keys = 1};
static const struct request request = {.deadline_ns = NEVER, .tokens = 1};

static struct policy *policy;
static struct call call;

static void start(const struct policy_class *class)
{
    const struct policy_setup setup = {.world = &world, .patience_ns = 20 * SECOND, .seed = 1};

    policy = class->make(&setup);
    assert_non_null(policy);
    call = (struct call){.request = &request};
    class->begin(policy, &call, 0);
}

static void stop(void)
{
    policy->class->end(policy, &call, 0);
    policy->class->free(policy);
}

static struct policy_step next(int64_t now_ns)
{
    struct policy_step step;

    policy->class->next(policy, &call, now_ns, &step);
    call.key = step.key;
    return step;
}

static void answer(enum cause cause, int status, int64_t retry_after_ns, int64_t now_ns)
{
    struct reply reply = {.cause = cause, .status = status, .retry_after_ns = retry_after_ns};

    call.attempts++;
    policy->class->hear(policy, &call, &reply, now_ns);
}

static void sdk_retries_twice_and_obeys_hints(void **state)
{
    struct policy_step step;

    (void)state;
    start(&policy_single);
    assert_int_equal(next(0).action, POLICY_SEND);
    answer(CAUSE_REQUESTS, 429, 3 * SECOND, SECOND);
    step = next(SECOND);
    assert_int_equal(step.action, POLICY_WAIT);
    assert_int_equal(step.until_ns, 4 * SECOND);
    assert_int_equal(next(4 * SECOND).action, POLICY_SEND);
    answer(CAUSE_SERVER, 500, 0, 5 * SECOND);
    step = next(5 * SECOND);
    assert_in_range(step.until_ns, 5 * SECOND + 750 * MS, 6 * SECOND);
    assert_int_equal(next(6 * SECOND).action, POLICY_SEND);
    answer(CAUSE_SERVER, 500, 0, 7 * SECOND);
    assert_int_equal(next(7 * SECOND).action, POLICY_FAIL);
    stop();
}

static void sdk_gives_up_where_no_retry_helps(void **state)
{
    (void)state;
    start(&policy_single);
    next(0);
    answer(CAUSE_REVOKED, 401, 0, 0);
    assert_int_equal(next(0).action, POLICY_FAIL);
    stop();
    start(&policy_single);
    next(0);
    answer(CAUSE_REQUESTS, 429, 121 * SECOND, 0);
    assert_int_equal(next(0).action, POLICY_FAIL);
    stop();
}

static void rotation_takes_turns(void **state)
{
    (void)state;
    start(&policy_rotation);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(next(0).action, POLICY_SEND);
        assert_int_equal(call.key, i);
        answer(CAUSE_REVOKED, 401, 0, 0);
    }
    assert_int_equal(next(0).action, POLICY_FAIL);
    stop();
}

static void cooldown_rests_five_seconds(void **state)
{
    uint32_t first;

    (void)state;
    start(&policy_cooldown);
    next(0);
    first = call.key;
    answer(CAUSE_REQUESTS, 429, SECOND, 0);
    for (uint32_t i = 0; i < 50; i++) {
        call.index = i;
        assert_int_equal(next(5 * SECOND - 1).action, POLICY_SEND);
        assert_int_not_equal(call.key, first);
    }
    for (uint32_t i = 0; call.key != first; i++) {
        assert_true(i < 100);
        call.index = i;
        next(5 * SECOND);
    }
    stop();
}

static void cooldown_allows_three_failures(void **state)
{
    (void)state;
    start(&policy_cooldown);
    for (int failures = 1; failures <= 4; failures++) {
        call.key = 2;
        answer(CAUSE_SERVER, 500, 0, 0);
        call.state.simple = (struct simple_call){0};
        bool seen = false;
        for (uint32_t i = 0; i < 100; i++) {
            call.index = i;
            seen |= next(0).key == 2;
        }
        assert_int_equal(seen, failures <= 3);
    }
    stop();
}

static void blacklist_strikes_off_for_the_hour(void **state)
{
    (void)state;
    start(&policy_blacklist);
    for (int i = 0; i < 3; i++) {
        call.key = 1;
        answer(CAUSE_REVOKED, 401, 0, 0);
    }
    call.state.simple = (struct simple_call){0};
    for (int i = 0; i < 10; i++)
        assert_int_not_equal(next(60 * MINUTE - 1).key, 1);
    bool seen = false;
    for (int i = 0; i < 10; i++)
        seen |= next(60 * MINUTE).key == 1;
    assert_true(seen);
    stop();
}

static void names_are_unique(void **state)
{
    (void)state;
    for (size_t i = 0; i < POLICY_COUNT; i++) {
        assert_non_null(policy_at(i));
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(policy_at(i)->name, policy_at(k)->name);
    }
    assert_null(policy_at(POLICY_COUNT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sdk_retries_twice_and_obeys_hints),
        cmocka_unit_test(sdk_gives_up_where_no_retry_helps),
        cmocka_unit_test(rotation_takes_turns),
        cmocka_unit_test(cooldown_rests_five_seconds),
        cmocka_unit_test(cooldown_allows_three_failures),
        cmocka_unit_test(blacklist_strikes_off_for_the_hour),
        cmocka_unit_test(names_are_unique),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
