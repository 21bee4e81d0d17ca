/* The inside of a pool, for the files of this directory.
 *
 * What always holds (pool_check):
 * - `order[i]` are the loaded keys, primary first, and each knows its position;
 * - bit i of view->ready is set exactly when no OPEN breaker of scope KEY, PROJECT or ORG stands on the
 *   path of order[i]. What depends on the request (a model, a family), on the service or on a
 *   lease is looked at candidate by candidate;
 * - a HALF_OPEN breaker has at most one lease.
 *
 * Memory: what a load replaces is one struct view, and it, lanes and owners are released only when
 * no thread is looking at them without the lock (readers.h).
 */
#ifndef SPAREKEY_POOL_STATE_H
#define SPAREKEY_POOL_STATE_H

#include "base/hash.h"
#include "pool/bits.h"
#include "pool/budget.h"
#include "pool/circuits.h"
#include "pool/keys.h"
#include "pool/models.h"
#include "pool/news.h"
#include "pool/plan.h"
#include "pool/readers.h"
#include "pool/rules.h"
#include "pool/tree.h"

/* Kinds of request for which the keys that are out are remembered; the least recently made one
 * gives way. More of them would only be more to refresh. */
#define LANE_COUNT 8

/* For one kind of request (model, family, stream): which keys are worth a look. A bit is set only
 * where `ready` has it, too; it is cleared when a selection finds the key stopped by an OPEN breaker
 * of a model or family, and set again when anything on the key's path leaves that state. So a lane
 * may hold too many keys, never too few, and a thousand keys at their limit for one model are
 * passed over by words, too. */
struct lane {
    struct garbage garbage;
    struct route route;
    struct bits worth;
};

/* What a load makes: the order of the keys and the bits by position. Posted whole, so that who
 * looks without the lock sees one load's positions and never two. */
struct view {
    struct garbage garbage;
    size_t count;
    struct bits ready;
    struct lane *lanes[LANE_COUNT]; /* posted; NULL: not in use */
    struct key *order[];
};

/* A free probe under way. */
struct probe_slot {
    bool used;
    key_id key;
    struct place place; /* of the breaker it is about */
    int64_t started_ns;
};

/* A rate limit that no bucket explains, and whose: twice at the same moment from different
 * organisations, and it is no account's limit (report.c). */
struct oddity {
    int64_t at_ns; /* -1: none */
    const struct node *org;
    const struct service *service;
    uint64_t model;
};

struct pool {
    struct pool_options options;
    struct rng rng;
    struct hash_seed hash_seed;
    uint64_t epoch;
    uint64_t stamp;          /* number of the current selection, … */
    uint64_t only_stamp;     /* … and of the last one bound to a project, … */
    const struct node *only; /* … which is this one */
    uint64_t serial;         /* number of the last attempt; even */

    struct keys keys;
    struct key **order; /* of the view */
    size_t count;
    size_t disabled; /* of them, by an operator */
    struct view *view;
    struct view *posted_view;     /* what is seen without the lock */
    const struct pool_load *load; /* in progress: its keys are staged */
    size_t cursor;                /* position where the next rotation begins */
    unsigned next_lane;           /* the one to be replaced */

    struct key **retired; /* not freed yet: still referenced, or in a reader's hands */
    size_t retired_count;
    uint64_t retired_era; /* of the last retirement */
    bool sweeping;        /* not all have been looked at yet, … */
    size_t swept;         /* … these have, and are still held */
    bool stragglers;      /* some of them may be free to go */

    struct readers readers;
    uint32_t mode;       /* what `options` say to a choice without the lock (fast.c) */
    uint32_t pending;    /* it shall take the lock: something waits to be collected */
    int64_t ramp_end_ns; /* … and until then for the ramp of some service (ramp.h) */

    struct rules rules;
    size_t turn;    /* weighted: the position whose turns these are, … */
    uint32_t turns; /* … and how many it has left */

    struct list probes; /* breakers that free probes are for, by when they are due */
    size_t probe_count;
    struct probe_slot probe_slots[PROBES_AT_ONCE];
    int64_t probed_ns; /* the last probe began, -1 = never */
    int64_t prober_ns; /* somebody asked for one, -1 = never */
    struct oddity oddity;
    struct news news;
    struct model_names model_names;

    struct budget budget;
    struct queue *queues; /* lines of waiting requests */
    size_t waiting;       /* requests in all of them */
    uint64_t arrivals;    /* age of the youngest plan */

    struct circuits circuits;
    struct list buckets; /* all of them, also those that only their holders know */
    size_t bucket_count; /* those that stand at a node */
    struct shelf shelf;
    struct node egress;
    struct notes egress_notes;
    struct service *services;
    struct owner **names; /* hash table of owners, a power of two of chains */
    size_t name_buckets, name_count;
};

static inline uint64_t route_detail(const struct route *route, enum scope scope)
{
    if (!scope_has_detail(scope))
        return 0;
    return scope == SCOPE_KEY_FAMILY ? route->family : route->model;
}

/* The node of the key's path where a breaker of this scope stands; NULL for SCOPE_REQUEST. */
struct node *key_scope_node(struct pool *pool, struct key *key, enum scope scope);

static inline struct key *pool_key(const struct pool *pool, key_id id)
{
    return keys_at(&pool->keys, id);
}

static inline bool route_is(const struct route *a, const struct route *b)
{
    return a->model == b->model && a->family == b->family && a->stream == b->stream;
}

/* Changes a breaker's state or end through one of these, so that bits, heap and epoch follow. */
void circuit_opened(struct pool *pool, struct breaker *b);
void circuit_half_open(struct pool *pool, struct breaker *b);
void circuit_close(struct pool *pool, struct breaker *b);

/* The breaker has left the state `from`. */
void news_tell(struct pool *pool, const struct breaker *b, enum circuit from);

/* Half-opens what is due, forgets what nobody asks for. */
void pool_apply_due(struct pool *pool, int64_t now_ns);

struct view *view_new(size_t count); /* NULL: out of memory */
void view_free(struct view *view);   /* NULL is allowed */

/* One pin more, one less; a retired key goes with its last, unless an attempt is in flight. */
void key_ref(struct key *key);
void key_unref(struct pool *pool, struct key *key);

/* Whether its id must stay its own: something knows it, or an attempt is in flight. */
bool key_is_held(const struct pool *pool, const struct key *key);

/* Requests served without the lock since the last call. */
uint32_t fast_count(struct pool *pool);

/* After a change of the options. */
void fast_configure(struct pool *pool);

/* Whether anybody may choose keys without the lock. */
bool fast_is_possible(const struct pool *pool);

/* A retired key may have lost its last holder; from any thread. */
void pool_straggle(struct pool *pool);

#endif
