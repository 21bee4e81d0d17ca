/* A pool's life, its switches, what it learns and what it shows. */
#include "pool/pool.h"

#include <stdlib.h>

#include "pool/counts.h"
#include "pool/fast.h"
#include "pool/headroom.h"
#include "pool/invariant.h"
#include "pool/queue.h"
#include "pool/state.h"

#define TABLE_FIRST 64

void pool_options_init(struct pool_options *options)
{
    *options = (struct pool_options){
        .strategy = STRATEGY_PRIMARY_FIRST,
        .fallback_enabled = true,
        .rotation_enabled = true,
        .seed = 1,
        .proof_wait_ns = INT64_C(300) * 1000000,
        .lease_ns = INT64_C(600) * 1000000000,
        .max_wait_ns = INT64_C(20) * 1000000000,
        .queue_max = 1024,
        .retry_percent = 20,
        .retry_floor = 10,
        .ramp_ns = INT64_C(5) * 1000000000,
    };
}

enum status pool_new(const struct pool_options *options, struct pool **ret_pool)
{
    struct pool *pool = calloc(1, sizeof(*pool));

    if (!pool)
        return STATUS_NO_MEMORY;
    pool->options = *options;
    pool->rng.state = options->seed;
    pool->hash_seed = (struct hash_seed){rng_next(&pool->rng), rng_next(&pool->rng)};
    pool->egress.kind = NODE_EGRESS;
    list_init(&pool->buckets);
    list_init(&pool->probes);
    pool->probed_ns = pool->prober_ns = pool->oddity.at_ns = -1;
    readers_init(&pool->readers);
    pool->shelf.readers = &pool->readers;
    fast_configure(pool);
    pool->view = pool->posted_view = view_new(0);
    pool->names = calloc(TABLE_FIRST, sizeof(*pool->names));
    pool->name_buckets = TABLE_FIRST;
    if (!pool->view || !pool->names || keys_init(&pool->keys, pool->hash_seed.k0) != STATUS_OK ||
        circuits_init(&pool->circuits) != STATUS_OK) {
        pool_free(pool);
        return STATUS_NO_MEMORY;
    }
    *ret_pool = pool;
    return STATUS_OK;
}

static void free_owners(struct pool *pool)
{
    for (size_t i = 0; pool->names && i < pool->name_buckets; i++) {
        for (struct owner *owner = pool->names[i], *next; owner; owner = next) {
            next = owner->next;
            free(owner);
        }
    }
}

void pool_free(struct pool *pool)
{
    if (!pool)
        return;
    while (pool->readers.first)
        pool_reader_free(pool->readers.first);
    readers_fini(&pool->readers);
    circuits_fini(&pool->circuits);
    headroom_free(pool);
    queue_free(pool);
    rules_fini(&pool->rules);
    view_free(pool->view);
    keys_fini(&pool->keys);
    free_owners(pool);
    for (struct service *s = pool->services, *next; s; s = next) {
        next = s->next;
        free(s);
    }
    free(pool->names);
    free(pool->retired);
    free(pool);
}

void pool_configure(struct pool *pool, const struct pool_options *options)
{
    uint64_t seed = pool->options.seed;

    pool->options = *options;
    pool->options.seed = seed;
    fast_configure(pool);
    queue_tell(pool);
}

size_t pool_count(const struct pool *pool)
{
    return pool->count;
}

uint64_t pool_epoch(const struct pool *pool)
{
    return pool->epoch;
}

uint64_t pool_key_cookie(const struct pool *pool, key_id key)
{
    INVARIANT(key < pool->keys.used && pool_key(pool, key)->used, "no key has the id %u", key);
    return pool_key(pool, key)->cookie;
}

void pool_defer(struct pool *pool, struct garbage *garbage)
{
    readers_defer(&pool->readers, garbage);
    TALLY_SET(&pool->pending, pool->readers.oldest != NULL);
}

/* What the answer says where the settings are silent; what was known where both are. */
static struct slice newer(struct slice said, bool configured, const struct owner *known)
{
    return said.len && !configured ? said : owner_name(known);
}

