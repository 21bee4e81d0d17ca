#include "sim/run.h"

#include <stdlib.h>

#include "base/list.h"
#include "pool/invariant.h"
#include "sim/chance.h"
#include "sim/ledger.h"
#include "sim/queue.h"

/* The whole pool is looked over after each event while it is small, else once in so many. */
#define SMALL_POOL   64
#define CHECK_SELDOM 16384
#define NO_SLOT      UINT32_MAX

enum {
    EVENT_ARRIVAL,
    EVENT_ASK,
    EVENT_ADMIT,
    EVENT_ANSWER,
    EVENT_PROBE,
    EVENT_PROBED,
    EVENT_LEAVE
};

enum slot_state { SLOT_FREE, SLOT_WAITING, SLOT_SENT };

/* A request under way. Never moves: the pool may know its address. */
struct slot {
    struct call call;
    struct reply reply;
    struct list waiting; /* in run.waiting, oldest first, while SLOT_WAITING */
    int64_t sent_ns;
    enum cause expected; /* ledger_expects at sent_ns */
    enum slot_state state;
    uint32_t ticket; /* of its next event; others are stale */
    uint32_t next_free, index;
};

struct run {
    const struct scenario *scenario;
    const struct arrivals *arrivals;
    uint64_t seed;
    struct world world;
    struct ledger ledger;
    struct policy *policy;
    struct queue queue;
    struct slot **slots;
    uint32_t slot_count, slot_capacity, free_slot;
    struct list waiting;
    uint64_t epoch;
    size_t arrived, to_come; /* requests; the second not more than arrivals->count */
    uint64_t events_max;
    bool *ended;        /* by request */
    uint32_t under_way; /* requests that arrived and have not ended */
    int64_t now_ns;
    int64_t probe_due_ns; /* of the EVENT_PROBE that counts */
    struct result result;
    bool no_memory;
};

static void put(struct run *run, int64_t at_ns, uint32_t kind, uint32_t subject, uint32_t ticket)
{
    struct event event = {.at_ns = at_ns, .kind = kind, .subject = subject, .ticket = ticket};

    if (queue_put(&run->queue, event) != STATUS_OK)
        run->no_memory = true;
}

/* ---- slots ---- */

static bool add_slot(struct run *run)
{
    uint32_t capacity = run->slot_capacity ? run->slot_capacity * 2 : 64;
    struct slot *slot = calloc(1, sizeof(*slot));
    struct slot **bigger = run->slots;

    if (run->slot_count == run->slot_capacity) {
        bigger = realloc(run->slots, capacity * sizeof(*bigger));
        if (bigger) {
            run->slots = bigger;
            run->slot_capacity = capacity;
        }
    }
    if (!slot || !bigger) {
        free(slot);
        return false;
    }
    slot->index = run->slot_count;
    slot->next_free = NO_SLOT;
    run->slots[run->slot_count] = slot;
    run->free_slot = run->slot_count++;
    return true;
}

static struct slot *take_slot(struct run *run)
{
    struct slot *slot;

    if (run->free_slot == NO_SLOT && !add_slot(run))
        return NULL;
    slot = run->slots[run->free_slot];
    run->free_slot = slot->next_free;
    return slot;
}

static void leave_line(struct slot *slot)
{
    if (slot->state == SLOT_WAITING)
        list_remove(&slot->waiting);
}

static void finish(struct run *run, struct slot *slot, bool served)
{
    const struct request *request = slot->call.request;

    INVARIANT(slot->state != SLOT_FREE && !run->ended[slot->call.index], "request %u ends twice",
              slot->call.index);
    run->ended[slot->call.index] = true;
    run->under_way--;
    leave_line(slot);
    if (served)
        result_served(&run->result, request, slot->sent_ns - request->at_ns);
    else
        result_failed(&run->result, request);
    if (slot->call.attempts > 1)
        run->result.extra_attempts += slot->call.attempts - 1;
    run->policy->class->end(run->policy, &slot->call, run->now_ns);
    slot->state = SLOT_FREE;
    slot->ticket++;
    slot->next_free = run->free_slot;
    run->free_slot = slot->index;
}

/* ---- attempts ---- */

static int64_t network_ns(const struct run *run, const struct slot *slot, enum chance_topic way)
{
    uint64_t bits = chance_bits(run->seed, slot->call.index, slot->call.attempts, way);

    return RUN_UPLINK_MIN_NS + (int64_t)(bits % (RUN_UPLINK_MAX_NS - RUN_UPLINK_MIN_NS + 1));
}

static void send_on(struct run *run, struct slot *slot, uint32_t key)
{
    leave_line(slot);
    slot->state = SLOT_SENT;
    slot->sent_ns = run->now_ns;
    slot->call.key = key;
    slot->call.attempts++;
    slot->expected = ledger_expects(&run->ledger, key, run->now_ns);
    run->result.attempts++;
    INVARIANT(!run->policy->class->heeds || !ledger_was_told(&run->ledger, key, run->now_ns),
              "request %u: key %u was asked against what answers said", slot->call.index, key);
    put(run, run->now_ns + network_ns(run, slot, CHANCE_UPLINK), EVENT_ADMIT, slot->index,
        ++slot->ticket);
}

