/* One policy in one scenario, from the first arrival to the last answer, in virtual time.
 *
 *     arrival ─▶ policy.next ──send──▶ (uplink) ─▶ world_ask ─▶ (processing, downlink) ─▶ policy.hear
 *                   ▲    └──wait──▶ (until then, or the policy's epoch moves) ──┐           │
 *                   └───────────────────────────────────────────────────────────┴───────────┘
 *
 * What always holds, and is checked after each event: every request that came is under way or has
 * ended exactly once, no attempt begins after its deadline, a policy that heeds what answers say
 * asks no key that is known to cool down, and what the policy checks of itself (policy.h). Of a
 * pool of more than 64 keys the last is done now and then.
 *
 * The network takes 15 to 40 ms each way. Same scenario, policy and seed: same result.
 */
#ifndef SPAREKEY_SIM_RUN_H
#define SPAREKEY_SIM_RUN_H

#include "sim/policy.h"
#include "sim/result.h"
#include "sim/scenario.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RUN_UPLINK_MIN_NS (15 * MS)
#define RUN_UPLINK_MAX_NS (40 * MS)

/* STATUS_NO_MEMORY. */
NODISCARD
enum status run_policy(const struct scenario *scenario, const struct arrivals *arrivals,
                       const struct policy_class *class, uint64_t seed, struct result *ret);

/* The same, but once so many events have happened no further request comes; those under way go on
 * to their ends. */
NODISCARD
enum status run_shortened(const struct scenario *scenario, const struct arrivals *arrivals,
                          const struct policy_class *class, uint64_t seed, uint64_t events_max,
                          struct result *ret);

#ifdef __cplusplus
}
#endif
#endif
