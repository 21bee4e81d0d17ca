/* A check that cannot fail is none: a healthy engine passes, and each of these is noticed:
 * a reservation that outlives its attempt, a lease whose holder is gone, a second trial, a key
 * that cools down and is asked, a request counted in line that does not stand there. */
#include "sim_test.h"

#include <string.h>

#include "../support/dies.h"
#include "../support/verdicts.h"
#include "pool/bucket.h"
#include "pool/state.h"
#include "sim/watch.h"

#define DEADLINE (600 * S)

struct one {
    struct plan plan;
    struct watched watched;
};

static struct pool *pool;
static struct watch watch;
static struct one a, b;

static int set_up(void **state)
{
    const struct key_spec key = {.identity = 1};
    struct pool_options options;

    (void)state;
    pool_options_init(&options);
    options.proof_wait_ns = 0;
    if (pool_new(&options, &pool) != STATUS_OK || pool_load(pool, &key, 1, 0) != STATUS_OK)
        return -1;
    watch_init(&watch, pool);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pool_free(pool);
    return 0;
}

static enum plan_action starts(struct one *one, int64_t now)
{
    const struct plan_request request = {.model = SLICE("m"), .deadline_ns = DEADLINE, .tokens = 5};
    struct plan_step step;

    plan_start(&one->plan, pool, &request, now);
    watch_begin(&watch, &one->watched, &one->plan);
    plan_next(&one->plan, now, &step);
    if (step.action == PLAN_SEND)
        watch_sent(&watch, &one->watched, now);
    return step.action;
}

/* The answer, with headers that leave room for more. */
static void hears(struct one *one, const struct verdict *verdict, int64_t now)
{
    const struct evidence evidence = {.status = 418};
    struct limit_report report;

    for (int i = 0; i < REPORT_DIMENSIONS; i++)
        report.readings[i] = (struct limit_reading){-1, -1, -1};
    report.readings[REPORT_REQUESTS] = (struct limit_reading){100, 90, 6 * S};
    plan_limits(&one->plan, &report, now);
    plan_hear(&one->plan, verdict, &evidence, now);
    watch_heard(&watch, &one->watched);
}

static void ends(struct one *one, int64_t now)
{
    plan_end(&one->plan, now);
    watch_end(&watch, &one->watched);
}

static void check(void *nothing)
{
    (void)nothing;
    watch_check(&watch);
}

/* `b` is sent. */
static void send_b(void *now)
{
    (void)starts(&b, *(int64_t *)now);
}

static void assert_noticed(void (*act)(void *), void *argument, const char *word)
{
    char words[200];

    assert_true(dies(act, argument, words, sizeof words));
    if (!strstr(words, word))
        fail_msg("said: %s", words);
}

/* Two requests, one after the other and then together: all is well at every step. */
static void health_is_no_alarm(void **state)
{
    (void)state;
    assert_int_equal(starts(&a, 1), PLAN_SEND);
    watch_check(&watch);
    hears(&a, &served, 2);
    watch_check(&watch);
    ends(&a, 2);
    watch_check(&watch);
    assert_int_equal(starts(&a, 3), PLAN_SEND);
    assert_int_equal(starts(&b, 3), PLAN_SEND);
    watch_check(&watch);
    hears(&a, &limited, 4);
    watch_check(&watch);
    ends(&a, 4);
    ends(&b, 5); /* hung up in flight */
    watch_check(&watch);
    assert_int_equal(starts(&a, 6), PLAN_WAIT);
    watch_check(&watch);
    ends(&a, 7);
    watch_check(&watch);
}

/* What an engine that forgets to release would leave behind. */
static void a_reservation_without_owner(void **state)
{
    (void)state;
    assert_int_equal(starts(&a, 1), PLAN_SEND);
    hears(&a, &served, 2);
    ends(&a, 2);
    assert_int_equal(starts(&a, 3), PLAN_SEND);
    assert_non_null(a.plan.flight.holds[LEVEL_PROJECT].bucket);
    watch_check(&watch);
    watch_heard(&watch, &a.watched);
    assert_noticed(check, NULL, "1 reservations are booked, 0 are held");
    plan_end(&a.plan, 4);
    watch_check(&watch);
    watch_end(&watch, &a.watched);
}

static void an_attempt_that_is_counted_for_ever(void **state)
{
    (void)state;
    pool->order[0]->counts.begun++;
    assert_noticed(check, NULL, "1 attempts are counted, 0 are in flight");
    pool->order[0]->counts.begun--;
}

/* The breaker that the limit of the only key has opened. */
static struct breaker *opened(int64_t now)
{
    struct place place;

    assert_int_equal(starts(&a, now), PLAN_SEND);
    hears(&a, &limited, now);
    place =
        (struct place){key_project_node(pool->order[0]), a.plan.route.model, SCOPE_PROJECT_MODEL};
    ends(&a, now);
    return circuits_find(&pool->circuits, place);
}

static void a_second_trial(void **state)
{
    int64_t now = 2 * S;
    struct breaker *breaker = opened(1);

    (void)state;
    assert_int_equal(starts(&a, now), PLAN_SEND);
    assert_int_equal(breaker->state, CIRCUIT_HALF_OPEN);
    assert_int_equal(breaker->lease, a.plan.flight.serial);
    breaker->lease = 0; /* forgotten: the next takes it, too */
    assert_noticed(send_b, &now, "two attempts try a half-open project+model");
    breaker->lease = a.plan.flight.serial;
    assert_false(dies(send_b, &now, (char[200]){0}, 200)); /* as it should be, `b` waits */
    ends(&a, now);
}

static void a_lease_without_holder(void **state)
{
    struct breaker *breaker = opened(1);

    (void)state;
    assert_int_equal(starts(&a, 2 * S), PLAN_SEND);
    ends(&a, 2 * S);
    watch_check(&watch);
    breaker->lease = 77;
    assert_noticed(check, NULL, "0 hold the lease of a project+model");
    breaker->lease = 0;
}

/* The key of `a`, as if it had been asked only now. */
static void send_a_again(void *now)
{
    watch_heard(&watch, &a.watched);
    watch_sent(&watch, &a.watched, *(int64_t *)now);
}

static void a_key_that_cools_down(void **state)
{
    int64_t now = 2, late = DEADLINE;

    (void)state;
    assert_int_equal(starts(&a, 1), PLAN_SEND);
    assert_int_equal(starts(&b, 1), PLAN_SEND);
    assert_false(dies(send_a_again, &now, (char[200]){0}, 200));
    assert_noticed(send_a_again, &late, "after the deadline");
    hears(&b, &limited, 2);
    assert_noticed(send_a_again, &now, "a project+model that cools down was asked");
    ends(&a, 3);
    ends(&b, 3);
}

static void one_too_many_in_line(void **state)
{
    (void)state;
    (void)opened(1);
    assert_int_equal(starts(&a, 2), PLAN_WAIT);
    watch_check(&watch);
    pool->waiting++;
    assert_noticed(check, NULL, "2 are counted in line, 1 wait");
    pool->waiting--;
    ends(&a, 3);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(health_is_no_alarm),
        test(a_reservation_without_owner),
        test(an_attempt_that_is_counted_for_ever),
        test(a_second_trial),
        test(a_lease_without_holder),
        test(a_key_that_cools_down),
        test(one_too_many_in_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
