/* One request's attempts. The picture is in plan.h; here are the rules.
 *
 *     CHOOSING ──plan_next: a key──▶ IN_FLIGHT ──plan_hear: try on──▶ CHOOSING
 *        │                              │
 *        └──nothing left, a bound──▶ DECIDED ◀──served, final, client gone
 *
 * An answer ends the plan when it serves the caller, when its verdict says RETURN, or when it may
 * not be replayed. Otherwise the plan chooses again:
 *
 * - trouble of the service (or REACT_SAME) costs one of PLAN_SERVICE_ATTEMPTS and a backoff;
 * - trouble of a key costs nothing and moves on at once, away from the bucket as far as the
 *   verdict's hop says. A project is left out only when an attempt condemned that project: a
 *   revoked key says nothing about its sibling.
 *
 * What it does next while it chooses is turn.h, how it ends ending.h.
 */
#include "pool/plan.h"

#include <stdlib.h>
#include <string.h>

#include "pool/ending.h"
#include "pool/headroom.h"
#include "pool/invariant.h"
#include "pool/report.h"
#include "pool/turn.h"

/* How often a plan looks whether the retry budget has anything for it. */
#define BUDGET_LOOK_NS INT64_C(250000000)

/* A trail this long has tried a million keys; more is a caller's loop. */
#define TRAIL_MAX (1u << 20)

_Static_assert(sizeof(struct plan) <= 768, "an idle stream holds a plan");

void plan_prepare(struct plan *plan, struct pool *pool, const struct plan_request *request,
                  uint64_t model, int64_t now_ns)
{
    *plan = (struct plan){
        .pool = pool,
        .route = {.model = model,
                  .family = request->family,
                  .stream = request->stream,
                  .costs = {[COST_REQUESTS] = 1,
                            [COST_TOKENS] = request->tokens,
                            [COST_IMAGES] = request->images},
                  .affinity = request->affinity},
        .deadline_ns = request->deadline_ns,
        .not_before_ns = now_ns,
        .patience_ns = -1,
        .drill_keys = request->drill_keys,
        .stateless = request->stateless,
        .opaque = request->opaque,
        .bound = request->bound,
        .phase = PLAN_CHOOSING,
        .stay = KEY_NONE,
        .current = KEY_NONE,
        .attempt_capacity = PLAN_INLINE_ATTEMPTS,
    };
    plan->attempts = plan->inline_attempts;
}

uint64_t plan_model(const struct pool *pool, struct slice name)
{
    return name.len ? hash_bytes(&pool->hash_seed, name) : 0;
}

/* Gives it its age and its share of the waiting, and counts it, once. */
static void admit(struct plan *plan, int64_t now_ns)
{
    if (plan->age)
        return;
    plan->age = ++plan->pool->arrivals;
    plan->wait_left_ns = plan->pool->options.max_wait_ns;
    budget_requests(&plan->pool->budget, 1, now_ns);
}

void plan_start(struct plan *plan, struct pool *pool, const struct plan_request *request,
                int64_t now_ns)
{
    plan_prepare(plan, pool, request, plan_model(pool, request->model), now_ns);
    admit(plan, now_ns);
}

/* Room for the attempt to come, so that its end can always be written down. */
static bool reserve_trail(struct plan *plan)
{
    uint32_t capacity = plan->attempt_capacity * 2;
    bool is_inline = plan->attempts == plan->inline_attempts;
    struct plan_attempt *bigger;

    if (plan->attempt_count < plan->attempt_capacity)
        return true;
    if (capacity > TRAIL_MAX)
        return false;
    bigger = realloc(is_inline ? NULL : plan->attempts, capacity * sizeof(*bigger));
    if (!bigger)
        return false;
    if (is_inline)
        memcpy(bigger, plan->inline_attempts, sizeof plan->inline_attempts);
    plan->attempts = bigger;
    plan->attempt_capacity = capacity;
    return true;
}

/* A retry for the service's sake has its price in the retry budget. Where waiting is allowed, who
 * cannot pay waits until somebody can: that spares the service as well as failing would. False:
 * not now, `*ret_step` says what instead. */
static bool pay(struct plan *plan, int64_t now_ns, struct plan_step *ret_step)
{
    struct pool *pool = plan->pool;

    if (!plan->unpaid)
        return true;
    budget_requests(&pool->budget, fast_count(pool), now_ns);
    plan->unpaid = !budget_retry(&pool->budget, &pool->options, now_ns);
    if (!plan->unpaid)
        return true;
    if (plan->patience_ns < 0)
        plan->patience_ns = now_ns + pool->options.max_wait_ns;
    if (now_ns + BUDGET_LOOK_NS < plan_sooner(plan->patience_ns, plan->deadline_ns)) {
        turn_wait(plan, now_ns + BUDGET_LOOK_NS, ret_step);
        return false;
    }
    ending_stop(plan, plan->last_failure, true);
    *ret_step = plan->ending;
    return false;
}

