/* Loading and reloading keys: everything that can fail happens before anything changes.
 *
 * Staging finds or makes, for every specification, its key and its owners (pinned). If memory runs
 * out, what staging made is unmade. Committing only relinks, so it cannot fail.
 *
 * A key that is no longer named is retired: out of the order at once, and gone, id and all, when
 * its last attempt and trail let go of it and no thread can be about to choose it (readers.h).
 * Named again before that, it comes back with its state.
 *
 * Cost: linear. A reload of mostly the same keys in mostly the same order hardly uses the index of
 * identities: what is expected next is the key behind the one found last.
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
    size_t expected; /* the position of the key that may well be named next */
    size_t kept;     /* loaded before, and named again */
    struct view *view;
    struct key **retired; /* room for all that are retired after this load */
    struct rules rules;
};

static struct key *key_new(struct pool *pool, const struct key_spec *spec, struct service *service)
{
    struct key *key = keys_take(&pool->keys, spec->identity);

    if (!key)
        return NULL;
    key->node.kind = NODE_KEY;
    key->used = true;
    key->service = service;
    key->last_used_ns = -1;
    key->position = POSITION_NONE;
    return key;
}

static void key_free(struct pool *pool, struct key *key)
{
    tree_clear(pool, &key->node);
    tree_leave(pool, key);
    keys_give_back(&pool->keys, key);
}

void key_ref(struct key *key)
{
    __atomic_fetch_add(&key->holds, 1, __ATOMIC_SEQ_CST);
}

/* Frees those of the retired that nobody holds. Who entered before they were taken out of the
 * order may be about to hold one; so nothing happens before he has left. */
static void sweep(struct pool *pool)
{
    size_t left = 0;

    if (!readers_gone(&pool->readers, pool->retired_era))
        return;
    for (size_t i = 0; i < pool->retired_count; i++) {
        struct key *key = pool->retired[i];

        if (key->position != POSITION_NONE)
            continue; /* it came back */
        if (key_references(key) > 0)
            pool->retired[left++] = key;
        else
            key_free(pool, key);
    }
    pool->retired_count = left;
    TALLY_SET(&pool->stragglers, false);
}

void pool_collect(struct pool *pool)
{
    if (TALLY(&pool->stragglers))
        sweep(pool);
    readers_collect(&pool->readers);
    TALLY_SET(&pool->pending, pool->readers.oldest || TALLY(&pool->stragglers));
}

void key_unref(struct pool *pool, struct key *key)
{
    INVARIANT(key_references(key) > 0, "key %u let go of once too often", key->id);
    if (key_let_go(key, 1)) {
        pool_straggle(pool);
        pool_collect(pool);
    }
}

