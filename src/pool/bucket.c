#include "pool/bucket.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pool/invariant.h"

/* The gap between requests is averaged over about so many. */
#define GAP_SAMPLES 16

/* A reading with less missing (and less than half the limit) does not tell the rate. */
#define RATE_MISSING_MIN 4
/* Of the highest rate the readings allow, so much is believed. */
#define RATE_CAUTION 0.98

/* Whoever has more than this need not hear how much. */
#define ALARM_MAX 1e18

static void give_back(struct garbage *garbage)
{
    struct bucket *b = container_of(garbage, struct bucket, garbage);

    garbage->next = b->shelf->unused;
    b->shelf->unused = garbage;
}

/* Memory that is a bucket's, or zero. */
static struct bucket *take_place(struct shelf *shelf)
{
    struct garbage *garbage = shelf->unused;

    if (!garbage)
        return calloc(1, sizeof(struct bucket));
    shelf->unused = garbage->next;
    return container_of(garbage, struct bucket, garbage);
}

struct bucket *bucket_new(struct shelf *shelf, struct node *node, uint64_t model,
                          enum bucket_level level)
{
    struct bucket *b = take_place(shelf);

    if (!b)
        return NULL;
    /* All but the birth, at which someone may be looking. */
    memset(&b->next, 0, sizeof(*b) - offsetof(struct bucket, next));
    b->node = node;
    b->model = model;
    b->level = (uint8_t)level;
    b->shelf = shelf;
    b->garbage.release = give_back;
    b->sent_ns = -1;
    b->gap_ns = BUCKET_WINDOW_NS;
    for (unsigned i = 0; i < COST_COUNT; i++)
        b->gauges[i].limit = -1;
    credit_init(&b->credit);
    list_init(&b->all);
    list_init(&b->holds);
    list_init(&b->charged);
    POST(&b->birth, ++shelf->births);
    return b;
}

static void leave_if_unused(struct bucket *b)
{
    if (b->node || !list_empty(&b->holds) || !list_empty(&b->charged))
        return;
    list_remove(&b->all);
    readers_defer(b->shelf->readers, &b->garbage);
}

void bucket_detach(struct bucket *b)
{
    POST(&b->birth, 0);
    bucket_recall(b, 0);
    POST(&b->node, NULL);
    leave_if_unused(b);
}

void shelf_clear(struct shelf *shelf)
{
    for (struct garbage *at = shelf->unused, *next; at; at = next) {
        next = at->next;
        free(container_of(at, struct bucket, garbage));
    }
    shelf->unused = NULL;
}

double gauge_left(const struct gauge *g, int64_t now_ns)
{
    double level = g->level + g->rate * (double)(now_ns > g->at_ns ? now_ns - g->at_ns : 0);

    if (level > (double)g->limit)
        level = (double)g->limit;
    return level - (double)g->pending;
}

/* A request that asks for more than the bucket ever holds is let through when it is full: its
 * costs are an estimate. */
static double need(const struct gauge *g, int64_t cost)
{
    return (double)(cost < g->limit ? cost : g->limit);
}

static int64_t gauge_ready_ns(const struct gauge *g, int64_t cost, int64_t now_ns)
{
    double missing, wait_ns;

    if (g->limit < 0 || cost <= 0)
        return now_ns;
    missing = need(g, cost) - gauge_left(g, now_ns);
    if (missing <= 0)
        return now_ns;
    wait_ns = missing / g->rate;
    return now_ns + 1 +
           (wait_ns < (double)BUCKET_RESET_MAX_NS ? (int64_t)wait_ns : BUCKET_RESET_MAX_NS);
}

