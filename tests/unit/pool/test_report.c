#include "pool_test.h"

static void a_burst_of_old_failures_is_one_piece_of_evidence(void **state)
{
    struct pool *pool = rotating_pool(1, NULL);
    struct plan plans[32];

    (void)state;
    for (int i = 0; i < 32; i++)
        send_one(&plans[i], pool, 0, 0);
    for (int i = 0; i < 32; i++) {
        hear(&plans[i], limited, 429, i * MS);
        plan_end(&plans[i], i * MS);
    }
    assert_in_range(view(pool, 0, 32 * MS).open_until_ns, 1 * S, 1100 * MS);
    one(pool, 0, served, 1101 * MS);
    pool_free(pool);
}

static void the_lease_holder_doubles_the_wait(void **state)
{
    struct pool *pool = rotating_pool(1, NULL);
    int64_t now = 0, wait = 1 * S;

    (void)state;
    for (int i = 0; i < 5; i++, wait *= 2) {
        one(pool, 0, limited, now);
        assert_in_range(view(pool, 0, now).open_until_ns - now, wait, wait + wait / 10);
        assert_int_equal(view(pool, 0, now).open_since_ns, 0);
        now = view(pool, 0, now).open_until_ns;
        assert_int_equal(view(pool, 0, now).circuit, CIRCUIT_HALF_OPEN);
    }
    one(pool, 0, served, now);
    assert_int_equal(view(pool, 0, now).circuit, CIRCUIT_CLOSED);
    one(pool, 0, limited, now + 1); /* the exponent is forgotten */
    assert_true(view(pool, 0, now + 1).open_until_ns - now <= 1100 * MS + 1);
    pool_free(pool);
}

static void half_open_lets_one_through(void **state)
{
    struct pool *pool = rotating_pool(2, NULL);
    struct plan trial;

    (void)state;
    one(pool, 0, revoked, 0);
    one(pool, 1, served, 1);
    send_one(&trial, pool, 0, 1000 * S);
    for (int i = 0; i < 4; i++)
        one(pool, 1, served, 1000 * S);
    hear(&trial, revoked, 401, 1001 * S);
    plan_end(&trial, 1001 * S);
    assert_in_range(view(pool, 0, 1001 * S).open_until_ns, 2801 * S, 2982 * S);
    pool_free(pool);
}

static void a_lost_lease_expires(void **state)
{
    struct pool *pool = rotating_pool(2, NULL);
    struct plan lost;

    (void)state;
    one(pool, 0, revoked, 0);
    one(pool, 1, served, 0);
    send_one(&lost, pool, 0, 1000 * S);
    one(pool, 1, served, 1599 * S);
    one(pool, 1, served, 1599 * S);
    one(pool, 0, served, 1600 * S);
    hear(&lost, revoked, 401, 1601 * S); /* opens anew, it was closed */
    plan_end(&lost, 1601 * S);
    assert_int_equal(view(pool, 0, 1601 * S).circuit, CIRCUIT_OPEN);
    pool_free(pool);
}

static void an_older_success_proves_nothing(void **state)
{
    struct pool *pool = rotating_pool(1, NULL);
    struct plan old;

    (void)state;
    send_one(&old, pool, 0, 0);
    one(pool, 0, no_quota, 1);
    hear(&old, served, 200, 2);
    plan_end(&old, 2);
    assert_int_equal(view(pool, 0, 2).circuit, CIRCUIT_OPEN);
    pool_free(pool);
}

/* Starts on this key of a rotating pool, for model "m", and is refused; the answer said nothing of
 * limits (`told`), or its caller did not look. */
static void refused(struct pool *pool, uint64_t wanted, bool told, int64_t now)
{
    struct limit_report report;
    struct plan plan;

    for (int i = 0; i < REPORT_DIMENSIONS; i++)
        report.readings[i] = (struct limit_reading){-1, -1, -1};
    send_one(&plan, pool, wanted, now);
    if (told)
        plan_limits(&plan, &report, now);
    hear(&plan, limited, 429, now);
    plan_end(&plan, now);
}

static const struct owner_names family[] = {{"a", "a1"}, {"a", "a2"}, {"a", "a3"}, {"b", "b1"}};

/* Two keys turn out to be of one project, and are refused. One request that began before the last
 * refusal was heard is served all the same: the limit's last unit, not its end. */
