/* The engine against a slow, obvious model of it, driven by chance.
 *
 * A sequence is some dozens of random steps on one pool: requests start, are answered in every
 * way there is, hang up; owners are learned and change; keys are reloaded; time passes in steps
 * from a microsecond to days. The model keeps a flat list of breakers named by strings and finds
 * everything by scanning it. After each step both must agree on every breaker; every decision of
 * the plan must be one the model allows. Chance inside the engine (jitter) is not predicted: the
 * model says between which bounds an opening ends, then takes over the engine's figure.
 *
 * SIMULATION_SEED and SIMULATION_COUNT choose the first seed and how many sequences run. A failure
 * prints the seed of its sequence.
 */
#include "pool_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool/state.h"

#define KEYS           6
#define PLANS          5
#define STEPS          80
#define CIRCUITS       256
#define TRAIL          64
#define SUSPICION      (10 * S)
#define SECOND_FAILURE (250 * MS)
#define FORGET         (86400 * S)
#define LEASE          (600 * S)
#define PROOF_WAIT     (300 * MS)
#define NAME           48

struct mbreaker {
    bool used;
    enum scope scope;
    char node[NAME];
    uint64_t detail;
    enum circuit state;
    enum failure reason;
    unsigned exponent;
    int64_t due, blamed, since;
    bool witness;
    int suspect; /* key, -1 = none */
    char suspect_project[NAME];
    int lease; /* attempt number, 0 = none */
    int64_t lease_until;
};

struct mkey {
    bool loaded, alive; /* alive: the engine still knows it */
    bool configured;
    bool proven;
    int position;
    unsigned service;
    const char *org, *project; /* "" = unknown */
    const char *true_org, *true_project;
    int flying;
    int64_t proof_started;
    uint64_t requests, successes;
    key_id id;
};

struct mattempt {
    int key;
    enum failure failure;
    bool repeatable, avoid_project, avoid_org;
};

struct mplan {
    bool used, flying, ended, proven, final;
    struct plan plan;
    struct route route; /* model hash as the engine's */
    bool stateless, opaque;
    int64_t deadline, backoff_until;
    int key, attempt, leases;
    int64_t started;
    int service_failures, ran;
    int stay;
    bool kept;
    bool bound; /* the last failure used up a bound */
    int trail_count;
    struct mattempt trail[TRAIL];
};

struct world {
    uint64_t seed;
    struct rng rng;
    struct pool *pool;
    struct pool_options options;
    int64_t now;
    struct mbreaker circuits[CIRCUITS];
    struct mkey keys[KEYS];
    int order[KEYS], count;
    struct mplan plans[PLANS];
    int attempts;
    int last_step;
};

static struct world *failing; /* for the message only */

static void expect_at(bool holds, const char *what, int line)
{
    if (holds)
        return;
    fprintf(stderr, "simulation: SIMULATION_SEED=%llu SIMULATION_COUNT=1, step %d, line %d: %s\n",
            (unsigned long long)failing->seed, failing->last_step, line, what);
    fail();
}
#define expect(holds, what) expect_at(holds, what, __LINE__)

static unsigned chance(struct world *w, unsigned bound)
{
    return (unsigned)rng_below(&w->rng, bound);
}

/* ---- where breakers stand, by name ---- */

static void project_name(const struct world *w, int k, char *out)
{
    const struct mkey *key = &w->keys[k];

    if (*key->project)
        snprintf(out, NAME, "project %u/%s/%s", key->service, key->org, key->project);
    else
        snprintf(out, NAME, "key %d", k);
}

static void org_name(const struct world *w, int k, char *out)
{
    const struct mkey *key = &w->keys[k];

    if (*key->org)
        snprintf(out, NAME, "org %u/%s", key->service, key->org);
    else
        project_name(w, k, out);
}

static void node_name(const struct world *w, int k, enum scope scope, char *out)
{
    if (scope <= SCOPE_KEY_FAMILY)
        snprintf(out, NAME, "key %d", k);
    else if (scope <= SCOPE_PROJECT)
        project_name(w, k, out);
    else if (scope <= SCOPE_ORG)
        org_name(w, k, out);
    else if (scope <= SCOPE_SERVICE)
        snprintf(out, NAME, "service %u", w->keys[k].service);
    else
        snprintf(out, NAME, "egress");
}

static bool detailed(enum scope s)
{
    return s == SCOPE_KEY_FAMILY || s == SCOPE_PROJECT_MODEL || s == SCOPE_ORG_MODEL ||
           s == SCOPE_ORG_MODEL_STREAM || s == SCOPE_SERVICE_MODEL;
}

static uint64_t detail_of(const struct route *r, enum scope s)
{
    if (s == SCOPE_KEY_FAMILY)
        return r->family;
    return detailed(s) ? r->model : 0;
}

static struct mbreaker *find(struct world *w, const char *node, enum scope scope, uint64_t detail)
{
    for (int i = 0; i < CIRCUITS; i++) {
        struct mbreaker *b = &w->circuits[i];
        if (b->used && b->scope == scope && b->detail == detail && strcmp(b->node, node) == 0)
            return b;
    }
    return NULL;
}

static struct mbreaker *on_path(struct world *w, int k, const struct route *r, enum scope scope)
{
    char node[NAME];