/* When the ramp lets the next one pass. */
static int64_t ramp_ready_ns(const struct bucket *b, int64_t now_ns)
{
    int64_t age_ns = now_ns - b->ramp_ns, length_ns = b->ramp_end_ns - b->ramp_ns;

    if (now_ns >= b->ramp_end_ns)
        return now_ns;
    return b->sent_ns + (int64_t)((double)b->gap_ns * (double)length_ns /
                                  (double)(length_ns / RAMP_STEEPNESS + age_ns + 1));
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

int64_t bucket_ready_ns(const struct bucket *b, const int64_t costs[COST_COUNT], int64_t now_ns)
{
    int64_t ready_ns = ramp_ready_ns(b, now_ns);

    for (unsigned i = 0; i < COST_COUNT; i++)
        ready_ns = later(ready_ns, gauge_ready_ns(&b->gauges[i], costs[i], now_ns));
    return ready_ns;
}

double bucket_share(const struct bucket *b, int64_t now_ns)
{
    double least = 1;

    for (unsigned i = 0; i < COST_COUNT; i++) {
        const struct gauge *g = &b->gauges[i];
        double share = g->limit < 0 ? 1 : gauge_left(g, now_ns) / (double)g->limit;
        if (share < least)
            least = share;
    }
    return least > 0 ? least : 0;
}

int64_t bucket_pace_ns(const struct bucket *b, const int64_t costs[COST_COUNT])
{
    int64_t pace_ns = 0;

    for (unsigned i = 0; i < COST_COUNT; i++) {
        const struct gauge *g = &b->gauges[i];
        double ns = g->limit < 0 ? 0 : need(g, costs[i]) / g->rate;
        pace_ns =
            later(pace_ns, ns < (double)BUCKET_RESET_MAX_NS ? (int64_t)ns : BUCKET_RESET_MAX_NS);
    }
    return pace_ns;
}

static struct hold *hold_at(struct list *link)
{
    return container_of(link, struct hold, link);
}

/* The attempt whose reservation in this bucket it is. */
static const struct attempt *holder_of(const struct bucket *b, const struct hold *hold)
{
    return container_of(hold - b->level, const struct attempt, holds);
}

/* Off the level; what is left, reservations deducted, is lower by it. */
static void charge(struct gauge *g, int64_t cost, int64_t now_ns)
{
    if (g->limit < 0)
        return;
    g->level = gauge_left(g, now_ns) + (double)g->pending - (double)cost;
    g->at_ns = later(g->at_ns, now_ns);
}

/* A reservation becomes a charge: what is left stays the same. */
static void settle(struct bucket *b, struct hold *hold, const struct attempt *holder,
                   int64_t now_ns)
{
    for (unsigned i = 0; i < COST_COUNT; i++) {
        struct gauge *g = &b->gauges[i];
        charge(g, holder->costs[i], now_ns);
        g->pending -= holder->costs[i];
    }
    hold->pending = false;
    list_remove(&hold->link);
    list_append(&b->charged, &hold->link);
}

/* Those that must have arrived by now. */
static void settle_arrived(struct bucket *b, int64_t now_ns)
{
    while (!list_empty(&b->holds)) {
        struct hold *hold = hold_at(b->holds.next);
        const struct attempt *holder = holder_of(b, hold);
        if (holder->started_ns + BUCKET_TRAVEL_NS > now_ns)
            return;
        settle(b, hold, holder, now_ns);
    }
}

/* `count` requests, the last of them now. */
static void note_gap(struct bucket *b, int64_t count, int64_t now_ns)
{
    int64_t gap_ns = (now_ns - b->sent_ns) / count;

    if (b->sent_ns >= 0 && gap_ns >= 0 && now_ns >= b->ramp_end_ns) {
        if (gap_ns > RAMP_GAP_MAX_NS * 4)
            gap_ns = RAMP_GAP_MAX_NS * 4; /* a pause is no habit */
        if (count > GAP_SAMPLES)
            count = GAP_SAMPLES;
        b->gap_ns += (gap_ns - b->gap_ns) * count / GAP_SAMPLES;
    }
    b->sent_ns = now_ns;
}

void bucket_hold(struct bucket *b, struct attempt *attempt, unsigned which, bool trial,
                 int64_t lease_ns, int64_t now_ns)
{
    struct hold *hold = &attempt->holds[which];

    settle_arrived(b, now_ns);
    *hold = (struct hold){.bucket = b, .pending = true};
    list_append(&b->holds, &hold->link);
    for (unsigned i = 0; i < COST_COUNT; i++) {
        hold->ended_before[i] = b->gauges[i].ended;
        b->gauges[i].pending += attempt->costs[i];
        b->gauges[i].sent += attempt->costs[i];
    }
    note_gap(b, 1, now_ns);
    if (!trial)
        return;
    b->trial = attempt->serial;
    b->trial_end_ns = now_ns + lease_ns;
}

void bucket_release(struct attempt *attempt, unsigned which, int64_t now_ns)
{
    struct hold *hold = &attempt->holds[which];
    struct bucket *b = hold->bucket;

    if (!b)
        return;
    if (hold->birth) {
        bucket_return(attempt, which);
        return;
    }
    if (hold->pending)
        settle(b, hold, attempt, now_ns);
    for (unsigned i = 0; i < COST_COUNT; i++) {
        b->gauges[i].ended += attempt->costs[i];
        if (i == COST_TOKENS && attempt->tokens >= 0) /* the estimate is corrected */
            charge(&b->gauges[i], attempt->tokens - attempt->costs[i], now_ns);
    }
    if (b->trial == attempt->serial)
        b->trial = 0;
    list_remove(&hold->link);
    hold->bucket = NULL;
    leave_if_unused(b);
}

/* ---- loans ------------------------------------------------------------------------------- */

bool bucket_draw(struct bucket *b, const int64_t costs[COST_COUNT], struct hold *ret_hold)
{
    uint64_t birth = PEEK(&b->birth);

    if (birth == 0 || !credit_draw(&b->credit, costs))
        return false;
    ret_hold->bucket = b;
    ret_hold->birth = birth;
    return true;
}

void bucket_return(struct attempt *attempt, unsigned which)
{
    struct hold *hold = &attempt->holds[which];

    if (hold->bucket && PEEK(&hold->bucket->birth) == hold->birth)
        credit_return(&hold->bucket->credit, attempt->costs, attempt->tokens);
    hold->bucket = NULL;
    hold->birth = 0;
}

void bucket_recall(struct bucket *b, int64_t now_ns)
{
    struct credit_use use;

    if (!credit_recall(&b->credit, &use))
        return;
    for (unsigned i = 0; i < COST_COUNT; i++) {
        struct gauge *g = &b->gauges[i];
        int64_t excess = i == COST_TOKENS ? use.excess : 0;
        if (use.drawn[i] + excess != 0)
            charge(g, use.drawn[i] + excess, now_ns);
        g->sent += use.drawn[i];
        g->ended += use.ended[i];
        b->abroad[i] += use.drawn[i] - use.ended[i];
    }
    if (use.drawn[COST_REQUESTS] > 0)
        note_gap(b, use.drawn[COST_REQUESTS], now_ns);
}

/* What of a gauge may be lent; sets from when on an answer is news. */
static int64_t spare(const struct gauge *g, int64_t *alarm, int64_t now_ns)
{
    double floor = (double)g->limit / LEND_FLOOR_DIVISOR + g->rate * (double)BUCKET_TRAVEL_NS;
    double grant = (gauge_left(g, now_ns) - floor) / LEND_DIVISOR;

    if (grant > (double)CREDIT_TOKENS_MAX)
        grant = (double)CREDIT_TOKENS_MAX;
    TALLY_SET(alarm, grant > 0 && floor < ALARM_MAX ? (int64_t)(floor + grant) : INT64_MAX);
    return grant > 0 ? (int64_t)grant : 0;
}

void bucket_lend(struct bucket *b, int64_t now_ns)
{
    int64_t grants[COST_COUNT] = {CREDIT_REQUESTS_MAX, CREDIT_TOKENS_MAX, 0};

    for (unsigned i = 0; i < COST_COUNT; i++) {
        const struct gauge *g = &b->gauges[i];
        if (g->limit >= 0 && bucket_binds(b))
            grants[i] = spare(g, &b->credit.alarm[i], now_ns);
        else
            TALLY_SET(&b->credit.alarm[i], 0);
    }
    if (grants[COST_REQUESTS] >= LEND_REQUESTS_MIN && grants[COST_TOKENS] > 0 && !b->trial &&
        now_ns >= b->ramp_end_ns)
        credit_lend(&b->credit, grants[COST_REQUESTS], grants[COST_TOKENS]);
}

bool bucket_foretold(const struct bucket *b, unsigned gauge, const struct limit_reading *r)
{
    return !reading_known(r) || (TALLY(&b->gauges[gauge].limit) == r->limit &&
                                 r->remaining >= TALLY(&b->credit.alarm[gauge]));
}

/* ---- recovery and readings --------------------------------------------------------------- */

void bucket_ramp(struct bucket *b, int64_t ramp_ns, int64_t now_ns)
{
    if (b->gap_ns > RAMP_GAP_MAX_NS)
        return;
    b->ramp_ns = b->sent_ns = now_ns;
    b->ramp_end_ns = now_ns + ramp_ns;
}

bool reading_known(const struct limit_reading *r)
{
    return r->limit > 0 && r->remaining >= 0 && r->remaining <= r->limit &&
           r->reset_ns <= BUCKET_RESET_MAX_NS;
}

/* Whether so much is missing that the part of a unit which may be there already hardly matters. */
static bool tells_rate(const struct limit_reading *r, double missing)
{
    return missing >= RATE_MISSING_MIN || missing * 2 >= (double)r->limit;
}

/* The pace of refilling: what is missing, by when it will be back. Up to one unit more than the
 * headers say may be there already, and the time is rounded, to milliseconds or, when long, to
 * seconds: each reading gives bounds, and they close in on the truth from above, because a full
 * account is asked again as soon as a unit is there. */
static void learn_rate(struct gauge *g, const struct limit_reading *r)
{
    double missing = (double)(r->limit - r->remaining), reset_ns = (double)r->reset_ns;
    double slack_ns = reset_ns / 500 > 1e6 ? reset_ns / 500 : 1e6;

    if (g->limit != r->limit) {
        g->rate_low = 0;
        g->rate_high = INFINITY;
        g->rate = (double)r->limit / (double)BUCKET_WINDOW_NS;
    }
    if (reset_ns <= slack_ns || !tells_rate(r, missing))
        return;
    double low = (missing - 1) / (reset_ns + slack_ns);
    double high = missing / (reset_ns - slack_ns);
    bool contradicts = low > g->rate_high || high < g->rate_low;
    if (contradicts || low > g->rate_low)
        g->rate_low = low;
    if (contradicts || high < g->rate_high)
        g->rate_high = high;
    g->rate = g->rate_high * RATE_CAUTION;
    if (g->rate < g->rate_low)
        g->rate = g->rate_low;
}

/* `together`: the costs that were under way while the attempt was, its own left out; -1 where that
 * is not known any more. */
static void take_reading(struct gauge *g, const struct limit_reading *r, int64_t together,
                         int64_t began_ns, int64_t now_ns)
{
    bool known = g->limit == r->limit;
    double least = (double)(r->remaining - together), left = least;

    learn_rate(g, r);
    if (known) {
        double refilled = g->rate * (double)(now_ns - began_ns);
        left = gauge_left(g, now_ns);
        /* More than the service can have: somebody else draws from the account too. */
        if (left >= (double)r->remaining + 1 + refilled)
            left = (double)r->remaining + refilled;
        if (left < least && together >= 0)
            left = least;
    }
    TALLY_SET(&g->limit, r->limit);
    g->level = left + (double)g->pending;
    g->at_ns = now_ns;
}

/* See take_reading. An attempt that holds nothing began before anything was known, as did those
 * beside it: whatever is under way now. */
static int64_t together_with(const struct bucket *b, const struct attempt *attempt, unsigned gauge,
                             bool known)
{
    const struct hold *hold = &attempt->holds[b->level];
    const struct gauge *g = &b->gauges[gauge];
    bool own = hold->bucket == b && (!hold->birth || hold->birth == b->birth);

    if (own && !hold->birth)
        return g->sent - hold->ended_before[gauge] - attempt->costs[gauge];
    if (known && attempt->serial & SERIAL_FAST)
        return -1;
    return g->sent - g->ended - (own ? attempt->costs[gauge] : 0);
}

void bucket_correct(struct bucket *b, const struct attempt *attempt,
                    const struct limit_reading readings[COST_COUNT], int64_t now_ns)
{
    if (attempt->serial > b->serial)
        b->serial = attempt->serial;
    settle_arrived(b, now_ns);
    for (unsigned i = 0; i < COST_COUNT; i++) {
        bool known = b->gauges[i].limit == readings[i].limit;
        if (reading_known(&readings[i]))
            take_reading(&b->gauges[i], &readings[i], together_with(b, attempt, i, known),
                         attempt->started_ns, now_ns);
    }
}

static void check_holds(const struct bucket *b, const struct list *holds, bool pending,
                        int64_t sums[COST_COUNT])
{
    uint64_t before = 0;

    for (struct list *at = holds->next; at != holds; at = at->next) {
        const struct hold *hold = hold_at(at);
        INVARIANT(hold->bucket == b, "a reservation stands in a foreign bucket");
        INVARIANT(hold->pending == pending, "a reservation stands in the wrong list");
        const struct attempt *holder = holder_of(b, hold);
        INVARIANT(!pending || holder->serial > before, "reservations are out of order");
        before = holder->serial;
        for (unsigned i = 0; i < COST_COUNT; i++)
            sums[i] += holder->costs[i];
    }
}

void bucket_check(const struct bucket *b)
{
    int64_t pending[COST_COUNT] = {0}, charged[COST_COUNT] = {0};

    check_holds(b, &b->holds, true, pending);
    check_holds(b, &b->charged, false, charged);
    for (unsigned i = 0; i < COST_COUNT; i++) {
        const struct gauge *g = &b->gauges[i];
        INVARIANT(g->pending == pending[i], "%lld are reserved, %lld are held",
                  (long long)g->pending, (long long)pending[i]);
        INVARIANT(g->sent - g->ended == pending[i] + charged[i] + b->abroad[i],
                  "a reservation was lost");
        INVARIANT(b->abroad[i] >= 0, "more came back than was lent");
        INVARIANT(g->limit < 0 || g->rate > 0, "a bucket never refills");
    }
    INVARIANT(b->node || !list_empty(&b->holds) || !list_empty(&b->charged),
              "a bucket belongs to nobody");
    INVARIANT(b->node || !b->credit.lent, "a bucket without a node lends");
    INVARIANT((b->node != NULL) == (b->birth != 0), "a bucket is on its node or it is not");
    credit_check(&b->credit);
}
