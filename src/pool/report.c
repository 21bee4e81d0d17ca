#include "pool/report.h"

#include "pool/counts.h"
#include "pool/headroom.h"
#include "pool/invariant.h"
#include "pool/probe.h"
#include "pool/queue.h"
#include "pool/ramp.h"

/* A model or family nobody asks for any more must not be remembered for ever: a half-open breaker
 * with a detail is forgotten after so long without a taker. */
#define FORGET_NS (24 * INT64_C(3600) * 1000000000)

/* Limits that no bucket explains, of two organisations within so long: the same moment. The rest
 * they cause is short, for it is a guess. */
#define ODDITY_MOMENT_NS INT64_C(1000000000)
#define ODDITY_BASE_NS   INT64_C(1000000000)
#define ODDITY_CAP_NS    (30 * INT64_C(1000000000))

struct node *key_scope_node(struct pool *pool, struct key *key, enum scope scope)
{
    switch (scope) {
    case SCOPE_KEY:
    case SCOPE_KEY_FAMILY: return &key->node;
    case SCOPE_PROJECT_MODEL:
    case SCOPE_PROJECT: return key_project_node(key);
    case SCOPE_ORG_MODEL:
    case SCOPE_ORG_MODEL_STREAM:
    case SCOPE_ORG: return key_org_node(key);
    case SCOPE_SERVICE_MODEL:
    case SCOPE_SERVICE: return &key->service->node;
    case SCOPE_EGRESS: return &pool->egress;
    case SCOPE_REQUEST:
    case SCOPE_COUNT: break;
    }
    return NULL;
}

static void count_open(struct pool *pool, struct breaker *b, int by)
{
    struct node *node = b->place.node;

    if (!scope_has_detail(b->place.scope))
        node->open = (uint8_t)(node->open + by);
    else if (by > 0)
        return; /* the lanes find out by themselves */
    tree_refresh(pool, node);
}

void circuit_opened(struct pool *pool, struct breaker *b)
{
    circuits_schedule(&pool->circuits, b);
    count_open(pool, b, +1);
    probe_watch(pool, b, b->opened_ns);
    enum circuit from = b->exponent ? CIRCUIT_HALF_OPEN : CIRCUIT_CLOSED;
    circuits_left(&pool->circuits, b, from);
    news_tell(pool, b, from);
}

void circuit_half_open(struct pool *pool, struct breaker *b)
{
    breaker_enter(b, CIRCUIT_HALF_OPEN);
    if (scope_has_detail(b->place.scope)) {
        b->due_ns += FORGET_NS;
        circuits_schedule(&pool->circuits, b);
    } else {
        circuits_unschedule(&pool->circuits, b);
    }
    count_open(pool, b, -1);
    circuits_left(&pool->circuits, b, CIRCUIT_OPEN);
    queue_tell(pool);
    news_tell(pool, b, CIRCUIT_OPEN);
}

/* Closed and nothing to say: gone. */
void circuit_close(struct pool *pool, struct breaker *b)
{
    enum circuit before = (enum circuit)b->state;

    if (before != CIRCUIT_CLOSED)
        breaker_enter(b, CIRCUIT_CLOSED);
    circuits_left(&pool->circuits, b, before);
    if (before == CIRCUIT_OPEN)
        count_open(pool, b, -1);
    if (before != CIRCUIT_CLOSED)
        news_tell(pool, b, before); /* to hear of it, not of a suspicion dropped */
    probe_forget(pool, b);
    circuits_remove(&pool->circuits, b);
    queue_tell(pool);
}

static void apply_one(struct pool *pool, struct breaker *b, int64_t now_ns)
{
    if (b->state == CIRCUIT_OPEN && b->probe == PROBE_FREE && probe_is_on(pool, now_ns)) {
        b->due_ns = now_ns + pool->options.probe_interval_ns;
        circuits_schedule(&pool->circuits, b);
    } else if (b->state == CIRCUIT_OPEN) {
        circuit_half_open(pool, b);
    } else if (breaker_leased(b, now_ns)) {
        b->due_ns = b->lease_until_ns;
        circuits_schedule(&pool->circuits, b);
    } else {
        circuit_close(pool, b);
    }
}

void pool_apply_due(struct pool *pool, int64_t now_ns)
{
    struct breaker *b;

    while ((b = circuits_due(&pool->circuits, now_ns)))
        apply_one(pool, b, now_ns);
}

/* Walks the breakers on the key's path that concern the request. */
typedef void visit_breaker(struct pool *pool, struct breaker *b, struct attempt *attempt,
                           int64_t now_ns);