    if (scope == SCOPE_ORG_MODEL_STREAM && !r->stream)
        return NULL;
    node_name(w, k, scope, node);
    return find(w, node, scope, detail_of(r, scope));
}

static struct mbreaker *add(struct world *w, const char *node, enum scope scope, uint64_t detail)
{
    for (int i = 0; i < CIRCUITS; i++) {
        struct mbreaker *b = &w->circuits[i];
        if (b->used)
            continue;
        *b = (struct mbreaker){.used = true, .scope = scope, .detail = detail, .suspect = -1};
        snprintf(b->node, NAME, "%s", node);
        return b;
    }
    fail_msg("the model has too few breakers");
    abort();
}

/* ---- time ---- */

static bool is_leased(const struct world *w, const struct mbreaker *b)
{
    return b->lease && w->now < b->lease_until;
}

static void pass_one(struct world *w, struct mbreaker *b)
{
    if (b->used && b->state == CIRCUIT_OPEN && b->due <= w->now) {
        b->state = CIRCUIT_HALF_OPEN;
        b->lease = 0;
        b->due += FORGET;
    }
    if (b->used && b->state == CIRCUIT_CLOSED && b->due <= w->now)
        b->used = false;
    if (b->used && b->state == CIRCUIT_HALF_OPEN && detailed(b->scope) && b->due <= w->now) {
        if (is_leased(w, b))
            b->due = b->lease_until;
        else
            b->used = false;
    }
}

static void pass_time(struct world *w)
{
    static const int64_t steps[] = {1000,   10 * MS, 300 * MS, 1 * S,     3 * S,
                                    20 * S, 700 * S, 4000 * S, 100000 * S};

    w->now += 1 + (int64_t)rng_below(&w->rng, (uint64_t)steps[chance(w, 9)]);
    pool_apply_due(w->pool, w->now);
    for (int i = 0; i < CIRCUITS; i++)
        pass_one(w, &w->circuits[i]);
}

/* ---- comparison ---- */

static int key_of_id(const struct world *w, key_id id)
{
    for (int k = 0; k < KEYS; k++)
        if (w->keys[k].alive && w->keys[k].id == id)
            return k;
    return -1;
}

static void compare_one(struct world *w, const struct breaker *b, const char *node)
{
    struct mbreaker *m = find(w, node, b->place.scope, b->place.detail);

    expect(m != NULL, "a breaker the model does not have");
    expect(b->state == m->state, "a breaker in another state");
    expect(b->reason == m->reason, "a breaker for another reason");
    expect(b->state != CIRCUIT_OPEN || b->due_ns == m->due, "a breaker open for another time");
    expect(b->state == CIRCUIT_CLOSED || b->exponent == m->exponent, "another exponent");
    expect(b->state != CIRCUIT_CLOSED || b->witness == m->witness, "another witness");
    expect((b->lease != 0) == (m->lease != 0), "a lease on one side only");
}

static const char *org_of(const struct breaker *b, char *out)
{
    const struct owner *o = container_of(b->place.node, struct owner, node);

    snprintf(out, NAME, "org %u/%.*s", o->service->index, (int)o->name_len, o->name);
    return out;
}

static const char *project_of(const struct breaker *b, char *out)
{
    const struct owner *o = container_of(b->place.node, struct owner, node);

    snprintf(out, NAME, "project %u/%.*s/%.*s", o->service->index,
             o->org ? (int)o->org->name_len : 0, o->org ? o->org->name : "", (int)o->name_len,
             o->name);
    return out;
}

static const char *name_of(const struct world *w, const struct breaker *b, char *out)
{
    switch ((enum node_kind)b->place.node->kind) {
    case NODE_KEY:
        snprintf(out, NAME, "key %d",
                 key_of_id(w, container_of(b->place.node, struct key, node)->id));
        return out;
    case NODE_PROJECT: return project_of(b, out);
    case NODE_ORGANIZATION: return org_of(b, out);
    case NODE_SERVICE:
        snprintf(out, NAME, "service %u", container_of(b->place.node, struct service, node)->index);
        return out;
    case NODE_EGRESS: break;
    }
    return "egress";
}

/* Both sides, for whoever has to find out which is wrong. */
static void dump(const struct world *w)
{
    char node[NAME];

    for (int i = 0; i < CIRCUITS; i++) {
        const struct mbreaker *b = &w->circuits[i];
        if (b->used)
            fprintf(stderr, "model:  %-20s %s %s\n", b->node, scope_name(b->scope),
                    circuit_name(b->state));
    }
    for (size_t i = 0; i < w->pool->circuits.bucket_count; i++)
        for (struct breaker *b = w->pool->circuits.buckets[i]; b; b = b->bucket_next)
            fprintf(stderr, "engine: %-20s %s %s\n", name_of(w, b, node),
                    scope_name(b->place.scope), circuit_name(b->state));
}

