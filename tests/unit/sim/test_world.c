/* The limiter, against arithmetic done by hand. */
#include "sim_test.h"

#include "sim/world.h"

static struct world world;

static struct reply ask_for(uint32_t key, int64_t tokens, int64_t now_ns)
{
    static uint32_t request;
    struct ask ask = {.key = key, .request = request++, .turn = 1, .tokens = tokens};
    struct reply reply;

    world_ask(&world, &ask, now_ns, &reply);
    return reply;
}

static void make(const struct world_spec *spec)
{
    assert_int_equal(world_init(&world, spec, 1), STATUS_OK);
}

static unsigned serve(uint32_t key, unsigned count, int64_t tokens, int64_t now_ns)
{
    unsigned served = 0;

    while (count-- > 0)
        served += ask_for(key, tokens, now_ns).cause == CAUSE_SERVED;
    return served;
}

static void one_window_at_once_then_the_rate(void **state)
{
    struct reply reply;

    (void)state;
    make(&(struct world_spec){.orgs = 1, .projects = 1, .keys = 1, .org = {60, 0, 0}});
    assert_int_equal(serve(0, 100, 1, 0), 60);
    reply = ask_for(0, 1, 0);
    assert_int_equal(reply.status, 429);
    assert_int_equal(reply.cause, CAUSE_REQUESTS);
    assert_int_equal(reply.retry_after_ns, SECOND);
    assert_int_equal(reply.requests.remaining, 0);
    assert_int_equal(reply.requests.reset_ns, MINUTE);
    assert_int_equal(serve(0, 100, 1, 10 * SECOND), 10);
    assert_int_equal(serve(0, 100, 1, 10 * MINUTE), 60); /* never more than a window */
    world_fini(&world);
}

static void keys_share_their_organisation(void **state)
{
    (void)state;
    make(&(struct world_spec){.orgs = 2, .projects = 1, .keys = 2, .org = {10, 0, 0}});
    assert_int_equal(serve(0, 6, 1, 0), 6);
    assert_int_equal(serve(1, 10, 1, 0), 4);
    assert_int_equal(serve(2, 20, 1, 0), 10);
    assert_int_equal(ask_for(1, 1, 0).org, 0);
    assert_int_equal(ask_for(2, 1, 0).org, 1);
    world_fini(&world);
}

static void projects_have_limits_of_their_own(void **state)
{
    struct reply reply;

    (void)state;
    make(&(struct world_spec){
        .orgs = 1, .projects = 2, .keys = 1, .org = {10, 0, 0}, .project = {6, 0, 0}});
    assert_int_equal(serve(0, 10, 1, 0), 6);
    reply = ask_for(0, 1, 0);
    assert_true(reply.project_refused);
    assert_int_equal(reply.project_requests.limit, 6);
    assert_int_equal(reply.requests.remaining,
                     4); /* refused by the one: the other is not charged */
    assert_int_equal(serve(1, 10, 1, 0), 4);
    reply = ask_for(1, 1, 0);
    assert_false(reply.project_refused);
    world_fini(&world);
}

static void tokens_and_days_count_too(void **state)
{
    struct reply reply;

    (void)state;
    make(&(struct world_spec){.orgs = 1, .projects = 1, .keys = 1, .org = {1000, 5, 600}});
    assert_int_equal(serve(0, 10, 300, 0), 2);
    reply = ask_for(0, 50, 0);
    assert_int_equal(reply.cause, CAUSE_TOKENS);
    assert_int_equal(reply.retry_after_ns, 5 * SECOND); /* 50 of 10 a second */
    assert_int_equal(ask_for(0, 601, 0).cause, CAUSE_TOO_LARGE);
    assert_int_equal(serve(0, 10, 1, MINUTE), 3); /* the day's five are used */
    assert_true(ask_for(0, 1, MINUTE).retry_after_ns > 4 * 60 * MINUTE);
    world_fini(&world);
}

static void refusals_cost_only_when_told_so(void **state)
{
    struct world_spec spec = {.orgs = 1, .projects = 1, .keys = 1, .org = {60, 0, 0}};

    (void)state;
    for (int counted = 0; counted < 2; counted++) {
        spec.refusals_count = counted;
        make(&spec);
        assert_int_equal(serve(0, 60, 1, 0), 60);
        assert_int_equal(serve(0, 1, 1, SECOND / 2), 0);
        /* half a unit had come back; the refusal took it away again */
        assert_int_equal(serve(0, 1, 1, SECOND), counted ? 0 : 1);
        world_fini(&world);
    }
}

static void a_silent_world_tells_only_when_to_come_back(void **state)
{
    struct reply reply;

    (void)state;
    make(&(struct world_spec){
        .orgs = 1, .projects = 1, .keys = 1, .org = {60, 0, 0}, .silent = true});
    assert_int_equal(ask_for(0, 1, 0).requests.limit, 0);
    assert_int_equal(serve(0, 59, 1, 0), 59);
    reply = ask_for(0, 1, 0);
    assert_int_equal(reply.requests.limit, 0);
    assert_int_equal(reply.retry_after_ns, SECOND);
    world_fini(&world);
}