static void wait_until(struct run *run, struct slot *slot, int64_t until_ns)
{
    if (slot->state != SLOT_WAITING)
        list_append(&run->waiting, &slot->waiting);
    slot->state = SLOT_WAITING;
    if (until_ns > slot->call.request->deadline_ns)
        until_ns = slot->call.request->deadline_ns;
    put(run, until_ns > run->now_ns ? until_ns : run->now_ns + 1, EVENT_ASK, slot->index,
        ++slot->ticket);
}

static void ask_policy(struct run *run, struct slot *slot)
{
    bool late = run->now_ns >= slot->call.request->deadline_ns;
    struct policy_step step;

    run->policy->class->next(run->policy, &slot->call, run->now_ns, &step);
    switch (step.action) {
    case POLICY_SEND:
        if (late)
            finish(run, slot, false);
        else
            send_on(run, slot, step.key);
        break;
    case POLICY_WAIT:
        if (late)
            finish(run, slot, false);
        else
            wait_until(run, slot, step.until_ns);
        break;
    case POLICY_FAIL: finish(run, slot, false); break;
    }
}

/* Some callers hang up, while they wait or while an attempt is in flight. */
static void maybe_leave(struct run *run, const struct slot *slot)
{
    const struct traffic *traffic = &run->scenario->traffic;
    uint32_t index = slot->call.index;
    double u = chance_uniform(run->seed, index, 0, CHANCE_LEAVES_WHEN);

    if (chance_happens(run->seed, index, 0, CHANCE_LEAVES, traffic->leaves_ppm))
        put(run, run->now_ns + (int64_t)(u * u * (double)traffic->patience_ns), EVENT_LEAVE,
            slot->index, index);
}

static void on_leave(struct run *run, struct slot *slot, uint32_t index)
{
    if (slot->state != SLOT_FREE && slot->call.index == index)
        finish(run, slot, false);
}

static void on_arrival(struct run *run)
{
    struct slot *slot = take_slot(run);
    size_t index = run->arrived++;

    if (!slot) {
        run->no_memory = true;
        return;
    }
    slot->call.request = &run->arrivals->requests[index];
    slot->call.index = (uint32_t)index;
    slot->call.attempts = 0;
    slot->state = SLOT_SENT; /* under way; nothing waits for it yet */
    run->under_way++;
    run->policy->class->begin(run->policy, &slot->call, run->now_ns);
    maybe_leave(run, slot);
    ask_policy(run, slot);
    if (run->result.events >= run->events_max)
        run->to_come = run->arrived;
    if (run->arrived < run->to_come)
        put(run, run->arrivals->requests[run->arrived].at_ns, EVENT_ARRIVAL, 0, 0);
}

static void on_admit(struct run *run, struct slot *slot)
{
    struct ask ask = {.key = slot->call.key,
                      .request = slot->call.index,
                      .turn = slot->call.attempts,
                      .tokens = slot->call.request->tokens};

    world_ask(&run->world, &ask, run->now_ns, &slot->reply);
    put(run, run->now_ns + slot->reply.processing_ns + network_ns(run, slot, CHANCE_DOWNLINK),
        EVENT_ANSWER, slot->index, slot->ticket);
}

static void on_answer(struct run *run, struct slot *slot)
{
    const struct reply *reply = &slot->reply;

    run->result.causes[reply->cause]++;
    run->result.wasted += ledger_confirmed(slot->expected, reply);
    ledger_hear(&run->ledger, slot->call.key, reply, slot->sent_ns, run->now_ns);
    run->policy->class->hear(run->policy, &slot->call, reply, run->now_ns);
    if (reply->cause == CAUSE_SERVED)
        finish(run, slot, true);
    else
        ask_policy(run, slot);
}

/* ---- free probes ---- */

static void on_probe(struct run *run)
{
    const struct policy_class *class = run->policy->class;
    uint32_t key;
    int64_t due_ns;

    while (class->probe(run->policy, run->now_ns, &key, &due_ns))
        put(run, run->now_ns + 2 * RUN_UPLINK_MAX_NS, EVENT_PROBED, key, 0);
    if (due_ns == NEVER || due_ns == run->probe_due_ns)
        return;
    run->probe_due_ns = due_ns;
    put(run, due_ns > run->now_ns ? due_ns : run->now_ns + 1, EVENT_PROBE, 0, 0);
}

static void on_probed(struct run *run, uint32_t key)
{
    struct reply reply;

    world_probe(&run->world, key, run->now_ns, &reply);
    run->policy->class->probed(run->policy, key, &reply, run->now_ns);
}

/* ---- the loop ---- */

/* The policy has news: who is called asks again, oldest first, and probes with them. */
static void spread_news(struct run *run)
{
    const struct policy_class *class = run->policy->class;
    uint64_t epoch = class->epoch ? class->epoch(run->policy) : 0;

    if (epoch == run->epoch)
        return;
    run->epoch = epoch;
    for (struct list *at = run->waiting.next; at != &run->waiting; at = at->next) {
        struct slot *slot = container_of(at, struct slot, waiting);
        if (!class->called || class->called(&slot->call))
            put(run, run->now_ns, EVENT_ASK, slot->index, ++slot->ticket);
    }
    if (class->probe)
        on_probe(run);
}