static void visit_path(struct pool *pool, struct attempt *attempt, const struct route *route,
                       visit_breaker *visit, int64_t now_ns)
{
    struct key *key = pool_key(pool, attempt->key);

    for (enum scope scope = SCOPE_KEY; scope < SCOPE_COUNT; scope++) {
        struct node *node = key_scope_node(pool, key, scope);
        struct breaker *b;

        if (!node->breakers || (scope == SCOPE_ORG_MODEL_STREAM && !route->stream))
            continue;
        b = circuits_find(&pool->circuits, (struct place){node, route_detail(route, scope), scope});
        if (b)
            visit(pool, b, attempt, now_ns);
    }
}

static void take_lease(struct pool *pool, struct breaker *b, struct attempt *attempt,
                       int64_t now_ns)
{
    if (b->state != CIRCUIT_HALF_OPEN)
        return;
    INVARIANT(!breaker_leased(b, now_ns), "a second lease at %s", scope_name(b->place.scope));
    b->lease = attempt->serial;
    b->lease_until_ns = now_ns + pool->options.lease_ns;
    attempt->leases++;
}

void report_begin(struct pool *pool, key_id id, const struct route *route, int64_t now_ns,
                  struct attempt *ret_attempt)
{
    struct key *key = pool_key(pool, id);

    TALLY_SET(&pool->serial, pool->serial + SERIAL_STEP);
    *ret_attempt = (struct attempt){.key = id,
                                    .at = key,
                                    .serial = pool->serial,
                                    .started_ns = now_ns,
                                    .costs = {route->costs[0], route->costs[1], route->costs[2]},
                                    .tokens = -1};
    if (!key->proven && counts_in_flight(pool, key) == 0)
        key->proof_started_ns = now_ns;
    counts_begin(key, now_ns);
    visit_path(pool, ret_attempt, route, take_lease, now_ns);
    headroom_begin(pool, ret_attempt, route, now_ns);
}

static void return_lease(struct pool *pool, struct breaker *b, struct attempt *attempt,
                         int64_t now_ns)
{
    (void)now_ns;
    if (b->lease != attempt->serial)
        return;
    b->lease = 0;
    attempt->leases--;
    queue_tell(pool);
}

/* The key moved while it was asked, and a lease stayed behind with its old owner. */
static void return_lost_leases(struct pool *pool, struct attempt *attempt)
{
    struct circuits *c = &pool->circuits;

    for (size_t i = 0; i < c->bucket_count && attempt->leases; i++)
        for (struct breaker *b = c->buckets[i]; b; b = b->bucket_next)
            return_lease(pool, b, attempt, 0);
    attempt->leases = 0; /* the rest vanished with their breakers */
}

/* What recovers without the headers having told how fast it may be used. A rate limit is none of
 * these: where a bucket is known, its headroom sets the pace, and a ramp would only leave what
 * refills meanwhile unused. */
static bool needs_ramp(const struct breaker *b)
{
    return b->reason == FAILURE_SLOW_DOWN || b->reason == FAILURE_QUOTA;
}

/* Whether the service was in trouble, and not merely failing twice by chance: it said so, or it
 * failed the first who tried it again. */
static bool was_serious(const struct breaker *b)
{
    return scope_is_wide(b->place.scope) && (b->reason == FAILURE_OVERLOADED || b->exponent > 0);
}

static void ramp_up(struct pool *pool, const struct breaker *b, struct key *key, int64_t now_ns)
{
    if (needs_ramp(b))
        headroom_ramp(pool, key, b->place.scope, b->place.detail, now_ns);
    if (was_serious(b) && pool->options.ramp_ns > 0) {
        ramp_begin(key->service, now_ns);
        TALLY_SET(&pool->ramp_end_ns, now_ns + RAMP_STEPS * RAMP_STEP_NS);
    }
}

static void hear_success(struct pool *pool, struct breaker *b, struct attempt *attempt,
                         int64_t now_ns)
{
    if (b->state == CIRCUIT_CLOSED) {
        /* The suspect is cleared by itself; another key's success leaves it alone with the blame. */
        if (b->suspect == pool_key(pool, attempt->key)->identity)
            circuit_close(pool, b);
        else
            b->witness = false;
        return;
    }
    if (attempt->started_ns <= b->blamed_ns)
        return; /* older than the failure: proves nothing about what came after */
    if (b->lease == attempt->serial)
        attempt->leases--;
    ramp_up(pool, b, pool_key(pool, attempt->key), now_ns);
    circuit_close(pool, b);
}

