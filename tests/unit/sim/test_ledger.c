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

static void hear_of(struct ledger *l, enum cause cause, uint32_t key, int64_t sent_ns,
                    int64_t now_ns)
{
    struct reply reply = answer(cause, key);
    ledger_hear(l, key, &reply, sent_ns, now_ns);
}

static void hear(struct ledger *l, enum cause cause, uint32_t key, int64_t now_ns)
{
    hear_of(l, cause, key, now_ns, now_ns);
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

/* What was under way when the bad news came proves nothing by being served. */
static void only_later_successes_count(void **state)
{
    struct ledger l;

    (void)state;
    assert_int_equal(ledger_init(&l, &world), STATUS_OK);
    hear(&l, CAUSE_QUOTA, 0, 100);
    hear_of(&l, CAUSE_SERVED, 0, 99, 200);
    assert_int_equal(ledger_expects(&l, 0, 300), CAUSE_QUOTA);
    hear_of(&l, CAUSE_SERVED, 0, 100, 200);
    assert_int_equal(ledger_expects(&l, 0, 300), CAUSE_SERVED);
    hear(&l, CAUSE_REVOKED, 1, 100);
    hear_of(&l, CAUSE_SERVED, 1, 99, 200);
    assert_int_equal(ledger_expects(&l, 1, 300), CAUSE_REVOKED);
    ledger_fini(&l);
}

static void the_longest_wait_counts(void **state)
{
    struct ledger l;

    (void)state;
    assert_int_equal(ledger_init(&l, &world), STATUS_OK);
    hear(&l, CAUSE_REQUESTS, 0, 100); /* until 110 */
    hear(&l, CAUSE_TOKENS, 0, 105);   /* says nothing about time */
    assert_int_equal(ledger_expects(&l, 0, 109), CAUSE_REQUESTS);
    ledger_fini(&l);
}

static void the_project_was_told_and_not_its_sibling(void **state)
{
    struct ledger l;

    (void)state;
    assert_int_equal(ledger_init(&l, &world), STATUS_OK);
    for (uint32_t key = 0; key < 4; key++)
        hear(&l, CAUSE_SERVED, key, 0);
    hear(&l, CAUSE_REQUESTS, 0, 100);
    assert_true(ledger_was_told(&l, 0, 109));
    assert_true(ledger_was_told(&l, 1, 109));
    assert_false(ledger_was_told(&l, 2, 109)); /* another project; yet the limit was the org's: */
    assert_int_equal(ledger_expects(&l, 2, 109), CAUSE_REQUESTS);
    assert_false(ledger_was_told(&l, 0, 110));
    hear_of(&l, CAUSE_SERVED, 1, 100, 105);
    assert_true(ledger_was_told(&l, 0, 109));
    hear_of(&l, CAUSE_SERVED, 1, 101, 105);
    assert_false(ledger_was_told(&l, 0, 109));
    hear(&l, CAUSE_REVOKED, 3, 200);
    assert_true(ledger_was_told(&l, 3, 201));
    ledger_fini(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_revoked_key_is_alone),
        cmocka_unit_test(an_account_is_known_by_answers),
        cmocka_unit_test(cooling_ends_when_it_was_said_to),
        cmocka_unit_test(only_later_successes_count),
        cmocka_unit_test(the_longest_wait_counts),
        cmocka_unit_test(the_project_was_told_and_not_its_sibling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
