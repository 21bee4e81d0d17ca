/* Buckets seen from outside: which key a request gets, and when. */
#include "pool_test.h"

#include "pool/headroom.h"

static const struct owner_names two_orgs[] = {{"a", "a1"}, {"a", "a2"}, {"b", "b1"}};

static struct limit_report silence(void)
{
    struct limit_report report;

    for (int i = 0; i < REPORT_DIMENSIONS; i++)
        report.readings[i] = (struct limit_reading){-1, -1, -1};
    return report;
}

static struct limit_report requests_left(int64_t limit, int64_t remaining, int64_t reset)
{
    struct limit_report report = silence();

    report.readings[REPORT_REQUESTS] = (struct limit_reading){limit, remaining, reset};
    return report;
}

/* One request on this key, whose answer says so. */
static void teach(struct pool *pool, uint64_t wanted, struct limit_report report, int64_t now)
{
    struct plan plan;

    send_one(&plan, pool, wanted, now);
    plan_limits(&plan, &report, now);
    hear(&plan, served, 200, now);
    plan_end(&plan, now);
}

static uint64_t who(struct pool *pool, int64_t now)
{
    struct plan plan;
    struct plan_step step;
    uint64_t cookie;

    begin(&plan, pool, now);
    step = next(&plan, now);
    assert_int_equal(step.action, PLAN_SEND);
    cookie = pool_key_cookie(pool, step.key);
    plan_end(&plan, now);
    return cookie;
}

static void an_empty_bucket_is_passed_over_before_it_says_429(void **state)
{
    struct pool_options options = options_of(STRATEGY_PRIMARY_FIRST);
    struct pool *pool = pool_of(&options, 3, two_orgs);

    (void)state;
    teach(pool, 0, requests_left(10, 0, 10 * S), 0);
    assert_int_not_equal(who(pool, 1 * MS), 0);
    assert_int_equal(who(pool, 1030 * MS), 0); /* one has refilled */
    pool_free(pool);
}

static void reservations_count_until_the_answer(void **state)
{
    struct pool_options options = options_of(STRATEGY_PRIMARY_FIRST);
    struct pool *pool = pool_of(&options, 3, two_orgs);
    struct plan first, second;

    (void)state;
    teach(pool, 0, requests_left(10, 2, 1000 * S), 0);
    send_one(&first, pool, 0, 1);
    send_one(&second, pool, 0, 1);
    assert_int_not_equal(who(pool, 1), 0);
    plan_end(&first, 1);
    plan_end(&second, 1);
    pool_free(pool);
}

/* Only estimates stand in the way and nobody waits: the best is tried, one request at a time. */
static void estimates_never_make_a_request_fail(void **state)
{
    struct pool_options options = options_of(STRATEGY_PRIMARY_FIRST);
    struct pool *pool = pool_of(&options, 1, NULL);
    struct plan trial, other;
    struct plan_step step;

    (void)state;
    teach(pool, 0, requests_left(10, 0, 1000 * S), 0);
    send_one(&trial, pool, 0, 1);
    begin(&other, pool, 1);
    step = next(&other, 1);
    assert_int_equal(step.action, PLAN_GIVE_UP);
    assert_int_equal(step.status, 429);
    assert_int_equal(step.retry_after_s, 60); /* 200 s for two; as much as may be said */
    plan_end(&other, 1);
    plan_end(&trial, 1);
    pool_free(pool);
}

/* A project's own limit is its own; the organisation's, told beside it, is shared. */
static void both_levels_bind(void **state)
{
    struct pool_options options = options_of(STRATEGY_PRIMARY_FIRST);
    struct pool *pool = pool_of(&options, 3, two_orgs);
    struct limit_report report = requests_left(100, 90, 10 * S);

    (void)state;
    report.readings[REPORT_PROJECT_REQUESTS] = (struct limit_reading){10, 0, 1000 * S};
    teach(pool, 0, report, 0);
    assert_int_equal(who(pool, 1), 1);
    report.readings[REPORT_REQUESTS] = (struct limit_reading){100, 0, 1000 * S};
    report.readings[REPORT_PROJECT_REQUESTS] = (struct limit_reading){10, 9, 1 * S};
    teach(pool, 2, silence(), 1); /* the turn of the other organisation */
    teach(pool, 1, report, 1);
    assert_int_equal(who(pool, 2), 2);
    pool_free(pool);
}

