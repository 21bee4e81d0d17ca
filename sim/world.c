#include "sim/world.h"

#include <stdlib.h>

#include "sim/chance.h"

#define DAY (24 * 60 * MINUTE)

/* How long a refusal takes: it is cheap to say no. */
#define REFUSAL_NS (8 * MS)

/* The spread of service times: the slowest percent takes five times the median. */
#define PROCESSING_SIGMA 0.7

const char *cause_name(enum cause cause)
{
    static const char *const names[CAUSE_COUNT] = {
        [CAUSE_SERVED] = "served",       [CAUSE_REVOKED] = "revoked",
        [CAUSE_QUOTA] = "quota",         [CAUSE_REQUESTS] = "requests",
        [CAUSE_TOKENS] = "tokens",       [CAUSE_TOO_LARGE] = "too_large",
        [CAUSE_SLOW_DOWN] = "slow_down", [CAUSE_OVERLOADED] = "overloaded",
        [CAUSE_UNAVAILABLE] = "outage",  [CAUSE_SERVER] = "server_error",
        [CAUSE_GATEWAY] = "bad_gateway", [CAUSE_CONNECT] = "connect",
        [CAUSE_RESET] = "reset",
    };
    return (unsigned)cause < CAUSE_COUNT ? names[cause] : "unknown";
}

enum status world_init(struct world *world, const struct world_spec *spec, uint64_t seed)
{
    *world = (struct world){.spec = *spec, .seed = seed};
    world->orgs = calloc(spec->orgs, sizeof(*world->orgs));
    world->projects = calloc((size_t)spec->orgs * spec->projects, sizeof(*world->projects));
    if (world->orgs && world->projects)
        return STATUS_OK;
    world_fini(world);
    return STATUS_NO_MEMORY;
}

void world_fini(struct world *world)
{
    free(world->orgs);
    free(world->projects);
}

uint32_t world_key_count(const struct world_spec *spec)
{
    return spec->orgs * spec->projects * spec->keys;
}

uint32_t world_key_project(const struct world_spec *spec, uint32_t key)
{
    return key / spec->keys;
}

uint32_t world_key_org(const struct world_spec *spec, uint32_t key)
{
    return world_key_project(spec, key) / spec->projects;
}

static bool is_service_fault(enum fault_kind kind)
{
    return kind == FAULT_OUTAGE || kind == FAULT_FLAKY || kind == FAULT_OVERLOAD;
}

const struct world_fault *world_fault(const struct world_spec *spec, enum fault_kind kind,
                                      uint32_t subject, int64_t now_ns)
{
    for (size_t i = 0; i < WORLD_FAULTS_MAX && spec->faults[i].kind != FAULT_NONE; i++) {
        const struct world_fault *fault = &spec->faults[i];
        bool strikes =
            is_service_fault(kind) || (subject >= fault->first && subject <= fault->last);
        if (fault->kind == kind && strikes && now_ns >= fault->from_ns && now_ns < fault->until_ns)
            return fault;
    }
    return NULL;
}

bool world_org_lives(const struct world_spec *spec, uint32_t org, int64_t now_ns)
{
    uint32_t first = org * spec->projects * spec->keys;

    if (world_fault(spec, FAULT_QUOTA, org, now_ns))
        return false;
    for (uint32_t key = first; key < first + spec->projects * spec->keys; key++)
        if (!world_fault(spec, FAULT_REVOKED, key, now_ns))
            return true;
    return false;
}

static void refuse(struct reply *reply, enum cause cause, int status, int64_t retry_after_ns)
{
    reply->cause = cause;
    reply->status = status;
    reply->retry_after_ns = retry_after_ns;
    reply->processing_ns = REFUSAL_NS;
}

/* The service as a whole, before it looks at the key. Returns whether it refused. */
static bool service_refuses(struct world *world, const struct ask *ask, int64_t now_ns,
                            struct reply *reply)
{
    const struct world_spec *spec = &world->spec;
    const struct world_fault *fault = world_fault(spec, FAULT_OUTAGE, 0, now_ns);
    unsigned kind;

    if (!fault)
        return false;
    kind = (unsigned)(chance_bits(world->seed, ask->request, ask->turn, CHANCE_FAULT_KIND) % 10);
    reply->owned = false;
    if (kind < 6) {
        refuse(reply, CAUSE_UNAVAILABLE, 503, 0);
    } else if (kind < 8) {
        refuse(reply, CAUSE_GATEWAY, 502, 0);
    } else {
        refuse(reply, CAUSE_CONNECT, 0, 0);
        reply->transport = TRANSPORT_CONNECT;
    }
    return true;
}

