#include "pool/outlook.h"

#include "pool/select.h"

/* What stands in one key's way. */
struct hindrance {
    int64_t until_ns; /* -1: nothing is OPEN */
    enum failure cooling, dead;
    enum scope dead_scope; /* of several the widest is told */
    bool narrow;           /* an OPEN breaker of the key or its accounts */
    bool busy;
};

static void hinder(struct hindrance *h, const struct breaker *b, int64_t now_ns)
{
    enum gate gate = select_gate(b, now_ns);

    if (gate == GATE_BUSY) {
        h->busy = true;
        if (h->until_ns < 0)
            h->cooling = (enum failure)b->reason;
    }
    if (gate != GATE_OPEN)
        return;
    h->narrow |= !scope_is_wide(b->place.scope);
    if (!failure_passes((enum failure)b->reason) &&
        (h->dead == FAILURE_NONE || b->place.scope > h->dead_scope)) {
        h->dead = (enum failure)b->reason;
        h->dead_scope = b->place.scope;
    }
    if (b->due_ns > h->until_ns) {
        h->until_ns = b->due_ns;
        h->cooling = (enum failure)b->reason;
    }
}

struct gaze {
    struct pool *pool;
    const struct route *route;
    int64_t now_ns;
    bool unserved; /* a key that may not serve the model */
    struct outlook *out;
};

static bool has_few(const struct node *node)
{
    unsigned count = 0;

    for (const struct breaker *b = node->breakers; b; b = b->next)
        if (++count > OUTLOOK_RING)
            return false;
    return true;
}

/* What stands at one node of a key's path. */
static void hinder_at(const struct gaze *gaze, struct hindrance *h, struct node *node)
{
    const struct breaker *b;

    if (has_few(node)) {
        for (b = node->breakers; b; b = b->next)
            if (select_concerns(gaze->route, b))
                hinder(h, b, gaze->now_ns);
        return;
    }
    for (enum scope scope = SCOPE_KEY; scope < SCOPE_COUNT; scope++) {
        b = select_breaker_at(gaze->pool, gaze->route, node, scope);
        if (b)
            hinder(h, b, gaze->now_ns);
    }
}

static struct hindrance hindrance_of(const struct gaze *gaze, struct key *key)
{
    struct hindrance h = {.until_ns = -1, .cooling = FAILURE_NONE, .dead = FAILURE_NONE};

    hinder_at(gaze, &h, &key->node);
    if (key->project)
        hinder_at(gaze, &h, &key->project->node);
    if (key->org)
        hinder_at(gaze, &h, &key->org->node);
    hinder_at(gaze, &h, &key->service->node);
    hinder_at(gaze, &h, &gaze->pool->egress);
    return h;
}

static bool sooner(int64_t a, int64_t b)
{
    return b < 0 || a < b;
}

static void weigh(struct outlook *out, const struct hindrance *h, bool usable, int64_t now_ns)
{
    if (h->dead != FAILURE_NONE) {
        if (out->dead == FAILURE_NONE)
            out->dead = h->dead;
        return;
    }
    if (h->until_ns >= 0 && sooner(h->until_ns, out->recovery_ns)) {
        out->recovery_ns = h->until_ns;
        out->cooling = h->cooling;
    }
    if (h->until_ns < 0 && h->busy && sooner(now_ns, out->recovery_ns)) {
        out->recovery_ns = now_ns; /* any moment */
        out->cooling = h->cooling;
    }
    if (!usable)
        return;
    out->in_use |= h->busy && h->until_ns < 0;
    if (h->until_ns >= 0 && sooner(h->until_ns, out->usable_ns))
        out->usable_ns = h->until_ns;
    if (h->until_ns < 0 && h->busy && sooner(now_ns, out->usable_ns))
        out->usable_ns = now_ns;
    if (h->until_ns >= 0 && !h->narrow && sooner(h->until_ns, out->service_ns))
        out->service_ns = h->until_ns;
}

static void see_key(struct gaze *gaze, struct key *key)
{
    const struct pool *pool = gaze->pool;
    struct hindrance h;

    gaze->out->looks++;
    if (!rules_allow(rules_of(&pool->rules, key->id), gaze->route->model)) {
        gaze->unserved = true;
        return;
    }
    h = hindrance_of(gaze, key);
    if (key->disabled)
        h.dead = FAILURE_DISABLED;
    weigh(gaze->out, &h, !select_is_ruled_out(pool, key), gaze->now_ns);
}