void pool_straggle(struct pool *pool)
{
    TALLY_SET(&pool->stragglers, true);
    TALLY_SET(&pool->pending, true);
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

/* The key with this identity: most likely the one expected. */
static struct key *find_key(const struct pool *pool, struct staging *staging, uint64_t identity)
{
    struct key *key = NULL;

    if (staging->expected < pool->count)
        key = pool->order[staging->expected];
    if (!key || key->identity != identity)
        key = keys_find(&pool->keys, identity);
    if (key && key->position != POSITION_NONE)
        staging->expected = (size_t)key->position + 1;
    return key;
}

static enum status stage_all(struct pool *pool, struct staging *staging,
                             const struct key_spec *specs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct stage *stage = &staging->stages[staging->count];
        enum status status;

        *stage =
            (struct stage){.key = find_key(pool, staging, specs[i].identity), .spec = &specs[i]};
        if (stage->key && stage->key->staged)
            continue; /* named twice */
        staging->count++;
        staging->kept += stage->key && stage->key->position != POSITION_NONE;
        status = stage_key(pool, stage);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static enum status stage_rules(struct pool *pool, struct staging *staging)
{
    enum status status = STATUS_OK;

    for (size_t i = 0; i < staging->count && status == STATUS_OK; i++)
        status = rules_add(&staging->rules, staging->stages[i].key->id, pool->keys.used,
                           staging->stages[i].spec, &pool->hash_seed);
    return status;
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

/* Room for those retired before and those retired now. */
static enum status make_retired(struct pool *pool, struct staging *staging)
{
    size_t count = pool->retired_count + pool->count - staging->kept;

    if (count == 0)
        return STATUS_OK;
    staging->retired = malloc(count * sizeof(struct key *));
    return staging->retired ? STATUS_OK : STATUS_NO_MEMORY;
}

static void retire_unnamed(struct pool *pool, struct staging *staging)
{
    size_t left = 0;

    for (size_t i = 0; i < pool->retired_count; i++) {
        struct key *key = pool->retired[i];

        if (key->position == POSITION_NONE && !key->staged) /* else it is back */
            staging->retired[left++] = key;
    }
    for (size_t i = 0; i < pool->count; i++) {
        struct key *key = pool->order[i];

        if (key->staged)
            continue;
        key->position = POSITION_NONE;
        __atomic_fetch_or(&key->holds, KEY_RETIRED, __ATOMIC_SEQ_CST);
        staging->retired[left++] = key;
    }
    free(pool->retired);
    pool->retired = staging->retired;
    pool->retired_count = left;
}

static void install(struct pool *pool, struct staging *staging)
{
    struct view *view = staging->view;

    view->count = staging->count;
    rules_fini(&pool->rules);
    pool->rules = staging->rules;
    for (size_t i = 0; i < staging->count; i++) {
        struct key *key = staging->stages[i].key;

        view->order[i] = key;
        key->position = (uint32_t)i;
        if (TALLY(&key->holds) & KEY_RETIRED)
            __atomic_fetch_and(&key->holds, ~(uint64_t)KEY_RETIRED, __ATOMIC_SEQ_CST);
    }
    pool->view = view;
    pool->order = view->order;
    pool->count = view->count;
    pool->next_lane = 0;
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
    POST(&key->cookie, stage->spec->cookie);
    key->configured_org = stage->spec->organization.len > 0;
    key->configured_project = stage->spec->project.len > 0;
    POST(&key->service, stage->service);
    POST(&key->ruled, rules_of(&pool->rules, key->id) != NULL);
    settle_owners(pool, stage);
    tree_refresh_key(pool, key);
    unpin(pool, stage);
}

/* Without the lock, the old view serves until the new one is whole. */
static void publish(struct pool *pool, struct view *old)
{
    POST(&pool->posted_view, pool->view);
    pool_defer(pool, &old->garbage);
    pool->retired_era = readers_end_era(&pool->readers);
    TALLY_SET(&pool->stragglers, pool->retired_count > 0);
    pool->epoch++;
    pool_collect(pool);
}

static void commit(struct pool *pool, struct staging *staging)
{
    struct view *old = pool->view;

    retire_unnamed(pool, staging);
    install(pool, staging);
    for (size_t i = 0; i < staging->count; i++)
        settle_key(pool, &staging->stages[i]);
    publish(pool, old);
}

static enum status staging_init(struct staging *staging, size_t count)
{
    staging->stages = malloc((count + 1) * sizeof(*staging->stages));
    staging->view = view_new(count);
    return staging->stages && staging->view ? STATUS_OK : STATUS_NO_MEMORY;
}

enum status pool_load(struct pool *pool, const struct key_spec *specs, size_t count, int64_t now_ns)
{
    struct staging staging = {0};
    enum status status = staging_init(&staging, count);

    (void)now_ns;
    if (status == STATUS_OK)
        status = keys_expect(&pool->keys, count);
    if (status == STATUS_OK)
        status = stage_all(pool, &staging, specs, count);
    if (status == STATUS_OK)
        status = stage_rules(pool, &staging);
    if (status == STATUS_OK)
        status = make_retired(pool, &staging);
    if (status == STATUS_OK) {
        commit(pool, &staging);
    } else {
        unstage(pool, &staging);
        view_free(staging.view);
        rules_fini(&staging.rules);
    }
    free(staging.stages);
    return status;
}
