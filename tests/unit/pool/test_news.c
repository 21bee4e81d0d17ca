#include "pool/news.h"

#include "pool_test.h"

static struct pool_transition take(struct pool *pool)
{
    struct pool_transition t;

    assert_true(pool_has_news(pool));
    assert_true(pool_news_next(pool, &t));
    return t;
}

static void assert_no_news(struct pool *pool)
{
    struct pool_transition t;

    assert_false(pool_has_news(pool));
    assert_false(pool_news_next(pool, &t));
}

static void assert_move(struct pool_transition t, enum circuit from, enum circuit to,
                        enum scope scope, enum failure reason)
{
    assert_int_equal(t.from, from);
    assert_int_equal(t.to, to);
    assert_int_equal(t.scope, scope);
    assert_int_equal(t.reason, reason);
}

static void a_key_that_fails_and_comes_back_tells_each_step(void **state)
{
    struct pool *pool = rotating_pool(2, NULL);
    struct pool_transition t;
    int64_t until_ns;

    (void)state;
    assert_no_news(pool);
    one(pool, 0, revoked, 5 * S);
    t = take(pool);
    assert_move(t, CIRCUIT_CLOSED, CIRCUIT_OPEN, SCOPE_KEY, FAILURE_REVOKED);
    assert_int_equal(t.key, 0);
    assert_int_equal(t.service, 0);
    assert_string_equal(t.account, "");
    assert_int_equal(t.at_ns, 5 * S);
    assert_int_equal(t.evidence.status, 429);
    until_ns = t.until_ns;
    assert_in_range(until_ns, 905 * S, 995 * S);
    assert_no_news(pool);

    one(pool, 1, served, until_ns - 1); /* not due yet */
    assert_no_news(pool);
    one(pool, 0, revoked, until_ns); /* half-open, and it fails again */
    assert_move(take(pool), CIRCUIT_OPEN, CIRCUIT_HALF_OPEN, SCOPE_KEY, FAILURE_REVOKED);
    t = take(pool);
    assert_move(t, CIRCUIT_HALF_OPEN, CIRCUIT_OPEN, SCOPE_KEY, FAILURE_REVOKED);
    one(pool, 1, served, until_ns);
    one(pool, 0, served, t.until_ns);
    assert_move(take(pool), CIRCUIT_OPEN, CIRCUIT_HALF_OPEN, SCOPE_KEY, FAILURE_REVOKED);
    assert_move(take(pool), CIRCUIT_HALF_OPEN, CIRCUIT_CLOSED, SCOPE_KEY, FAILURE_REVOKED);
    assert_no_news(pool);
    assert_int_equal(pool_news_lost(pool), 0);
    pool_free(pool);
}

/* The caller's handle of a key is told while the key is loaded, and not a moment longer. */
static void a_cookie_is_the_loaded_key_s(void **state)
{
    struct pool *pool = rotating_pool(2, NULL);
    struct pool_transition t, none = {.key = KEY_NONE};
    uint64_t cookie = 77;

    (void)state;
    assert_false(pool_news_cookie(pool, &none, &cookie));
    one(pool, 0, revoked, 5 * S);
    t = take(pool);
    assert_true(pool_news_cookie(pool, &t, &cookie));
    assert_int_equal(cookie, pool_key_cookie(pool, 0));
    assert_int_equal(pool_load(pool, NULL, 0, 6 * S), STATUS_OK);
    cookie = 77;
    assert_false(pool_news_cookie(pool, &t, &cookie));
    assert_int_equal(cookie, 77);
    pool_free(pool);
}

static void an_account_is_named(void **state)
{
    static const struct owner_names owners[] = {{"acme", "p1"}, {"acme", "p2"}, {"other", "p3"}};
    struct pool *pool = rotating_pool(3, owners);
    struct pool_transition t;

    (void)state;
    one(pool, 0, no_quota, 0);
    t = take(pool);
    assert_move(t, CIRCUIT_CLOSED, CIRCUIT_OPEN, SCOPE_ORG, FAILURE_QUOTA);
    assert_string_equal(t.account, "acme");
    assert_int_equal(t.key, KEY_NONE);
    one(pool, 2, limited, 0);
    t = take(pool);
    assert_move(t, CIRCUIT_CLOSED, CIRCUIT_OPEN, SCOPE_PROJECT_MODEL, FAILURE_RATE);
    assert_string_equal(t.account, "p3");
    pool_free(pool);
}

/* One key's failure proves nothing about the service, and is no news. */
static void a_suspicion_is_no_news(void **state)
{
    struct pool *pool = rotating_pool(2, NULL);

    (void)state;
    one(pool, 0, server_error, 0);
    one(pool, 1, served, 0);
    assert_no_news(pool);
    pool_free(pool);
}

static void the_oldest_give_way(void **state)
{
    struct pool *pool = rotating_pool(NEWS_MAX + 6, NULL);

    (void)state;
    for (unsigned i = 0; i < NEWS_MAX + 6; i++)
        one(pool, i, revoked, 0);
    assert_int_equal(pool_news_lost(pool), 6);
    for (unsigned i = 6; i < NEWS_MAX + 6; i++)
        assert_int_equal(take(pool).key, i);
    assert_no_news(pool);
    assert_int_equal(pool_news_lost(pool), 6);
    pool_free(pool);
}

static void ready_means_that_somebody_could_serve(void **state)
{
    struct pool *pool = rotating_pool(2, NULL);
    int64_t until_ns;

    (void)state;
    assert_true(pool_any_ready(pool));
    one(pool, 0, revoked, 0);
    until_ns = take(pool).until_ns;
    assert_true(pool_any_ready(pool));
    one(pool, 1, revoked, 1 * S);
    assert_false(pool_any_ready(pool));
    one(pool, 0, served, until_ns);
    assert_true(pool_any_ready(pool));
    pool_free(pool);
}

/* Two services; of the first the breaker stands open for all its keys. */
static void a_service_that_is_out_takes_its_keys_along(void **state)
{
    struct key_spec specs[3] = {{.service = 0}, {.service = 0}, {.service = 1}};
    struct pool_options options = options_of(STRATEGY_ROUND_ROBIN);
    struct pool *pool = pool_of_specs(&options, specs, 3);

    (void)state;
    one(pool, 0, cut_off, 0);
    one(pool, 1, cut_off, 1 * S);
    assert_move(take(pool), CIRCUIT_CLOSED, CIRCUIT_OPEN, SCOPE_SERVICE, FAILURE_NETWORK);
    assert_true(pool_any_ready(pool)); /* the third */
    one(pool, 2, revoked, 1 * S);
    assert_false(pool_any_ready(pool));
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_that_fails_and_comes_back_tells_each_step),
        cmocka_unit_test(a_cookie_is_the_loaded_key_s),
        cmocka_unit_test(an_account_is_named),
        cmocka_unit_test(a_suspicion_is_no_news),
        cmocka_unit_test(the_oldest_give_way),
        cmocka_unit_test(ready_means_that_somebody_could_serve),
        cmocka_unit_test(a_service_that_is_out_takes_its_keys_along),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