static void compare(struct world *w)
{
    size_t count = 0;
    char node[NAME];

    pool_check(w->pool);
    for (int i = 0; i < CIRCUITS; i++)
        count += w->circuits[i].used;
    if (count != w->pool->circuits.count)
        dump(w);
    expect(count == w->pool->circuits.count, "another number of breakers");
    for (size_t i = 0; i < w->pool->circuits.bucket_count; i++)
        for (struct breaker *b = w->pool->circuits.buckets[i]; b; b = b->bucket_next)
            compare_one(w, b, name_of(w, b, node));
    expect(pool_count(w->pool) == (size_t)w->count, "another number of keys");
    for (int i = 0; i < w->count; i++) {
        struct key_view v = view(w->pool, (size_t)i, w->now);
        struct mkey *key = &w->keys[w->order[i]];
        expect(v.cookie == (uint64_t)w->order[i], "another order");
        expect(v.in_flight == (uint32_t)key->flying, "another count in flight");
        expect(v.requests == key->requests, "another count of requests");
        expect(v.successes == key->successes, "another count of successes");
        expect(slice_eq(v.organization, slice_str(key->org)), "another organisation");
        expect(slice_eq(v.project, slice_str(key->project)), "another project");
    }
}

/* ---- owners ---- */

static bool project_scope(enum scope s)
{
    return s == SCOPE_PROJECT || s == SCOPE_PROJECT_MODEL;
}

static bool org_scope(enum scope s)
{
    return s == SCOPE_ORG || s == SCOPE_ORG_MODEL || s == SCOPE_ORG_MODEL_STREAM;
}

static void move(struct world *w, const char *from, const char *to, bool (*level)(enum scope))
{
    static const int weight[] = {0, 2, 1}; /* closed, open, half-open */

    for (int i = 0; i < CIRCUITS && strcmp(from, to) != 0; i++) {
        struct mbreaker *b = &w->circuits[i], *there;
        if (!b->used || strcmp(b->node, from) != 0 || !level(b->scope))
            continue;
        there = find(w, to, b->scope, b->detail);
        if (there &&
            (weight[there->state] > weight[b->state] ||
             (there->state == b->state && (b->state != CIRCUIT_OPEN || there->due >= b->due)))) {
            b->used = false;
            continue;
        }
        if (there)
            there->used = false;
        snprintf(b->node, NAME, "%s", to);
    }
}

/* Breakers of owners that own no key any more are gone. */
static void forget_unowned(struct world *w)
{
    for (int i = 0; i < CIRCUITS; i++) {
        bool owned = false;
        char node[NAME];
        if (!w->circuits[i].used || w->circuits[i].scope >= SCOPE_SERVICE_MODEL)
            continue;
        for (int k = 0; k < KEYS; k++) {
            node_name(w, k, w->circuits[i].scope, node);
            owned |= w->keys[k].alive && strcmp(node, w->circuits[i].node) == 0;
        }
        w->circuits[i].used = owned;
    }
}

static void rehome_one(struct world *w, int k, const char *org, const char *project)
{
    struct mkey *key = &w->keys[k];
    char self[NAME], old_org[NAME], new_org[NAME], new_project[NAME];
    bool own_project = !*key->project;

    node_name(w, k, SCOPE_KEY, self);
    org_name(w, k, old_org);
    key->org = org;
    key->project = project;
    project_name(w, k, new_project);
    org_name(w, k, new_org);
    if (own_project)
        move(w, self, new_project, project_scope);
    if (strcmp(old_org, self) == 0)
        move(w, self, new_org, org_scope);
}

static void rehome(struct world *w, int k, const char *org, const char *project)
{
    struct mkey *key = &w->keys[k];
    const char *name = key->project;
    unsigned service = key->service;
    char from[NAME], to_project[NAME], to_org[NAME];

    if (*key->project && !*key->org && *org && strcmp(project, key->project) == 0) {
        project_name(w, k, from);
        for (int i = 0; i < KEYS; i++) {
            struct mkey *other = &w->keys[i];
            if (other->alive && !*other->org && strcmp(other->project, name) == 0 &&
                other->service == service)
                other->org = org;
        }
        project_name(w, k, to_project);
        org_name(w, k, to_org);
        move(w, from, to_project, project_scope);
        move(w, from, to_org, org_scope);
    } else {
        rehome_one(w, k, org, project);
    }
}

static void learn(struct world *w, int k)
{
    struct mkey *key = &w->keys[k];
    bool say_org = chance(w, 3) != 0, say_project = chance(w, 3) != 0;

    pool_learn(w->pool, key->id, slice_str(say_org ? key->true_org : ""),
               slice_str(say_project ? key->true_project : ""));
    if (key->configured)
        return;
    rehome(w, k, say_org && *key->true_org ? key->true_org : key->org,
           say_project && *key->true_project ? key->true_project : key->project);
    forget_unowned(w);
}

/* ---- loading ---- */

static void bury(struct world *w, int k)
{
    struct mkey *key = &w->keys[k];

    key->alive = false;
    key->proven = false;
    key->configured = false;
    key->org = key->project = "";
    key->requests = key->successes = 0;
    forget_unowned(w);
    for (int i = 0; i < CIRCUITS; i++) {
        char self[NAME];
        snprintf(self, NAME, "key %d", k);
        if (strcmp(w->circuits[i].node, self) == 0)
            w->circuits[i].used = false;
    }
}

/* A retired key lives as long as a plan's trail knows it. */
static void bury_forgotten(struct world *w)
{
    for (int k = 0; k < KEYS; k++) {
        bool known = w->keys[k].loaded;
        for (int p = 0; p < PLANS; p++) {
            known |= w->plans[p].used && w->plans[p].flying && w->plans[p].key == k;
            for (int i = 0; w->plans[p].used && i < w->plans[p].trail_count; i++)
                known |= w->plans[p].trail[i].key == k;
        }
        if (!known && w->keys[k].alive)
            bury(w, k);
    }
}