/* Plain readings: shared by the projects once they have foretold each other. */
static void plain_readings_are_put_where_they_fit(void **state)
{
    static const struct owner_names one_org[] = {{"a", "a1"}, {"a", "a2"}};
    struct pool *shared = rotating_pool(2, one_org), *own = rotating_pool(2, one_org);
    struct bucket *b;

    (void)state;
    for (int i = 0; i < 6; i++) {
        teach(shared, (uint64_t)i % 2, requests_left(100, 99 - i * 10, 1000 * S), 0);
        teach(own, (uint64_t)i % 2, requests_left(100, 99 - i / 2 - i % 2 * 40, 1000 * S), 0);
    }
    b = headroom_find(shared->order[0], hash_bytes(&shared->hash_seed, SLICE("m")), LEVEL_ORG, 0);
    assert_true(bucket_binds(b));
    b = headroom_find(own->order[0], hash_bytes(&own->hash_seed, SLICE("m")), LEVEL_ORG, 0);
    assert_false(bucket_binds(b));
    pool_free(shared);
    pool_free(own);
}

/* 40 requests at once against 10 a second: all are sent in their turn and none meets a 429. */
static void a_line_goes_at_the_pace_of_the_bucket(void **state)
{
    enum { COUNT = 40 };
    struct pool_options options = options_of(STRATEGY_PRIMARY_FIRST);
    struct plan plans[COUNT];
    int64_t due[COUNT], now = 1, last = 0;
    struct pool *pool;
    int sent = 0;

    (void)state;
    options.max_wait_ns = 20 * S;
    pool = pool_of(&options, 1, NULL);
    teach(pool, 0, requests_left(10, 0, 1 * S), 0);
    for (int i = 0; i < COUNT; i++) {
        struct plan_step step;
        begin(&plans[i], pool, now);
        step = next(&plans[i], now);
        assert_int_equal(step.action, PLAN_WAIT);
        due[i] = step.until_ns;
    }
    assert_int_equal(pool_waiting(pool), COUNT);
    while (sent < COUNT) {
        int who_is = -1;
        struct plan_step step;
        for (int i = sent; i < COUNT; i++)
            if (who_is < 0 || due[i] < due[who_is])
                who_is = i;
        now = due[who_is] > now ? due[who_is] : now;
        assert_true(now < 5 * S);
        step = next(&plans[who_is], now);
        due[who_is] = step.until_ns;
        if (step.action != PLAN_SEND)
            continue;
        assert_int_equal(who_is, sent); /* oldest first */
        assert_true(now - last >= 99 * MS || sent == 0);
        last = now;
        sent++;
        plan_end(&plans[who_is], now); /* unheard: charged all the same */
    }
    assert_true(now > 3900 * MS);
    assert_int_equal(pool_waiting(pool), 0);
    pool_free(pool);
}

/* An answer that was under way tells of a full bucket: the line need not wait for the foretold. */
static void better_news_wake_the_line(void **state)
{
    struct pool_options options = options_of(STRATEGY_PRIMARY_FIRST);
    struct limit_report full = requests_left(10, 10, 0);
    struct plan under_way, waiting;
    struct pool *pool;
    uint64_t epoch;

    (void)state;
    options.max_wait_ns = 20 * S;
    pool = pool_of(&options, 1, NULL);
    teach(pool, 0, requests_left(10, 1, 60 * S), 0);
    send_one(&under_way, pool, 0, 1);
    begin(&waiting, pool, 2);
    assert_int_equal(next(&waiting, 2).action, PLAN_WAIT);
    epoch = pool_epoch(pool);
    plan_limits(&under_way, &full, 3);
    assert_true(pool_epoch(pool) != epoch);
    assert_sends(&waiting, 4, 0);
    plan_end(&waiting, 4);
    plan_end(&under_way, 4);
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_bucket_is_passed_over_before_it_says_429),
        cmocka_unit_test(reservations_count_until_the_answer),
        cmocka_unit_test(estimates_never_make_a_request_fail),
        cmocka_unit_test(both_levels_bind),
        cmocka_unit_test(plain_readings_are_put_where_they_fit),
        cmocka_unit_test(better_news_wake_the_line),
        cmocka_unit_test(a_line_goes_at_the_pace_of_the_bucket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