static bool goes_on(const struct run *run)
{
    return run->arrived < run->to_come || run->under_way > 0;
}

static void handle(struct run *run, const struct event *event)
{
    struct slot *slot = NULL;

    if (event->kind == EVENT_ASK || event->kind == EVENT_ADMIT || event->kind == EVENT_ANSWER)
        slot = run->slots[event->subject];
    if (slot && slot->ticket != event->ticket)
        return;
    run->result.events++;
    switch (event->kind) {
    case EVENT_ARRIVAL: on_arrival(run); break;
    case EVENT_ASK: ask_policy(run, slot); break;
    case EVENT_ADMIT: on_admit(run, slot); break;
    case EVENT_ANSWER: on_answer(run, slot); break;
    case EVENT_PROBE: on_probe(run); break;
    case EVENT_LEAVE: on_leave(run, run->slots[event->subject], event->ticket); break;
    case EVENT_PROBED: on_probed(run, event->subject); break;
    default: break;
    }
}

static void check(struct run *run)
{
    const struct policy_class *class = run->policy->class;
    bool small = world_key_count(&run->scenario->world) <= SMALL_POOL;

    INVARIANT(run->result.requests + run->under_way == run->arrived,
              "%zu came, %llu ended, %u are under way", run->arrived,
              (unsigned long long)run->result.requests, run->under_way);
    if (class->check && (small || run->result.events % CHECK_SELDOM == 0))
        class->check(run->policy);
}

static void loop(struct run *run)
{
    const struct policy_class *class = run->policy->class;
    struct event event;

    if (run->to_come)
        put(run, run->arrivals->requests[0].at_ns, EVENT_ARRIVAL, 0, 0);
    while (goes_on(run) && !run->no_memory && queue_take(&run->queue, &event)) {
        INVARIANT(event.at_ns >= run->now_ns, "time goes back");
        run->now_ns = event.at_ns;
        handle(run, &event);
        spread_news(run);
        check(run);
    }
    if (run->no_memory)
        return;
    INVARIANT(run->result.requests == run->to_come, "%llu of %zu requests have ended",
              (unsigned long long)run->result.requests, run->to_come);
    if (class->check)
        class->check(run->policy); /* nothing is under way: nothing may be held */
}

static enum status prepare(struct run *run, const struct policy_class *class)
{
    const struct world_spec *spec = &run->scenario->world;
    struct policy_setup setup = {
        .world = spec, .patience_ns = run->scenario->traffic.patience_ns, .seed = run->seed};

    list_init(&run->waiting);
    if (world_init(&run->world, spec, run->seed) != STATUS_OK)
        return STATUS_NO_MEMORY;
    if (ledger_init(&run->ledger, spec) != STATUS_OK)
        goto no_ledger;
    if (result_init(&run->result, run->arrivals) != STATUS_OK)
        goto no_result;
    run->ended = calloc(run->arrivals->count + 1, sizeof(*run->ended));
    run->policy = run->ended ? class->make(&setup) : NULL;
    if (run->policy)
        return STATUS_OK;
    free(run->ended);
    result_fini(&run->result);
no_result:
    ledger_fini(&run->ledger);
no_ledger:
    world_fini(&run->world);
    return STATUS_NO_MEMORY;
}

static void clear(struct run *run)
{
    /* Only after running out of memory is anything still under way. */
    for (uint32_t i = 0; i < run->slot_count; i++) {
        if (run->slots[i]->state != SLOT_FREE)
            run->policy->class->end(run->policy, &run->slots[i]->call, run->now_ns);
        free(run->slots[i]);
    }
    free(run->slots);
    free(run->ended);
    queue_fini(&run->queue);
    run->policy->class->free(run->policy);
    ledger_fini(&run->ledger);
    world_fini(&run->world);
}

enum status run_policy(const struct scenario *scenario, const struct arrivals *arrivals,
                       const struct policy_class *class, uint64_t seed, struct result *ret)
{
    return run_shortened(scenario, arrivals, class, seed, UINT64_MAX, ret);
}

enum status run_shortened(const struct scenario *scenario, const struct arrivals *arrivals,
                          const struct policy_class *class, uint64_t seed, uint64_t events_max,
                          struct result *ret)
{
    struct run run = {.scenario = scenario,
                      .arrivals = arrivals,
                      .to_come = arrivals->count,
                      .events_max = events_max,
                      .seed = seed,
                      .free_slot = NO_SLOT,
                      .probe_due_ns = NEVER};

    if (prepare(&run, class) != STATUS_OK)
        return STATUS_NO_MEMORY;
    loop(&run);
    clear(&run);
    if (run.no_memory) {
        result_fini(&run.result);
        return STATUS_NO_MEMORY;
    }
    result_finish(&run.result);
    *ret = run.result;
    return STATUS_OK;
}
