/* Figures: what a pool looks like from afar, for metrics. None of them takes a step per key.
 *
 * Breakers are counted as they change; headroom looks at FIGURES_BUCKETS_MAX accounts at most, those
 * made last, which with few keys are all. It reads their loans without recalling them (credit.h), so
 * that looking costs the requests nothing.
 */
#ifndef SPAREKEY_POOL_FIGURES_H
#define SPAREKEY_POOL_FIGURES_H

#include "pool/breaker.h"
#include "pool/pool.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FIGURES_BUCKETS_MAX  4096 /* accounts looked at: some 100 us */
#define FIGURES_SERVICES_MAX 64   /* base URLs with a figure of their own */

struct pool_figures {
    size_t keys;
    uint32_t breakers[SCOPE_COUNT][CIRCUIT_HALF_OPEN + 1]; /* by scope and enum circuit */
    size_t blocking; /* breakers that are OPEN or HALF_OPEN, keys that are disabled: with none every
                        key is healthy */
};

/* Of a service's known limits. */
struct headroom_figure {
    bool known;
    double lowest; /* share left of the account with the least, 0 … 1 */
    double total;  /* mean of the shares, each account as much as the next */
};

void pool_figures(const struct pool *pool, struct pool_figures *ret);

/* By index of the service. */
void pool_headroom(const struct pool *pool, int64_t now_ns,
                   struct headroom_figure ret[FIGURES_SERVICES_MAX]);

/* Whether it may be chosen for some request: an open breaker of one model or endpoint leaves it the
 * others, and of one that is half-open the next request decides. The same as pool_any_ready asks. */
static inline bool key_is_ready(const struct key_view *view)
{
    return !view->disabled && (view->circuit != CIRCUIT_OPEN || scope_has_detail(view->scope));
}

/* How one key counts: exactly one of the three, for health, metrics and whoever else counts. */
enum key_condition { KEY_HEALTHY, KEY_RATE_LIMITED, KEY_UNHEALTHY, KEY_CONDITIONS };

/* A key that only lacks one model or endpoint serves all the others: healthy. A limit is shown even if
 * it is one model's, because an operator looks for it, until its time is over; a fault of the whole
 * key until an answer has disproved it. */
static inline enum key_condition key_condition_of(const struct key_view *view)
{
    if (view->disabled)
        return KEY_UNHEALTHY;
    if (view->circuit == CIRCUIT_CLOSED)
        return KEY_HEALTHY;
    if (view->rate_limited)
        return view->circuit == CIRCUIT_OPEN ? KEY_RATE_LIMITED : KEY_HEALTHY;
    return scope_has_detail(view->scope) ? KEY_HEALTHY : KEY_UNHEALTHY;
}

#ifdef __cplusplus
}
#endif
#endif
