/* Loading and reloading keys: everything that can fail happens before anything changes.
 *
 *     staging ──▶ commit ──▶ settling
 *     in steps    at once    in steps          between the steps other calls come and go
 *
 * Staging finds or makes, for every specification, its key and its owners (pinned). If memory runs
 * out, what staging made is unmade. Committing swaps the order: it writes where keys have moved to
 * and looks at no other key that stays. Settling tells those what their specification says, one by
 * one; until then each goes by the one before.
 *
 * A key that is no longer named is retired: out of the order at once, and gone, id and all, when
 * its last attempt and trail let go of it and no thread can be about to choose it (readers.h).
 * Named again before that, it comes back with its state.
 *
 * Cost: linear. A reload of mostly the same keys in mostly the same order hardly uses the index of
 * identities: what is expected next is the key behind the one found last. Of a million keys, the
 * commit of a reload takes a few milliseconds, the rest is as fine as its steps.
 */
#include <stdlib.h>

#include "base/large.h"
#include "pool/counts.h"
#include "pool/invariant.h"
#include "pool/queue.h"

/* Retired keys looked at in one call: half a millisecond at most. */
#define SWEEP_AT_ONCE 4096

/* How far ahead of its turn the place of an identity is fetched into the cache. */
#define STAGE_AHEAD 8

struct stage {
    struct key *key;
    uint64_t cookie;
    struct service *service;
    struct owner *org, *project; /* pinned; NULL while unknown, or when nothing is said of them */
    uint32_t was;                /* its position before; POSITION_NONE: it was not in the order */
    bool fresh : 1;              /* the key was made by this load */
    bool moves : 1;              /* its owners are others than before */
    bool configured_org : 1, configured_project : 1;
};

struct pool_load {
    struct stage *stages; /* in the new order */
    size_t room, count, settled;
    size_t expected; /* the position of the key that may well be named next */
    size_t kept;     /* keys of the order before that are named again */
    uint64_t *named; /* bits: their positions there */
    struct view *view;
    struct rules rules;
};

static struct key *key_new(struct pool *pool, const struct key_spec *spec, struct service *service)
{
    struct key *key = keys_take(&pool->keys, spec->identity);

    if (!key)
        return NULL;
    key->node.kind = NODE_KEY;
    key->service = service;
    key->counts.last_used_ns = -1;
    key->position = POSITION_NONE;
    return key;
}

static void key_free(struct pool *pool, struct key *key)
{
    tree_clear(pool, &key->node);
    tree_leave(pool, key);
    counts_forget(pool, key);
    keys_give_back(&pool->keys, key);
}

void key_ref(struct key *key)
{
    key->node.pins++;
}

bool key_is_held(const struct pool *pool, const struct key *key)
{
    return key->node.pins || counts_in_flight(pool, key);
}

/* Frees those of the retired that nobody holds. Who entered before they were taken out of the
 * order may be about to hold one; so nothing happens before he has left. */
static void sweep(struct pool *pool)
{
    if (!readers_gone(&pool->readers, pool->retired_era))
        return;
    if (!pool->sweeping) {
        /* Before looking: who lets go now says so again, and what was said is looked at. */
        (void)__atomic_exchange_n(&pool->stragglers, false, __ATOMIC_SEQ_CST);
        pool->swept = 0;
    }
    for (size_t i = 0; i < SWEEP_AT_ONCE && pool->swept < pool->retired_count; i++) {
        struct key *key = pool->retired[pool->swept];
        bool back = key->position != POSITION_NONE;

        if (!back && (key->staged || key_is_held(pool, key))) {
            pool->swept++;
            continue;
        }
        pool->retired[pool->swept] = pool->retired[--pool->retired_count];
        if (!back)
            key_free(pool, key);
    }
    pool->sweeping = pool->swept < pool->retired_count;
}

void pool_collect(struct pool *pool)
{
    (void)__atomic_exchange_n(&pool->pending, false, __ATOMIC_SEQ_CST);
    if (TALLY(&pool->stragglers) || pool->sweeping)
        sweep(pool);
    readers_collect(&pool->readers);
    if (pool->readers.oldest || TALLY(&pool->stragglers) || pool->sweeping)
        TALLY_SET(&pool->pending, true);
}

void key_unref(struct pool *pool, struct key *key)
{
    INVARIANT(key->node.pins > 0, "key %u let go of once too often", key->id);
    key->node.pins--;
    if (key->position == POSITION_NONE && !key_is_held(pool, key)) {
        pool_straggle(pool);
        pool_collect(pool);
    }
}

void pool_straggle(struct pool *pool)
{
    POST(&pool->stragglers, true);
    POST(&pool->pending, true);
}

/* ---- staging ----------------------------------------------------------------------------- */

