/* The inside of a pool, for the files of this directory.
 *
 * What always holds (pool_check):
 * - `order[i]` are the loaded keys, primary first, and each knows its position;
 * - bit i of `ready` is set exactly when no OPEN breaker of scope KEY, PROJECT or ORG stands on the
 *   path of order[i]. What depends on the request (a model, a family), on the service or on a
 *   lease is looked at candidate by candidate;
 * - a HALF_OPEN breaker has at most one lease.
 *
 * A tree of bit words above `ready`, for a million keys, belongs here when it comes; so do buckets
 * of headroom per (project, model).
 */
#ifndef SPAREKEY_POOL_STATE_H
#define SPAREKEY_POOL_STATE_H

#include "base/hash.h"
#include "pool/circuits.h"
#include "pool/plan.h"
#include "pool/tree.h"

#define WORD_BITS 64

/* Kinds of request for which the keys that are out are remembered; the least recently made one
 * gives way. More of them would only be more to refresh. */
#define LANE_COUNT 8

/* For one kind of request (model, family, stream): which keys are worth a look. A bit is cleared
 * when a selection finds the key stopped by an OPEN breaker of a model or family, and set again
 * when anything on the key's path leaves that state. So a lane may hold too many keys, never too
 * few, and a thousand keys at their limit for one model are passed over by words, too. */
struct lane {
    struct route route;
    uint64_t *worth; /* NULL: not in use */
};

struct pool {
    struct pool_options options;
    struct rng rng;
    struct hash_seed hash_seed;
    uint64_t epoch;
    uint64_t stamp;  /* number of the current selection */
    uint64_t serial; /* number of the last attempt */

    struct key **keys;              /* by id; NULL where free */
    size_t key_capacity, key_count; /* key_count: ids ever used */
    key_id *free_ids;
    size_t free_id_count;
    struct key **identities; /* hash table, a power of two of chains */
    size_t identity_buckets;

    struct key **order;
    size_t count;
    uint64_t *ready;
    size_t cursor; /* position where the next rotation begins */
    struct lane lanes[LANE_COUNT];
    unsigned next_lane; /* the one to be replaced */

    struct circuits circuits;
    struct list buckets;    /* all of them, also those that only their holders know */
    struct bucket **meters; /* hash table of chains by node, a power of two of them, or NULL */
    size_t meter_size, meter_count;
    struct node egress;
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
    return pool->keys[id];
}

static inline bool route_is(const struct route *a, const struct route *b)
{
    return a->model == b->model && a->family == b->family && a->stream == b->stream;
}

/* Changes a breaker's state or end through one of these, so that bits, heap and epoch follow. */
void circuit_opened(struct pool *pool, struct breaker *b);
void circuit_half_open(struct pool *pool, struct breaker *b);
void circuit_close(struct pool *pool, struct breaker *b);

/* Half-opens what is due, forgets what nobody asks for. */
void pool_apply_due(struct pool *pool, int64_t now_ns);

/* Forgets all lanes. */
void lanes_clear(struct pool *pool);

/* One holder more, one less; a retired key goes with its last. */
void key_ref(struct key *key);
void key_unref(struct pool *pool, struct key *key);

#endif