/* A speed limit on top of the buckets: `per_s` requests a second, one second deep. */
static bool too_fast(struct bucket *ramp, const struct world_fault *fault, int64_t now_ns)
{
    if (!fault)
        return false;
    if (bucket_read(ramp, fault->per_s, SECOND, 1, now_ns).wait_ns != 0)
        return true;
    bucket_take(ramp, fault->per_s, SECOND, 1, now_ns);
    return false;
}

static bool account_refuses(struct world *world, const struct ask *ask, int64_t now_ns,
                            struct reply *reply)
{
    const struct world_spec *spec = &world->spec;

    if (world_fault(spec, FAULT_REVOKED, ask->key, now_ns)) {
        refuse(reply, CAUSE_REVOKED, 401, 0);
        reply->owned = false; /* who cannot be told apart is not told who he is */
        return true;
    }
    if (world_fault(spec, FAULT_QUOTA, reply->org, now_ns)) {
        refuse(reply, CAUSE_QUOTA, 429, 0); /* billing refusals carry no Retry-After (§2.2 b) */
        return true;
    }
    if (too_fast(&world->orgs[reply->org].ramp,
                 world_fault(spec, FAULT_SLOW_DOWN, reply->org, now_ns), now_ns)) {
        refuse(reply, CAUSE_SLOW_DOWN, 429, SECOND);
        return true;
    }
    if (too_fast(&world->service, world_fault(spec, FAULT_OVERLOAD, 0, now_ns), now_ns)) {
        refuse(reply, CAUSE_OVERLOADED, 503, SECOND);
        return true;
    }
    return false;
}

/* One limit of one meter. */
struct draw {
    struct bucket *bucket;
    int64_t limit, window_ns, units;
    enum cause cause;
    bool of_project;
    struct bucket_reading *told; /* where in the reply it is read out, or NULL */
};

enum { DRAWS_MAX = 6 };

static size_t add_draw(struct draw *draws, size_t count, struct draw draw)
{
    if (draw.limit > 0)
        draws[count++] = draw;
    return count;
}

static size_t draws_of(struct world *world, const struct ask *ask, struct reply *reply,
                       struct draw *draws)
{
    const struct limits *org = &world->spec.org, *project = &world->spec.project;
    struct meter *o = &world->orgs[reply->org], *p = &world->projects[reply->project];
    size_t n = 0;

    n = add_draw(draws, n,
                 (struct draw){&o->requests, org->requests_per_min, MINUTE, 1, CAUSE_REQUESTS,
                               false, &reply->requests});
    n = add_draw(
        draws, n,
        (struct draw){&o->day, org->requests_per_day, DAY, 1, CAUSE_REQUESTS, false, NULL});
    n = add_draw(draws, n,
                 (struct draw){&o->tokens, org->tokens_per_min, MINUTE, ask->tokens, CAUSE_TOKENS,
                               false, &reply->tokens});
    n = add_draw(draws, n,
                 (struct draw){&p->requests, project->requests_per_min, MINUTE, 1, CAUSE_REQUESTS,
                               true, &reply->project_requests});
    n = add_draw(
        draws, n,
        (struct draw){&p->day, project->requests_per_day, DAY, 1, CAUSE_REQUESTS, true, NULL});
    return add_draw(draws, n,
                    (struct draw){&p->tokens, project->tokens_per_min, MINUTE, ask->tokens,
                                  CAUSE_TOKENS, true, &reply->project_tokens});
}

static struct bucket_reading look(const struct draw *draw, int64_t units, int64_t now_ns)
{
    return bucket_read(draw->bucket, draw->limit, draw->window_ns, units, now_ns);
}

/* A refused request is counted, too, but a bucket cannot be emptier than empty. */
static void count_refusal(const struct draw *draw, int64_t now_ns)
{
    bucket_take(draw->bucket, draw->limit, draw->window_ns, 1, now_ns);
    if (draw->bucket->full_at_ns > now_ns + draw->window_ns)
        draw->bucket->full_at_ns = now_ns + draw->window_ns;
}

