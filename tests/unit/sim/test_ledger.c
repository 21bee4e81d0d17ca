#include "sim_test.h"

#include "sim/ledger.h"

static const struct world_spec world = {.orgs = 2, .projects = 2, .keys = 2};

static struct reply answer(enum cause cause, uint32_t key)
{
    return (struct reply){.cause = cause,
                          .org = world_key_org(&world, key),
                          .project = world_key_project(&world, key),
                          .owned = cause != CAUSE_REVOKED,
                          .retry_after_ns = cause == CAUSE_REQUESTS ? 10 : 0};
}

static void hear(struct ledger *l, enum cause cause, uint32_t key, int64_t now_ns)
{
    struct reply reply = answer(cause, key);
    ledger_hear(l, key, &reply, now_ns);
}

static void a_revoked_key_is_alone(void **state)
{
    struct ledger l;

    (void)state;
    assert_int_equal(ledger_init(&l, &world), STATUS_OK);
    hear(&l, CAUSE_REVOKED, 0, 0);
    assert_int_equal(ledger_expects(&l, 0, 1), CAUSE_REVOKED);
    assert_int_equal(ledger_expects(&l, 1, 1), CAUSE_SERVED);
    hear(&l, CAUSE_SERVED, 0, 2);
    assert_int_equal(ledger_expects(&l, 0, 3), CAUSE_SERVED);
    ledger_fini(&l);
}

static void an_account_is_known_by_answers(void **state)
{
    struct ledger l;

    (void)state;
    assert_int_equal(ledger_init(&l, &world), STATUS_OK);
    hear(&l, CAUSE_QUOTA, 0, 0);
    assert_int_equal(ledger_expects(&l, 0, 1), CAUSE_QUOTA);
    assert_int_equal(ledger_expects(&l, 3, 1), CAUSE_SERVED); /* whose is it? */
    hear(&l, CAUSE_QUOTA, 3, 1);
    assert_int_equal(ledger_expects(&l, 3, 2), CAUSE_QUOTA);
    assert_int_equal(ledger_expects(&l, 4, 2), CAUSE_SERVED); /* another organisation */
    ledger_fini(&l);
}

static void cooling_ends_when_it_was_said_to(void **state)
{
    struct ledger l;
    struct reply refused = answer(CAUSE_TOKENS, 0), served = answer(CAUSE_SERVED, 0);

    (void)state;
    assert_int_equal(ledger_init(&l, &world), STATUS_OK);
    hear(&l, CAUSE_REQUESTS, 0, 100);
    assert_int_equal(ledger_expects(&l, 0, 109), CAUSE_REQUESTS);
    assert_int_equal(ledger_expects(&l, 0, 110), CAUSE_SERVED);
    assert_true(ledger_confirmed(CAUSE_REQUESTS, &refused));
    assert_false(ledger_confirmed(CAUSE_REQUESTS, &served));
    assert_false(ledger_confirmed(CAUSE_SERVED, &refused));
    assert_false(ledger_confirmed(CAUSE_QUOTA, &refused));
    ledger_fini(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_revoked_key_is_alone),
        cmocka_unit_test(an_account_is_known_by_answers),
        cmocka_unit_test(cooling_ends_when_it_was_said_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