static void shuffle_keys(struct world *w, int *keys)
{
    for (int i = 0; i < KEYS; i++)
        keys[i] = i;
    for (int i = KEYS - 1; i > 0; i--) {
        int j = (int)chance(w, (unsigned)i + 1), t = keys[i];
        keys[i] = keys[j];
        keys[j] = t;
    }
}

static void load(struct world *w)
{
    struct key_spec specs[KEYS + 1] = {0};
    bool configure[KEYS] = {0};
    int keys[KEYS];

    shuffle_keys(w, keys);
    w->count = 1 + (int)chance(w, KEYS);
    for (int i = 0; i < w->count; i++) {
        int k = keys[i];
        configure[k] = *w->keys[k].true_org && *w->keys[k].true_project && chance(w, 4) == 0;
        specs[i] = (struct key_spec){
            .identity = 77u + (unsigned)k, .service = w->keys[k].service, .cookie = (uint64_t)k};
        if (configure[k]) {
            specs[i].organization = slice_str(w->keys[k].true_org);
            specs[i].project = slice_str(w->keys[k].true_project);
        }
        w->order[i] = k;
    }
    specs[w->count] = specs[0]; /* a duplicate, which is ignored */
    assert_int_equal(pool_load(w->pool, specs, (size_t)w->count + 1, w->now), STATUS_OK);
    for (int k = 0; k < KEYS; k++)
        w->keys[k].loaded = false;
    for (int i = 0; i < w->count; i++)
        w->keys[w->order[i]].loaded = true;
    for (int i = 0; i < w->count; i++) {
        struct mkey *key = &w->keys[w->order[i]];
        key->alive = true;
        key->position = i;
        key->configured = configure[w->order[i]];
        key->id = w->pool->order[i]->id;
        if (key->configured)
            rehome(w, w->order[i], key->true_org, key->true_project);
    }
    bury_forgotten(w);
    forget_unowned(w); /* only now: one key may leave an owner that another one joins */
}

/* ---- what the model thinks of a key for a request ---- */

static bool is_ready_for(struct world *w, int k, const struct route *r)
{
    for (enum scope s = SCOPE_KEY; s < SCOPE_COUNT; s++) {
        struct mbreaker *b = on_path(w, k, r, s);
        if (b && (b->state == CIRCUIT_OPEN || (b->state == CIRCUIT_HALF_OPEN && is_leased(w, b))))
            return false;
    }
    return true;
}

static bool is_suspect(struct world *w, int k, const struct route *r)
{
    for (enum scope s = SCOPE_KEY; s < SCOPE_COUNT; s++) {
        struct mbreaker *b = on_path(w, k, r, s);
        if (b && b->state == CIRCUIT_CLOSED && b->suspect == k)
            return true;
    }
    return false;
}

/* After a rate limit another organisation goes first. */
static bool is_shunned(struct world *w, const struct mplan *p, int k)
{
    char mine[NAME], theirs[NAME];

    for (int i = 0; i < p->trail_count && *w->keys[k].org; i++) {
        org_name(w, k, mine);
        org_name(w, p->trail[i].key, theirs);
        if (p->trail[i].failure == FAILURE_RATE && strcmp(mine, theirs) == 0)
            return true;
    }
    return false;
}

static bool is_excluded(struct world *w, const struct mplan *p, int k)
{
    char mine[NAME], theirs[NAME];

    for (int i = 0; i < p->trail_count; i++) {
        project_name(w, k, mine);
        project_name(w, p->trail[i].key, theirs);
        if (p->trail[i].avoid_project && strcmp(mine, theirs) == 0)
            return true;
        org_name(w, k, mine);
        org_name(w, p->trail[i].key, theirs);
        if (p->trail[i].avoid_org && strcmp(mine, theirs) == 0)
            return true;
    }
    return false;
}

enum { FRESH, REPEATABLE, SPENT };

static int tried(const struct mplan *p, int k)
{
    int state = FRESH;

    for (int i = 0; i < p->trail_count; i++) {
        if (p->trail[i].key != k)
            continue;
        if (!p->trail[i].repeatable)
            return SPENT;
        state = REPEATABLE;
    }
    return state;
}

static bool is_unanswered(const struct world *w, int k)
{
    const struct mkey *key = &w->keys[k];

    return !key->proven && key->flying > 0 && w->count > 1 && w->options.fallback_enabled;
}

static bool is_gated(const struct world *w, int k)
{
    const struct mkey *key = &w->keys[k];

    int64_t waits = 1; /* for one in flight; and twice as many after each */

    while (key->flying >= 1 << waits)
        waits++;
    return is_unanswered(w, k) && w->now < key->proof_started + waits * PROOF_WAIT;
}

/* Whether the plan may use this loaded key now, proof aside. */
static bool is_open_to(struct world *w, const struct mplan *p, int k)
{
    return w->keys[k].loaded && (w->options.fallback_enabled || w->keys[k].position == 0) &&
           !is_excluded(w, p, k) && tried(p, k) != SPENT && is_ready_for(w, k, &p->route);
}

