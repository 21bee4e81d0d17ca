/* What a bucket lends to requests that come without the pool's lock, and what comes of it.
 *
 * A bucket (bucket.h) keeps its account under the lock. Almost always there is plenty in it, and
 * then one more request changes nothing but sums. So whoever holds the lock and has finished with a
 * bucket lends a part of what is left; requests draw from that with one compare-and-swap each, and
 * whoever holds the lock next and wants to see the bucket takes back what nobody drew and books
 * the rest:
 *
 *     under the lock                  without it
 *
 *     lend: open = grant              draw:   open -= costs, if both suffice
 *        ┊                            return: over += costs, excess += tokens beyond them
 *     recall: open = 0
 *        drawn = grant - open         ─▶ charged, counted as sent
 *        over = excess = 0            ─▶ counted as ended, the charge corrected
 *
 * What always holds:
 * 1. Nobody draws what was not lent, and what is lent is a part of what the bucket had left when
 *    it was looked at last. So no more is let through than the same requests under the lock would
 *    have been: the lock's own account sees a loan as gone (it recalls before it looks).
 * 2. Between recall and lend nothing can be drawn: the holder of the lock has the exact account of
 *    a bucket that stands still, as if there were no other way.
 * 3. drawn - ended, summed over all recalls, is what attempts without the lock hold right now:
 *    never negative, and zero when none is under way. Nothing leaks: a draw ends in one return.
 *
 * Requests and tokens lie in one word, so that a draw takes both or none and a recall reads both
 * of one moment. The fields cannot run over: a grant is at most CREDIT_REQUESTS_MAX and
 * CREDIT_TOKENS_MAX; `over` counts returns since the last recall, which were granted since the one
 * before it or were under way then; with CREDIT_DRAW_MAX tokens each, that takes more than 700,000
 * attempts at the same time on one bucket.
 *
 * Memory orders. 1 and 2 need none: `open` is one word, each draw and each recall is an atomic
 * read-modify-write of it, and those stand in one order whatever the processor does. 3 needs one: a
 * recall that sees a return must have seen its draw. The return is a release and the recall of
 * `over` an acquire, so the draw happened before anything that the holder of the lock lends
 * afterwards; it can therefore not have drawn from that, and stands before the recall of `open`.
 * (Relaxed, a processor might store the next grant before it has loaded `over`.) The reverse, a draw
 * seen before its return, is simply an attempt under way. `alarm` is advice about an answer that has
 * come: an old value asks for the lock once too often or, for an answer that overtook the lock,
 * once too late.
 *
 * That the bucket itself is still there when an attempt ends is headroom.h's business.
 */
#ifndef SPAREKEY_POOL_CREDIT_H
#define SPAREKEY_POOL_CREDIT_H

#include "pool/atomic.h"
#include "pool/plan.h"

#define CREDIT_TOKEN_BITS   40
#define CREDIT_REQUESTS_MAX (INT64_C(1) << 22)
#define CREDIT_TOKENS_MAX   (INT64_C(1) << 38)
#define CREDIT_DRAW_MAX     (INT64_C(1) << 20)

struct credit {
    uint64_t open;             /* packed: what may be drawn */
    uint64_t over;             /* packed: what was drawn by attempts that have ended */
    int64_t excess;            /* tokens these used beyond what they drew */
    int64_t alarm[COST_COUNT]; /* an answer that tells of less than this is news */
    uint64_t lent;             /* packed: the grant; under the lock */
};

/* What became of a loan. */
struct credit_use {
    int64_t drawn[COST_COUNT], ended[COST_COUNT];
    int64_t excess;
};

/* Nothing is lent, and every answer is news. */
void credit_init(struct credit *credit);

/* Under the lock, nothing being lent. At least one request is granted. */
void credit_lend(struct credit *credit, int64_t requests, int64_t tokens);

/* Under the lock. False: nothing was lent and nothing came back. */
bool credit_recall(struct credit *credit, struct credit_use *ret_use);

/* Under the lock: what has been drawn of the loan so far, which stays lent. */
void credit_drawn(const struct credit *credit, int64_t ret_costs[COST_COUNT]);

/* Without the lock: takes the costs, all or nothing. False: there is not enough, or they are of a
 * kind that is not lent. */
bool credit_draw(struct credit *credit, const int64_t costs[COST_COUNT]);

/* With or without the lock, once for each draw: its attempt has ended. `tokens`: what it really
 * used, or -1. */
void credit_return(struct credit *credit, const int64_t costs[COST_COUNT], int64_t tokens);

void credit_check(const struct credit *credit);

#endif