static void prove(struct pool *pool, struct key *key)
{
    if (key->proven)
        return;
    POST(&key->proven, true);
    queue_tell(pool);
}

void report_success(struct pool *pool, struct attempt *attempt, const struct route *route,
                    int64_t now_ns)
{
    struct key *key = pool_key(pool, attempt->key);

    prove(pool, key);
    key_forget_errors(key);
    if (attempt->started_ns > pool->oddity.at_ns)
        TALLY_SET(&pool->oddity.at_ns, -1); /* not everybody is refused */
    visit_path(pool, attempt, route, hear_success, now_ns);
}

/* CLOSED, or nothing there yet. */
static void fail_closed(struct pool *pool, struct breaker *b, struct attempt *attempt,
                        const struct verdict *verdict, const struct evidence *evidence,
                        int64_t now_ns)
{
    uint64_t key = pool_key(pool, attempt->key)->identity;

    if (verdict->blame_on_second) {
        bool second = breaker_is_second(b, key, verdict->failure, now_ns);
        if (second && now_ns - b->since_ns < BREAKER_SECOND_NS)
            return;
        if (!second) {
            breaker_suspect(b, key, verdict->failure, now_ns);
            circuits_schedule(&pool->circuits, b);
            return;
        }
    }
    breaker_open(b, verdict, evidence, breaker_wait(verdict, 0, &pool->rng), now_ns);
    circuit_opened(pool, b);
}

/* HALF_OPEN: only the lease holder's word counts. */
static void fail_half_open(struct pool *pool, struct breaker *b, struct attempt *attempt,
                           const struct verdict *verdict, const struct evidence *evidence,
                           int64_t now_ns)
{
    if (b->lease != attempt->serial)
        return;
    attempt->leases--;
    breaker_reopen(b, verdict, evidence, breaker_wait(verdict, b->exponent + 1u, &pool->rng),
                   now_ns);
    circuit_opened(pool, b);
    queue_tell(pool);
}

static void fail_at(struct pool *pool, struct breaker *b, struct attempt *attempt,
                    const struct verdict *verdict, const struct evidence *evidence, int64_t now_ns)
{
    switch ((enum circuit)b->state) {
    case CIRCUIT_CLOSED: fail_closed(pool, b, attempt, verdict, evidence, now_ns); break;
    case CIRCUIT_HALF_OPEN: fail_half_open(pool, b, attempt, verdict, evidence, now_ns); break;
    case CIRCUIT_OPEN:
        breaker_prolong(b, verdict, evidence, &pool->rng, now_ns);
        circuits_schedule(&pool->circuits, b);
        break;
    }
}

static bool opens_something(const struct verdict *verdict)
{
    return verdict->scope != SCOPE_REQUEST && (verdict->wait_ns > 0 || verdict->base_ns > 0);
}

/* An answer of the account or about the request; the service's silence is none. */
static bool is_answer(const struct verdict *verdict)
{
    return !scope_is_wide(verdict->scope) && verdict->failure != FAILURE_ABANDONED &&
           verdict->failure != FAILURE_NETWORK && verdict->failure != FAILURE_TIMEOUT;
}

/* ---- whose limit is it? ---- */

static struct breaker *find_or_add(struct pool *pool, struct place place)
{
    struct breaker *b = circuits_find(&pool->circuits, place);

    return b ? b : circuits_add(&pool->circuits, place);
}

/* A number for the project, other than any key's identity. */
static uint64_t project_number(const struct pool *pool, const struct key *key)
{
    return key->project ? hash_bytes(&pool->hash_seed, owner_name(key->project))
                        : hash_mix(key->identity, 1);
}

/* A project has met its limit for a model. If a sibling meets the same while the first still
 * cools, and nobody was served in between, it is their organisation's. */
static void escalate(struct pool *pool, struct attempt *attempt, const struct route *route,
                     const struct verdict *verdict, const struct evidence *evidence, int64_t now_ns)
{
    struct key *key = pool_key(pool, attempt->key);
    struct place own = {key_project_node(key), route->model, SCOPE_PROJECT_MODEL};
    struct place org = {key_org_node(key), route->model, SCOPE_ORG_MODEL};
    uint64_t project = project_number(pool, key);
    const struct breaker *first = circuits_find(&pool->circuits, own);
    struct breaker *b;

    if (!key->org || attempt->project_explained || !first || first->state != CIRCUIT_OPEN)
        return;
    b = find_or_add(pool, org);
    if (!b)
        return;
    if (b->state != CIRCUIT_CLOSED) {
        if (b->state == CIRCUIT_HALF_OPEN)
            fail_half_open(pool, b, attempt, verdict, evidence, now_ns);
    } else if (breaker_is_second(b, project, verdict->failure, now_ns)) {
        breaker_open(b, verdict, evidence, breaker_wait(verdict, 0, &pool->rng), now_ns);
        circuit_opened(pool, b);
    } else {
        breaker_suspect(b, project, verdict->failure, now_ns);
        b->due_ns = first->due_ns;
        circuits_schedule(&pool->circuits, b);
    }
}

