#include "pool_test.h"

static void primary_first_rotates_over_the_fallbacks(void **state)
{
    struct pool_options options = options_of(STRATEGY_PRIMARY_FIRST);
    struct pool *pool = pool_of(&options, 4, NULL);
    static const uint64_t wanted[] = {1, 2, 3, 1, 2};

    (void)state;
    one(pool, 0, served, 0);
    one(pool, 0, revoked, 0);
    for (size_t i = 0; i < 5; i++)
        one(pool, wanted[i], served, 1);
    one(pool, 0, served, 1000 * S); /* back to the primary when it is due */
    pool_free(pool);
}

static void without_rotation_the_first_ready_fallback_serves(void **state)
{
    struct pool_options options = options_of(STRATEGY_PRIMARY_FIRST);
    struct pool *pool;

    (void)state;
    options.rotation_enabled = false;
    pool = pool_of(&options, 4, NULL);
    one(pool, 0, revoked, 0);
    one(pool, 1, served, 0);
    one(pool, 1, revoked, 0);
    one(pool, 2, served, 0);
    one(pool, 2, served, 0);
    pool_free(pool);
}

static void round_robin_goes_round_and_passes_over(void **state)
{
    struct pool *pool = rotating_pool(3, NULL);

    (void)state;
    one(pool, 0, served, 0);
    one(pool, 1, revoked, 0);
    one(pool, 2, served, 0);
    one(pool, 0, served, 0);
    one(pool, 2, served, 0);
    pool_free(pool);
}

/* Bits are scanned by words: keys at the seams must be found. */
static void every_word_of_the_bits_is_scanned(void **state)
{
    struct pool *pool = rotating_pool(200, NULL);

    (void)state;
    for (uint64_t i = 0; i < 200; i++)
        one(pool, i, i == 0 || i == 63 || i == 64 || i == 127 || i == 199 ? served : revoked, 0);
    one(pool, 0, served, 1);
    one(pool, 63, served, 1);
    one(pool, 64, served, 1);
    one(pool, 127, served, 1);
    one(pool, 199, served, 1);
    one(pool, 0, served, 1);
    pool_free(pool);
}

/* Keys out for one model are passed over by words; each has to come back, and only when due. */
static void keys_at_their_limit_are_passed_over_until_due(void **state)
{
    struct pool *pool = rotating_pool(150, NULL);
    struct plan plan;

    (void)state;
    for (uint64_t i = 0; i < 150; i++)
        one(pool, i, i == 149 ? served : with_wait(limited, (150 - (int64_t)i) * 10 * S), 0);
    for (int i = 0; i < 3; i++)
        one(pool, 149, served, 1);
    begin_with(&plan, pool, (struct plan_request){.model = SLICE("other")}, 1);
    assert_sends(&plan, 1, 0); /* out for one model only */
    plan_end(&plan, 1);
    one(pool, 148, served, 22 * S); /* the shortest wait: 20 s and a tenth */
    one(pool, 149, served, 22 * S);
    one(pool, 148, served, 22 * S);
    pool_learn(pool, 148, SLICE("acme"), SLICE("p"));
    pool_learn(pool, 0, SLICE("acme"), SLICE("p")); /* brings its limit along */
    one(pool, 149, served, 22 * S);
    one(pool, 149, served, 22 * S);
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(primary_first_rotates_over_the_fallbacks),
        cmocka_unit_test(without_rotation_the_first_ready_fallback_serves),
        cmocka_unit_test(round_robin_goes_round_and_passes_over),
        cmocka_unit_test(every_word_of_the_bits_is_scanned),
        cmocka_unit_test(keys_at_their_limit_are_passed_over_until_due),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