static bool any(struct world *w, const struct mplan *p, bool fresh, bool ungated)
{
    for (int k = 0; k < KEYS; k++)
        if (is_open_to(w, p, k) && (!fresh || tried(p, k) == FRESH) &&
            (!ungated || !is_gated(w, k)))
            return true;
    return false;
}

/* ---- decisions ---- */

static void lease_all(struct world *w, struct mplan *p)
{
    p->leases = 0;
    for (enum scope s = SCOPE_KEY; s < SCOPE_COUNT; s++) {
        struct mbreaker *b = on_path(w, p->key, &p->route, s);
        if (!b || b->state != CIRCUIT_HALF_OPEN)
            continue;
        expect(!is_leased(w, b), "a second lease");
        b->lease = p->attempt;
        b->lease_until = w->now + LEASE;
    }
}

static void sent(struct world *w, struct mplan *p, int k)
{
    int primary = w->order[0];
    bool stays = p->stay == k;

    expect(k >= 0 && w->keys[k].loaded, "a key that is not loaded was asked");
    expect(w->now < p->deadline, "sent after the deadline");
    expect(w->now >= p->backoff_until, "sent during the backoff");
    expect(!p->bound, "sent beyond a bound");
    expect(is_ready_for(w, k, &p->route), "a key that is out was asked");
    expect(is_open_to(w, p, k), "a key this request may not use was asked");
    expect(!is_gated(w, k), "an unproven key was asked twice");
    expect(stays || tried(p, k) == FRESH || !any(w, p, true, true), "repeated without need");
    if (!stays && w->options.strategy == STRATEGY_PRIMARY_FIRST && k != primary &&
        tried(p, k) == FRESH)
        expect(!is_open_to(w, p, primary) || tried(p, primary) != FRESH ||
                   is_suspect(w, primary, &p->route) || is_shunned(w, p, primary) ||
                   is_unanswered(w, primary),
               "the primary was passed over");
    p->flying = true;
    p->proven = false;
    p->key = k;
    p->attempt = ++w->attempts;
    p->started = w->now;
    if (w->keys[k].flying++ == 0)
        w->keys[k].proof_started = w->now;
    lease_all(w, p);
}

static bool wide(enum scope s)
{
    return s >= SCOPE_SERVICE_MODEL;
}

static bool heals(enum failure f)
{
    return f == FAILURE_RATE || f == FAILURE_SERVER || f == FAILURE_NETWORK ||
           f == FAILURE_OVERLOADED;
}

/* When this key comes back by time alone; -1: never, or nothing is in its way. */
static int64_t recovery_of(struct world *w, int k, const struct route *r, bool *ret_busy,
                           bool *ret_narrow)
{
    int64_t until = -1;
    bool dead = false;

    *ret_busy = *ret_narrow = false;
    for (enum scope s = SCOPE_KEY; s < SCOPE_COUNT; s++) {
        struct mbreaker *b = on_path(w, k, r, s);
        if (b && b->state == CIRCUIT_OPEN) {
            dead |= !heals(b->reason);
            *ret_narrow |= !wide(s);
            until = b->due > until ? b->due : until;
        } else if (b && is_leased(w, b)) {
            *ret_busy = true;
        }
    }
    if (dead) {
        *ret_busy = false;
        return -1;
    }
    *ret_busy = *ret_busy && until < 0;
    return *ret_busy ? w->now : until;
}

static int64_t first_recovery(struct world *w, const struct route *r)
{
    int64_t first = -1;
    bool busy, narrow;

    for (int i = 0; i < (w->options.fallback_enabled ? w->count : 1); i++) {
        int64_t at = recovery_of(w, w->order[i], r, &busy, &narrow);
        if (at >= 0 && (first < 0 || at < first))
            first = at;
    }
    return first;
}

static bool may_wait(struct world *w, const struct mplan *p)
{
    bool busy, narrow;

    for (int i = 0; i < (w->options.fallback_enabled ? w->count : 1); i++) {
        int k = w->order[i];
        int64_t at = recovery_of(w, k, &p->route, &busy, &narrow);
        if (!is_excluded(w, p, k) && tried(p, k) != SPENT && at >= 0 && !narrow)
            return true;
    }
    return false;
}

static void told_to_wait(struct world *w, const struct mplan *p, const struct plan_step *step)
{
    expect(step->until_ns > w->now, "a wait that is over already");
    expect(step->until_ns <= p->deadline, "a wait beyond the deadline");
    if (w->now < p->backoff_until)
        return;
    if (any(w, p, true, false)) {
        /* Somebody is ready, so it is a proof that is waited for; and when another key could be
         * asked, the strategy must want this one. */
        bool strict = w->options.strategy == STRATEGY_PRIMARY_FIRST;
        bool gated = false;
        for (int k = 0; k < KEYS; k++)
            gated |= is_open_to(w, p, k) && is_gated(w, k);
        expect(gated, "waits though a key is ready");
        bool answered = false; /* a key that has answered, or is not asked now */
        for (int k = 0; k < KEYS; k++)
            answered |= is_open_to(w, p, k) && tried(p, k) == FRESH && !is_unanswered(w, k);
        expect(!answered || strict, "waits though another key is ready");
    } else if (!any(w, p, false, false)) {
        expect(may_wait(w, p), "waits for nothing");
    }
}

