/* Loading and reloading keys: everything that can fail happens before anything changes.
 *
 * Staging finds or makes, for every specification, its key and its owners (pinned). If memory runs
 * out, what staging made is unmade. Committing only relinks, so it cannot fail.
 *
 * A key that is no longer named is retired: out of the order at once, and gone, id and all, when
 * its last attempt and trail let go of it. Named again before that, it comes back with its state.
 */
#include <stdlib.h>

#include "pool/invariant.h"
#include "pool/state.h"

struct stage {
    struct key *key;
    const struct key_spec *spec;
    struct service *service;
    struct owner *org, *project; /* pinned; NULL while unknown */
    bool fresh;                  /* the key was made by this load */
    bool stays;                  /* its owners are what they were */
};

struct staging {
    struct stage *stages;
    size_t count;
    struct key **order;
    uint64_t *ready;
};

static size_t identity_bucket(const struct pool *pool, uint64_t identity)
{
    return (size_t)hash_mix(pool->hash_seed.k0, identity) & (pool->identity_buckets - 1);
}

static struct key *identity_find(const struct pool *pool, uint64_t identity)
{
    struct key *key = pool->identities[identity_bucket(pool, identity)];

    while (key && key->identity != identity)
        key = key->next;
    return key;
}

static void identity_link(struct pool *pool, struct key *key)
{
    size_t bucket = identity_bucket(pool, key->identity);

    key->next = pool->identities[bucket];
    pool->identities[bucket] = key;
}

static void identity_unlink(struct pool *pool, struct key *key)
{
    struct key **at = &pool->identities[identity_bucket(pool, key->identity)];

    while (*at != key)
        at = &(*at)->next;
    *at = key->next;
}

static enum status reserve_identities(struct pool *pool, size_t count)
{
    size_t buckets = pool->identity_buckets;
    struct key **bigger;

    while (buckets < count)
        buckets *= 2;
    if (buckets == pool->identity_buckets)
        return STATUS_OK;
    bigger = calloc(buckets, sizeof(*bigger));
    if (!bigger)
        return STATUS_NO_MEMORY;
    free(pool->identities);
    pool->identities = bigger;
    pool->identity_buckets = buckets;
    for (size_t i = 0; i < pool->key_count; i++)
        if (pool->keys[i])
            identity_link(pool, pool->keys[i]);
    return STATUS_OK;
}

/* Ids for `count` more keys, and room to give them all back. */
static enum status reserve_ids(struct pool *pool, size_t count)
{
    size_t capacity = pool->key_count + count;
    struct key **keys;
    key_id *ids;

    if (capacity <= pool->key_capacity)
        return STATUS_OK;
    if (capacity >= KEY_NONE)
        return STATUS_NO_MEMORY;
    keys = realloc(pool->keys, capacity * sizeof(*keys));
    if (!keys)
        return STATUS_NO_MEMORY;
    pool->keys = keys;
    ids = realloc(pool->free_ids, capacity * sizeof(*ids));
    if (!ids)
        return STATUS_NO_MEMORY;
    pool->free_ids = ids;
    pool->key_capacity = capacity;
    return STATUS_OK;
}

static struct key *key_new(struct pool *pool, const struct key_spec *spec, struct service *service)
{
    struct key *key = calloc(1, sizeof(*key));

    if (!key)
        return NULL;
    key->node.kind = NODE_KEY;
    key->service = service;
    key->identity = spec->identity;
    key->last_used_ns = -1;
    key->position = POSITION_NONE;
    key->id =
        pool->free_id_count ? pool->free_ids[--pool->free_id_count] : (key_id)pool->key_count++;
    pool->keys[key->id] = key;
    list_init(&key->siblings);
    identity_link(pool, key);
    return key;
}

static void key_free(struct pool *pool, struct key *key)
{
    tree_clear(pool, &key->node);
    tree_leave(pool, key);
    identity_unlink(pool, key);
    pool->keys[key->id] = NULL;
    pool->free_ids[pool->free_id_count++] = key->id;
    free(key);
}

void key_ref(struct key *key)
{
    key->references++;
}

void key_unref(struct pool *pool, struct key *key)
{
    INVARIANT(key->references > 0, "key %u let go of once too often", key->id);
    if (--key->references == 0 && key->position == POSITION_NONE)
        key_free(pool, key);
}

/* A configured owner wins over a learned one, which stays where the settings are silent. */
static struct slice owner_wanted(struct slice configured, const struct owner *known)
{
    return configured.len ? configured : owner_name(known);
}

static enum status stage_key(struct pool *pool, struct stage *stage)
{
    const struct key_spec *spec = stage->spec;
    enum status status;

