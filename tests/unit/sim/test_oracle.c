/* The oracle is a bound: tight where that can be worked out by hand, and never beaten by anybody,
 * neither by the policies nor by random choices of key and time on small random worlds. */
#include "sim_test.h"

#include <stdlib.h>

#include "base/rng.h"
#include "sim/oracle.h"
#include "sim/policy.h"
#include "sim/run.h"

/* `count` requests at once. */
static struct arrivals salvo(struct request *requests, size_t count, int64_t patience_ns)
{
    for (size_t i = 0; i < count; i++)
        requests[i] = (struct request){.deadline_ns = patience_ns, .tokens = 100};
    return (struct arrivals){requests, count, SECOND};
}

static uint64_t served(const struct world_spec *spec, const struct arrivals *arrivals)
{
    struct result result;

    assert_int_equal(oracle_serve(spec, arrivals, &result), STATUS_OK);
    assert_int_equal(result.requests, arrivals->count);
    return result.served;
}

static void a_window_and_what_flows_back(void **state)
{
    struct world_spec spec = {.orgs = 2, .projects = 1, .keys = 1, .org = {60, 0, 0}};
    struct request requests[1000];

    (void)state;
    /* two buckets of 60; within 10.04 s each gets 10 more */
    struct arrivals a = salvo(requests, 1000, 10 * SECOND);
    assert_int_equal(served(&spec, &a), 140);
    spec.org.tokens_per_min = 3000; /* 30 and 5 requests each */
    assert_int_equal(served(&spec, &a), 70);
    spec.project.requests_per_min = 12; /* 12 and 2 */
    assert_int_equal(served(&spec, &a), 28);
    spec.org.requests_per_day = 7;
    assert_int_equal(served(&spec, &a), 14);
}

static void the_dead_offer_nothing(void **state)
{
    struct world_spec spec = {.orgs = 2,
                              .projects = 1,
                              .keys = 2,
                              .org = {60, 0, 0},
                              .faults = {{.kind = FAULT_QUOTA, .until_ns = NEVER}}};
    struct request requests[1000];
    struct arrivals a = salvo(requests, 1000, 10 * SECOND);

    (void)state;
    assert_int_equal(served(&spec, &a), 70);
    spec.faults[0].until_ns = 5 * SECOND; /* back in time, and full */
    assert_int_equal(served(&spec, &a), 140 - 5);
    spec.faults[0] = (struct world_fault){
        .kind = FAULT_REVOKED, .until_ns = NEVER, .first = 0, .last = 0}; /* one door of two */
    assert_int_equal(served(&spec, &a), 140);
    spec.faults[0].last = 3;
    assert_int_equal(served(&spec, &a), 0);
}

static void outages_are_waited_for(void **state)
{
    struct world_spec spec = {
        .orgs = 1,
        .projects = 1,
        .keys = 1,
        .org = {60, 0, 0},
        .faults = {{.kind = FAULT_OUTAGE, .until_ns = 5 * SECOND},
                   {.kind = FAULT_OVERLOAD, .until_ns = NEVER, .from_ns = 5 * SECOND, .per_s = 3}}};
    struct request requests[1000];
    struct arrivals a = salvo(requests, 1000, 10 * SECOND);

    (void)state;
    assert_int_equal(served(&spec, &a), 3 + 15);
    spec.faults[0].until_ns = 11 * SECOND;
    assert_int_equal(served(&spec, &a), 0);
}

static void offers_what_the_buckets_hold(void **state)
{
    struct world_spec spec = {.orgs = 2, .projects = 1, .keys = 1, .org = {60, 0, 0}};
    struct request requests[10];
    struct arrivals a = salvo(requests, 10, 0);

    (void)state;
    a.end_ns = 2 * MINUTE;
    assert_float_equal(oracle_offered(&spec, &a), 2 * (60 + 120), 0.1);
    requests[9].deadline_ns = 3 * MINUTE - 40 * MS; /* and as long as anybody waits */
    assert_float_equal(oracle_offered(&spec, &a), 2 * (60 + 180), 0.1);
    requests[9].deadline_ns = 0;
    spec.faults[0] = (struct world_fault){
        .kind = FAULT_QUOTA, .from_ns = MINUTE, .until_ns = NEVER, .first = 0, .last = 0};
    assert_float_equal(oracle_offered(&spec, &a), 60 + 120 + 60 + 60, 0.1);
}

