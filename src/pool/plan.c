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
 * When no key is left there are three ends. What clears up by itself within moments (the service
 * may recover, another request is just trying a half-open key) is waited for, PLAN_PATIENCE_NS in
 * all, or max_wait_ns where that is longer. What time heals later becomes a 429 with the truth in retry_after_s. The rest is a 503 that
 * asks nobody to come back. A kept upstream answer goes first where it tells more (rank_of).
 */
#include "pool/plan.h"

#include <stdlib.h>
#include <string.h>

#include "pool/headroom.h"
#include "pool/invariant.h"
#include "pool/queue.h"
#include "pool/ramp.h"
#include "pool/report.h"
#include "pool/select.h"

#define NS_PER_S          INT64_C(1000000000)
#define RETRY_AFTER_MAX_S 60

/* How often a plan looks whether the retry budget has anything for it. */
#define BUDGET_LOOK_NS INT64_C(250000000)

/* Service failures after which the caller's own retries would only add to the trouble: as many as
 * an official SDK makes. */
#define TRIED_ENOUGH 3

/* A trail this long has tried a million keys; more is a caller's loop. */
#define TRAIL_MAX (1u << 20)

_Static_assert(sizeof(struct plan) <= 768, "an idle stream holds a plan");

enum plan_phase { PLAN_CHOOSING, PLAN_IN_FLIGHT, PLAN_DECIDED };

static const char *phase_name(uint8_t phase)
{
    static const char *const names[] = {"choosing", "in flight", "decided"};
    return phase < 3 ? names[phase] : "unknown";
}

static void enter(struct plan *plan, enum plan_phase to)
{
    static const bool legal[3][3] = {
        [PLAN_CHOOSING] = {[PLAN_IN_FLIGHT] = true, [PLAN_DECIDED] = true},
        [PLAN_IN_FLIGHT] = {[PLAN_CHOOSING] = true, [PLAN_DECIDED] = true},
    };

    INVARIANT(legal[plan->phase][to], "plan: illegal move from %s to %s", phase_name(plan->phase),
              phase_name((uint8_t)to));
    plan->phase = (uint8_t)to;
}

void plan_prepare(struct plan *plan, struct pool *pool, const struct plan_request *request,
                  int64_t now_ns)
{
    *plan = (struct plan){
        .pool = pool,
        .route = {.family = request->family,
                  .stream = request->stream,
                  .costs = {[COST_REQUESTS] = 1,
                            [COST_TOKENS] = request->tokens,
                            [COST_IMAGES] = request->images},
                  .affinity = request->affinity},
        .deadline_ns = request->deadline_ns,
        .not_before_ns = now_ns,
        .patience_ns = -1,
        .stateless = request->stateless,
        .opaque = request->opaque,
        .phase = PLAN_CHOOSING,
        .stay = KEY_NONE,
        .current = KEY_NONE,
        .attempt_capacity = PLAN_INLINE_ATTEMPTS,
    };
    if (request->model.len)
        plan->route.model = hash_bytes(&pool->hash_seed, request->model);
    plan->attempts = plan->inline_attempts;
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
    plan_prepare(plan, pool, request, now_ns);
    admit(plan, now_ns);
}

/* The usefulness of an upstream answer to a caller whose request could not be served, by
 * openai-protocol.md §2.5: his own fault tells most, then when to come back, then that the service
 * is in trouble. What is wrong with one of our keys is none of his business: 0. */
enum { RANK_NONE, RANK_SERVICE, RANK_RATE, RANK_CALLER };

static int rank_of_class(enum failure failure)
{
    switch (failure) {
    case FAILURE_CALLER:
    case FAILURE_POLICY:
    case FAILURE_UNVERIFIED:
    case FAILURE_MODEL:
    case FAILURE_TIER:
    case FAILURE_TOO_LARGE:
    case FAILURE_CONFLICT: return RANK_CALLER;
    case FAILURE_RATE:
    case FAILURE_SLOW_DOWN: return RANK_RATE;
    case FAILURE_OVERLOADED:
    case FAILURE_SERVER:
    case FAILURE_NETWORK: /* the edge's 52x pages */
    case FAILURE_TIMEOUT: return RANK_SERVICE;
    case FAILURE_NONE:
    case FAILURE_REVOKED:
    case FAILURE_DEACTIVATED:
    case FAILURE_MISMATCHED:
    case FAILURE_EGRESS_IP:
    case FAILURE_SCOPE:
    case FAILURE_FORBIDDEN:
    case FAILURE_REGION:
    case FAILURE_QUOTA:
    case FAILURE_CUT:
    case FAILURE_GARBAGE:
    case FAILURE_ABANDONED:
    case FAILURE_COUNT: break;
    }
    return RANK_NONE;
}

