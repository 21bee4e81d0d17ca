#include "pool_test.h"

#include <pthread.h>
#include <sched.h>

#include "pool/credit.h"

static const int64_t small[COST_COUNT] = {1, 10, 0};

static struct credit fresh(int64_t requests, int64_t tokens)
{
    struct credit credit;

    credit_init(&credit);
    credit_lend(&credit, requests, tokens);
    return credit;
}

static void a_draw_takes_both_or_none(void **state)
{
    struct credit credit = fresh(2, 1000), thin = fresh(1000, 15);
    struct credit_use use;

    (void)state;
    assert_true(credit_draw(&credit, small));
    assert_true(credit_draw(&credit, small));
    assert_false(credit_draw(&credit, small)); /* no request is left */
    assert_true(credit_draw(&thin, small));
    assert_false(credit_draw(&thin, small)); /* too few tokens are left */
    assert_true(credit_recall(&thin, &use));
    assert_int_equal(use.drawn[COST_REQUESTS], 1);
    assert_int_equal(use.drawn[COST_TOKENS], 10);
    assert_false(credit_draw(&thin, small)); /* nothing is lent */
    credit_check(&credit);
}

static void what_is_not_lent_is_not_drawn(void **state)
{
    static const int64_t others[][COST_COUNT] = {
        {1, 0, 1}, {1, CREDIT_DRAW_MAX + 1, 0}, {1, -1, 0}};
    struct credit credit = fresh(INT64_MAX, INT64_MAX); /* as much as fits */
    const int64_t most[COST_COUNT] = {1, CREDIT_DRAW_MAX, 0};

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        assert_false(credit_draw(&credit, others[i]));
    assert_true(credit_draw(&credit, most));
    credit_check(&credit);
}

static void a_recall_tells_what_became_of_it(void **state)
{
    struct credit credit = fresh(10, 1000);
    struct credit_use use;

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_true(credit_draw(&credit, small));
    credit_return(&credit, small, 4);
    credit_return(&credit, small, -1); /* not told: as it was estimated */
    assert_true(credit_recall(&credit, &use));
    assert_int_equal(use.drawn[COST_REQUESTS], 3);
    assert_int_equal(use.drawn[COST_TOKENS], 30);
    assert_int_equal(use.ended[COST_REQUESTS], 2);
    assert_int_equal(use.ended[COST_TOKENS], 20);
    assert_int_equal(use.excess, -6);
    assert_false(credit_recall(&credit, &use));
    credit_return(&credit, small, 15); /* it comes back after the loan has ended */
    assert_true(credit_recall(&credit, &use));
    assert_int_equal(use.drawn[COST_REQUESTS], 0);
    assert_int_equal(use.ended[COST_REQUESTS], 1);
    assert_int_equal(use.excess, 5);
}

/* ---- threads ----------------------------------------------------------------------------- */

enum { BORROWERS = 3, DRAWS = 20000, LOAN = 50 };

struct market {
    struct credit credit;
    unsigned running;
};

struct borrower {
    struct market *market;
    int64_t drawn, excess;
};

static void *borrow(void *argument)
{
    struct borrower *b = argument;
    unsigned open = 0;

    for (int i = 0; b->drawn < DRAWS; i++) {
        if (open < 4 && credit_draw(&b->market->credit, small)) {
            open++;
            b->drawn++;
        } else if (open) {
            credit_return(&b->market->credit, small, 10 + i % 3);
            b->excess += i % 3;
            open--;
        } else {
            sched_yield();
        }
    }
    for (; open; open--)
        credit_return(&b->market->credit, small, -1);
    (void)__atomic_sub_fetch(&b->market->running, 1, __ATOMIC_RELEASE);
    return NULL;
}

/* The lender recalls and lends while three draw and return: no loan is overdrawn, at no time has
 * more come back than went out, and in the end all has, to the last token. */
static void nothing_leaks(void **state)
{
    struct market market = {.running = BORROWERS};
    struct borrower borrowers[BORROWERS] = {0};
    pthread_t threads[BORROWERS];
    struct credit_use use;
    int64_t drawn = 0, excess = 0;
    int64_t sum_drawn[COST_COUNT] = {0}, sum_ended[COST_COUNT] = {0}, sum_excess = 0;
    bool running = true;

    (void)state;
    credit_init(&market.credit);
    for (unsigned i = 0; i < BORROWERS; i++) {
        borrowers[i].market = &market;
        assert_int_equal(pthread_create(&threads[i], NULL, borrow, &borrowers[i]), 0);
    }
    while (running) {
        running = __atomic_load_n(&market.running, __ATOMIC_ACQUIRE) > 0;
        if (credit_recall(&market.credit, &use)) {
            assert_in_range(use.drawn[COST_REQUESTS], 0, LOAN);
            for (unsigned i = 0; i < COST_COUNT; i++) {
                sum_drawn[i] += use.drawn[i];
                sum_ended[i] += use.ended[i];
                assert_true(sum_ended[i] <= sum_drawn[i]);
            }
            sum_excess += use.excess;
        }
        if (running)
            credit_lend(&market.credit, LOAN, LOAN * 10);
        sched_yield();
    }
    for (unsigned i = 0; i < BORROWERS; i++) {
        pthread_join(threads[i], NULL);
        drawn += borrowers[i].drawn;
        excess += borrowers[i].excess;
    }
    assert_int_equal(drawn, BORROWERS * DRAWS);
    assert_int_equal(sum_drawn[COST_REQUESTS], drawn);
    assert_int_equal(sum_drawn[COST_TOKENS], drawn * 10);
    assert_int_equal(sum_ended[COST_REQUESTS], drawn);
    assert_int_equal(sum_ended[COST_TOKENS], drawn * 10);
    assert_int_equal(sum_excess, excess);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_draw_takes_both_or_none),
        cmocka_unit_test(what_is_not_lent_is_not_drawn),
        cmocka_unit_test(a_recall_tells_what_became_of_it),
        cmocka_unit_test(nothing_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
