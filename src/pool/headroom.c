#include "pool/headroom.h"

#include <stdlib.h>

#include "pool/invariant.h"

#define METERS_FIRST 64

static struct node *node_of(struct key *key, enum bucket_level level)
{
    return level == LEVEL_ORG ? key_org_node(key) : key_project_node(key);
}

/* Nodes are told apart by address: no decision depends on the order in a chain. */
static struct bucket **chain_of(const struct pool *pool, const struct node *node)
{
    return &pool->meters[hash_mix((uintptr_t)node, 0) & (pool->meter_size - 1)];
}

static struct bucket *find_at(const struct pool *pool, const struct node *node, uint64_t model,
                              enum bucket_level level)
{
    struct bucket *b = node->metered ? *chain_of(pool, node) : NULL;

    while (b && (b->node != node || b->model != model || b->level != level))
        b = b->next;
    return b;
}

struct bucket *headroom_find(const struct pool *pool, struct key *key, uint64_t model,
                             enum bucket_level level)
{
    return find_at(pool, node_of(key, level), model, level);
}

static void link_bucket(struct pool *pool, struct bucket *b)
{
    struct bucket **chain = chain_of(pool, b->node);

    b->next = *chain;
    *chain = b;
    POST(&b->node->metered, true);
    pool->meter_count++;
}

/* The bucket at *at leaves the table. */
static struct bucket *unlink_bucket(struct pool *pool, struct bucket **at)
{
    struct bucket *b = *at;

    *at = b->next;
    b->next = NULL;
    pool->meter_count--;
    return b;
}

/* The one unused for longest makes room; those in use stay. */
static void make_room(struct pool *pool, struct node *node)
{
    struct bucket **oldest = NULL;
    unsigned count = 0;

    for (struct bucket **at = chain_of(pool, node); *at; at = &(*at)->next) {
        if ((*at)->node != node)
            continue;
        count++;
        if (list_empty(&(*at)->holds) && (!oldest || (*at)->sent_ns < (*oldest)->sent_ns))
            oldest = at;
    }
    if (count >= BUCKETS_PER_NODE && oldest)
        bucket_detach(unlink_bucket(pool, oldest));
}

/* Longer chains are only slower, so a failed growth is a failure only the first time. */
static bool grow_meters(struct pool *pool)
{
    size_t size = pool->meter_size ? pool->meter_size * 2 : METERS_FIRST;
    struct bucket **bigger, **old = pool->meters;
    size_t old_size = pool->meter_size;

    if (pool->meter_count < pool->meter_size)
        return true;
    bigger = calloc(size, sizeof(*bigger));
    if (!bigger)
        return old;
    pool->meters = bigger;
    pool->meter_size = size;
    pool->meter_count = 0;
    for (size_t i = 0; i < old_size; i++) {
        for (struct bucket *b = old[i], *next; b; b = next) {
            next = b->next;
            link_bucket(pool, b);
        }
    }
    free(old);
    return true;
}

/* Without memory nothing is learned, and limits are found out by running into them. */
static struct bucket *find_or_add(struct pool *pool, struct key *key, uint64_t model,
                                  enum bucket_level level)
{
    struct node *node = node_of(key, level);
    struct bucket *b = find_at(pool, node, model, level);

    if (b || !grow_meters(pool))
        return b;
    make_room(pool, node);
    b = bucket_new(node, model, level);
    if (!b)
        return NULL;
    link_bucket(pool, b);
    list_append(&pool->buckets, &b->all);
    return b;
}

static int64_t ready_at(struct pool *pool, struct bucket *b, const struct route *route,
                        int64_t now_ns, double *pace_per_s)
{
    int64_t pace_ns;

    if (b->seen == pool->stamp)
        return b->ready_ns;
    b->seen = pool->stamp;
    b->ready_ns = bucket_ready_ns(b, route->costs, now_ns);
    if (b->ready_ns > now_ns && pace_per_s) {
        pace_ns = bucket_pace_ns(b, route->costs);
        *pace_per_s += pace_ns > 0 ? 1e9 / (double)pace_ns : 0;
    }
    return b->ready_ns;
}

int64_t headroom_ready_ns(struct pool *pool, struct key *key, const struct route *route,
                          int64_t now_ns, double *pace_per_s)
{
    int64_t ready_ns = now_ns;

    for (enum bucket_level level = LEVEL_PROJECT; level <= LEVEL_ORG; level++) {
        struct bucket *b = headroom_find(pool, key, route->model, level);
        int64_t at_ns =
            b && bucket_binds(b) ? ready_at(pool, b, route, now_ns, pace_per_s) : now_ns;
        if (at_ns > ready_ns)
            ready_ns = at_ns;
    }
    return ready_ns;
}