static void faults_strike_whom_and_when_they_say(void **state)
{
    struct world_spec spec = {
        .orgs = 2,
        .projects = 1,
        .keys = 2,
        .processing_ms = 1,
        .faults = {{.kind = FAULT_REVOKED, .from_ns = 10, .until_ns = 20, .first = 1, .last = 1},
                   {.kind = FAULT_QUOTA, .from_ns = 15, .until_ns = 30, .first = 0, .last = 0},
                   {.kind = FAULT_OUTAGE, .from_ns = 40, .until_ns = 50}}};

    (void)state;
    make(&spec);
    assert_int_equal(ask_for(1, 1, 9).cause, CAUSE_SERVED);
    assert_int_equal(ask_for(1, 1, 10).cause, CAUSE_REVOKED);
    assert_false(ask_for(1, 1, 10).owned);
    assert_int_equal(ask_for(0, 1, 10).cause, CAUSE_SERVED);
    assert_int_equal(ask_for(0, 1, 15).cause, CAUSE_QUOTA);
    assert_int_equal(ask_for(0, 1, 15).retry_after_ns, 0);
    assert_int_equal(ask_for(2, 1, 15).cause, CAUSE_SERVED);
    assert_int_equal(ask_for(0, 1, 30).cause, CAUSE_SERVED);
    assert_int_not_equal(ask_for(2, 1, 45).cause, CAUSE_SERVED);
    assert_int_equal(ask_for(2, 1, 50).cause, CAUSE_SERVED);
    assert_false(world_org_lives(&spec, 0, 16));
    assert_true(world_org_lives(&spec, 0, 12)); /* its other key is good */
    world_fini(&world);
}

static void a_probe_proves_no_more_than_the_key(void **state)
{
    struct world_spec spec = {
        .orgs = 1,
        .projects = 1,
        .keys = 2,
        .faults = {{.kind = FAULT_REVOKED, .until_ns = NEVER, .first = 1, .last = 1},
                   {.kind = FAULT_QUOTA, .until_ns = NEVER}}};
    struct reply reply;

    (void)state;
    make(&spec);
    world_probe(&world, 0, 0, &reply);
    assert_int_equal(reply.cause, CAUSE_SERVED);
    world_probe(&world, 1, 0, &reply);
    assert_int_equal(reply.cause, CAUSE_REVOKED);
    world_fini(&world);
}

static void flaky_fails_its_share(void **state)
{
    unsigned served;

    (void)state;
    make(&(struct world_spec){.orgs = 1,
                              .projects = 1,
                              .keys = 1,
                              .processing_ms = 1,
                              .faults = {{.kind = FAULT_FLAKY, .until_ns = NEVER, .ppm = 100000}}});
    served = serve(0, 20000, 1, 0);
    assert_in_range(served, 18000 - 170, 18000 + 170);
    world_fini(&world);
}

static void speed_limits_refuse_what_is_faster(void **state)
{
    struct world_spec spec = {
        .orgs = 2,
        .projects = 1,
        .keys = 1,
        .processing_ms = 1,
        .faults = {
            {.kind = FAULT_SLOW_DOWN, .until_ns = 10 * SECOND, .first = 0, .last = 0, .per_s = 5}}};

    (void)state;
    make(&spec);
    assert_int_equal(serve(0, 20, 1, 0), 5);
    assert_int_equal(ask_for(0, 1, 0).cause, CAUSE_SLOW_DOWN);
    assert_int_equal(serve(1, 20, 1, 0), 20);
    assert_int_equal(serve(0, 20, 1, SECOND), 5);
    assert_int_equal(serve(0, 20, 1, 10 * SECOND), 20);
    world_fini(&world);
}

static void same_luck_for_the_same_attempt(void **state)
{
    struct world_spec spec = {.orgs = 1, .projects = 1, .keys = 1, .processing_ms = 100};
    struct ask ask = {.key = 0, .request = 7, .turn = 2};
    struct reply a, b, other;

    (void)state;
    make(&spec);
    world_ask(&world, &ask, 0, &a);
    ask_for(0, 1, 5);
    world_ask(&world, &ask, 9, &b);
    ask.turn = 3;
    world_ask(&world, &ask, 9, &other);
    assert_int_equal(a.processing_ns, b.processing_ns);
    assert_int_not_equal(a.processing_ns, other.processing_ns);
    world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_window_at_once_then_the_rate),
        cmocka_unit_test(keys_share_their_organisation),
        cmocka_unit_test(projects_have_limits_of_their_own),
        cmocka_unit_test(tokens_and_days_count_too),
        cmocka_unit_test(refusals_cost_only_when_told_so),
        cmocka_unit_test(a_silent_world_tells_only_when_to_come_back),
        cmocka_unit_test(faults_strike_whom_and_when_they_say),
        cmocka_unit_test(a_probe_proves_no_more_than_the_key),
        cmocka_unit_test(flaky_fails_its_share),
        cmocka_unit_test(speed_limits_refuse_what_is_faster),
        cmocka_unit_test(same_luck_for_the_same_attempt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
