/* This engine: the real src/pool, told what the real src/openai read off the wire.
 *
 * After every step the engine's own picture is held against what it did: it never sends on a key
 * whose path has an OPEN breaker or a lease that is out, and pool_check holds. */
#include "sim/policy.h"

#include <stdio.h>
#include <stdlib.h>

#include "openai/hints.h"
#include "pool/invariant.h"
#include "pool/state.h"
#include "sim/wire.h"

#define MODEL SLICE("m-1")

struct engine {
    struct policy base;
    struct pool *pool;
    key_id *ids; /* of each key of the world, KEY_NONE until it was seen */
    int64_t now_ns;
    uint32_t count;
    uint64_t under_way; /* calls begun and not ended */
};

static void engine_free(struct policy *policy)
{
    struct engine *e = (struct engine *)policy;

    pool_free(e->pool);
    free(e->ids);
    free(e);
}

/* The keys as the settings would list them, with or without the names of their owners. */
static enum status load(struct engine *e, const struct world_spec *world)
{
    struct key_spec *specs = calloc(e->count, sizeof(*specs));
    char(*names)[2][WIRE_NAME_MAX] = calloc(e->count, sizeof(*names));
    enum status status = STATUS_NO_MEMORY;

    if (!specs || !names)
        goto done;
    for (uint32_t i = 0; i < e->count; i++) {
        specs[i] = (struct key_spec){.identity = i + 1, .cookie = i};
        e->ids[i] = KEY_NONE;
        if (!world->owners_configured)
            continue;
        specs[i].organization = wire_org_name(world_key_org(world, i), names[i][0]);
        specs[i].project = wire_project_name(world_key_project(world, i), names[i][1]);
    }
    status = pool_load(e->pool, specs, e->count, 0);
done:
    free(specs);
    free(names);
    return status;
}

static struct policy *engine_make(const struct policy_setup *setup)
{
    struct engine *e = calloc(1, sizeof(*e));
    struct pool_options options;

    if (!e)
        return NULL;
    *e = (struct engine){.base = {&policy_engine}, .count = world_key_count(setup->world)};
    pool_options_init(&options);
    options.strategy = STRATEGY_PRIMARY_FIRST;
    options.seed = setup->seed;
    options.max_wait_ns = setup->patience_ns;
    options.probe_interval_ns = 300 * SECOND;
    options.queue_max = UINT32_MAX;
    e->ids = calloc(e->count, sizeof(*e->ids));
    if (!e->ids || pool_new(&options, &e->pool) != STATUS_OK ||
        load(e, setup->world) != STATUS_OK) {
        engine_free(&e->base);
        return NULL;
    }
    return &e->base;
}

static void engine_begin(struct policy *policy, struct call *call, int64_t now_ns)
{
    struct engine *e = (struct engine *)policy;
    struct plan_request request = {
        .family = FAMILY_CHAT,
        .stateless = true,
        .model = MODEL,
        .deadline_ns = call->request->deadline_ns,
        .tokens = call->request->tokens,
    };

    e->under_way++;
    plan_start(&call->state.plan, e->pool, &request, now_ns);
}

/* A cooling bucket is never asked; a half-open one by the holder of its lease alone. */
static void check_path(const struct engine *e, const struct plan *plan, int64_t now_ns)
{
    struct key *key = pool_key(e->pool, plan->current);

    for (enum scope scope = SCOPE_KEY; scope < SCOPE_COUNT; scope++) {
        struct place place = {key_scope_node(e->pool, key, scope),
                              route_detail(&plan->route, scope), scope};
        const struct breaker *b;
        if (scope == SCOPE_ORG_MODEL_STREAM && !plan->route.stream)
            continue;
        b = circuits_find(&e->pool->circuits, place);
        INVARIANT(!b || b->state != CIRCUIT_OPEN, "a %s that cools down was asked",
                  scope_name(scope));
        INVARIANT(!b || b->state != CIRCUIT_HALF_OPEN || b->lease == plan->flight.serial,
                  "a half-open %s was asked without its lease", scope_name(scope));
    }
    INVARIANT(now_ns < plan->deadline_ns, "an attempt starts after the deadline");
}

static void engine_next(struct policy *policy, struct call *call, int64_t now_ns,
                        struct policy_step *ret_step)
{
    struct engine *e = (struct engine *)policy;
    struct plan_step step;

