/* What came of an attempt, told to the breakers, counters and proofs it concerns. */
#ifndef SPAREKEY_POOL_REPORT_H
#define SPAREKEY_POOL_REPORT_H

#include "pool/plan.h"
#include "pool/state.h"

/* The key is chosen: counts it in, takes the half-open leases on its path. */
void report_begin(struct pool *pool, key_id key, const struct route *route, int64_t now_ns,
                  struct attempt *ret_attempt);

/* The request was served, or will be (may be told twice). Closes what this proves wrong. */
void report_success(struct pool *pool, struct attempt *attempt, const struct route *route,
                    int64_t now_ns);

/* Opens or prolongs the breaker of the verdict's scope. */
void report_failure(struct pool *pool, struct attempt *attempt, const struct route *route,
                    const struct verdict *verdict, const struct evidence *evidence, int64_t now_ns);

/* The attempt is over, after report_success, report_failure, or neither: counts it out and
 * returns the leases that are still its own. The key stays referenced. */
void report_end(struct pool *pool, struct attempt *attempt, const struct route *route, bool success,
                int64_t now_ns);

#endif
