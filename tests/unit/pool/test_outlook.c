#include "pool_test.h"

#include <stdlib.h>

#include "pool/fast.h"
#include "pool/outlook.h"

enum { MANY = 3 * OUTLOOK_KEYS };

static struct pool *pool_of_many(void)
{
    struct pool_options options = options_of(STRATEGY_ROUND_ROBIN);
    struct key_spec *specs = calloc(MANY, sizeof(*specs));
    struct pool *pool;

    assert_non_null(specs);
    for (size_t i = 0; i < MANY; i++)
        specs[i].identity = specs[i].cookie = i + 1;
    assert_int_equal(pool_new(&options, &pool), STATUS_OK);
    assert_int_equal(pool_load(pool, specs, MANY, 0), STATUS_OK);
    free(specs);
    return pool;
}

/* The next key's answer to a request for the model is this. */
static void answer_next(struct pool *pool, const char *model, struct verdict v)
{
    const struct evidence evidence = {.status = 429};
    struct plan_request request = {.stateless = true, .model = slice_str(model)};
    struct plan plan;
    struct plan_step step;

    begin_with(&plan, pool, request, 0);
    plan_next(&plan, 0, &step);
    assert_int_equal(step.action, PLAN_SEND);
    (void)plan_hear(&plan, &v, &evidence, 0);
    plan_end(&plan, 0);
}

static void fail_next(struct pool *pool, struct verdict v)
{
    answer_next(pool, "m", v);
}

static struct outlook seen(struct pool *pool, int64_t now)
{
    const struct route route = {.model = hash_bytes(&pool->hash_seed, SLICE("m"))};
    struct outlook outlook;

    outlook_see(pool, &route, now, &outlook);
    return outlook;
}

static void the_first_to_recover_is_found_among_many(void **state)
{
    struct verdict late = limited, soon = limited;
    struct pool *pool = pool_of_many();
    struct outlook outlook;

    (void)state;
    late.base_ns = late.cap_ns = 50 * S;
    soon.base_ns = soon.cap_ns = 5 * S;
    for (unsigned i = 0; i < MANY; i++)
        fail_next(pool, i == MANY - 7 ? soon : late);
    outlook = seen(pool, 1 * S);
    assert_in_range(outlook.recovery_ns, 5 * S, 6 * S); /* and some jitter */
    assert_int_equal(outlook.usable_ns, outlook.recovery_ns);
    assert_int_equal(outlook.cooling, FAILURE_RATE);
    assert_int_equal(outlook.dead, FAILURE_NONE);
    assert_false(outlook.in_use);
    pool_free(pool);
}

/* Breakers for another model are due before, on keys that are out for this one much longer; and what
 * is looked at is bounded. */
static void breakers_of_other_models_are_passed_over(void **state)
{
    struct verdict late = limited, soon = limited, first = limited;
    struct pool *pool = pool_of_many();
    struct outlook outlook;

    (void)state;
    late.base_ns = late.cap_ns = 50 * S;
    soon.base_ns = soon.cap_ns = 5 * S;
    first.base_ns = first.cap_ns = 2 * S;
    for (unsigned i = 0; i < MANY; i++)
        answer_next(pool, "n", i % 16 == 0 ? first : served);
    for (unsigned i = 0; i < MANY; i++)
        fail_next(pool, i == MANY - 7 ? soon : late);
    outlook = seen(pool, 1 * S);
    assert_in_range(outlook.recovery_ns, 5 * S, 6 * S);
    assert_int_equal(outlook.usable_ns, outlook.recovery_ns);
    assert_in_range(outlook.looks, OUTLOOK_SAMPLE, 3 * OUTLOOK_SAMPLE);
    pool_free(pool);
}

/* Of two faults of one key the one that concerns most is told, whichever came first. */
static void the_widest_fault_is_told(void **state)
{
    struct pool *pool = rotating_pool(1, NULL);
    struct plan first, second;

    (void)state;
    send_one(&first, pool, 0, 0);
    send_one(&second, pool, 0, 0);
    hear(&first, revoked, 401, 1);
    hear(&second, no_quota, 429, 1);
    assert_int_equal(seen(pool, 2).dead, FAILURE_QUOTA);
    plan_end(&first, 2);
    plan_end(&second, 2);
    pool_free(pool);
}

/* So many models stand at one node that they are looked up and not walked along. */
static void a_node_of_many_models_is_told_right(void **state)
{
    struct pool *pool = rotating_pool(1, NULL);
    struct outlook outlook;
    char name[] = "a";

    (void)state;
    for (unsigned i = 0; i < 2 * OUTLOOK_RING; i++, name[0]++)
        answer_next(pool, name, limited);
    outlook = seen(pool, 1);
    assert_in_range(outlook.recovery_ns, 1 * S, 1100 * MS);
    assert_int_equal(outlook.cooling, FAILURE_RATE);
    pool_free(pool);
}

/* The last of many recovers, and somebody tries it. */
static void a_key_in_use_is_found_among_many(void **state)
{
    struct verdict late = limited, soon = revoked;
    struct pool *pool = pool_of_many();
    struct plan trial;
    struct plan_step step;

    (void)state;
    late.base_ns = late.cap_ns = 500 * S;
    soon.base_ns = soon.cap_ns = 5 * S;
    for (unsigned i = 0; i < MANY; i++)
        fail_next(pool, i == MANY - 1 ? soon : late);
    begin(&trial, pool, 10 * S);
    plan_next(&trial, 10 * S, &step);
    assert_int_equal(step.action, PLAN_SEND);
    assert_true(seen(pool, 10 * S).in_use);
    plan_end(&trial, 10 * S);
    pool_free(pool);
}

static void what_an_operator_must_mend_is_told(void **state)
{
    struct pool *pool = pool_of_many();

    (void)state;
    for (unsigned i = 0; i < MANY; i++)
        fail_next(pool, revoked);
    assert_int_equal(seen(pool, 1).dead, FAILURE_REVOKED);
    assert_int_equal(seen(pool, 1).recovery_ns, -1);
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_to_recover_is_found_among_many),
        cmocka_unit_test(breakers_of_other_models_are_passed_over),
        cmocka_unit_test(the_widest_fault_is_told),
        cmocka_unit_test(a_node_of_many_models_is_told_right),
        cmocka_unit_test(a_key_in_use_is_found_among_many),
        cmocka_unit_test(what_an_operator_must_mend_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
