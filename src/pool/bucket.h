/* What is left of the limits of one account for one model.
 *
 *     level ┤ limit ────────────────╮ never above
 *           │          ╱ refills, linearly, by `rate`
 *           │ ●───────╱
 *           │ ┊ pending: reserved by attempts that may not have reached the service yet
 *           └─┴──────────────────────▶ time
 *
 * A bucket has a gauge for each thing that is counted (requests, tokens, images). An attempt that
 * begins holds a reservation of its costs in the buckets of its project and its organisation. The
 * service charges a request when it arrives, which cannot be seen from here; so a reservation is
 * held beside the level for BUCKET_TRAVEL_NS or until the attempt ends, whichever is first, and then
 * charged. (Charging at once would let a full bucket refill while the request is still on its way.)
 *
 * Answers come in any order, and requests overtake each other on the way there, so no answer tells
 * what is left *now*. What it does tell are two bounds, and the bucket's own account of what it
 * sent is kept between them:
 *
 *   at least   remaining, less every cost that was under way together with the attempt (`sent` less
 *              what had `ended` before it began, less its own): each may be in it or not;
 *   at most    less than one unit above remaining (it is a whole number), refilled since the attempt
 *              began.
 *
 * The rate is learned between bounds likewise (learn_rate).
 *
 * What headers say is exact for the moment it was said and an estimate ever after: other programs
 * drink from the same account. So a bucket may only send a request elsewhere, or let it wait; it
 * never makes it fail (plan.c), and what it refuses too long is tried (`trial`, one at a time).
 *
 * While there is plenty, a part of it is lent to requests that come without the lock (credit.h).
 * Every function here but bucket_lend wants the bucket recalled first: then its account is exact.
 * Such requests are charged at the recall, not when they have arrived, and leave no note of what
 * had ended before them; so a loan stays well clear of what that can be wrong by (LEND_…), and their
 * answers can only tell of less than was thought, not of more.
 *
 * After a limit or quota has recovered, traffic comes back along a ramp: the gap between two
 * requests, at first many times the usual one, shrinks to it within pool_options.ramp_ns.
 */
#ifndef SPAREKEY_POOL_BUCKET_H
#define SPAREKEY_POOL_BUCKET_H

#include "base/list.h"
#include "pool/credit.h"
#include "pool/plan.h"
#include "pool/readers.h"

struct node;

/* Buckets of one node, for different models: the one unused for longest gives way. */
#define BUCKETS_PER_NODE 16

/* A reset that is farther away than the longest window there is (a month) is nonsense. */
#define BUCKET_RESET_MAX_NS (INT64_C(32) * 86400 * 1000000000)

/* A request that has not reached the service after so long is late beyond caring. */
#define BUCKET_TRAVEL_NS INT64_C(500000000)

/* With nothing known of the window: a minute, as most limits are per minute. */
#define BUCKET_WINDOW_NS (INT64_C(60) * 1000000000)

/* An account asked less often than this is not much used: it needs no ramp. */
#define RAMP_GAP_MAX_NS INT64_C(200000000)
/* The first gap of a ramp is so many usual ones. */
#define RAMP_STEEPNESS 16

/* Of what is left beyond this share of the limit (and beyond what refills while a request travels), */
#define LEND_FLOOR_DIVISOR 4
/* … this share is lent at a time, so that a loan is renewed rarely while there is plenty, and what
 * nobody draws is never much; … */
#define LEND_DIVISOR 4
/* … but if that is less than so many requests, the lock is as good. */
#define LEND_REQUESTS_MIN 4

enum bucket_level { LEVEL_PROJECT, LEVEL_ORG };

struct gauge {
    int64_t limit;              /* -1: unknown, and then level and rates mean nothing */
    int64_t pending;            /* reserved and not charged */
    int64_t sent;               /* costs of all attempts that began, … */
    int64_t ended;              /* … and of those that are over */
    double level;               /* at at_ns */
    double rate;                /* per nanosecond */
    double rate_low, rate_high; /* what the readings so far allow */
    int64_t at_ns;
};

