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

/* The next key's answer is this. */
static void fail_next(struct pool *pool, struct verdict v)
{
    const struct evidence evidence = {.status = 429};
    struct plan plan;
    struct plan_step step;

    begin(&plan, pool, 0);
    plan_next(&plan, 0, &step);
    assert_int_equal(step.action, PLAN_SEND);
    (void)plan_hear(&plan, &v, &evidence, 0);
    plan_end(&plan, 0);
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
        cmocka_unit_test(a_key_in_use_is_found_among_many),
        cmocka_unit_test(what_an_operator_must_mend_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
