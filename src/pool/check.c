/* What must always hold, spelled out a second time, slowly. */
#include "pool/counts.h"
#include "pool/headroom.h"
#include "pool/invariant.h"
#include "pool/queue.h"
#include "pool/state.h"

static void check_order(const struct pool *pool)
{
    for (size_t i = 0; i < pool->count; i++) {
        const struct key *key = pool->order[i];
        INVARIANT(key->position == i, "key %u at %zu believes to be at %u", key->id, i,
                  key->position);
        INVARIANT(pool_key(pool, key->id) == key && key->used, "key %u is not at its id", key->id);
    }
}

static uint32_t count_open(const struct node *node)
{
    uint32_t open = 0;

    for (const struct breaker *b = node->breakers; b; b = b->next) {
        INVARIANT(b->place.node == node, "a %s breaker hangs on a foreign node",
                  scope_name(b->place.scope));
        open += b->state == CIRCUIT_OPEN && !scope_has_detail(b->place.scope);
    }
    INVARIANT(node->open == open, "a node counts %u open breakers, %u stand there", node->open,
              open);
    return open;
}

static bool is_retired(const struct pool *pool, const struct key *key)
{
    for (size_t i = 0; i < pool->retired_count; i++)
        if (pool->retired[i] == key)
            return true;
    return false;
}

static void check_key(const struct pool *pool, struct key *key)
{
    uint32_t open =
        count_open(&key->node) + count_open(key_project_node(key)) + count_open(key_org_node(key));

    INVARIANT(!key->project || key->project->org == key->org,
              "key %u and its project disagree about the organisation", key->id);
    INVARIANT((int32_t)counts_in_flight(pool, key) >= 0, "key %u: more attempts ended than began",
              key->id);
    INVARIANT(key->failures <= counts_ended(pool, key), "key %u: more failures than requests",
              key->id);
    INVARIANT(keys_find(&pool->keys, key->identity) == key, "key %u is not in the index", key->id);
    INVARIANT(!key->staged || pool->load, "key %u is left staged", key->id);
    if (key->position == POSITION_NONE) {
        if (key->staged)
            return; /* about to come, or to come back */
        INVARIANT(is_retired(pool, key), "key %u is neither loaded nor retired", key->id);
        INVARIANT(key_is_held(pool, key) || pool->readers.first, "retired key %u is held by nobody",
                  key->id);
        return;
    }
    INVARIANT(key->position < pool->count && pool->order[key->position] == key,
              "key %u is not in the order", key->id);
    INVARIANT(bits_has(&pool->view->ready, key->position) == (open == 0 && !key->disabled),
              "key %u: its ready bit is wrong, %u breakers are open", key->id, open);
}

static void check_disabled(const struct pool *pool)
{
    size_t disabled = 0;

    for (size_t i = 0; i < pool->count; i++)
        disabled += pool->order[i]->disabled;
    INVARIANT(disabled == pool->disabled, "%zu keys are disabled, %zu are counted", disabled,
              pool->disabled);
}

static void check_heap(const struct circuits *c)
{
    for (size_t i = 0; i < c->heap_count; i++) {
        INVARIANT(c->heap[i]->heap_index == i, "a breaker is lost in the heap");
        INVARIANT(i == 0 || c->heap[(i - 1) / 2]->due_ns <= c->heap[i]->due_ns,
                  "the heap is out of order at %zu", i);
    }
}

static void check_breaker(const struct circuits *c, const struct breaker *b)
{
    bool timed = b->state != CIRCUIT_HALF_OPEN || scope_has_detail(b->place.scope);

    INVARIANT(circuits_find(c, b->place) == b, "two breakers stand at one %s place",
              scope_name(b->place.scope));
    INVARIANT((b->heap_index != HEAP_NONE) == timed, "a %s breaker is %s in the heap",
              circuit_name(b->state), timed ? "not" : "wrongly");
    INVARIANT(b->state == CIRCUIT_HALF_OPEN || b->lease == 0, "a lease on a %s breaker",
              circuit_name(b->state));
}