bool headroom_has_room(const struct pool *pool, struct key *key, const struct route *route,
                       int64_t now_ns)
{
    for (enum bucket_level level = LEVEL_PROJECT; level <= LEVEL_ORG; level++) {
        struct bucket *b = headroom_find(pool, key, route->model, level);
        if (b && bucket_binds(b) && bucket_ready_ns(b, route->costs, now_ns) > now_ns)
            return false;
    }
    return true;
}

double headroom_share(const struct pool *pool, struct key *key, const struct route *route,
                      int64_t now_ns)
{
    double least = 1;

    for (enum bucket_level level = LEVEL_PROJECT; level <= LEVEL_ORG; level++) {
        struct bucket *b = headroom_find(pool, key, route->model, level);
        double share = b && bucket_binds(b) ? bucket_share(b, now_ns) : 1;
        if (share < least)
            least = share;
    }
    return least;
}

bool headroom_may_try(const struct pool *pool, struct key *key, const struct route *route,
                      int64_t now_ns)
{
    for (enum bucket_level level = LEVEL_PROJECT; level <= LEVEL_ORG; level++) {
        struct bucket *b = headroom_find(pool, key, route->model, level);
        if (b && b->trial && now_ns < b->trial_end_ns)
            return false;
    }
    return true;
}

void headroom_begin(struct pool *pool, struct attempt *attempt, const struct route *route,
                    int64_t now_ns)
{
    struct key *key = pool_key(pool, attempt->key);

    for (enum bucket_level level = LEVEL_PROJECT; level <= LEVEL_ORG; level++) {
        struct bucket *b = headroom_find(pool, key, route->model, level);
        bool trial;
        attempt->holds[level].bucket = NULL;
        if (!b)
            continue;
        trial = bucket_binds(b) && bucket_ready_ns(b, attempt->costs, now_ns) > now_ns;
        bucket_hold(b, attempt, level, trial, pool->options.lease_ns, now_ns);
    }
}

void headroom_end(struct attempt *attempt, int64_t now_ns)
{
    bucket_release(attempt, LEVEL_PROJECT, now_ns);
    bucket_release(attempt, LEVEL_ORG, now_ns);
}

/* ---- what answers say ---- */

/* Which readings of a report belong to a level: [0] to the plain ones, [1] to the project's. */
static const int reading_of[2][COST_COUNT] = {
    {REPORT_REQUESTS, REPORT_TOKENS, REPORT_IMAGES},
    {REPORT_PROJECT_REQUESTS, REPORT_PROJECT_TOKENS, -1},
};

struct told {
    bool any, empty; /* something known; too little of it for the request */
    struct limit_reading readings[COST_COUNT];
};

static struct told read_report(const struct limit_report *report, const int which[COST_COUNT],
                               const int64_t costs[COST_COUNT])
{
    struct told told = {0};

    for (unsigned i = 0; i < COST_COUNT; i++) {
        told.readings[i] = (struct limit_reading){-1, -1, -1};
        if (which[i] < 0 || !reading_known(&report->readings[which[i]]))
            continue;
        told.readings[i] = report->readings[which[i]];
        told.any = true;
        told.empty |= told.readings[i].remaining < costs[i] || told.readings[i].remaining == 0;
    }
    return told;
}

static double distance(double a, double b)
{
    return a > b ? a - b : b - a;
}

/* How far a bucket's own idea of one gauge is from what was read. */
static double surprise(const struct bucket *b, unsigned gauge, const struct limit_reading *r,
                       int64_t at_ns)
{
    const struct gauge *g = &b->gauges[gauge];
    double left = g->limit == r->limit ? gauge_left(g, at_ns) : (double)r->limit;

    return distance(left, (double)r->remaining);
}

/* Who foretold this reading: the organisation's bucket or the project's own? */
static void vote(struct bucket *org, const struct bucket *project, const struct attempt *attempt,
                 const struct told *told)
{
    for (unsigned i = 0; i < COST_COUNT; i++) {
        const struct limit_reading *r = &told->readings[i];
        double shared, own;
        if (r->limit < 0 || org->gauges[i].limit != r->limit)
            continue;
        shared = surprise(org, i, r, attempt->started_ns);
        own = surprise(project, i, r, attempt->started_ns);
        if (distance(shared, own) < 2)
            continue; /* they foretold the same */
        if (shared < own && org->votes < HEADROOM_VOTES_MAX)
            org->votes++;
        else if (shared > own && org->votes > -HEADROOM_VOTES_MAX)
            org->votes--;
        return;
    }
}

