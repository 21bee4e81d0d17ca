#include "pool/credit.h"

#include "pool/invariant.h"

#define TOKEN_MASK ((UINT64_C(1) << CREDIT_TOKEN_BITS) - 1)

_Static_assert(COST_COUNT == 3, "requests and tokens are lent, images are not");

static uint64_t pack(int64_t requests, int64_t tokens)
{
    return (uint64_t)requests << CREDIT_TOKEN_BITS | (uint64_t)tokens;
}

static void unpack(uint64_t word, int64_t costs[COST_COUNT])
{
    costs[COST_REQUESTS] = (int64_t)(word >> CREDIT_TOKEN_BITS);
    costs[COST_TOKENS] = (int64_t)(word & TOKEN_MASK);
    costs[COST_IMAGES] = 0;
}

/* Both parts of `of` are there. */
static bool covers(uint64_t word, uint64_t of)
{
    return word >> CREDIT_TOKEN_BITS >= of >> CREDIT_TOKEN_BITS &&
           (word & TOKEN_MASK) >= (of & TOKEN_MASK);
}

void credit_init(struct credit *credit)
{
    TALLY_SET(&credit->open, 0);
    TALLY_SET(&credit->over, 0);
    TALLY_SET(&credit->excess, 0);
    credit->lent = 0;
    for (unsigned i = 0; i < COST_COUNT; i++)
        TALLY_SET(&credit->alarm[i], INT64_MAX);
}

static int64_t at_most(int64_t value, int64_t bound)
{
    return value < bound ? value : bound;
}

void credit_lend(struct credit *credit, int64_t requests, int64_t tokens)
{
    INVARIANT(credit->lent == 0, "a loan beside a loan");
    credit->lent = pack(at_most(requests, CREDIT_REQUESTS_MAX), at_most(tokens, CREDIT_TOKENS_MAX));
    TALLY_SET(&credit->open, credit->lent);
}

void credit_drawn(const struct credit *credit, int64_t ret_costs[COST_COUNT])
{
    int64_t open[COST_COUNT];

    unpack(TALLY(&credit->open), open);
    unpack(credit->lent, ret_costs);
    for (unsigned i = 0; i < COST_COUNT; i++)
        ret_costs[i] -= open[i];
}

bool credit_recall(struct credit *credit, struct credit_use *ret_use)
{
    uint64_t open, over;

    if (!credit->lent && !TALLY(&credit->over))
        return false;
    open = credit->lent ? __atomic_exchange_n(&credit->open, 0, __ATOMIC_RELAXED) : 0;
    over = __atomic_exchange_n(&credit->over, 0, __ATOMIC_ACQUIRE);
    unpack(credit->lent - open, ret_use->drawn);
    unpack(over, ret_use->ended);
    ret_use->excess = __atomic_exchange_n(&credit->excess, 0, __ATOMIC_RELAXED);
    credit->lent = 0;
    return true;
}

bool credit_draw(struct credit *credit, const int64_t costs[COST_COUNT])
{
    uint64_t open = TALLY(&credit->open), wanted;

    if (costs[COST_IMAGES] != 0 || costs[COST_TOKENS] < 0 || costs[COST_TOKENS] > CREDIT_DRAW_MAX)
        return false;
    wanted = pack(costs[COST_REQUESTS], costs[COST_TOKENS]);
    do
        if (!covers(open, wanted))
            return false;
    while (!__atomic_compare_exchange_n(&credit->open, &open, open - wanted, true, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED));
    return true;
}

void credit_return(struct credit *credit, const int64_t costs[COST_COUNT], int64_t tokens)
{
    if (tokens >= 0 && tokens != costs[COST_TOKENS])
        TALLY_ADD(&credit->excess, tokens - costs[COST_TOKENS]);
    __atomic_fetch_add(&credit->over, pack(costs[COST_REQUESTS], costs[COST_TOKENS]),
                       __ATOMIC_RELEASE);
}

void credit_check(const struct credit *credit)
{
    INVARIANT(covers(credit->lent, TALLY(&credit->open)), "more can be drawn than was lent");
}
