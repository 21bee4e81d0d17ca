/* The run itself, with policies made to be seen through. */
#include "sim_test.h"

#include <string.h>

#include "../support/dies.h"
#include "sim/run.h"

static const struct scenario quiet = {
    .name = "quiet",
    .world = {.orgs = 2, .projects = 1, .keys = 1, .org = {6000, 0, 0}, .processing_ms = 100},
    .traffic = {.phases = {{60 * SECOND, 10}},
                .tokens_min = 1,
                .tokens_max = 1,
                .patience_ns = 5 * SECOND}};

static struct policy dummy;

static struct policy *make(const struct policy_setup *setup)
{
    (void)setup;
    return &dummy;
}

static void drop(struct policy *policy)
{
    (void)policy;
}

static void note(struct policy *policy, struct call *call, int64_t now_ns)
{
    (void)policy;
    (void)call;
    (void)now_ns;
}

static void deaf(struct policy *policy, struct call *call, const struct reply *reply,
                 int64_t now_ns)
{
    (void)policy;
    (void)call;
    (void)reply;
    (void)now_ns;
}

static void send_first(struct policy *policy, struct call *call, int64_t now_ns,
                       struct policy_step *ret_step)
{
    (void)policy;
    (void)call;
    (void)now_ns;
    *ret_step = (struct policy_step){.action = POLICY_SEND, .key = 0};
}

static void wait_for_ever(struct policy *policy, struct call *call, int64_t now_ns,
                          struct policy_step *ret_step)
{
    (void)policy;
    (void)call;
    (void)now_ns;
    *ret_step = (struct policy_step){.action = POLICY_WAIT, .until_ns = NEVER};
}

static struct result run(const struct scenario *scenario, const struct policy_class *class,
                         uint64_t seed)
{
    struct arrivals arrivals;
    struct result result;

    dummy.class = class;
    assert_int_equal(arrivals_make(&scenario->traffic, seed, &arrivals), STATUS_OK);
    assert_int_equal(run_policy(scenario, &arrivals, class, seed, &result), STATUS_OK);
    assert_int_equal(result.requests, arrivals.count);
    assert_int_equal(result.served + result.failed, arrivals.count);
    arrivals_fini(&arrivals);
    return result;
}

static void what_is_sent_is_served(void **state)
{
    const struct policy_class class = {
        .make = make, .free = drop, .begin = note, .next = send_first, .hear = deaf, .end = note};
    struct result r = run(&quiet, &class, 1);

    (void)state;
    assert_int_equal(r.failed, 0);
    assert_int_equal(r.attempts, r.requests);
    assert_int_equal(r.extra_attempts, 0);
    assert_int_equal(r.wait_p99_ns, 0);
    assert_int_equal(r.causes[CAUSE_SERVED], r.requests);
}

static void who_waits_for_ever_fails_at_the_deadline(void **state)
{
    const struct policy_class class = {.make = make,
                                       .free = drop,
                                       .begin = note,
                                       .next = wait_for_ever,
                                       .hear = deaf,
                                       .end = note};
    struct result r = run(&quiet, &class, 1);

    (void)state;
    assert_int_equal(r.failed, r.requests);
    assert_int_equal(r.attempts, 0);
}

static void waste_is_counted(void **state)
{
    const struct policy_class class = {
        .make = make, .free = drop, .begin = note, .next = send_first, .hear = deaf, .end = note};
    struct scenario dead = quiet;
    struct result r;

    (void)state;
    dead.world.faults[0] = (struct world_fault){.kind = FAULT_REVOKED, .until_ns = NEVER};
    r = run(&dead, &class, 1);
    assert_int_equal(r.failed, r.requests);
    assert_int_equal(r.causes[CAUSE_REVOKED], r.attempts);
    /* all but those sent before the first answer was heard */
    assert_true(r.wasted < r.attempts && r.wasted > r.attempts * 99 / 100);
    assert_int_equal(r.extra_attempts, r.attempts - r.requests);
}

static void ask_the_deaf(void *class)
{
    struct scenario dead = quiet;

    dead.world.faults[0] = (struct world_fault){.kind = FAULT_REVOKED, .until_ns = NEVER};
    (void)run(&dead, class, 1);
}

/* A policy that claims to heed answers is held to it. */
static void who_does_not_heed_is_noticed(void **state)
{
    struct policy_class class = {
        .make = make, .free = drop, .begin = note, .next = send_first, .hear = deaf, .end = note};
    char words[200];

    (void)state;
    assert_false(dies(ask_the_deaf, &class, words, sizeof words));
    class.heeds = true;
    assert_true(dies(ask_the_deaf, &class, words, sizeof words));
    assert_non_null(strstr(words, "key 0 was asked against what answers said"));
}

/* No request is lost by shortening: those that came all end. */
static void a_shortened_run_comes_to_its_end(void **state)
{
    struct arrivals arrivals;
    struct result r;

    (void)state;
    assert_int_equal(arrivals_make(&quiet.traffic, 1, &arrivals), STATUS_OK);
    assert_int_equal(run_shortened(&quiet, &arrivals, &policy_engine, 1, 300, &r), STATUS_OK);
    assert_in_range(r.events, 300, 330);
    assert_in_range(r.requests, 95, 110); /* three events each */
    assert_int_equal(r.served, r.requests);
    arrivals_fini(&arrivals);
}

static void same_seed_same_result(void **state)
{
    struct scenario stormy = quiet;

    (void)state;
    stormy.world.org.requests_per_min = 60;
    stormy.world.faults[0] =
        (struct world_fault){.kind = FAULT_FLAKY, .until_ns = NEVER, .ppm = 200000};
    for (size_t i = 0; i < POLICY_COUNT; i++) {
        struct result a = run(&stormy, policy_at(i), 5), b = run(&stormy, policy_at(i), 5),
                      c = run(&stormy, policy_at(i), 6);
        assert_memory_equal(&a, &b, sizeof a);
        assert_true(a.attempts != c.attempts || a.served != c.served);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sent_is_served),
        cmocka_unit_test(who_waits_for_ever_fails_at_the_deadline),
        cmocka_unit_test(waste_is_counted),
        cmocka_unit_test(who_does_not_heed_is_noticed),
        cmocka_unit_test(a_shortened_run_comes_to_its_end),
        cmocka_unit_test(same_seed_same_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
