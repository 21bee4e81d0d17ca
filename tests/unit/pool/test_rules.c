/* Weight, cap and models of a key: kept only where there are any, equal ones once. */
#include "pool_test.h"

#include "pool/rules.h"

static const struct hash_seed seed = {1, 2};

static uint64_t model(const char *name)
{
    return hash_bytes(&seed, slice_str(name));
}

static void add(struct rules *rules, key_id id, struct key_spec spec)
{
    assert_int_equal(rules_add(rules, id, 10, &spec, &seed), STATUS_OK);
}

static void without_rules_there_is_no_table(void **state)
{
    (void)state;
    struct rules rules = {0};

    add(&rules, 3, (struct key_spec){0});
    add(&rules, 4, (struct key_spec){.weight = 1});
    assert_null(rules.by_id);
    assert_null(rules_of(&rules, 3));
    assert_int_equal(rules_weight(&rules, 3), 1);
    assert_true(rules_allow(rules_of(&rules, 3), model("m")));
    rules_fini(&rules);
}

static void each_key_has_its_own(void **state)
{
    (void)state;
    const struct slice models[] = {SLICE("m1"), SLICE("m2")};
    struct rules rules = {0};

    add(&rules, 0, (struct key_spec){.weight = 7});
    add(&rules, 1, (struct key_spec){.max_in_flight = 2});
    add(&rules, 2, (struct key_spec){.models = models, .model_count = 2});
    assert_int_equal(rules_weight(&rules, 0), 7);
    assert_int_equal(rules_weight(&rules, 1), 1); /* 0 counts as 1 */
    const struct key_rules *capped = rules_of(&rules, 1);
    assert_true(capped && capped->max_in_flight == 2);
    assert_null(rules_of(&rules, 3));
    assert_null(rules_of(&rules, 10)); /* of a later load */
    assert_int_equal(rules_weight(&rules, KEY_NONE), 1);

    const struct key_rules *r = rules_of(&rules, 2);
    assert_true(rules_allow(r, model("m1")) && rules_allow(r, model("m2")));
    assert_false(rules_allow(r, model("m3")) || rules_allow(r, model("m")));
    assert_true(rules_allow(r, 0)); /* the request names none */
    assert_true(rules_allow(rules_of(&rules, 0), model("m3")));
    rules_fini(&rules);
    assert_null(rules.by_id);
}

static void equal_rules_in_a_row_are_kept_once(void **state)
{
    (void)state;
    const struct slice one[] = {SLICE("m1")}, other[] = {SLICE("m2")};
    const struct key_spec specs[] = {
        {.weight = 2, .models = one, .model_count = 1},
        {.weight = 2, .models = one, .model_count = 1},
        {.weight = 2, .models = other, .model_count = 1},
        {.weight = 2, .models = other},
        {.weight = 3, .models = other},
        {.weight = 3, .max_in_flight = 1},
    };
    struct rules rules = {0};

    for (key_id id = 0; id < 6; id++)
        add(&rules, id, specs[id]);
    assert_ptr_equal(rules_of(&rules, 0), rules_of(&rules, 1));
    for (key_id id = 2; id < 6; id++)
        assert_ptr_not_equal(rules_of(&rules, id - 1), rules_of(&rules, id));
    rules_fini(&rules);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_rules_there_is_no_table),
        cmocka_unit_test(each_key_has_its_own),
        cmocka_unit_test(equal_rules_in_a_row_are_kept_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