/* Where an unexplained limit of two organisations stands: at the service for one model, at this
 * host when models differ. */
static struct place common_place(struct pool *pool, const struct key *key,
                                 const struct route *route)
{
    if (pool->oddity.model == route->model)
        return (struct place){&key->service->node, route->model, SCOPE_SERVICE_MODEL};
    return (struct place){&pool->egress, 0, SCOPE_EGRESS};
}

/* The limit that no bucket explains: noted, or, the second time, put where it belongs. */
static void find_odd(struct pool *pool, struct attempt *attempt, const struct route *route,
                     const struct evidence *evidence, int64_t now_ns)
{
    static const struct verdict short_rest = {.reaction = REACT_NEXT,
                                              .failure = FAILURE_RATE,
                                              .wait_ns = -1,
                                              .base_ns = ODDITY_BASE_NS,
                                              .cap_ns = ODDITY_CAP_NS};
    struct key *key = pool_key(pool, attempt->key);
    struct oddity *odd = &pool->oddity;
    bool second = odd->at_ns >= 0 && now_ns - odd->at_ns <= ODDITY_MOMENT_NS &&
                  odd->service == key->service && odd->org != key_org_node(key);
    struct place place = common_place(pool, key, route);
    struct breaker *b = circuits_find(&pool->circuits, place);

    /* The one that tries whether it is over speaks for all. */
    if (second || (b && b->state == CIRCUIT_HALF_OPEN && b->lease == attempt->serial)) {
        b = b ? b : circuits_add(&pool->circuits, place);
        if (b)
            fail_at(pool, b, attempt, &short_rest, evidence, now_ns);
    }
    *odd = (struct oddity){odd->at_ns, key_org_node(key), key->service, route->model};
    TALLY_SET(&odd->at_ns, now_ns);
}

/* A limit of an account for a model: also its relatives are looked at. */
static void hear_limit(struct pool *pool, struct attempt *attempt, const struct route *route,
                       const struct verdict *verdict, const struct evidence *evidence,
                       int64_t now_ns)
{
    if (verdict->failure != FAILURE_RATE || verdict->scope != SCOPE_PROJECT_MODEL)
        return;
    if (attempt->told && !attempt->explained)
        find_odd(pool, attempt, route, evidence, now_ns);
    else
        escalate(pool, attempt, route, verdict, evidence, now_ns);
}

void report_failure(struct pool *pool, struct attempt *attempt, const struct route *route,
                    const struct verdict *verdict, const struct evidence *evidence, int64_t now_ns)
{
    struct key *key = pool_key(pool, attempt->key);
    struct place place = {NULL, route_detail(route, verdict->scope), verdict->scope};
    struct breaker *b;

    if (is_answer(verdict))
        prove(pool, key);
    if (verdict->scope != SCOPE_REQUEST && !scope_is_wide(verdict->scope))
        key_count_error(key);
    if (!opens_something(verdict))
        return;
    place.node = key_scope_node(pool, key, verdict->scope);
    b = find_or_add(pool, place);
    if (b)
        fail_at(pool, b, attempt, verdict, evidence, now_ns);
    hear_limit(pool, attempt, route, verdict, evidence, now_ns);
}

void report_end(struct pool *pool, struct attempt *attempt, const struct route *route, bool success,
                int64_t now_ns)
{
    struct key *key = pool_key(pool, attempt->key);

    headroom_end(pool, attempt, now_ns);
    key_ref(key); /* the trail's, in place of the attempt */
    counts_end(key);
    key->failures += !success;
    if (rules_of(&pool->rules, key->id))
        queue_tell(pool); /* one less under its cap */
    if (!key->proven)
        queue_tell(pool); /* the proof failed to come: the next may try */
    if (attempt->leases)
        visit_path(pool, attempt, route, return_lease, 0);
    if (attempt->leases)
        return_lost_leases(pool, attempt);
}
