/* What a plan does next: whose turn it is, which key it gets, and what it waits for.
 *
 *     turn_take ──others stand before it──▶ stands in line (queue.h)
 *        │ its turn
 *        ▼
 *     selection (select.h) ──a key──▶ PLAN_SEND, at the pace of the service's ramp (ramp.h)
 *        │
 *        ├─ full ──▶ waits in front of the line until there is room; where that would be too long,
 *        │           what may be an estimate's mistake is tried
 *        └─ none ──▶ waits for what clears up by itself (the service may recover, another request is
 *                    just trying a half-open key), PLAN_PATIENCE_NS in all or max_wait_ns where that
 *                    is longer; or in front of the line for what recovers in time; or it ends (ending.h)
 */
#ifndef SPAREKEY_POOL_TURN_H
#define SPAREKEY_POOL_TURN_H

#include "pool/plan.h"

/* Chooses if it is its turn, stands in line if not. CHOOSING. */
void turn_take(struct plan *plan, int64_t now_ns, struct plan_step *ret_step);

/* PLAN_WAIT, no longer than the deadline. */
void turn_wait(struct plan *plan, int64_t until_ns, struct plan_step *ret_step);

/* An answer tells of more room than was foretold to those who wait for it. IN_FLIGHT. */
void turn_tell_line(struct plan *plan, int64_t now_ns);

#endif