/* A configured owner wins over a learned one, which stays where the settings are silent. */
static struct slice owner_wanted(struct slice configured, const struct owner *known)
{
    return configured.len ? configured : owner_name(known);
}

static enum status stage_owners(struct pool *pool, struct stage *stage, const struct key_spec *spec)
{
    if (spec->organization.len == 0 && spec->project.len == 0)
        return STATUS_OK;
    enum status status =
        tree_owners(pool, stage->service, owner_wanted(spec->organization, stage->key->org),
                    owner_wanted(spec->project, stage->key->project), &stage->org, &stage->project);
    stage->moves = stage->org != stage->key->org || stage->project != stage->key->project;
    return status;
}

static enum status stage_key(struct pool *pool, struct pool_load *load, struct stage *stage,
                             const struct key_spec *spec)
{
    /* At most as many ids as there are now and keys still to come. */
    size_t ids = pool->keys.used + load->room - load->count + 1;

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
    enum status status = stage_owners(pool, stage, spec);
    if (status == STATUS_OK)
        status = rules_add(&load->rules, stage->key->id, ids, spec, &pool->hash_seed);
    return status;
}

/* The key with this identity: most likely the one expected. */
static struct key *find_key(const struct pool *pool, struct pool_load *load, uint64_t identity)
{
    struct key *key = NULL;

    if (load->expected < pool->count)
        key = pool->order[load->expected];
    if (!key || key->identity != identity)
        key = keys_find(&pool->keys, identity);
    if (key && key->position != POSITION_NONE)
        load->expected = (size_t)key->position + 1;
    return key;
}

static enum status stage_next(struct pool *pool, struct pool_load *load,
                              const struct key_spec *spec)
{
    struct key *key = find_key(pool, load, spec->identity);
    struct stage *stage = &load->stages[load->count];

    if (key && key->staged)
        return STATUS_OK; /* named twice */
    *stage = (struct stage){
        .key = key,
        .cookie = spec->cookie,
        .was = key ? key->position : POSITION_NONE,
        .configured_org = spec->organization.len > 0,
        .configured_project = spec->project.len > 0,
    };
    load->count++;
    if (stage->was != POSITION_NONE) {
        load->named[stage->was / BITS_PER_WORD] |= UINT64_C(1) << (stage->was % BITS_PER_WORD);
        load->kept++;
    }
    enum status status = stage_key(pool, load, stage, spec);
    if (status == STATUS_OK)
        load->view->order[load->count - 1] = stage->key;
    return status;
}

/* On a first load nothing is as expected, and every key would wait for its place in the index. */
static void fetch_ahead(const struct pool *pool, const struct pool_load *load,
                        const struct key_spec *specs, size_t count)
{
    if (count > STAGE_AHEAD && load->expected >= pool->count)
        keys_fetch(&pool->keys, specs[STAGE_AHEAD].identity);
}

enum status pool_load_new(const struct pool *pool, size_t count, struct pool_load **ret_load)
{
    struct pool_load *load = calloc(1, sizeof(*load));

    if (!load)
        return STATUS_NO_MEMORY;
    load->room = count;
    load->stages = large_calloc(count + 1, sizeof(*load->stages));
    load->named = calloc(pool->count / BITS_PER_WORD + 1, sizeof(*load->named));
    load->view = view_new(count);
    if (!load->stages || !load->named || !load->view) {
        pool_load_free(load);
        return STATUS_NO_MEMORY;
    }
    *ret_load = load;
    return STATUS_OK;
}

void pool_load_free(struct pool_load *load)
{
    if (!load)
        return;
    view_free(load->view);
    rules_fini(&load->rules);
    free(load->named);
    free(load->stages);
    free(load);
}

enum status pool_load_stage(struct pool *pool, struct pool_load *load, const struct key_spec *specs,
                            size_t count)
{
    enum status status = keys_expect(&pool->keys, load->room);

    INVARIANT(!pool->load || pool->load == load, "two loads at once");
    pool->load = load;

    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        fetch_ahead(pool, load, &specs[i], count - i);
        status = stage_next(pool, load, &specs[i]);
    }
    return status;
}

static void unpin(struct pool *pool, struct stage *stage)
{
    tree_unpin(pool, stage->project);
    tree_unpin(pool, stage->org);
}

void pool_load_abandon(struct pool *pool, struct pool_load *load)
{
    for (size_t i = 0; i < load->count; i++) {
        struct stage *stage = &load->stages[i];

        unpin(pool, stage);
        if (stage->key)
            stage->key->staged = false;
        if (stage->fresh)
            key_free(pool, stage->key);
    }
    pool->load = NULL;
    if (pool->retired_count)
        pool_straggle(pool); /* some may have been spared for this load */
    pool_load_free(load);
}

/* ---- commit ------------------------------------------------------------------------------ */

static bool is_named(const struct pool_load *load, size_t position)
{
    return load->named[position / BITS_PER_WORD] >> (position % BITS_PER_WORD) & 1;
}

