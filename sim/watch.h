/* What the engine holds, seen from those who hold it.
 *
 * pool_check asks whether the engine agrees with itself. That would not notice a reservation that
 * nobody owns any more, or a second trial that took the place of the first on the breaker's lease.
 * So here is kept, outside the engine, which requests are under way and which of them have an
 * attempt in flight, and after each event the engine's books must say the same:
 *
 * - reservations in buckets are those of attempts in flight, each in one list;
 * - requests in flight on all keys are as many as attempts in flight;
 * - every lease belongs to one attempt in flight;
 * - of attempts in flight at most one was sent while a breaker was half-open, for each breaker and
 *   each time it became so, and at most one for which a bucket seemed too empty;
 * - requests in line are under way, and not in flight.
 *
 * And of each attempt that begins: nothing on its way cools down, and its deadline is to come.
 *
 * Aborts (pool/invariant.h) when that is not so.
 */
#ifndef SPAREKEY_SIM_WATCH_H
#define SPAREKEY_SIM_WATCH_H

#include "pool/breaker.h"
#include "pool/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

struct watch {
    const struct pool *pool;
    struct list requests; /* struct watched */
    uint32_t in_flight;
};

/* A half-open breaker that was asked. It is known by address and by when it opened last: one that
 * is made anew at the same address has opened later. */
struct watch_trial {
    const struct breaker *breaker;
    int64_t opened_ns;
};

/* A request under way: its owner's memory, fields private. */
struct watched {
    struct list link;
    const struct plan *plan;
    bool in_flight;
    uint64_t serial;
    const struct bucket *tried[2]; /* asked though they seemed too empty, by enum bucket_level */
    unsigned trial_count;
    struct watch_trial trials[SCOPE_COUNT];
};

void watch_init(struct watch *watch, const struct pool *pool);

/* A request begins, and ends. */
void watch_begin(struct watch *watch, struct watched *watched, const struct plan *plan);
void watch_end(struct watch *watch, struct watched *watched);

/* plan_next said PLAN_SEND; the attempt is over, whatever came of it. */
void watch_sent(struct watch *watch, struct watched *watched, int64_t now_ns);
void watch_heard(struct watch *watch, struct watched *watched);

/* The books against those under way; looks at every key, breaker and bucket. */
void watch_check(const struct watch *watch);

#ifdef __cplusplus
}
#endif
#endif