    stage->service = tree_service(pool, spec->service);
    if (!stage->service)
        return STATUS_NO_MEMORY;
    if (!stage->key) {
        stage->key = key_new(pool, spec, stage->service);
        if (!stage->key)
            return STATUS_NO_MEMORY;
        stage->fresh = true;
    }
    stage->key->staged = true;
    status =
        tree_owners(pool, stage->service, owner_wanted(spec->organization, stage->key->org),
                    owner_wanted(spec->project, stage->key->project), &stage->org, &stage->project);
    stage->stays = stage->org == stage->key->org && stage->project == stage->key->project;
    return status;
}

static enum status stage_all(struct pool *pool, struct staging *staging,
                             const struct key_spec *specs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct stage *stage = &staging->stages[staging->count];
        enum status status;

        *stage = (struct stage){.key = identity_find(pool, specs[i].identity), .spec = &specs[i]};
        if (stage->key && stage->key->staged)
            continue; /* named twice */
        staging->count++;
        status = stage_key(pool, stage);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static void unpin(struct pool *pool, struct stage *stage)
{
    tree_unpin(pool, stage->project);
    tree_unpin(pool, stage->org);
}

static void unstage(struct pool *pool, struct staging *staging)
{
    for (size_t i = 0; i < staging->count; i++) {
        struct stage *stage = &staging->stages[i];

        unpin(pool, stage);
        if (stage->key)
            stage->key->staged = false;
        if (stage->fresh)
            key_free(pool, stage->key);
    }
}

static void retire_unnamed(struct pool *pool)
{
    for (size_t i = 0; i < pool->count; i++) {
        struct key *key = pool->order[i];

        if (key->staged)
            continue;
        key->position = POSITION_NONE;
        if (key->references == 0)
            key_free(pool, key);
    }
}

static void install(struct pool *pool, struct staging *staging)
{
    free(pool->order);
    free(pool->ready);
    lanes_clear(pool); /* positions change */
    pool->order = staging->order;
    pool->ready = staging->ready;
    pool->count = staging->count;
    for (size_t i = 0; i < staging->count; i++) {
        pool->order[i] = staging->stages[i].key;
        pool->order[i]->position = (uint32_t)i;
    }
}

/* A key with new owners goes to them. One that stays is left alone: when a sibling's settings
 * name their project's organisation, it has been moved there by now. */
static void settle_owners(struct pool *pool, struct stage *stage)
{
    struct key *key = stage->key;

    if (stage->stays)
        return;
    if (key->project && !key->org && stage->org &&
        slice_eq(owner_name(key->project), owner_name(stage->project)))
        tree_adopt(pool, key->project, stage->org);
    tree_rehome(pool, key, stage->project ? stage->project->org : stage->org, stage->project);
}

static void settle_key(struct pool *pool, struct stage *stage)
{
    struct key *key = stage->key;

    key->staged = false;
    key->cookie = stage->spec->cookie;
    key->configured_org = stage->spec->organization.len > 0;
    key->configured_project = stage->spec->project.len > 0;
    key->service = stage->service;
    settle_owners(pool, stage);
    tree_refresh_key(pool, key);
    unpin(pool, stage);
}

static void commit(struct pool *pool, struct staging *staging)
{
    retire_unnamed(pool);
    install(pool, staging);
    for (size_t i = 0; i < staging->count; i++)
        settle_key(pool, &staging->stages[i]);
    pool->epoch++;
}

static enum status staging_init(struct staging *staging, size_t count)
{
    size_t words = count / WORD_BITS + 1;

    staging->stages = calloc(count + 1, sizeof(*staging->stages));
    staging->order = calloc(count + 1, sizeof(*staging->order));
    staging->ready = calloc(words, sizeof(*staging->ready));
    return staging->stages && staging->order && staging->ready ? STATUS_OK : STATUS_NO_MEMORY;
}

enum status pool_load(struct pool *pool, const struct key_spec *specs, size_t count, int64_t now_ns)
{
    struct staging staging = {0};
    enum status status = staging_init(&staging, count);

    (void)now_ns;
    if (status == STATUS_OK)
        status = reserve_ids(pool, count);
    if (status == STATUS_OK)
        status = reserve_identities(pool, pool->key_count + count);
    if (status == STATUS_OK)
        status = stage_all(pool, &staging, specs, count);
    if (status == STATUS_OK) {
        commit(pool, &staging);
    } else {
        unstage(pool, &staging);
        free(staging.order);
        free(staging.ready);
    }
    free(staging.stages);
    return status;
}
