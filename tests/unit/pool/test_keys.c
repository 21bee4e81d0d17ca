/* Places of keys: ids are reused, addresses stay, and the index finds what a plain list finds. */
#include "pool_test.h"

#include "base/rng.h"
#include "pool/keys.h"

static struct keys keys;

static int set_up(void **state)
{
    (void)state;
    return keys_init(&keys, 42) == STATUS_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    keys_fini(&keys);
    return 0;
}

static struct key *take(uint64_t identity)
{
    struct key *key = keys_take(&keys, identity);

    assert_non_null(key);
    key->used = true;
    return key;
}

static void what_is_taken_is_found(void **state)
{
    (void)state;
    assert_null(keys_find(&keys, 7));
    struct key *key = take(7);
    assert_int_equal(key->identity, 7);
    assert_ptr_equal(keys_find(&keys, 7), key);
    assert_ptr_equal(keys_at(&keys, key->id), key);
    assert_null(keys_find(&keys, 8));
    keys_give_back(&keys, key);
    assert_null(keys_find(&keys, 7));
    assert_int_equal(keys.live, 0);
}

/* An id is reused, youngest first, and nothing of the key before is left in it. */
static void places_are_reused(void **state)
{
    (void)state;
    struct key *a = take(1), *b = take(2);
    key_id id = b->id;

    b->position = 99;
    b->failures = 3;
    keys_give_back(&keys, b);
    struct key *c = take(3);
    assert_ptr_equal(c, b);
    assert_int_equal(c->id, id);
    assert_int_equal(c->position, 0);
    assert_int_equal(c->failures, 0);
    assert_ptr_equal(keys_find(&keys, 1), a);
    assert_null(keys_find(&keys, 2));
    assert_int_equal(keys.used, 2);
}

/* Growing moves no key: a slab boundary, and many times the first index. */
static void addresses_stay(void **state)
{
    (void)state;
    enum { COUNT = (2 * SLABS_TOGETHER + 3) * SLAB_KEYS + 1 };
    static struct key *taken[COUNT];

    for (uint64_t i = 0; i < COUNT; i++)
        taken[i] = take(i * 4096); /* alike in their low bits */
    for (uint64_t i = 0; i < COUNT; i++) {
        assert_ptr_equal(keys_find(&keys, i * 4096), taken[i]);
        assert_ptr_equal(keys_at(&keys, taken[i]->id), taken[i]);
        assert_int_equal((uintptr_t)taken[i] % (2 * KEY_LINE), 0);
    }
    assert_int_equal(keys.live, COUNT);
    assert_true(keys.index_size >= 2 * (size_t)COUNT);
}

/* Taking and giving back at random, against a plain array; a wrong gap in the index would hide a
 * key that is there. */
static void the_index_agrees_with_a_list(void **state)
{
    (void)state;
    enum { IDENTITIES = 300, ROUNDS = 30000 };
    static struct key *model[IDENTITIES];
    struct rng rng = {.state = 11};
    uint32_t live = 0;

    memset(model, 0, sizeof model);
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t identity = rng_next(&rng) % IDENTITIES;
        if (model[identity]) {
            keys_give_back(&keys, model[identity]);
            model[identity] = NULL;
            live--;
        } else {
            model[identity] = take(identity);
            live++;
        }
        uint64_t other = rng_next(&rng) % IDENTITIES;
        assert_ptr_equal(keys_find(&keys, other), model[other]);
        assert_int_equal(keys.live, live);
    }
    for (uint64_t i = 0; i < IDENTITIES; i++)
        assert_ptr_equal(keys_find(&keys, i), model[i]);
    assert_true(keys.used <= IDENTITIES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_taken_is_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(places_are_reused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(addresses_stay, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_index_agrees_with_a_list, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
