#include "pool_test.h"

#include "../support/dies.h"
#include "pool/state.h"

static void check(void *pool)
{
    pool_check(pool);
}

static void damage_is_noticed(void **state)
{
    static const char *const complaints[] = {"ready bit", "ended", "counts", "two breakers"};
    char words[200];

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct pool *pool = rotating_pool(2, NULL);
        one(pool, 0, no_model, 0);
        assert_false(dies(check, pool, words, sizeof words));
        switch (i) {
        case 0: bits_remove(&pool->view->ready, 0); break;
        case 1: pool->order[0]->counts.ended++; break;
        case 2: pool->order[0]->node.open++; break;
        default: pool->order[0]->node.breakers->place.detail++; break;
        }
        assert_true(dies(check, pool, words, sizeof words));
        assert_non_null(strstr(words, complaints[i]));
        pool_free(pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damage_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