void plan_next(struct plan *plan, int64_t now_ns, struct plan_step *ret_step)
{
    INVARIANT(plan->phase != PLAN_IN_FLIGHT, "plan: asked for the next step while %s",
              plan_phase_name(plan->phase));
    admit(plan, now_ns);
    if (plan->phase == PLAN_CHOOSING && now_ns >= plan->deadline_ns)
        ending_stop(plan, FAILURE_TIMEOUT, false);
    else if (plan->phase == PLAN_CHOOSING && !reserve_trail(plan))
        ending_stop(plan, plan->last_failure, false);
    if (plan->phase == PLAN_DECIDED)
        *ret_step = plan->ending;
    else if (now_ns < plan->not_before_ns)
        turn_wait(plan, plan->not_before_ns, ret_step);
    else if (pay(plan, now_ns, ret_step))
        turn_take(plan, now_ns, ret_step);
}

static bool service_used_up(const struct plan *plan)
{
    return plan->service_failures >= PLAN_SERVICE_ATTEMPTS;
}

/* Whether a failure is counted against the service, not against a key: these are the ones that
 * may hit the same key again. */
static bool is_service_failure(const struct verdict *verdict)
{
    return verdict->reaction == REACT_SAME || scope_is_wide(verdict->scope);
}

static enum hop hop_of(const struct verdict *verdict)
{
    if (verdict->reaction != REACT_NEXT)
        return HOP_ANY;
    return verdict->hop == HOP_ANY && verdict->one_per_project ? HOP_OTHER_PROJECT : verdict->hop;
}

/* The attempt is over: into the trail, which keeps the key's reference. */
static void record(struct plan *plan, const struct verdict *verdict)
{
    plan->attempts[plan->attempt_count++] = (struct plan_attempt){
        .key = plan->current,
        .failure = verdict->failure,
        .hop = hop_of(verdict),
        .may_repeat = is_service_failure(verdict),
        .drilled = plan->drilled,
    };
    plan->current = KEY_NONE;
}

static bool hops_used_up(const struct plan *plan, const struct verdict *verdict)
{
    unsigned count = 0;

    for (uint32_t i = 0; i < plan->attempt_count; i++)
        count += plan->attempts[i].failure == verdict->failure;
    return verdict->max_hops > 0 && count > verdict->max_hops;
}

/* openai-protocol.md §2.4: whether sending the request again could do its work twice. */
static bool replay_forbidden(const struct plan *plan, const struct verdict *verdict,
                             const struct evidence *evidence)
{
    int status = evidence ? evidence->status : 0;

    if (plan->opaque && status != 0)
        return true;
    if (!plan->stateless && (status == 500 || status == 502) && plan->service_failures > 0)
        return true; /* an error that may have come behind the work: once more, and no more */
    return verdict->maybe_ran &&
           (plan->opaque || !plan->stateless || plan->maybe_ran_replays >= PLAN_MAYBE_RAN_REPLAYS);
}

/* Full jitter: uniform in 0 … base * 2^(failures - 1), capped. */
static int64_t backoff(struct plan *plan)
{
    int64_t bound = PLAN_BACKOFF_BASE_NS;

    for (unsigned i = 1; i < plan->service_failures && bound < PLAN_BACKOFF_CAP_NS; i++)
        bound *= 2;
    if (bound > PLAN_BACKOFF_CAP_NS)
        bound = PLAN_BACKOFF_CAP_NS;
    return (int64_t)rng_below(&plan->pool->rng, (uint64_t)bound + 1);
}

/* Before the same key is asked again: what the answer or its class says, else the backoff. */
static int64_t own_wait(struct plan *plan, const struct verdict *verdict)
{
    int64_t wait = breaker_wait(verdict, plan->service_failures - 1u, &plan->pool->rng);

    return wait > 0 ? wait : backoff(plan);
}

/* Keeps the answer if it beats the one kept before; of two rate limits the one that ends first. */
static bool keep(struct plan *plan, const struct verdict *verdict, const struct evidence *evidence,
                 int64_t now_ns)
{
    enum rank rank = ending_rank(verdict, evidence);
    int64_t wait_ns = verdict->wait_ns > verdict->base_ns ? verdict->wait_ns : verdict->base_ns;
    int64_t reset_ns = now_ns + (wait_ns > 0 ? plan_sooner(wait_ns, BREAKER_WAIT_MAX_NS) : 0);

    if (rank < plan->kept_rank || rank == RANK_NONE)
        return false;
    if (rank == plan->kept_rank && (rank != RANK_RATE || reset_ns >= plan->kept_reset_ns))
        return false;
    plan->kept_rank = (uint8_t)rank;
    plan->kept_reset_ns = reset_ns;
    plan->kept_failure = verdict->failure;
    return true;
}

/* Counts what the failure costs and sets what the next choice has to respect.
 * Returns false when a bound is reached. */
