#include "pool/ending.h"

#include "pool/invariant.h"
#include "pool/queue.h"

#define NS_PER_S INT64_C(1000000000)

/* Service failures after which the caller's own retries would only add to the trouble: as many as
 * an official SDK makes. */
#define TRIED_ENOUGH 3

const char *plan_phase_name(uint8_t phase)
{
    static const char *const names[] = {"choosing", "in flight", "decided"};
    return phase < 3 ? names[phase] : "unknown";
}

enum rank ending_rank(const struct verdict *verdict, const struct evidence *evidence)
{
    int status = evidence ? evidence->status : 0;

    if (status < 400 || status == 401 || status == 403)
        return RANK_NONE;
    return failure_rank(verdict->failure);
}

void ending_decide(struct plan *plan, enum plan_action action, bool should_not_retry)
{
    plan_enter(plan, PLAN_DECIDED);
    queue_leave(plan);
    plan->ending =
        (struct plan_step){.action = action, .key = KEY_NONE, .should_not_retry = should_not_retry};
}

void ending_give_up(struct plan *plan, int status, enum failure failure, bool should_not_retry)
{
    ending_decide(plan, PLAN_GIVE_UP, should_not_retry);
    plan->ending.status = status;
    plan->ending.failure = failure;
}

static bool tried_enough(const struct plan *plan)
{
    return plan->service_failures >= TRIED_ENOUGH;
}

static void return_kept(struct plan *plan)
{
    ending_decide(plan, PLAN_RETURN_KEPT, plan->kept_rank != RANK_RATE && tried_enough(plan));
    plan->ending.failure = plan->kept_failure;
}

void ending_stop(struct plan *plan, enum failure failure, bool should_not_retry)
{
    if (plan->kept_rank != RANK_NONE)
        return_kept(plan);
    else
        ending_give_up(plan, plan->unreachable ? 502 : 503, failure,
                       should_not_retry || tried_enough(plan));
}

static int retry_after_s(int64_t wait_ns)
{
    int64_t seconds = (wait_ns + NS_PER_S - 1) / NS_PER_S;

    if (seconds < 1)
        return 1;
    return seconds < RETRY_AFTER_MAX_S ? (int)seconds : RETRY_AFTER_MAX_S;
}

static void come_back_later(struct plan *plan, const struct outlook *outlook, int64_t now_ns)
{
    ending_give_up(plan, 429, outlook->cooling, false);
    plan->ending.retry_after_s = retry_after_s(outlook->recovery_ns - now_ns);
}

void ending_without_keys(struct plan *plan, const struct outlook *outlook, int64_t now_ns)
{
    bool heals = outlook->recovery_ns >= 0;
    bool kept_is_later =
        plan->kept_rank < RANK_RATE ||
        (plan->kept_rank == RANK_RATE && plan->kept_reset_ns > outlook->recovery_ns);

    if (heals && kept_is_later)
        come_back_later(plan, outlook, now_ns);
    else if (plan->kept_rank == RANK_NONE && outlook->dead != FAILURE_NONE)
        ending_give_up(plan, 503, outlook->dead, true);
    else
        ending_stop(plan, plan->last_failure, true);
}
