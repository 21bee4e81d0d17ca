#include "pool_test.h"

#include <stdlib.h>
#include <string.h>

/* The n-th allocation from now on fails (the linker sends them here); 0: none does. */
static unsigned fail_at;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

static bool fails_now(void)
{
    return fail_at && --fail_at == 0;
}

void *__wrap_malloc(size_t size)
{
    return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails_now() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails_now() ? NULL : __real_realloc(old, size);
}

/* Starts a request that is sent on `wanted`. */
static void send_one(struct plan *plan, struct pool *pool, uint64_t wanted, int64_t now)
{
    begin(plan, pool, now);
    assert_sends(plan, now, wanted);
}

static void one(struct pool *pool, uint64_t wanted, struct verdict v, int64_t now)
{
    struct plan plan;

    send_one(&plan, pool, wanted, now);
    hear(&plan, v, v.reaction == REACT_SUCCESS ? 200 : 429, now);
    plan_end(&plan, now);
}

static struct pool *rotating_pool(size_t count, const struct owner_names *owners)
{
    struct pool_options options = options_of(STRATEGY_ROUND_ROBIN);

    return pool_of(&options, count, owners);
}

/* ---- strategies ---- */

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

static void a_running_pool_can_be_switched(void **state)
{
    struct pool_options options = options_of(STRATEGY_PRIMARY_FIRST);
    struct pool *pool = rotating_pool(3, NULL);
    uint64_t epoch = pool_epoch(pool);

    (void)state;
    one(pool, 0, served, 0);
    pool_configure(pool, &options);
    assert_true(pool_epoch(pool) != epoch);
    one(pool, 0, served, 0);
    pool_free(pool);
}

