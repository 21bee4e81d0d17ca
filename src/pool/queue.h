/* Requests that wait because every way is cooling or out of headroom: lines, one for each kind of
 * request (model, family, stream), for those draw from one set of buckets.
 *
 *     oldest ◀── … ◀── youngest          only the first in line chooses a key;
 *       │                                 who is called and finds others before him,
 *       ▼ a key has room                  or comes new while a line stands, waits
 *     sent: leaves the line
 *
 * Each is told when to ask again, by the time the first in line will have room, his place, and the
 * pace at which the buckets refill. So a bucket that comes back lets them through one by one and never
 * as a herd. When things turn out better than foretold (a breaker closes, keys are loaded),
 * pool_epoch moves and the first in each line is called. When he goes he calls the next, if that
 * one was told to come later than at the pace now known; so a line of any length costs one call for
 * each who leaves it, however often the epoch moves.
 *
 * Whoever was told a time and has not asked long after it is passed by: a lost request must not
 * hold up a line.
 */
#ifndef SPAREKEY_POOL_QUEUE_H
#define SPAREKEY_POOL_QUEUE_H

#include "pool/state.h"

/* Lines at the same time. Model names come from callers: more kinds than this at their limits at
 * once are refused. */
#define QUEUES_MAX 64
/* Where only the end of another request can tell when there is room: the look in between. */
#define QUEUE_LOOK_NS INT64_C(100000000)
/* The least time between two who leave a line. */
#define QUEUE_GAP_NS INT64_C(1000000)
/* One who is so late is passed by. */
#define QUEUE_GRACE_NS INT64_C(1000000000)
/* Places beyond this are not counted out, only known to be behind. */
#define QUEUE_PLACES 64

struct queue {
    struct queue *next; /* of the pool's */
    struct list plans;  /* by age */
    struct route route;
    uint32_t count;
    int64_t room_ns; /* when the first in line will have room, as was last seen */
    int64_t pace_ns; /* time between two */
    bool ramping;    /* that is the distance of a service's ramp (ramp.h) */
};

/* The line for this kind of request, or NULL while there is none. */
struct queue *queue_find(const struct pool *pool, const struct route *route);

/* Joins the line, at the place of its age. False: it is full, or there is no memory. */
bool queue_join(struct plan *plan);
void queue_leave(struct plan *plan);

/* Leaves the line to be served. */
void queue_go(struct plan *plan, int64_t now_ns);

bool queue_is_first(const struct plan *plan);

/* Moves the epoch: something changed for those who wait. The first in each line is called. */
void queue_tell(struct pool *pool);

/* How many stand before it, at most QUEUE_PLACES; one that is in no line would stand last. */
unsigned queue_place(const struct plan *plan, const struct queue *queue, int64_t now_ns);

/* When one with so many before it should ask again; after now_ns. */
int64_t queue_turn_ns(const struct queue *queue, unsigned place, int64_t now_ns);

void queue_free(struct pool *pool);
void queue_check(const struct pool *pool);

#endif