static int rank_of(const struct verdict *verdict, const struct evidence *evidence)
{
    int status = evidence ? evidence->status : 0;

    if (status < 400 || status == 401 || status == 403)
        return RANK_NONE;
    return rank_of_class(verdict->failure);
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void leave_line(struct plan *plan, int64_t now_ns)
{
    if (!plan->queue)
        return;
    queue_leave(plan);
    plan->wait_left_ns = plan->wait_end_ns > now_ns ? plan->wait_end_ns - now_ns : 0;
}

static void decide(struct plan *plan, enum plan_action action, bool should_not_retry)
{
    enter(plan, PLAN_DECIDED);
    queue_leave(plan);
    plan->ending =
        (struct plan_step){.action = action, .key = KEY_NONE, .should_not_retry = should_not_retry};
}

static void give_up(struct plan *plan, int status, enum failure failure, bool should_not_retry)
{
    decide(plan, PLAN_GIVE_UP, should_not_retry);
    plan->ending.status = status;
    plan->ending.failure = failure;
}

static bool service_used_up(const struct plan *plan)
{
    return plan->service_failures >= PLAN_SERVICE_ATTEMPTS;
}

static bool tried_enough(const struct plan *plan)
{
    return plan->service_failures >= TRIED_ENOUGH;
}

static void return_kept(struct plan *plan)
{
    decide(plan, PLAN_RETURN_KEPT, plan->kept_rank != RANK_RATE && tried_enough(plan));
    plan->ending.failure = plan->kept_failure;
}

/* The end of trying, for a reason of the plan's own: a bound, the deadline. */
static void stop(struct plan *plan, enum failure failure, bool should_not_retry)
{
    if (plan->kept_rank != RANK_NONE)
        return_kept(plan);
    else
        give_up(plan, plan->unreachable ? 502 : 503, failure,
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
    give_up(plan, 429, outlook->cooling, false);
    plan->ending.retry_after_s = retry_after_s(outlook->recovery_ns - now_ns);
}

/* The end of keys. */
static void exhausted(struct plan *plan, const struct outlook *outlook, int64_t now_ns)
{
    bool heals = outlook->recovery_ns >= 0;
    bool kept_is_later =
        plan->kept_rank < RANK_RATE ||
        (plan->kept_rank == RANK_RATE && plan->kept_reset_ns > outlook->recovery_ns);

    if (heals && kept_is_later)
        come_back_later(plan, outlook, now_ns);
    else if (plan->kept_rank == RANK_NONE && outlook->dead != FAILURE_NONE)
        give_up(plan, 503, outlook->dead, true);
    else
        stop(plan, plan->last_failure, true);
}

static void wait_until(struct plan *plan, int64_t until_ns, struct plan_step *ret_step)
{
    *ret_step = (struct plan_step){
        .action = PLAN_WAIT, .key = KEY_NONE, .until_ns = sooner(until_ns, plan->deadline_ns)};
    plan->told_ns = ret_step->until_ns;
}

static int64_t patience_ns(const struct plan *plan)
{
    int64_t wait_ns = plan->pool->options.max_wait_ns;

    return wait_ns > PLAN_PATIENCE_NS ? wait_ns : PLAN_PATIENCE_NS;
}

/* Whether what stands in the way is worth standing in line for, and until when. */
static bool worth_waiting(struct plan *plan, const struct outlook *outlook, int64_t now_ns,
                          int64_t *ret_until_ns)
{
    bool recovers;

    if (!outlook->in_use && outlook->service_ns < 0)
        return false;
    if (plan->patience_ns < 0)
        plan->patience_ns = now_ns + patience_ns(plan);
    recovers = outlook->service_ns >= 0 && outlook->service_ns <= plan->patience_ns;
    *ret_until_ns = recovers ? outlook->service_ns : plan->patience_ns;
    return (recovers || outlook->in_use) && now_ns < plan->patience_ns;
}

/* Nothing to wait for, or no more time for it. */
static void refuse(struct plan *plan, const struct outlook *outlook, int64_t now_ns,
                   struct plan_step *ret_step)
{
    exhausted(plan, outlook, now_ns);
    *ret_step = plan->ending;
}

/* When its waiting in lines ends; now where it may not. */
static int64_t wait_end_ns(const struct plan *plan, int64_t now_ns)
{
    int64_t end_ns = plan->queue ? plan->wait_end_ns : now_ns + plan->wait_left_ns;

    return sooner(end_ns, plan->deadline_ns);
}

/* Stands in line, or goes on standing; false: it is full. */
static bool line_up(struct plan *plan, int64_t now_ns)
{
    if (plan->queue)
        return true;
    plan->wait_end_ns = now_ns + plan->wait_left_ns;
    return queue_join(plan);
}

/* Others are before it. */
static void stand(struct plan *plan, struct queue *queue, unsigned place, int64_t now_ns,
                  struct plan_step *ret_step)
{
    int64_t turn_ns = queue_turn_ns(queue, place < QUEUE_PLACES ? place : queue->count, now_ns);
    struct outlook outlook = {.recovery_ns = turn_ns, .cooling = FAILURE_RATE};

    /* Who could not be served before his time is over must not stand in others' way: a line longer
     * than the patience of those in it serves nobody in time. The pace of a ramp tells nothing: it
     * doubles every moment. */
    bool told = !plan->queue && !queue->ramping;
    bool in_time = (told ? turn_ns : now_ns) < wait_end_ns(plan, now_ns);

    if (in_time && line_up(plan, now_ns)) {
        turn_ns = queue_turn_ns(queue, place, now_ns);
        wait_until(plan, sooner(turn_ns, plan->wait_end_ns), ret_step);
    } else {
        refuse(plan, &outlook, now_ns, ret_step);
    }
}

/* Waits, as the first in line, for what is foretold for `until_ns`, INT64_MAX for a moment nobody
 * knows. False: it may not, or there is no place. */
static bool wait_in_front(struct plan *plan, int64_t until_ns, double pace_per_s, int64_t now_ns,
                          struct plan_step *ret_step)
{
    int64_t end_ns = wait_end_ns(plan, now_ns);
    bool known = until_ns < INT64_MAX;

    if (now_ns >= end_ns || (known && until_ns >= end_ns) || !line_up(plan, now_ns))
        return false;
    if (known && until_ns < now_ns + QUEUE_GAP_NS)
        until_ns = now_ns + QUEUE_GAP_NS;
    plan->queue->room_ns = known ? until_ns : now_ns + QUEUE_LOOK_NS;
    plan->queue->pace_ns = pace_per_s > 0 ? (int64_t)(1e9 / pace_per_s) : 0;
    plan->queue->ramping = false;
    wait_until(plan, sooner(until_ns, end_ns), ret_step);
    return true;
}

static bool is_limit(enum failure failure)
{
    return failure == FAILURE_RATE || failure == FAILURE_SLOW_DOWN;
}

/* Rate limits met before do not count any more: whoever may wait may ask again after it. False:
 * there were none. */
static bool forgive(struct plan *plan, int64_t now_ns)
{
    bool any = false;

    if (plan->rounds >= PLAN_ROUNDS_MAX || now_ns >= wait_end_ns(plan, now_ns))
        return false;
    for (uint32_t i = plan->forgiven; i < plan->attempt_count; i++)
        any |= is_limit(plan->attempts[i].failure);
    plan->rounds = (uint8_t)(plan->rounds + any);
    plan->forgiven = plan->attempt_count;
    return any;
}

/* Those who stand behind it need not ask before it does. */
static void wait_for_service(struct plan *plan, int64_t until_ns, struct plan_step *ret_step)
{
    if (plan->queue)
        plan->queue->room_ns = until_ns;
    wait_until(plan, until_ns, ret_step);
}

static void no_key(struct plan *plan, int64_t now_ns, struct plan_step *ret_step)
{
    struct outlook outlook;
    int64_t until_ns;

    plan->stepped_aside = false;
    select_outlook(plan->pool, &plan->route, now_ns, &outlook);
    if (worth_waiting(plan, &outlook, now_ns, &until_ns)) {
        bool only_in_use = outlook.service_ns < 0 && now_ns < wait_end_ns(plan, now_ns);
        if (!only_in_use)
            wait_for_service(plan, until_ns, ret_step);
        else if (!wait_in_front(plan, INT64_MAX, 0, now_ns, ret_step))
            refuse(plan, &outlook, now_ns, ret_step);
        return;
    }
    if (outlook.in_use)
        outlook.usable_ns = INT64_MAX; /* any moment, but no one knows which */
    if (outlook.usable_ns >= 0 && wait_in_front(plan, outlook.usable_ns, 0, now_ns, ret_step))
        return;
    refuse(plan, &outlook, now_ns, ret_step);
}

static void send_on(struct plan *plan, key_id key, int64_t now_ns, struct plan_step *ret_step);

/* Those that could serve it have no room: waits for it, or, if that would be too long, tries what
 * may be an estimate's mistake. A full line is final. */
static void no_room(struct plan *plan, const struct pick *pick, int64_t now_ns,
                    struct plan_step *ret_step)
{
    struct queue *queue = plan->queue ? plan->queue : queue_find(plan->pool, &plan->route);
    struct outlook outlook;

    select_outlook(plan->pool, &plan->route, now_ns, &outlook);
    if (outlook.usable_ns < 0 || outlook.usable_ns > pick->until_ns)
        outlook.usable_ns = pick->until_ns;
    if (outlook.recovery_ns < 0 || outlook.recovery_ns > outlook.usable_ns) {
        outlook.recovery_ns = sooner(outlook.usable_ns, now_ns + RETRY_AFTER_MAX_S * NS_PER_S);
        outlook.cooling = FAILURE_RATE;
    }
    if (wait_in_front(plan, outlook.usable_ns, pick->pace_per_s, now_ns, ret_step))
        return;
    if (pick->key != KEY_NONE && (plan->queue || !queue))
        send_on(plan, pick->key, now_ns, ret_step);
    else
        refuse(plan, &outlook, now_ns, ret_step);
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

static void mark_trail(struct plan *plan)
{
    for (uint32_t i = 0; i < plan->attempt_count; i++) {
        const struct plan_attempt *attempt = &plan->attempts[i];

        if (i < plan->forgiven && is_limit(attempt->failure))
            continue;
        if (is_limit(attempt->failure))
            select_shun_org(plan->pool, attempt->key);
        select_tried(plan->pool, attempt->key, attempt->may_repeat);
        if (attempt->hop == HOP_OTHER_PROJECT)
            select_avoid_project(plan->pool, attempt->key);
        else if (attempt->hop == HOP_OTHER_ORG)
            select_avoid_org(plan->pool, attempt->key);
    }
}

static void send_on(struct plan *plan, key_id key, int64_t now_ns, struct plan_step *ret_step)
{
    enter(plan, PLAN_IN_FLIGHT);
    leave_line(plan, now_ns);
    plan->proven = false;
    plan->patience_ns = -1;
    plan->current = key;
    ramp_sent(pool_key(plan->pool, key)->service, now_ns);
    report_begin(plan->pool, key, &plan->route, now_ns, &plan->flight);
    *ret_step = (struct plan_step){.action = PLAN_SEND, .key = key};
}

static enum choice look_for_key(struct plan *plan, int64_t now_ns, struct pick *ret_pick)
{
    *ret_pick = (struct pick){.key = KEY_NONE};
    select_begin(plan->pool, now_ns);
    mark_trail(plan);
    return select_key(plan->pool, &plan->route, plan->stay, now_ns, ret_pick);
}

/* A ramp grows steeper while the line stands: whoever was told a time by its old pace asks again. */
static void speed_up(struct plan *plan, int64_t gap_ns)
{
    struct queue *queue = plan->queue;

    if (!queue || !queue->ramping || gap_ns * 2 > queue->pace_ns)
        return;
    queue->pace_ns = gap_ns;
    queue->ramping = gap_ns > 0;
    plan->pool->epoch++;
}

/* Whether asking the key would try out a service in trouble, for everybody. */
static bool is_trial(const struct plan *plan, key_id id)
{
    struct pool *pool = plan->pool;
    struct key *key = pool_key(pool, id);

    for (enum scope scope = SCOPE_SERVICE_MODEL; scope <= SCOPE_EGRESS; scope++) {
        struct place place = {key_scope_node(pool, key, scope), route_detail(&plan->route, scope),
                              scope};
        const struct breaker *b = circuits_find(&pool->circuits, place);
        if (b && b->state == CIRCUIT_HALF_OPEN)
            return true;
    }
    return false;
}

/* Whose next failure would be the last leaves a trial to the others for a moment: any of them can
 * find out as well, and loses nothing. If nobody comes it goes itself. */
static bool steps_aside(struct plan *plan, key_id key, int64_t now_ns, struct plan_step *ret_step)
{
    if (plan->stepped_aside || plan->service_failures + 1 < PLAN_SERVICE_ATTEMPTS ||
        !is_trial(plan, key))
        return false;
    plan->stepped_aside = true;
    leave_line(plan, now_ns);
    wait_until(plan, now_ns + QUEUE_LOOK_NS, ret_step);
    return true;
}

/* The key is ready; its service may be just coming back. Who cannot wait goes all the same. */
static void send_in_turn(struct plan *plan, key_id key, int64_t now_ns, struct plan_step *ret_step)
{
    int64_t gap_ns, ready_ns;

    if (steps_aside(plan, key, now_ns, ret_step))
        return;
    ready_ns = ramp_ready_ns(pool_key(plan->pool, key)->service, now_ns, &gap_ns);
    speed_up(plan, gap_ns);
    if (ready_ns > now_ns && wait_in_front(plan, ready_ns, 1e9 / (double)gap_ns, now_ns, ret_step))
        plan->queue->ramping = true;
    else
        send_on(plan, key, now_ns, ret_step);
}

static void choose(struct plan *plan, int64_t now_ns, struct plan_step *ret_step)
{
    struct pick pick;
    enum choice choice = look_for_key(plan, now_ns, &pick);

    if (choice == CHOICE_NONE && forgive(plan, now_ns))
        choice = look_for_key(plan, now_ns, &pick);
    switch (choice) {
    case CHOICE_KEY: send_in_turn(plan, pick.key, now_ns, ret_step); break;
    case CHOICE_PROOF: wait_until(plan, pick.until_ns, ret_step); break;
    case CHOICE_FULL: no_room(plan, &pick, now_ns, ret_step); break;
    case CHOICE_NONE: no_key(plan, now_ns, ret_step); break;
    }
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
    if (now_ns + BUDGET_LOOK_NS < sooner(plan->patience_ns, plan->deadline_ns)) {
        wait_until(plan, now_ns + BUDGET_LOOK_NS, ret_step);
        return false;
    }
    stop(plan, plan->last_failure, true);
    *ret_step = plan->ending;
    return false;
}

/* Chooses if it is its turn, stands in line if not. */
static void take_turn(struct plan *plan, int64_t now_ns, struct plan_step *ret_step)
{
    struct queue *queue = plan->queue;
    unsigned place = 0;

    if (!queue && plan->pool->waiting && plan->wait_left_ns > 0)
        queue = queue_find(plan->pool, &plan->route);
    if (queue)
        place = queue_place(plan, queue, now_ns);
    if (place > 0)
        stand(plan, queue, place, now_ns, ret_step);
    else
        choose(plan, now_ns, ret_step);
}

void plan_next(struct plan *plan, int64_t now_ns, struct plan_step *ret_step)
{
    INVARIANT(plan->phase != PLAN_IN_FLIGHT, "plan: asked for the next step while %s",
              phase_name(plan->phase));
    admit(plan, now_ns);
    if (plan->phase == PLAN_CHOOSING && now_ns >= plan->deadline_ns)
        stop(plan, FAILURE_TIMEOUT, false);
    else if (plan->phase == PLAN_CHOOSING && !reserve_trail(plan))
        stop(plan, plan->last_failure, false);
    if (plan->phase == PLAN_DECIDED)
        *ret_step = plan->ending;
    else if (now_ns < plan->not_before_ns)
        wait_until(plan, plan->not_before_ns, ret_step);
    else if (pay(plan, now_ns, ret_step))
        take_turn(plan, now_ns, ret_step);
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
    int rank = rank_of(verdict, evidence);
    int64_t wait_ns = verdict->wait_ns > verdict->base_ns ? verdict->wait_ns : verdict->base_ns;
    int64_t reset_ns = now_ns + (wait_ns > 0 ? sooner(wait_ns, BREAKER_WAIT_MAX_NS) : 0);

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
    plan->unpaid = true;
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
        decide(plan, PLAN_RETURN, false);
        return false;
    }
    if (replay_forbidden(plan, verdict, evidence)) {
        /* The caller's own retry would be the very replay that is ruled out here. */
        if (rank_of(verdict, evidence) != RANK_NONE)
            decide(plan, PLAN_RETURN, verdict->maybe_ran);
        else
            give_up(plan, answered ? 503 : 502, verdict->failure, verdict->maybe_ran);
        return false;
    }
    kept = keep(plan, verdict, evidence, now_ns);
    if (verdict->reaction != REACT_RETURN && try_on(plan, verdict, now_ns))
        enter(plan, PLAN_CHOOSING);
    else
        stop(plan, verdict->failure, false);
    return kept;
}

bool plan_hear(struct plan *plan, const struct verdict *verdict, const struct evidence *evidence,
               int64_t now_ns)
{
    bool success = verdict->reaction == REACT_SUCCESS;

    admit(plan, now_ns);
    INVARIANT(plan->phase == PLAN_IN_FLIGHT, "plan: heard an answer while %s",
              phase_name(plan->phase));
    if (success)
        report_success(plan->pool, &plan->flight, &plan->route, now_ns);
    else
        report_failure(plan->pool, &plan->flight, &plan->route, verdict, evidence, now_ns);
    report_end(plan->pool, &plan->flight, &plan->route, success, now_ns);
    record(plan, verdict);
    if (success || plan->proven) {
        plan->last_failure = verdict->failure;
        decide(plan, PLAN_RETURN, false); /* what flows to the caller is never taken back */
        return false;
    }
    return hear_failure(plan, verdict, evidence, now_ns);
}

/* An answer tells of more room than was foretold to those who wait for it. */
static void tell_line(struct plan *plan, int64_t now_ns)
{
    struct pool *pool = plan->pool;
    struct queue *queue = pool->waiting ? queue_find(pool, &plan->route) : NULL;

    if (!queue || queue->room_ns <= now_ns + QUEUE_GAP_NS ||
        !headroom_has_room(plan->flight.at, &plan->route, now_ns))
        return;
    queue->room_ns = now_ns; /* once: until the first in line has asked */
    pool->epoch++;
}

void plan_limits(struct plan *plan, const struct limit_report *report, int64_t now_ns)
{
    if (plan->phase != PLAN_IN_FLIGHT)
        return;
    headroom_report(plan->pool, &plan->flight, &plan->route, report, now_ns);
    tell_line(plan, now_ns);
}

void plan_usage(struct plan *plan, int64_t tokens)
{
    if (plan->phase == PLAN_IN_FLIGHT && tokens >= 0)
        plan->flight.tokens = tokens;
}

void plan_proven(struct plan *plan, int64_t now_ns)
{
    if (plan->phase != PLAN_IN_FLIGHT || plan->proven)
        return;
    plan->proven = true;
    report_success(plan->pool, &plan->flight, &plan->route, now_ns);
}

void plan_abandon(struct plan *plan, int64_t now_ns)
{
    static const struct verdict gone = {.reaction = REACT_RETURN, .failure = FAILURE_ABANDONED};

    if (plan->phase == PLAN_IN_FLIGHT) {
        report_end(plan->pool, &plan->flight, &plan->route, false, now_ns);
        record(plan, &gone);
    }
    if (plan->phase != PLAN_DECIDED)
        give_up(plan, 503, FAILURE_ABANDONED, false);
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

/* ---- without the lock (fast.c) ---- */

void plan_aim(struct plan *plan, struct key *key, uint64_t serial, int64_t now_ns)
{
    /* The plan is fresh, so what is not set here is zero. */
    plan->flight.key = key->id;
    plan->flight.at = key;
    plan->flight.serial = serial;
    plan->flight.started_ns = now_ns;
    memcpy(plan->flight.costs, plan->route.costs, sizeof plan->flight.costs);
    plan->flight.tokens = -1;
}

void plan_sent(struct plan *plan)
{
    enter(plan, PLAN_IN_FLIGHT);
    plan->current = plan->flight.key;
}

static bool is_drawn(const struct hold *hold)
{
    return !hold->bucket || hold->birth;
}

bool plan_flies_alone(const struct plan *plan)
{
    return plan->phase == PLAN_IN_FLIGHT && plan->attempt_count == 0 && plan->flight.leases == 0 &&
           is_drawn(&plan->flight.holds[0]) && is_drawn(&plan->flight.holds[1]);
}

void plan_is_proven(struct plan *plan)
{
    plan->proven = true;
}

void plan_served(struct plan *plan)
{
    plan->current = KEY_NONE;
    decide(plan, PLAN_RETURN, false);
}

bool plan_is_over(const struct plan *plan)
{
    return plan->phase == PLAN_DECIDED && !plan->queue && plan->attempt_count == 0 &&
           plan->attempts == plan->inline_attempts;
}
