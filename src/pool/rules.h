/* What is configured of a key beside its secret and owner: weight, cap, models. Most keys have no
 * rules, and when no key has any there is no table; equal rules in a row are kept once. */
#ifndef SPAREKEY_POOL_RULES_H
#define SPAREKEY_POOL_RULES_H

#include "base/hash.h"
#include "pool/pool.h"

struct key_rules {
    struct key_rules *next; /* chain of all */
    uint32_t weight;        /* ≥ 1 */
    uint32_t max_in_flight; /* 0 = no cap */
    size_t model_count;     /* 0 = all */
    uint64_t models[];      /* hashes of their names */
};

struct rules {
    struct key_rules **by_id; /* NULL when no key has any; NULL where a key has none */
    size_t size;
    struct key_rules *all;
};

/* Adds what the specification says about this key, id < `ids`. STATUS_NO_MEMORY: rules_fini. */
NODISCARD
enum status rules_add(struct rules *rules, key_id id, size_t ids, const struct key_spec *spec,
                      const struct hash_seed *seed);
void rules_fini(struct rules *rules);

/* NULL: none. */
static inline const struct key_rules *rules_of(const struct rules *rules, key_id id)
{
    return rules->by_id && id < rules->size ? rules->by_id[id] : NULL;
}

static inline uint32_t rules_weight(const struct rules *rules, key_id id)
{
    const struct key_rules *r = rules_of(rules, id);

    return r ? r->weight : 1;
}

/* Whether the key serves the model (by hash; 0 = the request names none). */
bool rules_allow(const struct key_rules *rules, uint64_t model);

#endif
