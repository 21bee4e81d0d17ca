#include "pool_test.h"

#include "../support/dies.h"
#include "pool/breaker.h"

static const enum circuit states[] = {CIRCUIT_CLOSED, CIRCUIT_OPEN, CIRCUIT_HALF_OPEN};

static bool is_legal(enum circuit from, enum circuit to)
{
    return from != to && !(from == CIRCUIT_CLOSED && to == CIRCUIT_HALF_OPEN);
}

static void move(void *argument)
{
    const enum circuit *ends = argument;
    struct breaker b = {.state = (uint8_t)ends[0], .place.scope = SCOPE_KEY};

    breaker_enter(&b, ends[1]);
}

static void only_the_drawn_moves_are_legal(void **state)
{
    char message[200];

    (void)state;
    for (size_t from = 0; from < 3; from++) {
        for (size_t to = 0; to < 3; to++) {
            enum circuit ends[] = {states[from], states[to]};
            bool died = dies(move, ends, message, sizeof message);
            assert_int_equal(died, !is_legal(states[from], states[to]));
            if (!died)
                continue;
            assert_non_null(strstr(message, circuit_name(states[from])));
            assert_non_null(strstr(message, circuit_name(states[to])));
        }
    }
}

static void entering_a_state_drops_the_lease(void **state)
{
    struct breaker b = {.state = CIRCUIT_HALF_OPEN, .lease = 7, .lease_until_ns = FAR};

    (void)state;
    assert_true(breaker_leased(&b, 1));
    assert_false(breaker_leased(&b, FAR));
    breaker_enter(&b, CIRCUIT_OPEN);
    assert_false(breaker_leased(&b, 1));
}

static void assert_wait(struct verdict v, unsigned exponent, int64_t wanted)
{
    struct rng rng = {42};

    for (int i = 0; i < 200; i++) {
        int64_t wait = breaker_wait(&v, exponent, &rng);
        assert_true(wait >= wanted);
        assert_true(wait <= wanted + wanted / 10);
    }
}

static void a_wait_is_the_larger_of_hint_and_backoff(void **state)
{
    (void)state;
    assert_wait(limited, 0, 1 * S);
    assert_wait(limited, 3, 8 * S);
    assert_wait(limited, 9, 60 * S); /* capped */
    assert_wait(limited, 255, 60 * S);
    assert_wait(with_wait(limited, 20 * S), 0, 20 * S);
    assert_wait(with_wait(limited, 20 * S), 5, 32 * S);
    assert_wait(with_wait(revoked, INT64_MAX), 0, BREAKER_WAIT_MAX_NS);
    assert_wait((struct verdict){.wait_ns = -1}, 3, 0);
    assert_wait((struct verdict){.wait_ns = -1, .base_ns = 1 * S}, 200, BREAKER_WAIT_MAX_NS);
}

/* What only a request can disprove is tried long before its time, at growing distances. */
static void a_long_wait_goes_in_steps(void **state)
{
    struct verdict day = with_wait(limited, 86400 * S);

    (void)state;
    assert_wait(with_wait(limited, 300 * S), 0, 300 * S);
    assert_wait(with_wait(limited, 301 * S), 0, 60 * S);
    assert_wait(day, 0, 5400 * S);
    assert_wait(day, 1, 10800 * S);
    assert_wait(day, 3, 43200 * S);
    assert_wait(day, 4, 86400 * S);
    assert_wait(day, 200, 86400 * S);
    assert_wait(no_quota, 0, 60 * S);
    assert_wait(with_wait(revoked, 86400 * S), 0, 86400 * S);
}

static void jitter_spreads_recoveries(void **state)
{
    struct rng rng = {1};
    int64_t first = breaker_wait(&limited, 0, &rng);
    bool differs = false;

    (void)state;
    for (int i = 0; i < 20; i++)
        differs |= breaker_wait(&limited, 0, &rng) != first;
    assert_true(differs);
}

static struct breaker opened(struct verdict v, int64_t now)
{
    struct breaker b = {.state = CIRCUIT_CLOSED};
    struct rng rng = {3};

    breaker_open(&b, &v, NULL, breaker_wait(&v, 0, &rng), now);
    return b;
}

static void later_news_never_shortens(void **state)
{
    struct breaker b = opened(with_wait(limited, 100 * S), 0);
    struct verdict shorter = with_wait(limited, 5 * S), longer = with_wait(limited, 290 * S);
    struct rng rng = {4};
    int64_t due = b.due_ns;

    (void)state;
    breaker_prolong(&b, &shorter, NULL, &rng, 1);
    assert_int_equal(b.due_ns, due);
    breaker_prolong(&b, &longer, NULL, &rng, 1);
    assert_in_range(b.due_ns, 290 * S, 320 * S);
    assert_int_equal(b.exponent, 0);
}

static void the_same_reason_again_is_no_news(void **state)
{
    struct breaker b = opened(limited, 0);
    struct rng rng = {4};
    int64_t due = b.due_ns;

    (void)state;
    for (int i = 0; i < 32; i++)
        breaker_prolong(&b, &limited, NULL, &rng, 500 * MS);
    assert_int_equal(b.due_ns, due);
    breaker_prolong(&b, &no_model, NULL, &rng, 500 * MS); /* another reason is */
    assert_int_equal(b.reason, FAILURE_MODEL);
    assert_true(b.due_ns >= 3600 * S);
}

static void reopening_counts_up_and_keeps_the_first_date(void **state)
{
    struct breaker b = opened(limited, 10);

    (void)state;
    breaker_enter(&b, CIRCUIT_HALF_OPEN);
    breaker_reopen(&b, &limited, NULL, 2 * S, 2 * S);
    assert_int_equal(b.exponent, 1);
    assert_int_equal(b.since_ns, 10);
    assert_int_equal(b.opened_ns, 2 * S);
    assert_int_equal(b.due_ns, 4 * S);
}

static void a_second_key_must_fail_the_same_way_in_time(void **state)
{
    struct breaker b = {.state = CIRCUIT_CLOSED};

    (void)state;
    assert_false(breaker_is_second(&b, 1, FAILURE_SERVER, 0));
    breaker_suspect(&b, 1, FAILURE_SERVER, 0);
    assert_false(breaker_is_second(&b, 1, FAILURE_SERVER, 1));
    assert_false(breaker_is_second(&b, 2, FAILURE_NETWORK, 1));
    assert_true(breaker_is_second(&b, 2, FAILURE_SERVER, 1));
    assert_false(breaker_is_second(&b, 2, FAILURE_SERVER, BREAKER_SUSPICION_NS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_drawn_moves_are_legal),
        cmocka_unit_test(entering_a_state_drops_the_lease),
        cmocka_unit_test(a_wait_is_the_larger_of_hint_and_backoff),
        cmocka_unit_test(a_long_wait_goes_in_steps),
        cmocka_unit_test(jitter_spreads_recoveries),
        cmocka_unit_test(later_news_never_shortens),
        cmocka_unit_test(the_same_reason_again_is_no_news),
        cmocka_unit_test(reopening_counts_up_and_keeps_the_first_date),
        cmocka_unit_test(a_second_key_must_fail_the_same_way_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