static void gave_up(struct world *w, struct mplan *p, const struct plan_step *step)
{
    int64_t recovery = first_recovery(w, &p->route);

    if (w->now >= p->deadline || p->bound || p->final)
        return;
    expect(!any(w, p, false, false), "gave up though a key is ready");
    expect(step->action != PLAN_RETURN, "returned what was not final");
    if (step->action == PLAN_RETURN_KEPT) {
        expect(p->kept, "returns an answer that was never kept");
        return;
    }
    expect((step->status == 429) == (recovery >= 0), "429 exactly when time helps");
    if (step->status == 429) {
        int64_t seconds = (recovery - w->now + S - 1) / S;
        seconds = seconds < 1 ? 1 : seconds > 60 ? 60 : seconds;
        expect(step->retry_after_s == seconds, "an untrue Retry-After");
        expect(!step->should_not_retry, "a 429 that forbids to come back");
    } else {
        expect(step->retry_after_s == 0 && step->should_not_retry, "503 without an end");
    }
}

static void ask(struct world *w, struct mplan *p)
{
    struct plan_step step, again;

    plan_next(&p->plan, w->now, &step);
    switch (step.action) {
    case PLAN_SEND: sent(w, p, key_of_id(w, step.key)); return;
    case PLAN_WAIT: told_to_wait(w, p, &step); return;
    case PLAN_RETURN:
    case PLAN_RETURN_KEPT:
    case PLAN_GIVE_UP: break;
    }
    expect(!p->ended, "ended twice");
    gave_up(w, p, &step);
    p->ended = true;
    plan_next(&p->plan, w->now, &again);
    expect(again.action == step.action && again.status == step.status, "an end that changes");
}

/* ---- answers ---- */

static void return_leases(struct world *w, const struct mplan *p)
{
    for (int i = 0; i < CIRCUITS; i++)
        if (w->circuits[i].lease == p->attempt)
            w->circuits[i].lease = 0;
}

static void succeed(struct world *w, struct mplan *p)
{
    w->keys[p->key].proven = true;
    for (enum scope s = SCOPE_KEY; s < SCOPE_COUNT; s++) {
        struct mbreaker *b = on_path(w, p->key, &p->route, s);
        if (!b)
            continue;
        if (b->state == CIRCUIT_CLOSED && b->suspect == p->key)
            b->used = false;
        else if (b->state == CIRCUIT_CLOSED)
            b->witness = false;
        else if (p->started > b->blamed)
            b->used = false;
    }
}

static int64_t wait_for(const struct verdict *v, unsigned exponent)
{
    int64_t own = v->base_ns, step;
    unsigned doublings = exponent;

    while (exponent-- && own < v->cap_ns)
        own *= 2;
    if (v->cap_ns && own > v->cap_ns)
        own = v->cap_ns;
    own = v->wait_ns > own ? v->wait_ns : own;
    if (v->probe != PROBE_LIVE || own <= 300 * S)
        return own;
    step = own / 16 > 60 * S ? own / 16 : 60 * S;
    for (unsigned i = 0; i < doublings && step < own; i++)
        step *= 2;
    return step < own ? step : own;
}

static void take_due(struct world *w, struct mbreaker *b, int k, const struct mplan *p,
                     int64_t wait)
{
    struct place place = {key_scope_node(w->pool, pool_key(w->pool, w->keys[k].id), b->scope),
                          detail_of(&p->route, b->scope), b->scope};
    const struct breaker *real = circuits_find(&w->pool->circuits, place);

    expect(real != NULL, "no breaker opened");
    expect(real->due_ns >= w->now + wait && real->due_ns <= w->now + wait + wait / 10,
           "a wait out of bounds");
    b->due = real->due_ns;
}

static void open_up(struct world *w, struct mbreaker *b, const struct mplan *p,
                    const struct verdict *v, unsigned exponent)
{
    b->state = CIRCUIT_OPEN;
    b->reason = v->failure;
    b->exponent = exponent;
    b->blamed = w->now;
    b->suspect = -1;
    b->lease = 0;
    take_due(w, b, p->key, p, wait_for(v, exponent));
}

static void prolong(struct world *w, struct mbreaker *b, const struct mplan *p,
                    const struct verdict *v)
{
    struct verdict hint = *v;
    int64_t wait;
    const struct breaker *real = circuits_find(
        &w->pool->circuits,
        (struct place){key_scope_node(w->pool, pool_key(w->pool, w->keys[p->key].id), b->scope),
                       detail_of(&p->route, b->scope), b->scope});

    b->blamed = w->now;
    if (b->reason == v->failure)
        hint.base_ns = 0;
    wait = wait_for(&hint, 0);
    expect(real != NULL && real->due_ns >= b->due, "a wait was shortened");
    expect(wait <= 0 || real->due_ns >= w->now + wait, "evidence of a longer wait was ignored");
    if (real->due_ns == b->due)
        return;
    take_due(w, b, p->key, p, wait);
    if (b->reason != v->failure)
        b->exponent = 0;
    b->reason = v->failure;
}