static void a_success_amid_refusals_proves_nothing(void **state)
{
    static const struct slice org = {"org", 3}, project = {"proj", 4};
    struct pool *pool = rotating_pool(2, NULL);
    struct plan plans[3];
    int64_t until;

    (void)state;
    send_one(&plans[0], pool, 0, 0);
    pool_learn(pool, plans[0].current, org, project);
    hear(&plans[0], with_wait(limited, 15 * S), 429, 10 * MS);
    send_one(&plans[1], pool, 1, 20 * MS);
    send_one(&plans[2], pool, 1, 20 * MS);
    pool_learn(pool, plans[1].current, org, project);
    hear(&plans[1], with_wait(limited, 15 * S), 429, 30 * MS);
    until = view(pool, 0, 30 * MS).open_until_ns;
    hear(&plans[2], served, 200, 300 * MS);
    assert_int_equal(view(pool, 0, 300 * MS).circuit, CIRCUIT_OPEN);
    assert_int_equal(view(pool, 1, 300 * MS).circuit, CIRCUIT_OPEN);
    one(pool, 0, served, until);
    for (int i = 0; i < 3; i++)
        plan_end(&plans[i], until);
    pool_free(pool);
}

static void a_sibling_at_the_same_limit_stops_the_organization(void **state)
{
    struct pool *pool = rotating_pool(4, family);

    (void)state;
    refused(pool, 0, false, 0);
    refused(pool, 1, false, 1);
    assert_int_equal(view(pool, 2, 2).scope, SCOPE_ORG_MODEL);
    assert_int_equal(view(pool, 2, 2).circuit, CIRCUIT_OPEN);
    assert_int_equal(view(pool, 3, 2).circuit, CIRCUIT_CLOSED);
    pool_free(pool);
}

static void not_when_somebody_was_served_in_between(void **state)
{
    struct pool *pool = rotating_pool(3, family);

    (void)state;
    refused(pool, 0, false, 0);
    one(pool, 1, served, 1);
    one(pool, 2, served, 2);
    refused(pool, 1, false, 3);
    assert_int_equal(view(pool, 2, 4).circuit, CIRCUIT_CLOSED);
    pool_free(pool);
}

static void an_unexplained_limit_of_two_organizations_is_the_services(void **state)
{
    static const struct owner_names owners[] = {{"a", "p"}, {"b", "p"}, {"c", "p"}};
    struct pool *pool = rotating_pool(3, owners);
    struct plan_step step;
    struct plan plan;

    (void)state;
    refused(pool, 0, true, 0);
    refused(pool, 1, true, 100 * MS);
    begin(&plan, pool, 200 * MS);
    step = next(&plan, 200 * MS); /* the third is not burned, but waits a second */
    assert_int_equal(step.action, PLAN_WAIT);
    assert_in_range(step.until_ns, 1100 * MS, 1200 * MS);
    assert_sends(&plan, step.until_ns, 2);
    hear(&plan, served, 200, step.until_ns);
    plan_end(&plan, step.until_ns);
    assert_int_equal(view(pool, 2, 2 * S).circuit, CIRCUIT_CLOSED);
    pool_free(pool);
}

/* Overload that says whose it is, or comes at another moment, is the organisations' own. */
static void ordinary_overload_is_no_oddity(void **state)
{
    static const struct owner_names owners[] = {{"a", "p"}, {"b", "p"}, {"c", "p"}};
    struct pool *pool = rotating_pool(3, owners);
    struct limit_report report;
    struct plan plan;

    (void)state;
    for (int i = 0; i < REPORT_DIMENSIONS; i++)
        report.readings[i] = (struct limit_reading){-1, -1, -1};
    report.readings[REPORT_REQUESTS] = (struct limit_reading){10, 0, 1 * S};
    for (uint64_t i = 0; i < 2; i++) {
        send_one(&plan, pool, i, 0);
        plan_limits(&plan, &report, 0);
        hear(&plan, limited, 429, 0);
        plan_end(&plan, 0);
    }
    refused(pool, 2, true, 0);
    pool_free(pool);

    pool = rotating_pool(3, owners);
    refused(pool, 0, true, 0);
    refused(pool, 1, true, 1500 * MS);
    send_one(&plan, pool, 2, 1500 * MS);
    plan_end(&plan, 1500 * MS);
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_of_old_failures_is_one_piece_of_evidence),
        cmocka_unit_test(the_lease_holder_doubles_the_wait),
        cmocka_unit_test(half_open_lets_one_through),
        cmocka_unit_test(a_lost_lease_expires),
        cmocka_unit_test(an_older_success_proves_nothing),
        cmocka_unit_test(a_success_amid_refusals_proves_nothing),
        cmocka_unit_test(a_sibling_at_the_same_limit_stops_the_organization),
        cmocka_unit_test(not_when_somebody_was_served_in_between),
        cmocka_unit_test(an_unexplained_limit_of_two_organizations_is_the_services),
        cmocka_unit_test(ordinary_overload_is_no_oddity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