void pool_learn(struct pool *pool, key_id id, struct slice organization, struct slice project)
{
    struct key *key = pool_key(pool, id);
    struct slice org_name = newer(organization, key->configured_org, key->org);
    struct slice project_name = newer(project, key->configured_project, key->project);
    struct owner *org, *own;

    if (owner_is_named(key->org, org_name) && owner_is_named(key->project, project_name))
        return;
    if (key->project && !key->org && owner_is_named(key->project, project_name)) {
        /* Only the project's organisation is news: then for all its keys. */
        if (tree_owners(pool, key->service, org_name, slice_of(NULL, 0), &org, &own) != STATUS_OK)
            return;
        tree_adopt(pool, key->project, org);
        tree_unpin(pool, org);
        return;
    }
    /* Without memory the key stays where it is; the next answer says the same again. */
    if (tree_owners(pool, key->service, org_name, project_name, &org, &own) != STATUS_OK)
        return;
    tree_rehome(pool, key, org, own);
    tree_unpin(pool, own);
    tree_unpin(pool, org);
}

/* One whose time has come may not have been told yet. */
static enum circuit state_at(const struct breaker *b, int64_t now_ns)
{
    bool due = b->state == CIRCUIT_OPEN && b->due_ns <= now_ns;

    return due ? CIRCUIT_HALF_OPEN : (enum circuit)b->state;
}

/* How much an operator should care: whether it blocks, whether as a whole, and for how long. */
static int weight(const struct breaker *b, int64_t now_ns)
{
    static const int by_state[] = {
        [CIRCUIT_CLOSED] = 0, [CIRCUIT_HALF_OPEN] = 2, [CIRCUIT_OPEN] = 4};

    return by_state[state_at(b, now_ns)] +
           (b->state != CIRCUIT_CLOSED && !scope_has_detail(b->place.scope));
}

static const struct breaker *worse(const struct breaker *a, const struct breaker *b, int64_t now_ns)
{
    if (!a || weight(b, now_ns) > weight(a, now_ns))
        return b;
    return weight(b, now_ns) == weight(a, now_ns) && b->due_ns > a->due_ns ? b : a;
}

static const struct breaker *worst_at(const struct node *node, const struct breaker *so_far,
                                      int64_t now_ns)
{
    for (const struct breaker *b = node->breakers; b; b = b->next)
        if (b->state != CIRCUIT_CLOSED)
            so_far = worse(so_far, b, now_ns);
    return so_far;
}

static const struct breaker *worst_of(const struct pool *pool, const struct key *key,
                                      int64_t now_ns)
{
    const struct breaker *b = worst_at(&key->node, NULL, now_ns);

    if (key->project)
        b = worst_at(&key->project->node, b, now_ns);
    if (key->org)
        b = worst_at(&key->org->node, b, now_ns);
    b = worst_at(&key->service->node, b, now_ns);
    return worst_at(&pool->egress, b, now_ns);
}

static void view_breaker(const struct pool *pool, const struct breaker *b, int64_t now_ns,
                         struct key_view *view)
{
    view->circuit = state_at(b, now_ns);
    view->scope = b->place.scope;
    view->reason = (enum failure)b->reason;
    view->rate_limited = b->reason == FAILURE_RATE || b->reason == FAILURE_SLOW_DOWN;
    /* Where nobody probes, a request tries it when its time has come. */
    view->probe = b->probe == PROBE_FREE && !pool->options.probe_interval_ns ? PROBE_TIME
                                                                             : (enum probe)b->probe;
    view->open_since_ns = b->since_ns;
    view->open_until_ns = b->state == CIRCUIT_OPEN ? b->due_ns : now_ns;
    view->evidence = b->evidence;
}

void pool_view(const struct pool *pool, size_t index, int64_t now_ns, struct key_view *ret_view)
{
    const struct key *key = pool->order[index];
    const struct breaker *b = worst_of(pool, key, now_ns);
    uint64_t ended = counts_ended(pool, key);

    *ret_view = (struct key_view){
        .cookie = key->cookie,
        .organization = owner_name(key->org),
        .project = owner_name(key->project),
        .requests = ended,
        .successes = ended - key->failures,
        .consecutive_errors = key->consecutive_errors,
        .in_flight = counts_in_flight(pool, key),
        .last_used_ns = counts_last_used_ns(pool, key),
        .circuit = CIRCUIT_CLOSED,
        .scope = SCOPE_REQUEST,
        .reason = FAILURE_NONE,
        .disabled = key->disabled,
        .disabled_ns = key->disabled ? key->disabled_ns : -1,
    };
    if (b)
        view_breaker(pool, b, now_ns, ret_view);
}

size_t pool_waiting(const struct pool *pool)
{
    return pool->waiting;
}