static void correct(struct bucket *b, const struct attempt *attempt, const struct told *told,
                    int64_t now_ns)
{
    if (b)
        bucket_correct(b, attempt, told->readings, now_ns);
}

static void hear_plain(struct pool *pool, struct attempt *attempt, uint64_t model,
                       const struct told *told, int64_t now_ns)
{
    struct key *key = pool_key(pool, attempt->key);
    struct bucket *project = find_or_add(pool, key, model, LEVEL_PROJECT);
    struct bucket *org = NULL;

    if (key->org)
        org = find_or_add(pool, key, model, LEVEL_ORG);
    if (org && project && attempt->serial > org->serial)
        vote(org, project, attempt, told);
    correct(org, attempt, told, now_ns);
    correct(project, attempt, told, now_ns);
}

static void hear_both(struct pool *pool, struct attempt *attempt, uint64_t model,
                      const struct told *plain, const struct told *own, int64_t now_ns)
{
    struct key *key = pool_key(pool, attempt->key);
    struct bucket *org = find_or_add(pool, key, model, LEVEL_ORG);

    if (org)
        org->votes = HEADROOM_VOTES_MAX; /* that is certain */
    correct(org, attempt, plain, now_ns);
    correct(find_or_add(pool, key, model, LEVEL_PROJECT), attempt, own, now_ns);
}

void headroom_report(struct pool *pool, struct attempt *attempt, const struct route *route,
                     const struct limit_report *report, int64_t now_ns)
{
    struct told plain = read_report(report, reading_of[0], attempt->costs);
    struct told own = read_report(report, reading_of[1], attempt->costs);

    attempt->told = true;
    attempt->explained = plain.empty || own.empty;
    attempt->project_explained = own.empty && !plain.empty;
    if (own.any)
        hear_both(pool, attempt, route->model, &plain, &own, now_ns);
    else if (plain.any)
        hear_plain(pool, attempt, route->model, &plain, now_ns);
}

/* ---- recovery ---- */

void headroom_ramp(struct pool *pool, struct key *key, enum scope scope, uint64_t model,
                   int64_t now_ns)
{
    bool org = scope == SCOPE_ORG || scope == SCOPE_ORG_MODEL || scope == SCOPE_ORG_MODEL_STREAM;
    struct node *node = node_of(key, org ? LEVEL_ORG : LEVEL_PROJECT);
    struct bucket *b = node->metered && pool->options.ramp_ns > 0 ? *chain_of(pool, node) : NULL;

    for (; b; b = b->next)
        if (b->node == node && (b->model == model || !scope_has_detail(scope)) && bucket_binds(b))
            bucket_ramp(b, pool->options.ramp_ns, now_ns);
}

/* ---- the tree ---- */

void headroom_move(struct pool *pool, struct node *from, struct node *to, enum bucket_level level)
{
    struct bucket **at = from->metered && from != to ? chain_of(pool, from) : NULL;

    while (at && *at) {
        struct bucket *b = *at;
        if (b->node != from || b->level != level) {
            at = &b->next;
            continue;
        }
        unlink_bucket(pool, at);
        if (find_at(pool, to, b->model, level)) {
            bucket_detach(b); /* what the new owner's answers say is worth more */
            continue;
        }
        b->node = to;
        link_bucket(pool, b);
        /* It may have come to the front of this very chain, behind `at` or before it: either way
         * every other bucket is still met. */
    }
}

void headroom_clear(struct pool *pool, struct node *node)
{
    struct bucket **at = node->metered ? chain_of(pool, node) : NULL;

    while (at && *at) {
        if ((*at)->node == node)
            bucket_detach(unlink_bucket(pool, at));
        else
            at = &(*at)->next;
    }
    POST(&node->metered, false);
}

void headroom_free(struct pool *pool)
{
    while (!list_empty(&pool->buckets)) {
        struct bucket *b = container_of(pool->buckets.next, struct bucket, all);
        list_remove(&b->all);
        free(b);
    }
    free(pool->meters);
}

void headroom_check(const struct pool *pool)
{
    for (struct list *at = pool->buckets.next; at != &pool->buckets; at = at->next) {
        const struct bucket *b = container_of(at, struct bucket, all);
        bucket_check(b);
        INVARIANT(!b->node || find_at(pool, b->node, b->model, (enum bucket_level)b->level) == b,
                  "a bucket does not stand where it says");
    }
}
