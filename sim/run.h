/* One policy in one scenario, from the first arrival to the last answer, in virtual time.
 *
 *     arrival ─▶ policy.next ──send──▶ (uplink) ─▶ world_ask ─▶ (processing, downlink) ─▶ policy.hear
 *                   ▲    └──wait──▶ (until then, or the policy's epoch moves) ──┐           │
 *                   └───────────────────────────────────────────────────────────┴───────────┘
 *
 * What always holds, and is checked while it runs: every request ends exactly once, no attempt
 * begins after its deadline, and what the policy checks of itself (policy.h).
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

#ifdef __cplusplus
}
#endif
#endif