static struct world_spec random_world(struct rng *rng)
{
    struct world_spec spec = {.orgs = 1 + (uint32_t)rng_below(rng, 4),
                              .projects = 1 + (uint32_t)rng_below(rng, 2),
                              .keys = 1 + (uint32_t)rng_below(rng, 2),
                              .refusals_count = rng_below(rng, 2),
                              .processing_ms = 50};

    spec.org = (struct limits){1 + (int64_t)rng_below(rng, 100), 0,
                               rng_below(rng, 2) ? 2000 + (int64_t)rng_below(rng, 9000) : 0};
    spec.project.requests_per_min = rng_below(rng, 2) ? 1 + (int64_t)rng_below(rng, 60) : 0;
    for (int i = 0; i < 3; i++) {
        int64_t from = (int64_t)rng_below(rng, 60) * SECOND;
        spec.faults[i] = (struct world_fault){
            .kind = (enum fault_kind)(1 + rng_below(rng, FAULT_OVERLOAD)),
            .from_ns = from,
            .until_ns = from + (int64_t)rng_below(rng, 60) * SECOND,
            .first = (uint32_t)rng_below(rng, 4),
            .ppm = 300000,
            .per_s = 1 + (int64_t)rng_below(rng, 5),
        };
        spec.faults[i].last = spec.faults[i].first + (uint32_t)rng_below(rng, 3);
    }
    return spec;
}

/* Asks for each request, oldest first, at every quarter of a second until its deadline, keys in
 * turn from a random one: no policy could ask more. */
static uint64_t grabbed(const struct world_spec *spec, const struct arrivals *arrivals,
                        struct rng *rng)
{
    struct world world;
    bool *done = calloc(arrivals->count + 1, sizeof(*done));
    uint32_t keys = world_key_count(spec);
    uint64_t count = 0;

    assert_non_null(done);
    assert_int_equal(world_init(&world, spec, 1), STATUS_OK);
    for (int64_t now = 0; now < 90 * SECOND; now += SECOND / 4) {
        for (size_t i = 0; i < arrivals->count && arrivals->requests[i].at_ns <= now; i++) {
            uint32_t first = (uint32_t)rng_below(rng, keys);
            for (uint32_t k = 0; k < keys && !done[i] && now <= arrivals->requests[i].deadline_ns;
                 k++) {
                struct ask ask = {(first + k) % keys, (uint32_t)i, (uint32_t)rng_below(rng, 99),
                                  arrivals->requests[i].tokens};
                struct reply reply;
                world_ask(&world, &ask, now + RUN_UPLINK_MAX_NS, &reply);
                done[i] = reply.cause == CAUSE_SERVED;
                count += done[i];
            }
        }
    }
    world_fini(&world);
    free(done);
    return count;
}

static void nobody_beats_it(void **state)
{
    struct rng rng = {11};

    (void)state;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct scenario scenario = {
            .world = random_world(&rng),
            .traffic = {.phases = {{60 * SECOND, 1 + (double)rng_below(&rng, 12)}},
                        .tokens_min = 50,
                        .tokens_max = 50 + (int64_t)rng_below(&rng, 400),
                        .patience_ns = (int64_t)rng_below(&rng, 20) * SECOND}};
        struct arrivals arrivals;
        uint64_t most;

        assert_int_equal(arrivals_make(&scenario.traffic, seed, &arrivals), STATUS_OK);
        most = served(&scenario.world, &arrivals);
        assert_true(grabbed(&scenario.world, &arrivals, &rng) <= most);
        for (size_t i = 0; i < POLICY_COUNT; i++) {
            struct result result;
            assert_int_equal(run_policy(&scenario, &arrivals, policy_at(i), seed, &result),
                             STATUS_OK);
            if (result.served > most)
                print_error("%s served %llu of %llu, seed %llu\n", policy_at(i)->name,
                            (unsigned long long)result.served, (unsigned long long)most,
                            (unsigned long long)seed);
            assert_true(result.served <= most);
        }
        arrivals_fini(&arrivals);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_window_and_what_flows_back),
        cmocka_unit_test(the_dead_offer_nothing),
        cmocka_unit_test(outages_are_waited_for),
        cmocka_unit_test(offers_what_the_buckets_hold),
        cmocka_unit_test(nobody_beats_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
