#include "sim_test.h"

#include "sim/arrivals.h"
#include "sim/world.h"

static const struct traffic two_phases = {
    .phases = {{100 * SECOND, 50}, {200 * SECOND, 5}},
    .tokens_min = 10,
    .tokens_max = 20,
    .patience_ns = 3 * SECOND,
};

static void rates_are_those_of_the_phases(void **state)
{
    struct arrivals a;
    size_t early = 0;

    (void)state;
    assert_int_equal(arrivals_make(&two_phases, 1, &a), STATUS_OK);
    for (size_t i = 0; i < a.count; i++)
        early += a.requests[i].at_ns < 100 * SECOND;
    /* 5000 and 500 expected; four standard deviations to each side */
    assert_in_range(early, 5000 - 283, 5000 + 283);
    assert_in_range(a.count - early, 500 - 90, 500 + 90);
    assert_int_equal(a.end_ns, 200 * SECOND);
    arrivals_fini(&a);
}

static void requests_are_ordered_and_within_bounds(void **state)
{
    struct arrivals a;
    int64_t seen_min = INT64_MAX, seen_max = 0;

    (void)state;
    assert_int_equal(arrivals_make(&two_phases, 2, &a), STATUS_OK);
    for (size_t i = 0; i < a.count; i++) {
        const struct request *r = &a.requests[i];
        assert_true(i == 0 || a.requests[i - 1].at_ns <= r->at_ns);
        assert_int_equal(r->deadline_ns, r->at_ns + 3 * SECOND);
        seen_min = r->tokens < seen_min ? r->tokens : seen_min;
        seen_max = r->tokens > seen_max ? r->tokens : seen_max;
    }
    assert_int_equal(seen_min, 10);
    assert_int_equal(seen_max, 20);
    arrivals_fini(&a);
}

static void seeds_differ_and_repeat(void **state)
{
    struct arrivals a, b, c;

    (void)state;
    assert_int_equal(arrivals_make(&two_phases, 3, &a), STATUS_OK);
    assert_int_equal(arrivals_make(&two_phases, 3, &b), STATUS_OK);
    assert_int_equal(arrivals_make(&two_phases, 4, &c), STATUS_OK);
    assert_int_equal(a.count, b.count);
    assert_memory_equal(a.requests, b.requests, a.count * sizeof *a.requests);
    assert_int_not_equal(a.requests[0].at_ns, c.requests[0].at_ns);
    arrivals_fini(&a);
    arrivals_fini(&b);
    arrivals_fini(&c);
}

static void a_silent_phase_is_silent(void **state)
{
    const struct traffic traffic = {.phases = {{10 * SECOND, 0}, {20 * SECOND, 10}}};
    struct arrivals a;

    (void)state;
    assert_int_equal(arrivals_make(&traffic, 1, &a), STATUS_OK);
    assert_true(a.count > 0);
    assert_true(a.requests[0].at_ns >= 10 * SECOND);
    arrivals_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_those_of_the_phases),
        cmocka_unit_test(requests_are_ordered_and_within_bounds),
        cmocka_unit_test(seeds_differ_and_repeat),
        cmocka_unit_test(a_silent_phase_is_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
