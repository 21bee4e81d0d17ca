/* What several threads count of one key is one sum, whoever goes and whatever comes after. */
#include "pool_test.h"

#include "pool/counts.h"
#include "pool/fast.h"

static struct pool_reader *reader_of(struct pool *pool)
{
    struct pool_reader *reader;

    assert_int_equal(pool_reader_new(pool, &reader), STATUS_OK);
    return reader;
}

static void sums_over_threads_and_the_lock(void **state)
{
    (void)state;
    struct pool *pool = rotating_pool(2, NULL);
    struct pool_reader *a = reader_of(pool), *b = reader_of(pool);
    struct key *key = pool->order[1];

    assert_int_equal(counts_last_used_ns(pool, key), -1);
    counts_begin_apart(a, key, 7);
    counts_begin_apart(b, key, 5);
    counts_begin(key, 6);
    assert_int_equal(counts_in_flight(pool, key), 3);
    assert_int_equal(counts_ended(pool, key), 0);
    assert_int_equal(counts_last_used_ns(pool, key), 7);
    counts_end_apart(b, key); /* whoever began it */
    counts_end_apart(b, key);
    assert_int_equal(counts_in_flight(pool, key), 1);
    counts_end(key);
    assert_int_equal(counts_in_flight(pool, key), 0);
    assert_int_equal(counts_ended(pool, key), 3);
    assert_int_equal(counts_in_flight(pool, pool->order[0]), 0);
    assert_int_equal(counts_last_used_ns(pool, pool->order[0]), -1);
    pool_free(pool);
}

/* A thread that goes leaves its counts behind, its requests in flight among them. */
static void a_reader_that_goes_hands_over(void **state)
{
    (void)state;
    struct pool *pool = rotating_pool(2, NULL);
    struct pool_reader *a = reader_of(pool), *b = reader_of(pool);
    struct key *key = pool->order[0];

    counts_begin_apart(a, key, 9);
    counts_begin_apart(a, key, 9);
    counts_end_apart(a, key);
    pool_reader_free(a);
    assert_int_equal(counts_in_flight(pool, key), 1);
    assert_int_equal(counts_ended(pool, key), 1);
    assert_int_equal(counts_last_used_ns(pool, key), 9);
    counts_end_apart(b, key);
    assert_int_equal(counts_in_flight(pool, key), 0);
    pool_free(pool);
}

/* An id that is used again starts from nothing, whatever was counted for it. */
static void a_key_that_goes_is_forgotten(void **state)
{
    (void)state;
    struct pool *pool = rotating_pool(1, NULL);
    struct pool_reader *reader = reader_of(pool);
    struct key_spec other = {.identity = 77};
    struct key *key = pool->order[0];
    key_id id = key->id;

    counts_begin_apart(reader, key, 3);
    assert_int_equal(pool_load(pool, &other, 1, 4), STATUS_OK);
    assert_true(key->used); /* it is in flight */
    counts_end_apart(reader, key);
    pool_straggle(pool);
    pool_collect(pool);
    assert_false(key->used);
    assert_int_equal(pool_load(pool, &(struct key_spec){.identity = 78}, 1, 5), STATUS_OK);
    key = pool->order[0];
    assert_int_equal(key->id, id);
    assert_int_equal(counts_ended(pool, key), 0);
    assert_int_equal(counts_in_flight(pool, key), 0);
    assert_int_equal(counts_last_used_ns(pool, key), -1);
    pool_check(pool);
    pool_free(pool);
}

/* Beyond the ids that are counted apart the key itself counts. */
static void large_ids_count_at_the_key(void **state)
{
    (void)state;
    struct pool *pool = rotating_pool(1, NULL);
    struct pool_reader *reader = reader_of(pool);
    struct key_spec specs[COUNTS_APART + 1] = {0};
    struct key *key;

    for (size_t i = 0; i <= COUNTS_APART; i++)
        specs[i].identity = 1000 + i;
    assert_int_equal(pool_load(pool, specs, COUNTS_APART + 1, 0), STATUS_OK);
    key = pool->order[COUNTS_APART];
    assert_int_equal(key->id, COUNTS_APART);
    counts_begin_apart(reader, key, 2);
    assert_int_equal(counts_in_flight(pool, key), 1);
    assert_int_equal(key->counts.begun, 1);
    counts_end_apart(reader, key);
    assert_int_equal(key->counts.ended, 1);
    assert_int_equal(counts_in_flight(pool, key), 0);
    assert_int_equal(counts_last_used_ns(pool, key), 2);
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_over_threads_and_the_lock),
        cmocka_unit_test(a_reader_that_goes_hands_over),
        cmocka_unit_test(a_key_that_goes_is_forgotten),
        cmocka_unit_test(large_ids_count_at_the_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