    plan_next(&call->state.plan, now_ns, &step);
    switch (step.action) {
    case PLAN_SEND:
        check_path(e, &call->state.plan, now_ns);
        *ret_step = (struct policy_step){.action = POLICY_SEND,
                                         .key = (uint32_t)pool_key_cookie(e->pool, step.key)};
        e->ids[ret_step->key] = step.key;
        break;
    case PLAN_WAIT:
        *ret_step = (struct policy_step){.action = POLICY_WAIT, .until_ns = step.until_ns};
        break;
    case PLAN_RETURN:
    case PLAN_RETURN_KEPT:
    case PLAN_GIVE_UP: *ret_step = (struct policy_step){.action = POLICY_FAIL}; break;
    }
}

_Static_assert((int)REPORT_DIMENSIONS == (int)LIMIT_DIMENSIONS, "copied one to one");

static void tell_limits(struct plan *plan, const struct hints *hints, int64_t now_ns)
{
    struct limit_report report;

    for (int i = 0; i < REPORT_DIMENSIONS; i++)
        report.readings[i] = (struct limit_reading){
            hints->limits[i].limit, hints->limits[i].remaining, hints->limits[i].reset_ns};
    plan_limits(plan, &report, now_ns);
}

static void engine_hear(struct policy *policy, struct call *call, const struct reply *reply,
                        int64_t now_ns)
{
    struct engine *e = (struct engine *)policy;
    struct plan *plan = &call->state.plan;
    struct verdict verdict;
    struct evidence evidence;
    struct hints hints;

    wire_read(reply, now_ns, &hints, &verdict, &evidence);
    if (*hints.organization || *hints.project)
        pool_learn(e->pool, plan->current, slice_str(hints.organization), slice_str(hints.project));
    if (reply->status != 0)
        tell_limits(plan, &hints, now_ns);
    if (reply->cause == CAUSE_SERVED)
        plan_usage(plan, call->request->tokens);
    plan_hear(plan, &verdict, &evidence, now_ns);
}

static void engine_end(struct policy *policy, struct call *call, int64_t now_ns)
{
    plan_end(&call->state.plan, now_ns);
    ((struct engine *)policy)->under_way--;
}

static uint64_t engine_epoch(const struct policy *policy)
{
    return pool_epoch(((const struct engine *)policy)->pool);
}

static bool engine_probe(struct policy *policy, int64_t now_ns, uint32_t *ret_key,
                         int64_t *ret_due_ns)
{
    struct engine *e = (struct engine *)policy;
    key_id id;

    if (!pool_probe_next(e->pool, now_ns, &id, ret_due_ns))
        return false;
    *ret_key = (uint32_t)pool_key_cookie(e->pool, id);
    e->ids[*ret_key] = id;
    return true;
}

static void engine_probed(struct policy *policy, uint32_t key, const struct reply *reply,
                          int64_t now_ns)
{
    struct engine *e = (struct engine *)policy;
    struct verdict verdict;
    struct evidence evidence;
    struct hints hints;

    wire_read(reply, now_ns, &hints, &verdict, &evidence);
    pool_probe_hear(e->pool, e->ids[key], &verdict, &evidence, now_ns);
}

static void engine_check(struct policy *policy, bool thorough)
{
    struct engine *e = (struct engine *)policy;

    INVARIANT(pool_waiting(e->pool) <= e->under_way, "%zu wait, %llu requests are under way",
              pool_waiting(e->pool), (unsigned long long)e->under_way);
    if (thorough)
        pool_check(e->pool);
}

/* Nothing is under way: nothing may be held. */
static void engine_check_idle(struct policy *policy, int64_t now_ns)
{
    struct engine *e = (struct engine *)policy;
    const struct circuits *c = &e->pool->circuits;
    struct key_view view;

    INVARIANT(e->under_way == 0, "%llu requests never ended", (unsigned long long)e->under_way);
    INVARIANT(pool_waiting(e->pool) == 0, "%zu requests are left in line", pool_waiting(e->pool));
    for (uint32_t i = 0; i < e->count; i++) {
        pool_view(e->pool, i, now_ns, &view);
        INVARIANT(view.in_flight == 0, "key %u has %u requests in flight for ever", i,
                  view.in_flight);
    }
    for (size_t i = 0; i < c->bucket_count; i++)
        for (const struct breaker *b = c->buckets[i]; b; b = b->bucket_next)
            INVARIANT(b->lease == 0, "a %s lease is never returned", scope_name(b->place.scope));
    pool_check(e->pool);
}

const struct policy_class policy_engine = {
    .name = "sparekey",
    .title = "Sparekey",
    .make = engine_make,
    .free = engine_free,
    .begin = engine_begin,
    .next = engine_next,
    .hear = engine_hear,
    .end = engine_end,
    .epoch = engine_epoch,
    .probe = engine_probe,
    .probed = engine_probed,
    .check = engine_check,
    .check_idle = engine_check_idle,
};
