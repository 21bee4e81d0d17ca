/* This engine: the real src/pool, told what the real src/openai read off the wire.
 *
 * After every event its books are held against each other (pool_check) and against those whom they
 * are about (watch.h). */
#include "sim/policy.h"

#include <stdlib.h>

#include "openai/hints.h"
#include "pool/state.h"
#include "sim/chance.h"
#include "sim/wire.h"

#define MODEL SLICE("m-1")

struct engine {
    struct policy base;
    struct pool *pool;
    struct watch watch;
    key_id *ids; /* of each key of the world, KEY_NONE until it was seen */
    uint64_t seed;
    uint32_t count;
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
    *e = (struct engine){
        .base = {&policy_engine}, .seed = setup->seed, .count = world_key_count(setup->world)};
    pool_options_init(&options);
    options.strategy = STRATEGY_PRIMARY_FIRST;
    options.seed = setup->seed;
    options.max_wait_ns = setup->patience_ns;
    options.probe_interval_ns = 300 * SECOND;
    e->ids = calloc(e->count, sizeof(*e->ids));
    if (!e->ids || pool_new(&options, &e->pool) != STATUS_OK ||
        load(e, setup->world) != STATUS_OK) {
        engine_free(&e->base);
        return NULL;
    }
    watch_init(&e->watch, e->pool);
    return &e->base;
}

/* What a gateway can guess of a request's charge from its length: up to a quarter more or less. */
static int64_t estimate(const struct engine *e, const struct call *call)
{
    double u = chance_uniform(e->seed, call->index, 0, CHANCE_ESTIMATE);

    return (int64_t)((double)call->request->tokens * (0.75 + 0.5 * u));
}

static void engine_begin(struct policy *policy, struct call *call, int64_t now_ns)
{
    struct engine *e = (struct engine *)policy;
    struct plan_request request = {
        .family = FAMILY_CHAT,
        .stateless = true,
        .model = MODEL,
        .deadline_ns = call->request->deadline_ns,
        .tokens = estimate(e, call),
    };

    plan_start(&call->state.engine.plan, e->pool, &request, now_ns);
    watch_begin(&e->watch, &call->state.engine.watched, &call->state.engine.plan);
}

static void engine_next(struct policy *policy, struct call *call, int64_t now_ns,
                        struct policy_step *ret_step)
{
    struct engine *e = (struct engine *)policy;
    struct plan_step step;

    plan_next(&call->state.engine.plan, now_ns, &step);
    switch (step.action) {
    case PLAN_SEND:
        watch_sent(&e->watch, &call->state.engine.watched, now_ns);
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
    struct plan *plan = &call->state.engine.plan;
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
    watch_heard(&e->watch, &call->state.engine.watched);
}

static void engine_end(struct policy *policy, struct call *call, int64_t now_ns)
{
    struct engine *e = (struct engine *)policy;

    plan_end(&call->state.engine.plan, now_ns);
    watch_end(&e->watch, &call->state.engine.watched);
}

static uint64_t engine_epoch(const struct policy *policy)
{
    return pool_epoch(((const struct engine *)policy)->pool);
}

static bool engine_called(const struct call *call)
{
    return plan_is_called(&call->state.engine.plan);
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

static void engine_check(struct policy *policy)
{
    struct engine *e = (struct engine *)policy;

    watch_check(&e->watch); /* first: it needs no list to be whole that pool_check walks */
    pool_check(e->pool);
}

const struct policy_class policy_engine = {
    .name = "sparekey",
    .title = "Sparekey",
    .heeds = true,
    .make = engine_make,
    .free = engine_free,
    .begin = engine_begin,
    .next = engine_next,
    .hear = engine_hear,
    .end = engine_end,
    .epoch = engine_epoch,
    .called = engine_called,
    .probe = engine_probe,
    .probed = engine_probed,
    .check = engine_check,
};
