/* After a service's trouble, traffic returns along a ramp, not all at once.
 *
 * Everybody who waited for the service asks again the moment it has answered one request, and what
 * is coming back to life with half its strength is felled by that herd, again and again. So the
 * requests after a recovery keep a distance, at first RAMP_GAP_NS, halved every RAMP_STEP_NS:
 *
 *     32/s, 64/s, 128/s, … 4096/s, then none
 *
 * Whoever comes too soon waits in line (queue.h), so the oldest go first. At low traffic nobody
 * notices. If the service fails again, its breaker opens and the next ramp begins anew.
 */
#ifndef SPAREKEY_POOL_RAMP_H
#define SPAREKEY_POOL_RAMP_H

#include "pool/tree.h"

#define RAMP_GAP_NS  INT64_C(31250000)
#define RAMP_STEP_NS INT64_C(500000000)
#define RAMP_STEPS   8

/* A breaker of the service has closed. */
void ramp_begin(struct service *service, int64_t now_ns);

/* When the next request may be sent: a time not after now for now. `*ret_gap_ns`: the distance
 * that is kept now. */
int64_t ramp_ready_ns(struct service *service, int64_t now_ns, int64_t *ret_gap_ns);

/* One is sent. */
static inline void ramp_sent(struct service *service, int64_t now_ns)
{
    service->sent_ns = now_ns;
}

#endif