/* Whether a bucket refused; with the reason and the longest wait of all that did. */
static bool buckets_refuse(const struct draw *draws, size_t count, int64_t now_ns,
                           struct reply *reply)
{
    bool refused = false;

    for (size_t i = 0; i < count; i++) {
        int64_t wait_ns = look(&draws[i], draws[i].units, now_ns).wait_ns;
        if (wait_ns == 0 || (refused && wait_ns >= 0 && wait_ns <= reply->retry_after_ns))
            continue;
        refuse(reply, wait_ns < 0 ? CAUSE_TOO_LARGE : draws[i].cause, 429,
               wait_ns < 0 ? 0 : wait_ns);
        reply->project_refused = draws[i].of_project;
        refused = true;
        if (wait_ns < 0)
            break;
    }
    return refused;
}

/* Whether the request was admitted. */
static bool draw_all(struct world *world, const struct ask *ask, int64_t now_ns,
                     struct reply *reply)
{
    struct draw draws[DRAWS_MAX];
    size_t count = draws_of(world, ask, reply, draws);
    bool refused = buckets_refuse(draws, count, now_ns, reply);

    for (size_t i = 0; i < count; i++) {
        if (!refused)
            bucket_take(draws[i].bucket, draws[i].limit, draws[i].window_ns, draws[i].units,
                        now_ns);
        else if (world->spec.refusals_count && draws[i].cause == CAUSE_REQUESTS)
            count_refusal(&draws[i], now_ns);
        if (draws[i].told && !world->spec.silent)
            *draws[i].told = look(&draws[i], 0, now_ns);
    }
    return !refused;
}

/* Admitted, begun, and yet: the work fails. */
static void maybe_fail(const struct world *world, const struct ask *ask, int64_t now_ns,
                       struct reply *reply)
{
    const struct world_fault *fault = world_fault(&world->spec, FAULT_FLAKY, 0, now_ns);
    unsigned kind;

    if (!fault || !chance_happens(world->seed, ask->request, ask->turn, CHANCE_FAULT, fault->ppm))
        return;
    kind = (unsigned)(chance_bits(world->seed, ask->request, ask->turn, CHANCE_FAULT_KIND) % 10);
    if (kind < 7) {
        refuse(reply, CAUSE_SERVER, 500, 0);
    } else if (kind < 9) {
        refuse(reply, CAUSE_GATEWAY, 502, 0);
        reply->owned = false;
    } else {
        refuse(reply, CAUSE_CONNECT, 0, 0);
        reply->transport = TRANSPORT_CONNECT;
        reply->owned = false;
    }
}

static int64_t processing_ns(const struct world *world, const struct ask *ask)
{
    double u = chance_uniform(world->seed, ask->request, ask->turn, CHANCE_PROCESSING);
    double v = chance_uniform(world->seed, ask->request, ask->turn, CHANCE_PROCESSING_2);

    return (int64_t)(chance_lognormal(world->spec.processing_ms, PROCESSING_SIGMA, u, v) *
                     (double)MS);
}

static struct reply blank(const struct world_spec *spec, uint32_t key)
{
    return (struct reply){
        .cause = CAUSE_SERVED,
        .transport = TRANSPORT_OK,
        .status = 200,
        .org = world_key_org(spec, key),
        .project = world_key_project(spec, key),
        .owned = true,
        .processing_ns = REFUSAL_NS,
    };
}

void world_probe(struct world *world, uint32_t key, int64_t now_ns, struct reply *ret_reply)
{
    *ret_reply = blank(&world->spec, key);
    if (world_fault(&world->spec, FAULT_OUTAGE, 0, now_ns))
        refuse(ret_reply, CAUSE_UNAVAILABLE, 503, 0);
    else if (world_fault(&world->spec, FAULT_REVOKED, key, now_ns))
        refuse(ret_reply, CAUSE_REVOKED, 401, 0);
    ret_reply->owned = ret_reply->cause == CAUSE_SERVED;
}

void world_ask(struct world *world, const struct ask *ask, int64_t now_ns, struct reply *ret_reply)
{
    *ret_reply = blank(&world->spec, ask->key);
    if (service_refuses(world, ask, now_ns, ret_reply) ||
        account_refuses(world, ask, now_ns, ret_reply) || !draw_all(world, ask, now_ns, ret_reply))
        return;
    ret_reply->processing_ns = processing_ns(world, ask);
    maybe_fail(world, ask, now_ns, ret_reply);
}
