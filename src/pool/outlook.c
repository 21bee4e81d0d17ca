#include "pool/outlook.h"

#include "pool/select.h"

bool failure_passes(enum failure failure)
{
    switch (failure) {
    case FAILURE_RATE:
    case FAILURE_SLOW_DOWN:
    case FAILURE_TOO_LARGE:
    case FAILURE_CONFLICT:
    case FAILURE_OVERLOADED:
    case FAILURE_SERVER:
    case FAILURE_NETWORK:
    case FAILURE_TIMEOUT:
    case FAILURE_CUT:
    case FAILURE_GARBAGE: return true;
    case FAILURE_NONE:
    case FAILURE_CALLER:
    case FAILURE_POLICY:
    case FAILURE_REVOKED:
    case FAILURE_DEACTIVATED:
    case FAILURE_MISMATCHED:
    case FAILURE_EGRESS_IP:
    case FAILURE_SCOPE:
    case FAILURE_FORBIDDEN:
    case FAILURE_REGION:
    case FAILURE_UNVERIFIED:
    case FAILURE_MODEL:
    case FAILURE_TIER:
    case FAILURE_QUOTA:
    case FAILURE_ABANDONED:
    case FAILURE_DISABLED:
    case FAILURE_COUNT: break;
    }
    return false;
}

/* What stands in one key's way. */
struct hindrance {
    int64_t until_ns; /* -1: nothing is OPEN */
    enum failure cooling, dead;
    bool narrow; /* an OPEN breaker of the key or its accounts */
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
    if (!failure_passes((enum failure)b->reason))
        h->dead = (enum failure)b->reason;
    if (b->due_ns > h->until_ns) {
        h->until_ns = b->due_ns;
        h->cooling = (enum failure)b->reason;
    }
}

static struct hindrance hindrance_of(struct pool *pool, const struct route *route, struct key *key,
                                     int64_t now_ns)
{
    struct hindrance h = {.until_ns = -1, .cooling = FAILURE_NONE, .dead = FAILURE_NONE};

    for (enum scope scope = SCOPE_KEY; scope < SCOPE_COUNT; scope++) {
        struct node *node = key_scope_node(pool, key, scope);
        struct breaker *b = node->breakers ? select_breaker_at(pool, route, node, scope) : NULL;
        if (b)
            hinder(&h, b, now_ns);
    }
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

struct gaze {
    struct pool *pool;
    const struct route *route;
    int64_t now_ns;
    bool unserved; /* a key that may not serve the model */
    struct outlook *out;
};

static void see_key(struct gaze *gaze, struct key *key)
{
    const struct pool *pool = gaze->pool;
    struct hindrance h;

    if (!rules_allow(rules_of(&pool->rules, key->id), gaze->route->model)) {
        gaze->unserved = true;
        return;
    }
    h = hindrance_of(gaze->pool, gaze->route, key, gaze->now_ns);
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

    for (unsigned seen = 0; seen < OUTLOOK_KEYS; seen++) {
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

static void see_due(struct gaze *gaze)
{
    const struct circuits *c = &gaze->pool->circuits;
    size_t count = c->heap_count < OUTLOOK_KEYS ? c->heap_count : OUTLOOK_KEYS;

    for (size_t i = 0; i < count; i++) {
        struct key *key = key_below(gaze->pool, c->heap[i]);
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
    see_first(&gaze, count < OUTLOOK_KEYS ? count : OUTLOOK_KEYS);
    if (count > OUTLOOK_KEYS) {
        see_ready(&gaze, OUTLOOK_KEYS);
        see_due(&gaze);
    }
    if (gaze.unserved && ret_outlook->dead == FAILURE_NONE)
        ret_outlook->dead = FAILURE_MODEL;
}
