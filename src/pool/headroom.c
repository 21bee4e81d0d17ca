#include "pool/headroom.h"

#include <stdlib.h>

#include "pool/invariant.h"

static struct node *node_of(struct key *key, enum bucket_level level)
{
    return level == LEVEL_ORG ? key_org_node(key) : key_project_node(key);
}

static bool is_for(const struct bucket *b, uint64_t model, enum bucket_level level)
{
    return b->model == model && b->level == level;
}

/* As it stands, with what is lent. */
static struct bucket *find_lending(const struct node *node, uint64_t model, enum bucket_level level)
{
    struct bucket *b = node->buckets;

    while (b && !is_for(b, model, level))
        b = b->next;
    return b;
}

static struct bucket *find_at(const struct node *node, uint64_t model, enum bucket_level level,
                              int64_t now_ns)
{
    struct bucket *b = find_lending(node, model, level);

    if (b)
        bucket_recall(b, now_ns);
    return b;
}

struct bucket *headroom_find(struct key *key, uint64_t model, enum bucket_level level,
                             int64_t now_ns)
{
    return find_at(node_of(key, level), model, level, now_ns);
}

static void link_bucket(struct pool *pool, struct bucket *b)
{
    POST(&b->next, b->node->buckets);
    POST(&b->node->buckets, b);
    pool->bucket_count++;
}

/* The bucket at *at leaves its node; who stands at it without the lock goes on from there. */
static struct bucket *unlink_bucket(struct pool *pool, struct bucket **at)
{
    struct bucket *b = *at;

    POST(at, b->next);
    pool->bucket_count--;
    return b;
}

/* The one unused for longest makes room; those in use under the lock stay. */
static void make_room(struct pool *pool, struct node *node, int64_t now_ns)
{
    struct bucket **oldest = NULL;
    unsigned count = 0;

    for (struct bucket **at = &node->buckets; *at; at = &(*at)->next) {
        bucket_recall(*at, now_ns);
        count++;
        if (list_empty(&(*at)->holds) && (!oldest || (*at)->sent_ns < (*oldest)->sent_ns))
            oldest = at;
    }
    if (count >= BUCKETS_PER_NODE && oldest)
        bucket_detach(unlink_bucket(pool, oldest));
}

/* Without memory nothing is learned, and limits are found out by running into them. */
static struct bucket *find_or_add(struct pool *pool, struct key *key, uint64_t model,
                                  enum bucket_level level, int64_t now_ns)
{
    struct node *node = node_of(key, level);
    struct bucket *b = find_at(node, model, level, now_ns);

    if (b)
        return b;
    make_room(pool, node, now_ns);
    b = bucket_new(&pool->shelf, node, model, level);
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
        struct bucket *b = headroom_find(key, route->model, level, now_ns);
        int64_t at_ns =
            b && bucket_binds(b) ? ready_at(pool, b, route, now_ns, pace_per_s) : now_ns;
        if (at_ns > ready_ns)
            ready_ns = at_ns;
    }
    return ready_ns;
}

bool headroom_has_room(struct key *key, const struct route *route, int64_t now_ns)
{
    for (enum bucket_level level = LEVEL_PROJECT; level <= LEVEL_ORG; level++) {
        struct bucket *b = headroom_find(key, route->model, level, now_ns);
        if (b && bucket_binds(b) && bucket_ready_ns(b, route->costs, now_ns) > now_ns)
            return false;
    }
    return true;
}

double headroom_share(struct key *key, const struct route *route, int64_t now_ns)
{
    double least = 1;

    for (enum bucket_level level = LEVEL_PROJECT; level <= LEVEL_ORG; level++) {
        struct bucket *b = headroom_find(key, route->model, level, now_ns);
        double share = b && bucket_binds(b) ? bucket_share(b, now_ns) : 1;
        if (share < least)
            least = share;
    }
    return least;
}

bool headroom_may_try(struct key *key, const struct route *route, int64_t now_ns)
{
    for (enum bucket_level level = LEVEL_PROJECT; level <= LEVEL_ORG; level++) {
        struct bucket *b = headroom_find(key, route->model, level, now_ns);
        if (b && b->trial && now_ns < b->trial_end_ns)
            return false;
    }
    return true;
}

/* Its account has been looked at; those who come without the lock may draw from it again. */
static void lend(const struct pool *pool, struct bucket *b, int64_t now_ns)
{
    if (b && fast_is_possible(pool)) {
        bucket_recall(b, now_ns);
        bucket_lend(b, now_ns);
    }
}

