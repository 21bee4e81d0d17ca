#include "pool/bucket.h"

#include <stdlib.h>

#include "pool/invariant.h"

/* The gap between requests is averaged over about so many. */
#define GAP_SAMPLES 16

struct bucket *bucket_new(struct node *node, uint64_t model, enum bucket_level level)
{
    struct bucket *b = malloc(sizeof(*b));

    if (!b)
        return NULL;
    *b = (struct bucket){.node = node,
                         .model = model,
                         .level = (uint8_t)level,
                         .sent_ns = -1,
                         .gap_ns = BUCKET_WINDOW_NS};
    for (unsigned i = 0; i < COST_COUNT; i++)
        b->gauges[i].limit = -1;
    list_init(&b->all);
    list_init(&b->holds);
    return b;
}

static void free_if_unused(struct bucket *b)
{
    if (b->node || !list_empty(&b->holds))
        return;
    list_remove(&b->all);
    free(b);
}

void bucket_detach(struct bucket *b)
{
    b->node = NULL;
    b->next = NULL;
    free_if_unused(b);
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

/* Charged by the service, and in no answer that was heard. */
static void charge(struct gauge *g, int64_t cost, int64_t now_ns)
{
    if (g->limit < 0)
        return;
    g->level = gauge_left(g, now_ns) + (double)g->pending - (double)cost;
    g->at_ns = later(g->at_ns, now_ns);
}

static void note_gap(struct bucket *b, int64_t now_ns)
{
    int64_t gap_ns = now_ns - b->sent_ns;

    if (b->sent_ns >= 0 && gap_ns >= 0 && now_ns >= b->ramp_end_ns) {
        if (gap_ns > RAMP_GAP_MAX_NS * 4)
            gap_ns = RAMP_GAP_MAX_NS * 4; /* a pause is no habit */
        b->gap_ns += (gap_ns - b->gap_ns) / GAP_SAMPLES;
    }
    b->sent_ns = now_ns;
}

void bucket_hold(struct bucket *b, struct attempt *attempt, unsigned which, bool trial,
                 int64_t lease_ns, int64_t now_ns)
{
    struct hold *hold = &attempt->holds[which];

    *hold = (struct hold){.bucket = b, .pending = true};
    list_append(&b->holds, &hold->link);
    for (unsigned i = 0; i < COST_COUNT; i++)
        b->gauges[i].pending += attempt->costs[i];
    note_gap(b, now_ns);
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
    for (unsigned i = 0; i < COST_COUNT && hold->pending; i++) {
        bool measured = i == COST_TOKENS && attempt->tokens >= 0;
        b->gauges[i].pending -= attempt->costs[i];
        charge(&b->gauges[i], measured ? attempt->tokens : attempt->costs[i], now_ns);
    }
    if (b->trial == attempt->serial)
        b->trial = 0;
    list_remove(&hold->link);
    hold->bucket = NULL;
    free_if_unused(b);
}

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

/* The pace of refilling: what is missing, by when it will be back. A small part missing tells it
 * badly (times are rounded), so it does not replace what a larger one told. */
static void learn_rate(struct gauge *g, const struct limit_reading *r)
{
    int64_t missing = r->limit - r->remaining;

    if (g->limit != r->limit) {
        g->rate = (double)r->limit / (double)BUCKET_WINDOW_NS;
        g->missing = 0;
    }
    if (missing == 0 || r->reset_ns <= 0 || missing < g->missing / 2)
        return;
    g->rate = (double)missing / (double)r->reset_ns;
    g->missing = missing;
}

static void take_reading(struct gauge *g, const struct limit_reading *r, int64_t at_ns)
{
    learn_rate(g, r);
    g->limit = r->limit;
    g->level = (double)r->remaining;
    g->at_ns = at_ns;
}

/* Reservations up to this answer's are in what it says, or, where it says nothing, charged. */
static void settle_holds(struct bucket *b, const struct attempt *attempt)
{
    for (struct list *at = b->holds.next; at != &b->holds; at = at->next) {
        struct hold *hold = hold_at(at);
        const struct attempt *holder = holder_of(b, hold);
        if (holder->serial > attempt->serial)
            break;
        for (unsigned i = 0; i < COST_COUNT && hold->pending; i++) {
            b->gauges[i].pending -= holder->costs[i];
            charge(&b->gauges[i], holder->costs[i], attempt->started_ns);
        }
        hold->pending = false;
    }
}

void bucket_correct(struct bucket *b, const struct attempt *attempt,
                    const struct limit_reading readings[COST_COUNT])
{
    if (attempt->serial < b->serial)
        return;
    b->serial = attempt->serial;
    settle_holds(b, attempt);
    for (unsigned i = 0; i < COST_COUNT; i++)
        if (reading_known(&readings[i]))
            take_reading(&b->gauges[i], &readings[i], attempt->started_ns);
}

void bucket_check(const struct bucket *b)
{
    int64_t pending[COST_COUNT] = {0};
    uint64_t before = 0;

    for (struct list *at = b->holds.next; at != &b->holds; at = at->next) {
        const struct hold *hold = hold_at(at);
        INVARIANT(hold->bucket == b, "a reservation stands in a foreign bucket");
        const struct attempt *holder = holder_of(b, hold);
        INVARIANT(holder->serial > before, "reservations are out of order");
        INVARIANT(hold->pending || holder->serial <= b->serial, "a reservation was lost");
        before = holder->serial;
        for (unsigned i = 0; i < COST_COUNT; i++)
            pending[i] += hold->pending ? holder->costs[i] : 0;
    }
    for (unsigned i = 0; i < COST_COUNT; i++) {
        INVARIANT(b->gauges[i].pending == pending[i], "%lld are reserved, %lld are held",
                  (long long)b->gauges[i].pending, (long long)pending[i]);
        INVARIANT(b->gauges[i].limit < 0 || b->gauges[i].rate > 0, "a bucket never refills");
    }
    INVARIANT(b->node || !list_empty(&b->holds), "a bucket belongs to nobody");
}