static void check_circuits(const struct circuits *c)
{
    size_t count = 0, detail = 0;
    uint32_t standing[SCOPE_COUNT][CIRCUIT_HALF_OPEN + 1] = {0};

    for (size_t i = 0; i < c->bucket_count; i++) {
        for (const struct breaker *b = c->buckets[i]; b; b = b->bucket_next) {
            check_breaker(c, b);
            detail += scope_has_detail(b->place.scope);
            standing[b->place.scope][b->state]++;
            count++;
        }
    }
    INVARIANT(count == c->count && detail == c->detail_count, "%zu breakers are counted as %zu",
              count, c->count);
    INVARIANT(memcmp(standing, c->standing, sizeof standing) == 0,
              "breakers are counted under another state than theirs");
    check_heap(c);
}

static void check_owners(const struct pool *pool)
{
    size_t count = 0;

    for (size_t i = 0; i < pool->name_buckets; i++) {
        for (const struct owner *owner = pool->names[i]; owner; owner = owner->next) {
            INVARIANT(owner->node.pins == 0, "an owner is left pinned");
            INVARIANT(owner->members != KEY_NONE || !list_empty(&owner->projects),
                      "an owner owns nothing");
            count_open(&owner->node);
            count++;
        }
    }
    INVARIANT(count == pool->name_count, "%zu owners are counted as %zu", count, pool->name_count);
}

/* Whether an OPEN breaker of an account stops this key for requests of the lane. */
static bool is_stopped(const struct pool *pool, const struct route *route, struct key *key)
{
    for (enum scope scope = SCOPE_KEY; scope <= SCOPE_ORG; scope++) {
        struct node *node = scope <= SCOPE_KEY_FAMILY ? &key->node
                            : scope <= SCOPE_PROJECT  ? key_project_node(key)
                                                      : key_org_node(key);
        struct place place = {node, route_detail(route, scope), scope};
        const struct breaker *b = circuits_find(&pool->circuits, place);
        if (b && b->state == CIRCUIT_OPEN && (scope != SCOPE_ORG_MODEL_STREAM || route->stream))
            return true;
    }
    return false;
}

/* Every summary says what stands below it. */
static void check_bits(const struct bits *bits)
{
    for (unsigned level = 1; level < bits->levels; level++) {
        size_t words = (size_t)(bits->level[level] - bits->level[level - 1]);
        for (size_t i = 0; i < words; i++)
            INVARIANT((bits->level[level][i / BITS_PER_WORD] >> (i % BITS_PER_WORD) & 1) ==
                          (bits->level[level - 1][i] != 0),
                      "a summary of level %u is wrong at %zu", level, i);
    }
}

static void check_lane(const struct pool *pool, const struct lane *lane)
{
    check_bits(&lane->worth);
    for (size_t i = 0; i < pool->count; i++)
        INVARIANT(bits_has(&lane->worth, i) ? bits_has(&pool->view->ready, i)
                                            : !bits_has(&pool->view->ready, i) ||
                                                  is_stopped(pool, &lane->route, pool->order[i]),
                  "a lane is wrong about key %u", pool->order[i]->id);
}

void pool_check(const struct pool *pool)
{
    check_order(pool);
    check_disabled(pool);
    check_bits(&pool->view->ready);
    for (key_id id = 0; id < pool->keys.used; id++)
        if (pool_key(pool, id)->used)
            check_key(pool, pool_key(pool, id));
    check_circuits(&pool->circuits);
    check_owners(pool);
    for (int i = 0; i < LANE_COUNT; i++)
        if (pool->view->lanes[i])
            check_lane(pool, pool->view->lanes[i]);
    count_open(&pool->egress);
    headroom_check(pool);
    queue_check(pool);
}