static void see_first(struct gaze *gaze, size_t count)
{
    for (size_t i = 0; i < count; i++)
        see_key(gaze, gaze->pool->order[i]);
}

/* Those that are not out: somebody tries them, or this request must not. */
static void see_ready(struct gaze *gaze, size_t from)
{
    const struct bits *worth = select_worth(gaze->pool, gaze->route);

    for (unsigned seen = 0; seen < OUTLOOK_SAMPLE; seen++) {
        from = bits_next(worth, from);
        if (from == BITS_NONE)
            return;
        see_key(gaze, gaze->pool->order[from++]);
    }
}

/* A key that the breaker stops; NULL where that is any key, or none that is loaded. */
static struct key *key_below(const struct pool *pool, const struct breaker *b)
{
    struct node *node = b->place.node;
    struct owner *owner;
    key_id member;

    switch ((enum node_kind)node->kind) {
    case NODE_KEY: {
        struct key *key = container_of(node, struct key, node);
        return key->position == POSITION_NONE ? NULL : key;
    }
    case NODE_ORGANIZATION:
    case NODE_PROJECT: break;
    case NODE_SERVICE:
    case NODE_EGRESS: return NULL;
    }
    owner = container_of(node, struct owner, node);
    member = owner->members;
    if (member == KEY_NONE && !list_empty(&owner->projects))
        member = container_of(owner->projects.next, struct owner, siblings)->members;
    if (member == KEY_NONE || pool_key(pool, member)->position == POSITION_NONE)
        return NULL;
    return pool_key(pool, member);
}

/* Places in the heap of due times whose parents were seen: the next due is among them. */
struct frontier {
    const struct circuits *circuits;
    size_t places[OUTLOOK_SAMPLE + 1], count;
};

static void extend(struct frontier *f, size_t place)
{
    if (place < f->circuits->heap_count)
        f->places[f->count++] = place;
}

/* The next breaker in the order of time; NULL: that was the last. */
static const struct breaker *next_due(struct frontier *f)
{
    struct breaker *const *heap = f->circuits->heap;
    size_t first = 0, place;

    if (f->count == 0)
        return NULL;
    for (size_t i = 1; i < f->count; i++)
        if (heap[f->places[i]]->due_ns < heap[f->places[first]]->due_ns)
            first = i;
    place = f->places[first];
    f->places[first] = f->places[--f->count];
    extend(f, 2 * place + 1);
    extend(f, 2 * place + 2);
    return heap[place];
}

/* A key comes back when the last of its breakers does, so none of those still to come brings one
 * back before it is due. */
static void see_due(struct gaze *gaze)
{
    struct frontier f = {.circuits = &gaze->pool->circuits};

    extend(&f, 0);
    for (unsigned seen = 0; seen < OUTLOOK_SAMPLE; seen++) {
        const struct breaker *b = next_due(&f);
        struct key *key = b ? key_below(gaze->pool, b) : NULL;
        if (!b || (gaze->out->usable_ns >= 0 && b->due_ns >= gaze->out->usable_ns))
            return;
        if (key)
            see_key(gaze, key);
    }
}

void outlook_see(struct pool *pool, const struct route *route, int64_t now_ns,
                 struct outlook *ret_outlook)
{
    size_t count = pool->options.fallback_enabled || pool->count == 0 ? pool->count : 1;
    struct gaze gaze = {.pool = pool, .route = route, .now_ns = now_ns, .out = ret_outlook};

    *ret_outlook = (struct outlook){.service_ns = -1, .usable_ns = -1, .recovery_ns = -1};
    if (count <= OUTLOOK_KEYS) {
        see_first(&gaze, count);
    } else {
        see_first(&gaze, OUTLOOK_SAMPLE);
        see_ready(&gaze, OUTLOOK_SAMPLE);
        see_due(&gaze);
    }
    if (gaze.unserved && ret_outlook->dead == FAILURE_NONE)
        ret_outlook->dead = FAILURE_MODEL;
}