struct bucket {
    uint64_t birth;      /* its number among all of the pool, 0: it has left its node; posted */
    struct bucket *next; /* of the same node; posted */
    struct node *node;   /* NULL: its node is gone, only holders are left */
    uint64_t model;
    struct credit credit;
    struct list all;            /* every bucket of the pool */
    struct list holds;          /* struct hold, pending ones, in the order they began */
    struct list charged;        /* the others whose attempts are not over */
    int64_t abroad[COST_COUNT]; /* costs of attempts that drew without the lock and are not over */
    struct shelf *shelf;
    struct garbage garbage;
    uint64_t serial;      /* of the youngest attempt whose answer was heard */
    uint64_t trial;       /* the attempt that was sent although the bucket seemed too empty, 0 */
    int64_t trial_end_ns; /* a trial not ended by then is lost */
    int64_t sent_ns;      /* the last reservation */
    int64_t gap_ns;       /* usual time between two */
    int64_t ramp_ns;      /* when the ramp began, … */
    int64_t ramp_end_ns;  /* … and when it ends */
    uint64_t seen;        /* the selection that computed ready_ns */
    int64_t ready_ns;
    uint8_t level; /* enum bucket_level */
    int8_t votes;  /* LEVEL_ORG: > 0: its projects do draw from one bucket (headroom.c) */
    struct gauge gauges[COST_COUNT];
};

static inline bool bucket_binds(const struct bucket *b)
{
    return b->level == LEVEL_PROJECT || b->votes > 0;
}

/* NULL: out of memory. */
struct bucket *bucket_new(struct shelf *shelf, struct node *node, uint64_t model,
                          enum bucket_level level);

/* Off its node; back on the shelf now or by its last holder. */
void bucket_detach(struct bucket *b);

/* Frees what lies on the shelf. */
void shelf_clear(struct shelf *shelf);

/* Takes back what is lent and books what was drawn. */
void bucket_recall(struct bucket *b, int64_t now_ns);

/* Lends a part, if there is plenty and nothing stands against it. Recalled. */
void bucket_lend(struct bucket *b, int64_t now_ns);

/* When it can hold these costs: a time not after now_ns for now. */
int64_t bucket_ready_ns(const struct bucket *b, const int64_t costs[COST_COUNT], int64_t now_ns);

/* How much of the gauge is there at `now_ns`, reservations deducted. Its limit is known. */
double gauge_left(const struct gauge *g, int64_t now_ns);

/* The least share of a gauge that is left: 0 … 1, 1 with nothing known. */
double bucket_share(const struct bucket *b, int64_t now_ns);

/* Time in which these costs refill; 0 when nothing is known. */
int64_t bucket_pace_ns(const struct bucket *b, const int64_t costs[COST_COUNT]);

/* Without the lock: reserves these costs of what is lent. False: there is not enough. */
bool bucket_draw(struct bucket *b, const int64_t costs[COST_COUNT], struct hold *ret_hold);

/* Whether this reading tells nothing that is not known: as much as was lent is left and more;
 * without the lock. */
bool bucket_foretold(const struct bucket *b, unsigned gauge, const struct limit_reading *reading);

/* The end of a lent reservation, with or without the lock. Without, the caller is a reader. */
void bucket_return(struct attempt *attempt, unsigned which);

/* The reservation of an attempt that begins, and its end; costs are the attempt's. The end may also
 * be that of one which was lent. */
void bucket_hold(struct bucket *b, struct attempt *attempt, unsigned which, bool trial,
                 int64_t lease_ns, int64_t now_ns);
void bucket_release(struct attempt *attempt, unsigned which, int64_t now_ns);

/* A breaker above it closed: traffic comes back by and by. */
void bucket_ramp(struct bucket *b, int64_t ramp_ns, int64_t now_ns);

/* What the answer of the attempt said about each gauge; `limit` -1 where it said nothing. */
void bucket_correct(struct bucket *b, const struct attempt *attempt,
                    const struct limit_reading readings[COST_COUNT], int64_t now_ns);

/* Whether a reading makes sense; only then it is one. */
bool reading_known(const struct limit_reading *reading);

void bucket_check(const struct bucket *b);

#endif