static void retire_unnamed(struct pool *pool, struct pool_load *load, struct key **retired)
{
    size_t left = 0;

    for (size_t i = 0; i < pool->retired_count; i++) {
        struct key *key = pool->retired[i];

        if (key->position == POSITION_NONE && !key->staged) /* else it is back */
            retired[left++] = key;
    }
    for (size_t i = 0; i < pool->count; i++) {
        struct key *key = pool->order[i];

        if (is_named(load, i))
            continue;
        TALLY_SET(&key->position, POSITION_NONE);
        pool->disabled -= key->disabled;
        key->disabled = 0; /* should it come back, it does so as a new one would */
        retired[left++] = key;
    }
    free(pool->retired);
    pool->retired = retired;
    pool->retired_count = left;
    pool->sweeping = false;
}

/* A key with new owners goes to them. One that stays is left alone: when a sibling's settings
 * name their project's organisation, it has been moved there by now. */
static void settle_owners(struct pool *pool, struct stage *stage)
{
    struct key *key = stage->key;

    if (!stage->moves)
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
    POST(&key->cookie, stage->cookie);
    key->configured_org = stage->configured_org;
    key->configured_project = stage->configured_project;
    POST(&key->service, stage->service);
    POST(&key->ruled, rules_of(&pool->rules, key->id) != NULL);
    settle_owners(pool, stage);
    unpin(pool, stage);
}

/* One that was not in the order: fresh, or back. */
static void enter(struct pool *pool, struct stage *stage)
{
    settle_key(pool, stage);
    tree_refresh_key(pool, stage->key);
}

/* When all have their places: owners who move refresh their members. */
static void enter_all(struct pool *pool, struct pool_load *load)
{
    for (size_t i = 0; i < load->count && load->kept < load->count; i++)
        if (load->stages[i].was == POSITION_NONE)
            enter(pool, &load->stages[i]);
}

/* `ready` of a key that stays is what it was. */
static void install(struct pool *pool, struct pool_load *load)
{
    const struct bits *ready = &pool->view->ready;
    struct view *view = load->view;

    view->count = load->count;
    rules_fini(&pool->rules);
    pool->rules = load->rules;
    pool->view = view;
    pool->order = view->order;
    pool->count = view->count;
    pool->next_lane = 0;
    for (size_t i = 0; i < load->count; i++) {
        struct stage *stage = &load->stages[i];

        if (stage->was != i)
            TALLY_SET(&stage->key->position, (uint32_t)i);
        if (stage->was != POSITION_NONE && bits_has(ready, stage->was))
            bits_add(&view->ready, i);
    }
    load->view = NULL;
    load->rules = (struct rules){0};
}

/* Without the lock, the old view serves until the new one is whole. */
static void publish(struct pool *pool, struct view *old)
{
    POST(&pool->posted_view, pool->view);
    pool_defer(pool, &old->garbage);
    pool->retired_era = readers_end_era(&pool->readers);
    TALLY_SET(&pool->stragglers, pool->retired_count > 0);
    queue_tell(pool);
    pool_collect(pool);
}

enum status pool_load_commit(struct pool *pool, struct pool_load *load)
{
    size_t retired_count = pool->retired_count + pool->count - load->kept;
    struct key **retired = malloc((retired_count + 1) * sizeof(struct key *));
    struct view *old = pool->view;

    if (!retired)
        return STATUS_NO_MEMORY;
    retire_unnamed(pool, load, retired);
    install(pool, load);
    enter_all(pool, load);
    publish(pool, old);
    return STATUS_OK;
}

/* ---- settling ---------------------------------------------------------------------------- */

bool pool_load_settle(struct pool *pool, struct pool_load *load, size_t most)
{
    for (size_t i = 0; i < most && load->settled < load->count; i++) {
        struct stage *stage = &load->stages[load->settled++];
        if (stage->was != POSITION_NONE)
            settle_key(pool, stage);
    }
    pool_collect(pool);
    if (load->settled < load->count)
        return false;
    pool->load = NULL;
    return !pool->sweeping;
}

/* ---- all at once ------------------------------------------------------------------------- */

enum status pool_load(struct pool *pool, const struct key_spec *specs, size_t count, int64_t now_ns)
{
    struct pool_load *load;
    enum status status = pool_load_new(pool, count, &load);

    (void)now_ns;
    if (status != STATUS_OK)
        return status;
    status = pool_load_stage(pool, load, specs, count);
    if (status == STATUS_OK)
        status = pool_load_commit(pool, load);
    if (status != STATUS_OK) {
        pool_load_abandon(pool, load);
        return status;
    }
    while (!pool_load_settle(pool, load, SIZE_MAX))
        ;
    pool_load_free(load);
    return STATUS_OK;
}