static void fail_with(struct world *w, struct mplan *p, const struct verdict *v)
{
    struct mbreaker *b;
    char node[NAME];

    if (!wide(v->scope) && v->failure != FAILURE_NETWORK)
        w->keys[p->key].proven = true;
    if (v->scope == SCOPE_REQUEST || (v->base_ns <= 0 && v->wait_ns <= 0))
        return;
    b = on_path(w, p->key, &p->route, v->scope);
    if (!b) {
        node_name(w, p->key, v->scope, node);
        b = add(w, node, v->scope, detail_of(&p->route, v->scope));
    }
    if (b->state == CIRCUIT_OPEN) {
        prolong(w, b, p, v);
    } else if (b->state == CIRCUIT_HALF_OPEN) {
        if (b->lease == p->attempt)
            open_up(w, b, p, v, b->exponent + 1);
    } else if (v->blame_on_second &&
               !(b->witness && b->suspect != p->key && b->reason == v->failure)) {
        if (!b->witness)
            b->since = w->now;
        b->suspect = p->key;
        b->witness = true;
        b->reason = v->failure;
        b->due = w->now + SUSPICION;
    } else if (!v->blame_on_second || w->now - b->since >= SECOND_FAILURE) {
        open_up(w, b, p, v, 0);
    }
}

/* The same limit at a sibling project, while the first cools and nobody was served: it is the
 * organisation's. */
static void escalate(struct world *w, struct mplan *p, const struct verdict *v)
{
    struct mbreaker *own = on_path(w, p->key, &p->route, SCOPE_PROJECT_MODEL);
    struct mbreaker *b = on_path(w, p->key, &p->route, SCOPE_ORG_MODEL);
    char node[NAME];

    if (v->failure != FAILURE_RATE || v->scope != SCOPE_PROJECT_MODEL || !*w->keys[p->key].org ||
        !own || own->state != CIRCUIT_OPEN)
        return;
    project_name(w, p->key, node);
    if (!b) {
        char org[NAME];
        org_name(w, p->key, org);
        b = add(w, org, SCOPE_ORG_MODEL, p->route.model);
    }
    if (b->state == CIRCUIT_HALF_OPEN && b->lease == p->attempt)
        open_up(w, b, p, v, b->exponent + 1);
    if (b->state != CIRCUIT_CLOSED)
        return;
    if (b->witness && *b->suspect_project && strcmp(b->suspect_project, node) != 0 &&
        b->reason == v->failure && w->now < b->due) {
        open_up(w, b, p, v, 0);
        return;
    }
    b->suspect = -1;
    snprintf(b->suspect_project, NAME, "%s", node);
    b->witness = true;
    b->reason = v->failure;
    b->due = own->due;
}

static void note_failure(struct world *w, struct mplan *p, const struct verdict *v, int status)
{
    struct mattempt *a = &p->trail[p->trail_count - 1];
    bool service = v->reaction == REACT_SAME || wide(v->scope);
    int same = 0;

    a->failure = v->failure;
    a->repeatable = service;
    a->avoid_project = v->reaction == REACT_NEXT && v->hop == HOP_OTHER_PROJECT;
    a->avoid_org = v->reaction == REACT_NEXT && v->hop == HOP_OTHER_ORG;
    for (int i = 0; i < p->trail_count; i++)
        same += p->trail[i].failure == v->failure;
    p->service_failures += service;
    p->stay = v->reaction == REACT_SAME ? p->key : -1;
    p->bound = (v->max_hops && same > v->max_hops) || (service && p->service_failures >= 6);
    p->final =
        (p->opaque && status) ||
        (!p->stateless && (status == 500 || status == 502) && p->service_failures - service > 0) ||
        (v->maybe_ran && (p->opaque || !p->stateless || p->ran > 0)) || v->reaction == REACT_RETURN;
    p->ran += v->maybe_ran;
    p->backoff_until = w->now;
    if (!service || p->bound || p->final)
        return;
    /* The engine draws the backoff; what the model knows is how long it may be. */
    p->backoff_until = p->plan.not_before_ns;
    expect(p->backoff_until - w->now <= 9 * S, "a backoff beyond all bounds");
    p->bound = p->backoff_until >= p->deadline || p->backoff_until - w->now > 8 * S;
}

static struct verdict random_verdict(struct world *w)
{
    static const struct verdict *const all[] = {
        &served,  &served,     &served,    &served,   &caller_fault, &revoked,
        &limited, &limited,    &no_quota,  &no_model, &server_error, &server_error,
        &cut_off, &overloaded, &too_large, &locked};
    static const int64_t hints[] = {1, 500 * MS, 2 * S, 50 * S, 3000 * S};
    static const enum scope scopes[] = {SCOPE_KEY_FAMILY, SCOPE_PROJECT, SCOPE_ORG_MODEL,
                                        SCOPE_ORG_MODEL_STREAM, SCOPE_EGRESS};
    struct verdict v = *all[chance(w, 16)];

    if (v.reaction == REACT_NEXT && chance(w, 3) == 0)
        v.wait_ns = hints[chance(w, 5)];
    if (v.failure == FAILURE_REVOKED || v.failure == FAILURE_RATE)
        if (chance(w, 4) == 0)
            v.scope = scopes[chance(w, 5)];
    return v;
}