static bool try_on(struct plan *plan, const struct verdict *verdict, int64_t now_ns)
{
    bool same = verdict->reaction == REACT_SAME;
    bool service = is_service_failure(verdict);

    plan->maybe_ran_replays = (uint8_t)(plan->maybe_ran_replays + verdict->maybe_ran);
    plan->service_failures = (uint8_t)(plan->service_failures + service);
    plan->stay = same ? plan->attempts[plan->attempt_count - 1].key : KEY_NONE;
    plan->not_before_ns = now_ns;
    if (hops_used_up(plan, verdict) || service_used_up(plan))
        return false;
    if (!service)
        return true;
    plan->unpaid = !plan->drilled;
    plan->not_before_ns += same ? own_wait(plan, verdict) : backoff(plan);
    return plan->not_before_ns - now_ns <= PLAN_PATIENCE_NS &&
           plan->not_before_ns < plan->deadline_ns;
}

/* A failure: whether its answer is the one to keep. */
static bool hear_failure(struct plan *plan, const struct verdict *verdict,
                         const struct evidence *evidence, int64_t now_ns)
{
    bool answered = evidence && evidence->status != 0;
    bool kept;

    plan->last_failure = verdict->failure;
    plan->unreachable = !answered;
    if (verdict->reaction == REACT_RETURN && answered) {
        ending_decide(plan, PLAN_RETURN, false);
        return false;
    }
    if (replay_forbidden(plan, verdict, evidence)) {
        /* The caller's own retry would be the very replay that is ruled out here. */
        if (ending_rank(verdict, evidence) != RANK_NONE)
            ending_decide(plan, PLAN_RETURN, verdict->maybe_ran);
        else
            ending_give_up(plan, answered ? 503 : 502, verdict->failure, verdict->maybe_ran);
        return false;
    }
    kept = keep(plan, verdict, evidence, now_ns);
    if (verdict->reaction != REACT_RETURN && try_on(plan, verdict, now_ns))
        plan_enter(plan, PLAN_CHOOSING);
    else
        ending_stop(plan, verdict->failure, false);
    return kept;
}

/* The pool hears of it. */
static void report(struct plan *plan, const struct verdict *verdict,
                   const struct evidence *evidence, int64_t now_ns)
{
    bool success = verdict->reaction == REACT_SUCCESS;

    if (success)
        report_success(plan->pool, &plan->flight, &plan->route, now_ns);
    else
        report_failure(plan->pool, &plan->flight, &plan->route, verdict, evidence, now_ns);
    report_end(plan->pool, &plan->flight, &plan->route, success, now_ns);
}

bool plan_hear(struct plan *plan, const struct verdict *verdict, const struct evidence *evidence,
               int64_t now_ns)
{
    bool success = verdict->reaction == REACT_SUCCESS;

    admit(plan, now_ns);
    INVARIANT(plan->phase == PLAN_IN_FLIGHT, "plan: heard an answer while %s",
              plan_phase_name(plan->phase));
    if (!plan->drilled)
        report(plan, verdict, evidence, now_ns);
    record(plan, verdict);
    if (success || plan->proven) {
        plan->last_failure = verdict->failure;
        ending_decide(plan, PLAN_RETURN, false); /* what flows to the caller is never taken back */
        return false;
    }
    return hear_failure(plan, verdict, evidence, now_ns);
}

void plan_limits(struct plan *plan, const struct limit_report *report, int64_t now_ns)
{
    if (plan->phase != PLAN_IN_FLIGHT || plan->drilled)
        return;
    headroom_report(plan->pool, &plan->flight, &plan->route, report, now_ns);
    turn_tell_line(plan, now_ns);
}

void plan_usage(struct plan *plan, int64_t tokens)
{
    if (plan->phase == PLAN_IN_FLIGHT && tokens >= 0)
        plan->flight.tokens = tokens;
}

void plan_proven(struct plan *plan, int64_t now_ns)
{
    if (plan->phase != PLAN_IN_FLIGHT || plan->proven || plan->drilled)
        return;
    plan->proven = true;
    report_success(plan->pool, &plan->flight, &plan->route, now_ns);
}

void plan_abandon(struct plan *plan, int64_t now_ns)
{
    static const struct verdict gone = {.reaction = REACT_RETURN, .failure = FAILURE_ABANDONED};

    if (plan->phase == PLAN_IN_FLIGHT) {
        if (!plan->drilled)
            report_end(plan->pool, &plan->flight, &plan->route, false, now_ns);
        record(plan, &gone);
    }
    if (plan->phase != PLAN_DECIDED)
        ending_give_up(plan, 503, FAILURE_ABANDONED, false);
}

void plan_end(struct plan *plan, int64_t now_ns)
{
    plan_abandon(plan, now_ns);
    for (uint32_t i = 0; i < plan->attempt_count; i++)
        key_unref(plan->pool, pool_key(plan->pool, plan->attempts[i].key));
    if (plan->attempts != plan->inline_attempts)
        free(plan->attempts);
    plan->attempts = plan->inline_attempts;
    plan->attempt_count = 0;
    plan->attempt_capacity = PLAN_INLINE_ATTEMPTS;
}

bool plan_is_called(const struct plan *plan)
{
    return !plan->queue || PEEK(&plan->called);
}

bool plan_is_over(const struct plan *plan)
{
    return plan->phase == PLAN_DECIDED && !plan->queue && plan->attempt_count == 0 &&
           plan->attempts == plan->inline_attempts;
}
