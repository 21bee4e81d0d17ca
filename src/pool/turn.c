#include "pool/turn.h"

#include "pool/ending.h"
#include "pool/headroom.h"
#include "pool/outlook.h"
#include "pool/queue.h"
#include "pool/ramp.h"
#include "pool/report.h"
#include "pool/select.h"

#define NS_PER_S INT64_C(1000000000)

static void leave_line(struct plan *plan, int64_t now_ns)
{
    if (!plan->queue)
        return;
    queue_go(plan, now_ns);
    plan->wait_left_ns = plan->wait_end_ns > now_ns ? plan->wait_end_ns - now_ns : 0;
}

void turn_wait(struct plan *plan, int64_t until_ns, struct plan_step *ret_step)
{
    *ret_step = (struct plan_step){
        .action = PLAN_WAIT, .key = KEY_NONE, .until_ns = plan_sooner(until_ns, plan->deadline_ns)};
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
    ending_without_keys(plan, outlook, now_ns);
    *ret_step = plan->ending;
}

/* When its waiting in lines ends; now where it may not. */
static int64_t wait_end_ns(const struct plan *plan, int64_t now_ns)
{
    int64_t end_ns = plan->queue ? plan->wait_end_ns : now_ns + plan->wait_left_ns;

    return plan_sooner(end_ns, plan->deadline_ns);
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
        turn_wait(plan, plan_sooner(turn_ns, plan->wait_end_ns), ret_step);
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
    turn_wait(plan, plan_sooner(until_ns, end_ns), ret_step);
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

    /* No breaker knows of a rehearsal, so nothing would tell how long to wait before a round. */
    if (plan->drill_keys || plan->rounds >= PLAN_ROUNDS_MAX || now_ns >= wait_end_ns(plan, now_ns))
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
    turn_wait(plan, until_ns, ret_step);
}

static void no_key(struct plan *plan, int64_t now_ns, struct plan_step *ret_step)
{
    struct outlook outlook;
    int64_t until_ns;

    plan->stepped_aside = false;
    outlook_see(plan->pool, &plan->route, now_ns, &outlook);
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

/* The first keys of a drill are those that were asked first. */
static bool is_drilled(const struct plan *plan, key_id key)
{
    unsigned others = 0;

    for (uint32_t i = 0; i < plan->attempt_count; i++) {
        bool again = false;
        if (plan->attempts[i].key == key)
            return plan->attempts[i].drilled;
        for (uint32_t j = 0; j < i; j++)
            again |= plan->attempts[j].key == plan->attempts[i].key;
        others += !again;
    }
    return others < plan->drill_keys;
}

/* Of a report_begin only what a trail needs: the key stays. */
static void rehearse(struct plan *plan, key_id id, int64_t now_ns)
{
    struct key *key = pool_key(plan->pool, id);

    key_ref(key);
    plan->flight = (struct attempt){
        .key = id, .at = key, .serial = SERIAL_FAST, .started_ns = now_ns, .tokens = -1};
}

static void send_on(struct plan *plan, key_id key, int64_t now_ns, struct plan_step *ret_step)
{
    plan_enter(plan, PLAN_IN_FLIGHT);
    leave_line(plan, now_ns);
    plan->proven = false;
    plan->patience_ns = -1;
    plan->current = key;
    plan->drilled = plan->drill_keys && is_drilled(plan, key);
    if (plan->drilled) {
        rehearse(plan, key, now_ns);
    } else {
        ramp_sent(pool_key(plan->pool, key)->service, now_ns);
        report_begin(plan->pool, key, &plan->route, now_ns, &plan->flight);
    }
    *ret_step = (struct plan_step){.action = PLAN_SEND, .key = key};
}

/* Those that could serve it have no room: waits for it, or, if that would be too long, tries what
 * may be an estimate's mistake. A full line is final. */
static void no_room(struct plan *plan, const struct pick *pick, int64_t now_ns,
                    struct plan_step *ret_step)
{
    struct queue *queue = plan->queue ? plan->queue : queue_find(plan->pool, &plan->route);
    struct outlook outlook;

    outlook_see(plan->pool, &plan->route, now_ns, &outlook);
    if (outlook.usable_ns < 0 || outlook.usable_ns > pick->until_ns)
        outlook.usable_ns = pick->until_ns;
    if (outlook.recovery_ns < 0 || outlook.recovery_ns > outlook.usable_ns) {
        outlook.recovery_ns = plan_sooner(outlook.usable_ns, now_ns + RETRY_AFTER_MAX_S * NS_PER_S);
        outlook.cooling = FAILURE_RATE;
    }
    if (wait_in_front(plan, outlook.usable_ns, pick->pace_per_s, now_ns, ret_step))
        return;
    if (pick->key != KEY_NONE && (plan->queue || !queue))
        send_on(plan, pick->key, now_ns, ret_step);
    else
        refuse(plan, &outlook, now_ns, ret_step);
}

static void mark_trail(struct plan *plan)
{
    if (plan->bound && plan->attempt_count)
        select_only_project(plan->pool, plan->attempts[0].key);
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
    queue_tell(plan->pool);
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
    turn_wait(plan, now_ns + QUEUE_LOOK_NS, ret_step);
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
    case CHOICE_PROOF: turn_wait(plan, pick.until_ns, ret_step); break;
    case CHOICE_FULL: no_room(plan, &pick, now_ns, ret_step); break;
    case CHOICE_NONE: no_key(plan, now_ns, ret_step); break;
    }
}

void turn_take(struct plan *plan, int64_t now_ns, struct plan_step *ret_step)
{
    struct queue *queue = plan->queue;
    unsigned place = 0;

    if (!queue && plan->pool->waiting && plan->wait_left_ns > 0)
        queue = queue_find(plan->pool, &plan->route);
    POST(&plan->called, false);
    if (plan->queue && !queue_is_first(plan) && now_ns < plan->told_ns) {
        turn_wait(plan, plan->told_ns, ret_step); /* it is called when it is the first */
        return;
    }
    if (queue)
        place = queue_place(plan, queue, now_ns);
    if (place > 0)
        stand(plan, queue, place, now_ns, ret_step);
    else
        choose(plan, now_ns, ret_step);
}

void turn_tell_line(struct plan *plan, int64_t now_ns)
{
    struct pool *pool = plan->pool;
    struct queue *queue = pool->waiting ? queue_find(pool, &plan->route) : NULL;

    if (!queue || queue->room_ns <= now_ns + QUEUE_GAP_NS ||
        !headroom_has_room(plan->flight.at, &plan->route, now_ns))
        return;
    queue->room_ns = now_ns; /* once: until the first in line has asked */
    queue_tell(pool);
}
