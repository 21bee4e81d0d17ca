#include "pool/models.h"

#include "pool/bucket.h"
#include "pool/state.h"

_Static_assert((MODEL_NAMES_MAX & (MODEL_NAMES_MAX - 1)) == 0, "a slot is some bits of the hash");

static size_t slot_of(uint64_t hash)
{
    return (size_t)hash & (MODEL_NAMES_MAX - 1);
}

void models_name(struct model_names *names, uint64_t hash, struct slice name)
{
    struct model_name *slot = &names->slots[slot_of(hash)];

    if (!hash || !name.len || slot->hash == hash)
        return;
    slot->hash = hash;
    (void)slice_copy(name, slot->text, sizeof slot->text);
}

const char *models_find(const struct model_names *names, uint64_t hash)
{
    const struct model_name *slot = &names->slots[slot_of(hash)];

    return hash && slot->hash == hash ? slot->text : "";
}

struct model_names *pool_model_names(struct pool *pool)
{
    return &pool->model_names;
}

struct gathering {
    const struct pool *pool;
    int64_t now_ns;
    struct model_view *views;
    size_t count;
};

/* The view of this model, made when new; NULL when there is no more room. */
static struct model_view *view_of(struct gathering *g, uint64_t hash)
{
    for (size_t i = 0; i < g->count; i++)
        if (g->views[i].hash == hash)
            return &g->views[i];
    if (g->count == MODEL_VIEWS_MAX)
        return NULL;
    struct model_view *view = &g->views[g->count++];
    *view = (struct model_view){.hash = hash,
                                .circuit = CIRCUIT_CLOSED,
                                .reason = FAILURE_NONE,
                                .requests_left = -1,
                                .requests_limit = -1,
                                .tokens_left = -1,
                                .tokens_limit = -1};
    (void)slice_copy(slice_str(models_find(&g->pool->model_names, hash)), view->name,
                     sizeof view->name);
    return view;
}

static bool is_of_a_model(const struct breaker *b)
{
    return scope_has_detail(b->place.scope) && b->place.scope != SCOPE_KEY_FAMILY;
}

static bool is_worse(const struct breaker *b, const struct model_view *view)
{
    if (view->circuit == CIRCUIT_OPEN)
        return b->state == CIRCUIT_OPEN && b->due_ns > view->until_ns;
    return b->state == CIRCUIT_OPEN || view->circuit == CIRCUIT_CLOSED;
}

static void gather_breakers(struct gathering *g, const struct node *node)
{
    for (const struct breaker *b = node->breakers; b; b = b->next) {
        if (b->state == CIRCUIT_CLOSED || !is_of_a_model(b))
            continue;
        struct model_view *view = view_of(g, b->place.detail);
        if (!view || !is_worse(b, view))
            continue;
        bool due = b->state == CIRCUIT_OPEN && b->due_ns <= g->now_ns;
        view->circuit = due ? CIRCUIT_HALF_OPEN : (enum circuit)b->state;
        view->scope = b->place.scope;
        view->reason = (enum failure)b->reason;
        view->until_ns = b->state == CIRCUIT_OPEN ? b->due_ns : g->now_ns;
    }
}

/* Drawn without the lock and not booked yet: looked at, not recalled, for the sake of those who
 * draw. */
static int64_t drawn(const struct bucket *b, enum cost cost)
{
    uint64_t tokens = (UINT64_C(1) << CREDIT_TOKEN_BITS) - 1, open = TALLY(&b->credit.open);

    if (cost == COST_REQUESTS)
        return (int64_t)(b->credit.lent >> CREDIT_TOKEN_BITS) -
               (int64_t)(open >> CREDIT_TOKEN_BITS);
    return (int64_t)(b->credit.lent & tokens) - (int64_t)(open & tokens);
}

static void lessen(const struct bucket *b, enum cost cost, int64_t now_ns, int64_t *left,
                   int64_t *limit)
{
    const struct gauge *g = &b->gauges[cost];

    if (g->limit < 0)
        return;
    int64_t now_left = (int64_t)gauge_left(g, now_ns) - drawn(b, cost);
    if (now_left < 0)
        now_left = 0;
    if (*limit >= 0 && *left <= now_left)
        return;
    *left = now_left;
    *limit = g->limit;
}

static void gather_buckets(struct gathering *g, const struct node *node)
{
    for (const struct bucket *b = node->buckets; b; b = b->next) {
        struct model_view *view = b->model && bucket_binds(b) ? view_of(g, b->model) : NULL;
        if (!view)
            continue;
        lessen(b, COST_REQUESTS, g->now_ns, &view->requests_left, &view->requests_limit);
        lessen(b, COST_TOKENS, g->now_ns, &view->tokens_left, &view->tokens_limit);
    }
}

size_t pool_view_models(const struct pool *pool, size_t index, int64_t now_ns,
                        struct model_view views[MODEL_VIEWS_MAX])
{
    struct key *key = pool->order[index];
    struct node *path[] = {&key->node, key_project_node(key), key_org_node(key)};
    struct gathering g = {.pool = pool, .now_ns = now_ns, .views = views};

    for (size_t i = 0; i < sizeof path / sizeof path[0]; i++) {
        if (i > 0 && path[i] == path[i - 1])
            continue; /* the key is its own project, the project its own organisation */
        gather_breakers(&g, path[i]);
        gather_buckets(&g, path[i]);
    }
    gather_breakers(&g, &key->service->node);
    return g.count;
}
