/* Which bucket a request draws from, and whether it may: buckets where they meet keys and answers.
 *
 * Headers do not say whose limit they tell. x-ratelimit-…-project-… is the project's; the plain
 * ones are the organisation's where those stand beside them, and most probably so where not, but
 * then an account with a limit per project only looks the same. So a plain reading goes to the
 * project's bucket, for which it is true either way, and also to one of the organisation, which
 * only watches: whenever the next answer comes from another project, either the organisation's
 * bucket foretold it or the project's own did, and the better prophet gets a vote. With more votes
 * for it than against, the organisation's bucket binds all its projects.
 *
 * Without the lock (credit.h says how). Almost every attempt finds loans in its buckets and tells
 * nothing new, so it looks for its buckets, draws, and returns, while others hold the lock and may
 * move or discard them:
 *
 *     node ─posted─▶ bucket ─posted─▶ bucket        a node's buckets; at most BUCKETS_PER_NODE
 *                      │ birth 7                     of each level
 *     attempt.hold ────┘ birth 7: mine               birth 0 or 9: mine is gone, nothing to return
 *
 * - Between pool_enter and pool_leave no bucket that can be found becomes another: one that leaves
 *   goes to the shelf by way of readers_defer. A loan is recalled when its bucket leaves.
 * - An attempt lasts longer than that. What it keeps is the bucket's address and birth. The memory
 *   stays a bucket until the pool goes, so the birth can always be read. If it is still the
 *   same, the bucket cannot become another before this reader has left, and the return reaches
 *   it, or a bucket that was discarded at this moment, where it does no harm.
 * - A bucket that moves takes its account along. Who walks by may follow it to other nodes' buckets,
 *   and then finds none or his own.
 */
#ifndef SPAREKEY_POOL_HEADROOM_H
#define SPAREKEY_POOL_HEADROOM_H

#include "pool/bucket.h"
#include "pool/state.h"

/* Votes are capped, so that an account which changes is believed again soon. */
#define HEADROOM_VOTES_MAX 4

/* The key's bucket of this level for the model, recalled; NULL when nothing is known. */
struct bucket *headroom_find(struct key *key, uint64_t model, enum bucket_level level,
                             int64_t now_ns);

/* When the accounts of this key can take the request; not after now_ns: now. Looked up once a
 * selection. `*pace_per_s`, where not NULL, grows by how many such requests refill a second in a
 * bucket that was not seen before in this selection and is not ready. */
int64_t headroom_ready_ns(struct pool *pool, struct key *key, const struct route *route,
                          int64_t now_ns, double *pace_per_s);

/* The same without the selection's notes. */
bool headroom_has_room(struct key *key, const struct route *route, int64_t now_ns);

/* The least share left of what binds this key, 0 … 1. */
double headroom_share(struct key *key, const struct route *route, int64_t now_ns);

/* Whether a request may be sent on this key although its accounts seem too empty. */
bool headroom_may_try(struct key *key, const struct route *route, int64_t now_ns);

void headroom_begin(struct pool *pool, struct attempt *attempt, const struct route *route,
                    int64_t now_ns);
void headroom_end(const struct pool *pool, struct attempt *attempt, int64_t now_ns);

/* plan_limits. */
void headroom_report(struct pool *pool, struct attempt *attempt, const struct route *route,
                     const struct limit_report *report, int64_t now_ns);

/* Whether no bucket can concern the key's requests; without the lock, too. */
static inline bool headroom_is_unknown(const struct key *key)
{
    const struct owner *project = PEEK(&key->project), *org = PEEK(&key->org);

    return !PEEK(project ? &project->node.buckets : &key->node.buckets) &&
           (!org || !PEEK(&org->node.buckets));
}

/* Without the lock, by a reader (fast.h), for an attempt that holds nothing: reserves what the request
 * costs in the buckets of the key, of what they have lent. False: one of them has lent too little,
 * and nothing is reserved. */
bool headroom_draw(const struct key *key, const struct route *route, struct hold holds[2]);

/* The end of such an attempt. */
void headroom_return(struct attempt *attempt);

/* Whether headroom_report would tell the buckets nothing they should know. */
bool headroom_is_foretold(const struct attempt *attempt, const struct route *route,
                          const struct limit_report *report);

/* A limit of this scope, for this model or (0) all, recovered. */
void headroom_ramp(struct pool *pool, struct key *key, enum scope scope, uint64_t model,
                   int64_t now_ns);

/* The tree changes: buckets of a level go to another node, or from a node that goes. */
void headroom_move(struct pool *pool, struct node *from, struct node *to, enum bucket_level level);
void headroom_clear(struct pool *pool, struct node *node);

/* What is left when a pool goes. */
void headroom_free(struct pool *pool);
void headroom_check(const struct pool *pool);

#endif
