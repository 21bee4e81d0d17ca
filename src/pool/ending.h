/* The phases of a plan, and how it ends.
 *
 * When no key is left there are three ends. What clears up by itself within moments is waited for
 * (turn.h). What time heals later becomes a 429 with the truth in retry_after_s. The rest is a 503
 * that asks nobody to come back. An upstream answer that was kept goes first where it tells the
 * caller more (ending_rank).
 */
#ifndef SPAREKEY_POOL_ENDING_H
#define SPAREKEY_POOL_ENDING_H

#include "pool/invariant.h"
#include "pool/outlook.h"
#include "pool/plan.h"

enum plan_phase { PLAN_CHOOSING, PLAN_IN_FLIGHT, PLAN_DECIDED };

/* The most that Retry-After says. */
#define RETRY_AFTER_MAX_S 60

/* For the messages of broken invariants. */
const char *plan_phase_name(uint8_t phase);

/* The one way from phase to phase, between any two of them but for an end that is final; an illegal
 * move is a broken invariant. */
static inline void plan_enter(struct plan *plan, enum plan_phase to)
{
    INVARIANT(plan->phase != PLAN_DECIDED && plan->phase != to, "plan: illegal move from %s to %s",
              plan_phase_name(plan->phase), plan_phase_name((uint8_t)to));
    plan->phase = (uint8_t)to;
}

/* The usefulness of this answer to a caller whose request could not be served. */
enum rank ending_rank(const struct verdict *verdict, const struct evidence *evidence);

/* DECIDED: this is what plan_next answers from now on. */
void ending_decide(struct plan *plan, enum plan_action action, bool should_not_retry);
void ending_give_up(struct plan *plan, int status, enum failure failure, bool should_not_retry);

/* The end of trying, for a reason of the plan's own: a bound, the deadline. */
void ending_stop(struct plan *plan, enum failure failure, bool should_not_retry);

/* The end of keys, with what can be hoped for. */
void ending_without_keys(struct plan *plan, const struct outlook *outlook, int64_t now_ns);

static inline int64_t plan_sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

#endif
