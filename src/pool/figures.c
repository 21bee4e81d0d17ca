#include "pool/figures.h"

#include "pool/bucket.h"
#include "pool/state.h"

void pool_figures(const struct pool *pool, struct pool_figures *ret)
{
    *ret = (struct pool_figures){.keys = pool->count, .blocking = pool->disabled};
    for (unsigned scope = 0; scope < SCOPE_COUNT; scope++) {
        for (unsigned state = 0; state <= CIRCUIT_HALF_OPEN; state++)
            ret->breakers[scope][state] = pool->circuits.standing[scope][state];
        ret->blocking +=
            ret->breakers[scope][CIRCUIT_OPEN] + ret->breakers[scope][CIRCUIT_HALF_OPEN];
    }
}

static const struct service *service_of(const struct node *node)
{
    switch ((enum node_kind)node->kind) {
    case NODE_KEY: return container_of(node, struct key, node)->service;
    case NODE_ORGANIZATION:
    case NODE_PROJECT: return container_of(node, struct owner, node)->service;
    case NODE_SERVICE: return container_of(node, struct service, node);
    case NODE_EGRESS: break;
    }
    return NULL;
}

/* The least share of its gauges that is left; negative with nothing known. */
static double share_left(const struct bucket *b, int64_t now_ns)
{
    int64_t drawn[COST_COUNT];
    double least = -1;

    credit_drawn(&b->credit, drawn);
    for (unsigned i = 0; i < COST_COUNT; i++) {
        const struct gauge *g = &b->gauges[i];
        if (g->limit <= 0)
            continue;
        double share = (gauge_left(g, now_ns) - (double)drawn[i]) / (double)g->limit;
        if (share < 0)
            share = 0;
        if (least < 0 || share < least)
            least = share;
    }
    return least;
}

static void add_share(struct headroom_figure *figure, unsigned *accounts, double share)
{
    if (!figure->known || share < figure->lowest)
        figure->lowest = share;
    figure->known = true;
    (*accounts)++;
    figure->total += (share - figure->total) / *accounts;
}

void pool_headroom(const struct pool *pool, int64_t now_ns,
                   struct headroom_figure ret[FIGURES_SERVICES_MAX])
{
    unsigned accounts[FIGURES_SERVICES_MAX] = {0}, looks = 0;

    memset(ret, 0, FIGURES_SERVICES_MAX * sizeof *ret);
    for (const struct list *at = pool->buckets.prev; at != &pool->buckets; at = at->prev) {
        const struct bucket *b = container_of(at, struct bucket, all);
        const struct service *service = b->node ? service_of(b->node) : NULL;
        if (looks++ == FIGURES_BUCKETS_MAX)
            return;
        if (!service || service->index >= FIGURES_SERVICES_MAX || !bucket_binds(b))
            continue;
        double share = share_left(b, now_ns);
        if (share >= 0)
            add_share(&ret[service->index], &accounts[service->index], share);
    }
}
