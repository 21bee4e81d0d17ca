/* Where keys live: in slabs, by id, with an index by identity.
 *
 *     id ─▶ slabs[id / SLAB_KEYS][id % SLAB_KEYS]          an id is a place, reused after its key
 *     identity ─▶ index[hash …] ─▶ id                      open addressing, at most half full
 *
 * A slab stays until the pool goes, so a key's address is its own for as long as it lives and the
 * memory behind a stale id is still a key's. A million keys are 128 MB of slabs, 8 MB of index and
 * a hundred allocations.
 */
#ifndef SPAREKEY_POOL_KEYS_H
#define SPAREKEY_POOL_KEYS_H

#include "pool/tree.h"

#define SLAB_KEYS      512 /* 64 KB: below the size from which malloc asks the kernel for each block */
#define SLABS_TOGETHER 64 /* 4 MB, which may be large pages */

struct keys {
    struct key **slabs;
    size_t slab_count, slab_capacity;
    uint32_t used;   /* ids ever handed out */
    uint32_t live;   /* of them, in use */
    key_id vacant;   /* the first of a chain through next_sibling */
    uint32_t *index; /* id + 1, 0 = free; a power of two of them */
    size_t index_size;
    uint64_t seed;
};

NODISCARD
enum status keys_init(struct keys *keys, uint64_t seed);
void keys_fini(struct keys *keys);

/* Makes the index wide enough for so many keys at once. STATUS_NO_MEMORY. */
NODISCARD
enum status keys_expect(struct keys *keys, size_t count);

/* NULL when none has this identity. */
struct key *keys_find(const struct keys *keys, uint64_t identity);

/* Fetches the place of this identity into the cache. */
void keys_fetch(const struct keys *keys, uint64_t identity);

/* A new key, zeroed but for id and identity, which no other may have. NULL: out of memory. */
struct key *keys_take(struct keys *keys, uint64_t identity);
void keys_give_back(struct keys *keys, struct key *key);

static inline struct key *keys_at(const struct keys *keys, key_id id)
{
    return &keys->slabs[id / SLAB_KEYS][id % SLAB_KEYS];
}

#endif
