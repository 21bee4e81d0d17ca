/* Free probes of keys that are out for a fault which GET /v1/models can disprove.
 *
 * Breakers of that kind stand in one list, in the order they are to be probed: a new one and one
 * just probed go to its end, both due one interval later, so the list is sorted by itself. Probes
 * keep a distance of interval / length, which spreads many dead keys over the interval.
 *
 * While somebody probes, such a breaker does not half-open by time alone: no caller's request is
 * spent on what a probe finds out. When nobody has asked for probes for two intervals, time does
 * it again (probe_is_on).
 */
#include "pool/probe.h"

void probe_watch(struct pool *pool, struct breaker *b, int64_t now_ns)
{
    if (b->probe != PROBE_FREE)
        return;
    pool->probe_count += list_empty(&b->probes);
    list_remove(&b->probes);
    list_append(&pool->probes, &b->probes);
    b->probe_ns = now_ns + pool->options.probe_interval_ns;
    pool->epoch++; /* whoever probes shall ask when */
}

void probe_forget(struct pool *pool, struct breaker *b)
{
    pool->probe_count -= !list_empty(&b->probes);
    list_remove(&b->probes);
}

bool probe_is_on(const struct pool *pool, int64_t now_ns)
{
    return pool->options.probe_interval_ns > 0 && pool->prober_ns >= 0 &&
           now_ns - pool->prober_ns <= 2 * pool->options.probe_interval_ns + PROBE_GRACE_NS;
}

/* A retired key is in the tree until its last request lets go of it, but what its cookie led to is
 * the caller's no more. */
static struct key *unless_retired(struct key *key)
{
    return key->position == POSITION_NONE ? NULL : key;
}

static struct key *first_loaded(struct pool *pool, key_id id)
{
    struct key *key = NULL;

    for (; id != KEY_NONE && !key; id = pool_key(pool, id)->next_sibling)
        key = unless_retired(pool_key(pool, id));
    return key;
}

static struct key *member_of(struct pool *pool, struct owner *owner)
{
    struct key *key = first_loaded(pool, owner->members);

    for (struct list *at = owner->projects.next; at != &owner->projects && !key; at = at->next)
        key = first_loaded(pool, container_of(at, struct owner, siblings)->members);
    return key;
}

/* A key whose answer concerns the breaker; NULL when all of them are retired. */
static struct key *key_below(struct pool *pool, struct node *node)
{
    switch ((enum node_kind)node->kind) {
    case NODE_KEY: return unless_retired(container_of(node, struct key, node));
    case NODE_PROJECT:
    case NODE_ORGANIZATION: return member_of(pool, container_of(node, struct owner, node));
    case NODE_SERVICE:
    case NODE_EGRESS: break;
    }
    return NULL;
}

static struct probe_slot *slot_of(struct pool *pool, key_id key)
{
    for (int i = 0; i < PROBES_AT_ONCE; i++)
        if (pool->probe_slots[i].used && pool->probe_slots[i].key == key)
            return &pool->probe_slots[i];
    return NULL;
}

static void slot_clear(struct pool *pool, struct probe_slot *slot)
{
    slot->used = false;
    key_unref(pool, pool_key(pool, slot->key));
}

/* A free place, after those whose probes are lost have been taken back; or NULL and when to ask
 * again. */
static struct probe_slot *free_slot(struct pool *pool, int64_t now_ns, int64_t *ret_due_ns)
{
    struct probe_slot *free = NULL;

    *ret_due_ns = INT64_MAX;
    for (int i = 0; i < PROBES_AT_ONCE; i++) {
        struct probe_slot *slot = &pool->probe_slots[i];
        int64_t end_ns = slot->started_ns + pool->options.lease_ns;
        if (slot->used && now_ns >= end_ns)
            slot_clear(pool, slot);
        if (!slot->used)
            free = slot;
        else if (end_ns < *ret_due_ns)
            *ret_due_ns = end_ns;
    }
    return free;
}

static void start(struct probe_slot *slot, struct breaker *b, struct key *key, int64_t now_ns)
{
    *slot =
        (struct probe_slot){.used = true, .key = key->id, .place = b->place, .started_ns = now_ns};
    key_ref(key);
}

bool pool_probe_next(struct pool *pool, int64_t now_ns, key_id *ret_key, int64_t *ret_due_ns)
{
    struct probe_slot *slot;
    struct breaker *b;
    struct key *key;
    int64_t due_ns;

    pool->prober_ns = now_ns;
    slot = free_slot(pool, now_ns, ret_due_ns);
    if (!slot || pool->options.probe_interval_ns <= 0 || list_empty(&pool->probes))
        return false;
    b = container_of(pool->probes.next, struct breaker, probes);
    due_ns = pool->probed_ns + pool->options.probe_interval_ns / (int64_t)pool->probe_count;
    if (pool->probed_ns < 0 || due_ns < b->probe_ns)
        due_ns = b->probe_ns;
    if (now_ns < due_ns) {
        *ret_due_ns = due_ns;
        return false;
    }
    key = key_below(pool, b->place.node);
    list_remove(&b->probes);
    list_append(&pool->probes, &b->probes);
    b->probe_ns = now_ns + pool->options.probe_interval_ns;
    pool->probed_ns = now_ns;
    if (!key || slot_of(pool, key->id)) { /* or another breaker's probe is asking this very key */
        *ret_due_ns = now_ns + 1;
        return false;
    }
    start(slot, b, key, now_ns);
    *ret_key = key->id;
    return true;
}

/* What a working key disproves: that it, its project or its organisation is shut out. */
static void disprove(struct pool *pool, struct key *key, int64_t started_ns)
{
    static const enum scope scopes[] = {SCOPE_KEY, SCOPE_PROJECT, SCOPE_ORG};

    for (unsigned i = 0; i < sizeof scopes / sizeof scopes[0]; i++) {
        struct place place = {key_scope_node(pool, key, scopes[i]), 0, scopes[i]};
        struct breaker *b = circuits_find(&pool->circuits, place);
        if (b && b->probe == PROBE_FREE && b->state != CIRCUIT_CLOSED && b->opened_ns < started_ns)
            circuit_close(pool, b);
    }
    key_forget_errors(key);
}

void pool_probe_hear(struct pool *pool, key_id id, const struct verdict *verdict,
                     const struct evidence *evidence, int64_t now_ns)
{
    struct probe_slot *slot = slot_of(pool, id);
    struct breaker *b;

    (void)now_ns;
    if (!slot)
        return; /* too late: it counts as lost */
    if (verdict && verdict->reaction == REACT_SUCCESS) {
        disprove(pool, pool_key(pool, id), slot->started_ns);
    } else if (verdict && verdict->scope == slot->place.scope && evidence) {
        b = circuits_find(&pool->circuits, slot->place);
        if (b && b->state == CIRCUIT_OPEN && b->reason == verdict->failure)
            b->evidence = *evidence;
    }
    slot_clear(pool, slot);
}
