/* A check that cannot fail is none: each goal is missed by one request here. */
#include "sim_test.h"

#include <stdlib.h>
#include <string.h>

#include "sim/goals.h"

static const struct scenario calm = {.name = "calm"}, heavy = {.name = "heavy", .overload = true};

static struct outcome good(const struct scenario *scenario)
{
    struct outcome o = {.scenario = scenario};

    for (size_t i = 0; i < POLICY_COUNT; i++)
        o.policies[i] = (struct result){.served = 9000, .failed = 1000, .attempts = 10000};
    o.policies[0] = (struct result){.served = 9990, .failed = 10, .attempts = 10000, .wasted = 50};
    o.oracle = (struct result){.served = 10000};
    return o;
}

static void expect(const struct outcome *o, unsigned missed, const char *word)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    assert_non_null(out);
    assert_int_equal(goals_check(o, out), missed);
    fclose(out);
    assert_true(!word || strstr(text, word));
    free(text);
}

static void reached(void **state)
{
    struct outcome o = good(&calm);

    (void)state;
    expect(&o, 0, NULL);
}

static void one_more_than_a_hundredth(void **state)
{
    struct outcome o = good(&calm);

    (void)state;
    o.policies[0].failed = 11;
    expect(&o, 1, "calm: failed 11");
    o.oracle.failed = 1; /* not all could be served: then this goal does not apply */
    expect(&o, 0, NULL);
}

static void above_another(void **state)
{
    struct outcome o = good(&calm);

    (void)state;
    o.policies[POLICY_COUNT - 1].failed = 9;
    expect(&o, 1, "blacklist_3 only 9");
}

static void waste(void **state)
{
    struct outcome o = good(&calm);

    (void)state;
    o.policies[0].wasted = 51;
    expect(&o, 1, "known dead");
}

static void far_from_the_oracle(void **state)
{
    struct outcome o = good(&heavy);

    (void)state;
    o.policies[0].served = 9800;
    expect(&o, 0, NULL);
    o.policies[0].served = 9799;
    expect(&o, 1, "of the oracle's 10000");
    o.scenario = &calm;
    expect(&o, 0, NULL);
}

static void a_broken_bound(void **state)
{
    struct outcome o = good(&calm);

    (void)state;
    o.policies[2].served = 10001;
    expect(&o, 1, "BOUND BROKEN");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reached),
        cmocka_unit_test(one_more_than_a_hundredth),
        cmocka_unit_test(above_another),
        cmocka_unit_test(waste),
        cmocka_unit_test(far_from_the_oracle),
        cmocka_unit_test(a_broken_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