static void answer(struct world *w, struct mplan *p)
{
    static const int statuses[] = {0, 400, 401, 404, 429, 500};
    struct verdict v = random_verdict(w);
    int status = statuses[chance(w, 6)];
    struct mkey *key = &w->keys[p->key];
    struct evidence evidence = {.status = status};

    if (v.scope == SCOPE_ORG_MODEL_STREAM && !p->route.stream)
        v.scope = SCOPE_ORG_MODEL;
    if (chance(w, 2))
        learn(w, p->key);
    p->kept |= plan_hear(&p->plan, &v, &evidence, w->now);
    p->flying = false;
    key->flying--;
    key->requests++;
    p->trail[p->trail_count++] = (struct mattempt){.key = p->key};
    if (v.reaction == REACT_SUCCESS) {
        key->successes++;
        succeed(w, p);
        p->final = true;
    } else {
        fail_with(w, p, &v);
        escalate(w, p, &v);
        note_failure(w, p, &v, status);
        p->final |= p->proven;
    }
    return_leases(w, p);
}

/* ---- steps ---- */

static void request(struct world *w, struct mplan *p)
{
    static const char *const models[] = {"a", "b", ""};
    struct plan_request r = {.family = (uint8_t)chance(w, 2),
                             .stream = chance(w, 2),
                             .stateless = chance(w, 4) != 0,
                             .opaque = chance(w, 8) == 0,
                             .model = slice_str(models[chance(w, 3)]),
                             .deadline_ns = w->now + 1 + (int64_t)chance(w, 60) * 10 * S};

    *p = (struct mplan){.used = true,
                        .stateless = r.stateless,
                        .opaque = r.opaque,
                        .deadline = r.deadline_ns,
                        .stay = -1,
                        .key = -1};
    plan_start(&p->plan, w->pool, &r, w->now);
    p->route = p->plan.route;
    ask(w, p);
}

static void end(struct world *w, struct mplan *p)
{
    if (p->flying) {
        if (chance(w, 2))
            plan_abandon(&p->plan, w->now);
        w->keys[p->key].flying--;
        w->keys[p->key].requests++;
        return_leases(w, p);
        p->flying = false;
    }
    plan_end(&p->plan, w->now);
    p->used = false;
    bury_forgotten(w);
}

static void act(struct world *w, struct mplan *p)
{
    if (!p->used) {
        request(w, p);
    } else if (p->flying && chance(w, 8) == 0) {
        plan_proven(&p->plan, w->now);
        if (!p->proven)
            succeed(w, p);
        p->proven = true;
    } else if (p->flying && chance(w, 8) != 0) {
        answer(w, p);
    } else if (p->flying || p->ended || p->trail_count > TRAIL - 2 || chance(w, 10) == 0) {
        end(w, p);
    } else {
        ask(w, p);
    }
}

static void reconfigure(struct world *w)
{
    w->options.strategy = chance(w, 2) ? STRATEGY_ROUND_ROBIN : STRATEGY_PRIMARY_FIRST;
    w->options.fallback_enabled = chance(w, 8) != 0;
    w->options.rotation_enabled = chance(w, 3) != 0;
    pool_configure(w->pool, &w->options);
}

static void move_account(struct world *w, struct mkey *key)
{
    static const char *const orgs[] = {"", "org-1", "org-1", "org-2"};
    static const char *const projects[] = {"", "proj-1", "proj-2"};

    key->true_org = orgs[chance(w, 4)];
    key->true_project = projects[chance(w, 3)];
}

static void step(struct world *w)
{
    switch (chance(w, 30)) {
    case 0: load(w); break;
    case 1: reconfigure(w); break;
    case 2: move_account(w, &w->keys[chance(w, KEYS)]); break;
    case 3:
    case 4:
    case 5:
    case 6:
    case 7:
    case 8: pass_time(w); break;
    default: act(w, &w->plans[chance(w, PLANS)]); break;
    }
    compare(w);
}

static void run_sequence(uint64_t seed)
{
    struct world w = {.seed = seed, .rng = {seed}, .now = 1};

    failing = &w;
    pool_options_init(&w.options);
    w.options.seed = seed;
    w.options.proof_wait_ns = PROOF_WAIT;
    w.options.lease_ns = LEASE;
    w.options.max_wait_ns = 0;
    w.options.retry_floor = UINT32_MAX;
    assert_int_equal(pool_new(&w.options, &w.pool), STATUS_OK);
    for (int k = 0; k < KEYS; k++) {
        w.keys[k] = (struct mkey){.org = "", .project = "", .service = chance(&w, 4) == 0};
        move_account(&w, &w.keys[k]);
    }
    reconfigure(&w);
    load(&w);
    for (w.last_step = 0; w.last_step < STEPS; w.last_step++)
        step(&w);
    for (int p = 0; p < PLANS; p++)
        if (w.plans[p].used)
            end(&w, &w.plans[p]);
    compare(&w);
    for (int i = 0; i < w.count; i++)
        expect(!key_is_held(w.pool, w.pool->order[i]), "a key is held after the end");
    pool_free(w.pool);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void engine_and_model_agree(void **state)
{
    uint64_t seed = from_environment("SIMULATION_SEED", 1);
    uint64_t count = from_environment("SIMULATION_COUNT", 10000);

    (void)state;
    for (uint64_t i = 0; i < count; i++)
        run_sequence(seed + i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(engine_and_model_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