/* Bits are scanned by words: keys at the seams must be found. */
static void every_word_of_the_bits_is_scanned(void **state)
{
    struct key_spec specs[200] = {0};
    struct pool_options options = options_of(STRATEGY_ROUND_ROBIN);
    struct pool *pool;

    (void)state;
    for (uint64_t i = 0; i < 200; i++)
        specs[i] = (struct key_spec){.identity = i + 1, .cookie = i};
    assert_int_equal(pool_new(&options, &pool), STATUS_OK);
    assert_int_equal(pool_load(pool, specs, 200, 0), STATUS_OK);
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
    struct key_spec specs[150] = {0};
    struct pool_options options = options_of(STRATEGY_ROUND_ROBIN);
    struct pool *pool;
    struct plan plan;

    (void)state;
    for (uint64_t i = 0; i < 150; i++)
        specs[i] = (struct key_spec){.identity = i + 1, .cookie = i};
    assert_int_equal(pool_new(&options, &pool), STATUS_OK);
    assert_int_equal(pool_load(pool, specs, 150, 0), STATUS_OK);
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

/* ---- breakers in the pool ---- */

static void a_burst_of_old_failures_is_one_piece_of_evidence(void **state)
{
    struct pool *pool = rotating_pool(1, NULL);
    struct plan plans[32];

    (void)state;
    for (int i = 0; i < 32; i++)
        send_one(&plans[i], pool, 0, 0);
    for (int i = 0; i < 32; i++) {
        hear(&plans[i], limited, 429, i * MS);
        plan_end(&plans[i], i * MS);
    }
    assert_in_range(view(pool, 0, 32 * MS).open_until_ns, 1 * S, 1100 * MS);
    one(pool, 0, served, 1101 * MS);
    pool_free(pool);
}

static void the_lease_holder_doubles_the_wait(void **state)
{
    struct pool *pool = rotating_pool(1, NULL);
    int64_t now = 0, wait = 1 * S;

    (void)state;
    for (int i = 0; i < 5; i++, wait *= 2) {
        one(pool, 0, limited, now);
        assert_in_range(view(pool, 0, now).open_until_ns - now, wait, wait + wait / 10);
        assert_int_equal(view(pool, 0, now).open_since_ns, 0);
        now = view(pool, 0, now).open_until_ns;
        assert_int_equal(view(pool, 0, now).circuit, CIRCUIT_HALF_OPEN);
    }
    one(pool, 0, served, now);
    assert_int_equal(view(pool, 0, now).circuit, CIRCUIT_CLOSED);
    one(pool, 0, limited, now + 1); /* the exponent is forgotten */
    assert_true(view(pool, 0, now + 1).open_until_ns - now <= 1100 * MS + 1);
    pool_free(pool);
}

static void half_open_lets_one_through(void **state)
{
    struct pool *pool = rotating_pool(2, NULL);
    struct plan trial;

    (void)state;
    one(pool, 0, revoked, 0);
    one(pool, 1, served, 1);
    send_one(&trial, pool, 0, 1000 * S);
    for (int i = 0; i < 4; i++)
        one(pool, 1, served, 1000 * S);
    hear(&trial, revoked, 401, 1001 * S);
    plan_end(&trial, 1001 * S);
    assert_in_range(view(pool, 0, 1001 * S).open_until_ns, 2801 * S, 2982 * S);
    pool_free(pool);
}

static void a_lost_lease_expires(void **state)
{
    struct pool *pool = rotating_pool(2, NULL);
    struct plan lost;

    (void)state;
    one(pool, 0, revoked, 0);
    one(pool, 1, served, 0);
    send_one(&lost, pool, 0, 1000 * S);
    one(pool, 1, served, 1599 * S);
    one(pool, 1, served, 1599 * S);
    one(pool, 0, served, 1600 * S);
    hear(&lost, revoked, 401, 1601 * S); /* opens anew, it was closed */
    plan_end(&lost, 1601 * S);
    assert_int_equal(view(pool, 0, 1601 * S).circuit, CIRCUIT_OPEN);
    pool_free(pool);
}

static void an_older_success_proves_nothing(void **state)
{
    struct pool *pool = rotating_pool(1, NULL);
    struct plan old;

    (void)state;
    send_one(&old, pool, 0, 0);
    one(pool, 0, no_quota, 1);
    hear(&old, served, 200, 2);
    plan_end(&old, 2);
    assert_int_equal(view(pool, 0, 2).circuit, CIRCUIT_OPEN);
    pool_free(pool);
}

static void the_view_shows_the_worst(void **state)
{
    struct pool *pool = rotating_pool(2, NULL);
    struct plan plan;
    struct key_view v;

    (void)state;
    send_one(&plan, pool, 0, 5);
    hear(&plan, limited, 429, 6);
    plan_end(&plan, 6);
    v = view(pool, 0, 7);
    assert_true(v.rate_limited);
    assert_int_equal(v.scope, SCOPE_PROJECT_MODEL);
    assert_int_equal(v.reason, FAILURE_RATE);
    assert_int_equal(v.open_since_ns, 6);
    assert_int_equal(v.evidence.status, 429);
    assert_string_equal(v.evidence.code, "test");
    assert_int_equal(v.consecutive_errors, 1);
    assert_int_equal(v.requests, 1);
    v = view(pool, 1, 7);
    assert_int_equal(v.circuit, CIRCUIT_CLOSED);
    assert_false(v.rate_limited);
    pool_free(pool);
}

/* ---- owners ---- */

static void siblings_share_what_was_open_before_they_were_known(void **state)
{
    struct pool *pool = rotating_pool(3, NULL);
    struct plan plan;

    (void)state;
    one(pool, 0, no_quota, 0); /* on the organisation of key 0, unknown yet */
    send_one(&plan, pool, 1, 1);
    pool_learn(pool, plan.current, SLICE("acme"), SLICE("p"));
    hear(&plan, served, 200, 2);
    plan_end(&plan, 2);
    assert_int_equal(view(pool, 1, 3).circuit, CIRCUIT_CLOSED);
    pool_learn(pool, 0, SLICE("acme"), SLICE("q"));
    pool_check(pool);
    assert_int_equal(view(pool, 1, 3).circuit, CIRCUIT_OPEN);
    assert_true(slice_eq(view(pool, 0, 3).organization, SLICE("acme")));
    one(pool, 2, served, 3);
    one(pool, 2, served, 3);
    pool_free(pool);
}

static void a_projects_organization_is_learned_for_all_its_keys(void **state)
{
    static const struct owner_names owners[] = {{"", "p"}, {"", "p"}, {"", "q"}};
    struct pool *pool = rotating_pool(3, owners);

    (void)state;
    one(pool, 0, no_quota, 0);
    pool_learn(pool, 1, SLICE("acme"), SLICE("p"));
    pool_learn(pool, 2, SLICE("acme"), SLICE("q"));
    pool_check(pool);
    for (size_t i = 0; i < 3; i++) {
        assert_true(slice_eq(view(pool, i, 1).organization, SLICE("acme")));
        assert_int_equal(view(pool, i, 1).circuit, CIRCUIT_OPEN);
    }
    pool_free(pool);
}

static void of_two_openings_the_longer_stays(void **state)
{
    struct pool *pool = rotating_pool(2, NULL);

    (void)state;
    one(pool, 0, with_wait(no_quota, 700 * S), 0);
    one(pool, 1, with_wait(no_quota, 3000 * S), 0);
    pool_learn(pool, 1, SLICE("acme"), SLICE("p"));
    pool_learn(pool, 0, SLICE("acme"), SLICE("p"));
    pool_check(pool);
    assert_true(view(pool, 0, 1).open_until_ns >= 3000 * S);
    pool_free(pool);
}

static void configured_owners_win_over_learned(void **state)
{
    static const struct owner_names owners[] = {{"acme", "p"}, {"acme", ""}};
    struct pool *pool = rotating_pool(2, owners);

    (void)state;
    pool_learn(pool, 0, SLICE("other"), SLICE("q"));
    pool_learn(pool, 1, SLICE("other"), SLICE("q"));
    pool_check(pool);
    assert_true(slice_eq(view(pool, 0, 0).organization, SLICE("acme")));
    assert_true(slice_eq(view(pool, 0, 0).project, SLICE("p")));
    assert_true(slice_eq(view(pool, 1, 0).organization, SLICE("acme")));
    assert_true(slice_eq(view(pool, 1, 0).project, SLICE("q")));
    pool_free(pool);
}

static void a_moved_key_leaves_its_account_behind(void **state)
{
    struct pool *pool = rotating_pool(2, NULL);

    (void)state;
    pool_learn(pool, 0, SLICE("a"), SLICE("p"));
    pool_learn(pool, 1, SLICE("a"), SLICE("p"));
    one(pool, 0, no_quota, 0);
    pool_learn(pool, 1, SLICE("b"), SLICE("p"));
    pool_learn(pool, 1, SLICE(""), SLICE("")); /* says nothing */
    pool_check(pool);
    assert_int_equal(view(pool, 0, 1).circuit, CIRCUIT_OPEN);
    assert_int_equal(view(pool, 1, 1).circuit, CIRCUIT_CLOSED);
    assert_true(slice_eq(view(pool, 1, 1).organization, SLICE("b")));
    pool_free(pool);
}

static void a_lease_left_with_the_old_owner_is_returned(void **state)
{
    static const int64_t later = 1000 * S;
    struct pool *pool = rotating_pool(2, NULL);
    struct plan plan;

    (void)state;
    pool_learn(pool, 0, SLICE("a"), SLICE("p"));
    pool_learn(pool, 1, SLICE("a"), SLICE("p"));
    one(pool, 0, no_quota, 0);
    send_one(&plan, pool, 1, later);
    pool_learn(pool, plan.current, SLICE("b"), SLICE("p"));
    hear(&plan, served, 200, later);
    plan_end(&plan, later);
    assert_int_equal(view(pool, 0, later).circuit, CIRCUIT_HALF_OPEN);
    one(pool, 0, served, later);
    assert_int_equal(view(pool, 0, later).circuit, CIRCUIT_CLOSED);
    pool_free(pool);
}

/* ---- loading ---- */

static void load(struct pool *pool, const uint64_t *identities, size_t count)
{
    struct key_spec specs[8] = {0};

    for (size_t i = 0; i < count; i++)
        specs[i] = (struct key_spec){.identity = identities[i], .cookie = identities[i]};
    assert_int_equal(pool_load(pool, specs, count, 0), STATUS_OK);
    pool_check(pool);
}

static void a_reload_keeps_the_state_of_the_keys_that_stay(void **state)
{
    static const uint64_t before[] = {1, 2, 3}, after[] = {3, 4, 1};
    struct pool *pool = rotating_pool(0, NULL);
    uint64_t epoch;

    (void)state;
    load(pool, before, 3);
    one(pool, 1, revoked, 0);
    pool_learn(pool, 2, SLICE("acme"), SLICE("p"));
    epoch = pool_epoch(pool);
    load(pool, after, 3);
    assert_true(pool_epoch(pool) != epoch);
    assert_int_equal(pool_count(pool), 3);
    assert_int_equal(view(pool, 2, 0).cookie, 1);
    assert_int_equal(view(pool, 2, 0).circuit, CIRCUIT_OPEN);
    assert_int_equal(view(pool, 0, 0).cookie, 3);
    assert_true(slice_eq(view(pool, 0, 0).organization, SLICE("acme")));
    one(pool, 4, served, 0);
    one(pool, 3, served, 0);
    one(pool, 4, served, 0);
    pool_free(pool);
}

static void duplicates_are_ignored(void **state)
{
    static const uint64_t identities[] = {1, 2, 1, 2, 1};
    struct pool *pool = rotating_pool(0, NULL);

    (void)state;
    load(pool, identities, 5);
    assert_int_equal(pool_count(pool), 2);
    one(pool, 1, served, 0);
    one(pool, 2, served, 0);
    one(pool, 1, served, 0);
    pool_free(pool);
}

static void a_retired_key_lives_until_its_last_plan_ends(void **state)
{
    static const uint64_t before[] = {1, 2}, after[] = {2, 3};
    struct pool *pool = rotating_pool(0, NULL);
    struct plan plan;
    key_id id;

    (void)state;
    load(pool, before, 2);
    send_one(&plan, pool, 1, 0);
    id = plan.current;
    load(pool, after, 2);
    assert_int_equal(pool_key_cookie(pool, id), 1);
    hear(&plan, revoked, 401, 1);
    assert_int_equal(pool_key_cookie(pool, id), 1); /* the trail still names it */
    assert_sends(&plan, 1, 3);
    assert_int_not_equal(plan.current, id);
    plan_end(&plan, 1);
    pool_check(pool);
    load(pool, before, 2);
    assert_int_equal(view(pool, 0, 1).circuit, CIRCUIT_CLOSED); /* it was forgotten */
    pool_free(pool);
}

static void a_key_that_returns_in_time_has_its_state_back(void **state)
{
    static const uint64_t both[] = {1, 2}, second[] = {2};
    struct pool *pool = rotating_pool(0, NULL);
    struct plan plan;

    (void)state;
    load(pool, both, 2);
    send_one(&plan, pool, 1, 0);
    load(pool, second, 1);
    load(pool, both, 2);
    hear(&plan, revoked, 401, 1);
    plan_end(&plan, 1);
    assert_int_equal(view(pool, 0, 1).circuit, CIRCUIT_OPEN);
    pool_free(pool);
}

static void all_keys_can_go_and_come(void **state)
{
    static const uint64_t both[] = {1, 2};
    struct pool *pool = rotating_pool(0, NULL);
    struct plan plan;

    (void)state;
    load(pool, both, 2);
    load(pool, both, 0);
    begin(&plan, pool, 0);
    assert_int_equal(next(&plan, 0).action, PLAN_GIVE_UP);
    plan_end(&plan, 0);
    load(pool, both, 2);
    one(pool, 1, served, 0);
    pool_free(pool);
}

/* ---- out of memory ---- */

static void a_load_without_memory_changes_nothing(void **state)
{
    struct key_spec specs[80] = {0};
    enum status status = STATUS_NO_MEMORY;
    unsigned failures = 0;

    (void)state;
    for (uint64_t i = 0; i < 80; i++)
        specs[i] = (struct key_spec){
            .identity = 1002 - i, .organization = SLICE("acme"), .project = SLICE("p")};
    while (status == STATUS_NO_MEMORY) {
        struct pool *pool = rotating_pool(3, NULL);
        one(pool, 0, revoked, 0);
        fail_at = ++failures;
        status = pool_load(pool, specs, 80, 1);
        fail_at = 0;
        pool_check(pool);
        if (status == STATUS_NO_MEMORY) {
            assert_int_equal(pool_count(pool), 3);
            assert_int_equal(view(pool, 0, 1).circuit, CIRCUIT_OPEN);
            assert_int_equal(view(pool, 1, 1).organization.len, 0);
            one(pool, 1, served, 1);
        }
        pool_free(pool);
    }
    assert_int_equal(status, STATUS_OK);
    assert_true(failures > 80);
}

static void a_pool_is_made_whole_or_not_at_all(void **state)
{
    struct pool_options options = options_of(STRATEGY_ROUND_ROBIN);
    enum status status = STATUS_NO_MEMORY;
    struct pool *pool = NULL;

    (void)state;
    for (unsigned n = 1; status == STATUS_NO_MEMORY; n++) {
        fail_at = n;
        status = pool_new(&options, &pool);
        fail_at = 0;
        assert_true((status == STATUS_OK) == (pool != NULL));
    }
    pool_free(pool);
    pool_free(NULL);
}

static void requests_go_on_without_memory(void **state)
{
    struct pool_options options = options_of(STRATEGY_PRIMARY_FIRST);
    struct pool *pool = pool_of(&options, 8, NULL);
    struct plan plan;
    struct plan_step step;

    (void)state;
    begin(&plan, pool, 0);
    for (uint64_t i = 0; i < PLAN_INLINE_ATTEMPTS; i++) {
        assert_sends(&plan, 0, i);
        fail_at = 1;
        hear(&plan, revoked, 401, 0); /* no breaker: not remembered, nothing worse */
        fail_at = 0;
        assert_int_equal(view(pool, i, 0).circuit, CIRCUIT_CLOSED);
    }
    fail_at = 1;
    step = next(&plan, 0); /* no room in the trail */
    fail_at = 0;
    assert_int_equal(step.action, PLAN_GIVE_UP);
    assert_int_equal(step.status, 503);
    plan_end(&plan, 0);
    fail_at = 1;
    pool_learn(pool, 0, SLICE("acme"), SLICE("p"));
    fail_at = 0;
    pool_check(pool);
    assert_int_equal(view(pool, 0, 0).organization.len, 0);
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(primary_first_rotates_over_the_fallbacks),
        cmocka_unit_test(without_rotation_the_first_ready_fallback_serves),
        cmocka_unit_test(round_robin_goes_round_and_passes_over),
        cmocka_unit_test(a_running_pool_can_be_switched),
        cmocka_unit_test(every_word_of_the_bits_is_scanned),
        cmocka_unit_test(keys_at_their_limit_are_passed_over_until_due),
        cmocka_unit_test(a_burst_of_old_failures_is_one_piece_of_evidence),
        cmocka_unit_test(the_lease_holder_doubles_the_wait),
        cmocka_unit_test(half_open_lets_one_through),
        cmocka_unit_test(a_lost_lease_expires),
        cmocka_unit_test(an_older_success_proves_nothing),
        cmocka_unit_test(the_view_shows_the_worst),
        cmocka_unit_test(siblings_share_what_was_open_before_they_were_known),
        cmocka_unit_test(a_projects_organization_is_learned_for_all_its_keys),
        cmocka_unit_test(of_two_openings_the_longer_stays),
        cmocka_unit_test(configured_owners_win_over_learned),
        cmocka_unit_test(a_moved_key_leaves_its_account_behind),
        cmocka_unit_test(a_lease_left_with_the_old_owner_is_returned),
        cmocka_unit_test(a_reload_keeps_the_state_of_the_keys_that_stay),
        cmocka_unit_test(duplicates_are_ignored),
        cmocka_unit_test(a_retired_key_lives_until_its_last_plan_ends),
        cmocka_unit_test(a_key_that_returns_in_time_has_its_state_back),
        cmocka_unit_test(all_keys_can_go_and_come),
        cmocka_unit_test(a_load_without_memory_changes_nothing),
        cmocka_unit_test(a_pool_is_made_whole_or_not_at_all),
        cmocka_unit_test(requests_go_on_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