void headroom_begin(struct pool *pool, struct attempt *attempt, const struct route *route,
                    int64_t now_ns)
{
    struct key *key = attempt->at;

    for (enum bucket_level level = LEVEL_PROJECT; level <= LEVEL_ORG; level++) {
        struct bucket *b = headroom_find(key, route->model, level, now_ns);
        bool trial;
        attempt->holds[level].bucket = NULL;
        if (!b)
            continue;
        trial = bucket_binds(b) && bucket_ready_ns(b, attempt->costs, now_ns) > now_ns;
        bucket_hold(b, attempt, level, trial, pool->options.lease_ns, now_ns);
        lend(pool, b, now_ns);
    }
}

static void end_hold(const struct pool *pool, struct attempt *attempt, enum bucket_level level,
                     int64_t now_ns)
{
    struct bucket *b = attempt->holds[level].bucket;
    bool stays = b && b->node && !attempt->holds[level].birth;

    if (stays)
        bucket_recall(b, now_ns);
    bucket_release(attempt, level, now_ns);
    if (stays)
        lend(pool, b, now_ns);
}

void headroom_end(const struct pool *pool, struct attempt *attempt, int64_t now_ns)
{
    end_hold(pool, attempt, LEVEL_PROJECT, now_ns);
    end_hold(pool, attempt, LEVEL_ORG, now_ns);
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

static void correct(const struct pool *pool, struct bucket *b, const struct attempt *attempt,
                    const struct told *told, int64_t now_ns)
{
    if (!b)
        return;
    bucket_correct(b, attempt, told->readings, now_ns);
    lend(pool, b, now_ns);
}

static void hear_plain(struct pool *pool, struct attempt *attempt, uint64_t model,
                       const struct told *told, int64_t now_ns)
{
    struct key *key = attempt->at;
    struct bucket *project = find_or_add(pool, key, model, LEVEL_PROJECT, now_ns);
    struct bucket *org = NULL;

    if (key->org)
        org = find_or_add(pool, key, model, LEVEL_ORG, now_ns);
    if (org && project && attempt->serial > org->serial)
        vote(org, project, attempt, told);
    correct(pool, org, attempt, told, now_ns);
    correct(pool, project, attempt, told, now_ns);
}

static void hear_both(struct pool *pool, struct attempt *attempt, uint64_t model,
                      const struct told *plain, const struct told *own, int64_t now_ns)
{
    struct key *key = attempt->at;
    struct bucket *org = find_or_add(pool, key, model, LEVEL_ORG, now_ns);

    if (org)
        org->votes = HEADROOM_VOTES_MAX; /* that is certain */
    correct(pool, org, attempt, plain, now_ns);
    correct(pool, find_or_add(pool, key, model, LEVEL_PROJECT, now_ns), attempt, own, now_ns);
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

/* ---- without the lock ---- */

/* A walk that buckets on the move lead astray ends all the same: what it misses is as if the request
 * had come just before the move. */
#define STEPS_MAX (2 * BUCKETS_PER_NODE)

static struct bucket *find_posted(const struct node *node, uint64_t model, enum bucket_level level)
{
    struct bucket *b = PEEK(&node->buckets);

    for (unsigned steps = 0; b && steps < STEPS_MAX; b = PEEK(&b->next), steps++)
        if (is_for(b, model, level))
            return PEEK(&b->node) == node ? b : NULL;
    return NULL;
}

/* The nodes where the key's buckets stand, by level. */
struct path {
    const struct node *at[2];
};

static struct path posted_path(const struct key *key)
{
    const struct owner *project = PEEK(&key->project), *org = PEEK(&key->org);
    const struct node *own = project ? &project->node : &key->node;

    return (struct path){{[LEVEL_PROJECT] = own, [LEVEL_ORG] = org ? &org->node : own}};
}

bool headroom_draw(const struct key *key, const struct route *route, struct hold holds[2])
{
    struct path path = posted_path(key);
    struct bucket *org = find_posted(path.at[LEVEL_ORG], route->model, LEVEL_ORG);
    struct bucket *project = find_posted(path.at[LEVEL_PROJECT], route->model, LEVEL_PROJECT);

    if (org && !bucket_draw(org, route->costs, &holds[LEVEL_ORG]))
        return false;
    if (!project || bucket_draw(project, route->costs, &holds[LEVEL_PROJECT]))
        return true;
    if (!org)
        return false;
    /* What was drawn may have been recalled already and is not lent anew: it ends as an attempt that
     * used no tokens. The one request too many is noticed no later than the loan's end. */
    credit_return(&org->credit, route->costs, 0);
    holds[LEVEL_ORG].bucket = NULL;
    holds[LEVEL_ORG].birth = 0;
    return false;
}

void headroom_return(struct attempt *attempt)
{
    if (attempt->holds[LEVEL_PROJECT].bucket)
        bucket_return(attempt, LEVEL_PROJECT);
    if (attempt->holds[LEVEL_ORG].bucket)
        bucket_return(attempt, LEVEL_ORG);
}

static bool any_known(const struct limit_report *report, const int which[COST_COUNT])
{
    for (unsigned i = 0; i < COST_COUNT; i++)
        if (which[i] >= 0 && reading_known(&report->readings[which[i]]))
            return true;
    return false;
}

/* Whether the bucket of this level knows what these readings say; it has to exist for that. */
static bool foretold(const struct path *path, enum bucket_level level, uint64_t model,
                     const struct limit_report *report, const int which[COST_COUNT])
{
    const struct bucket *b = find_posted(path->at[level], model, level);

    for (unsigned i = 0; b && i < COST_COUNT; i++)
        if (which[i] >= 0 && !bucket_foretold(b, i, &report->readings[which[i]]))
            return false;
    return b;
}

bool headroom_is_foretold(const struct attempt *attempt, const struct route *route,
                          const struct limit_report *report)
{
    bool own = any_known(report, reading_of[1]);
    struct path path;

    if (!own && !any_known(report, reading_of[0]))
        return true;
    path = posted_path(attempt->at);
    if (!foretold(&path, LEVEL_PROJECT, route->model, report, reading_of[own]))
        return false;
    if (!own && path.at[LEVEL_ORG] == path.at[LEVEL_PROJECT])
        return true; /* a plain reading is the organisation's, too, where one is known */
    return foretold(&path, LEVEL_ORG, route->model, report, reading_of[0]);
}

/* ---- recovery ---- */

void headroom_ramp(struct pool *pool, struct key *key, enum scope scope, uint64_t model,
                   int64_t now_ns)
{
    bool org = scope == SCOPE_ORG || scope == SCOPE_ORG_MODEL || scope == SCOPE_ORG_MODEL_STREAM;
    struct node *node = node_of(key, org ? LEVEL_ORG : LEVEL_PROJECT);
    struct bucket *b = pool->options.ramp_ns > 0 ? node->buckets : NULL;

    for (; b; b = b->next) {
        bucket_recall(b, now_ns);
        if ((b->model == model || !scope_has_detail(scope)) && bucket_binds(b))
            bucket_ramp(b, pool->options.ramp_ns, now_ns);
    }
}

/* ---- the tree ---- */

void headroom_move(struct pool *pool, struct node *from, struct node *to, enum bucket_level level)
{
    struct bucket **at = &from->buckets;

    while (from != to && *at) {
        struct bucket *b = *at;
        if (b->level != level) {
            at = &b->next;
            continue;
        }
        unlink_bucket(pool, at);
        if (find_lending(to, b->model, level)) {
            bucket_detach(b); /* what the new owner's answers say is worth more */
            continue;
        }
        POST(&b->node, to);
        link_bucket(pool, b);
    }
}

void headroom_clear(struct pool *pool, struct node *node)
{
    while (node->buckets)
        bucket_detach(unlink_bucket(pool, &node->buckets));
}

void headroom_free(struct pool *pool)
{
    while (!list_empty(&pool->buckets)) {
        struct bucket *b = container_of(pool->buckets.next, struct bucket, all);
        list_remove(&b->all);
        free(b);
    }
    shelf_clear(&pool->shelf);
}

void headroom_check(const struct pool *pool)
{
    size_t count = 0;

    for (struct list *at = pool->buckets.next; at != &pool->buckets; at = at->next) {
        const struct bucket *b = container_of(at, struct bucket, all);
        bucket_check(b);
        INVARIANT(!b->node || find_lending(b->node, b->model, (enum bucket_level)b->level) == b,
                  "a bucket does not stand where it says");
        count += b->node != NULL;
    }
    INVARIANT(count == pool->bucket_count, "%zu buckets are counted as %zu", count,
              pool->bucket_count);
}
