#include "pool/keys.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/large.h"

#define INDEX_FIRST 64

_Static_assert(sizeof(struct key) == 2 * KEY_LINE, "a key is two cache lines");

enum status keys_init(struct keys *keys, uint64_t seed)
{
    *keys = (struct keys){.seed = seed, .vacant = KEY_NONE, .index_size = INDEX_FIRST};
    keys->index = calloc(INDEX_FIRST, sizeof(*keys->index));
    return keys->index ? STATUS_OK : STATUS_NO_MEMORY;
}

/* ---- slabs ------------------------------------------------------------------------------- */

/* Slabs are allocated one by one, and when there are many, many together. */
static size_t slabs_in_block(size_t first)
{
    return first < SLABS_TOGETHER ? 1 : SLABS_TOGETHER;
}

/* They begin at a cache line; the address to be freed stands before them. */
static struct key *block_new(size_t slabs)
{
    char *block = large_calloc(slabs * SLAB_KEYS + 2, sizeof(struct key));
    uintptr_t from = ((uintptr_t)block / sizeof(struct key) + 2) * sizeof(struct key);
    char *first;

    if (!block)
        return NULL;
    first = block + (from - (uintptr_t)block);
    memcpy(first - sizeof block, &block, sizeof block);
    return (struct key *)(void *)first;
}

static void block_free(struct key *first)
{
    char *block;

    memcpy(&block, (char *)first - sizeof block, sizeof block);
    free(block);
}

static bool make_room(struct keys *keys, size_t count)
{
    size_t capacity = keys->slab_capacity ? keys->slab_capacity : 1;

    while (capacity < keys->slab_count + count)
        capacity *= 2;
    if (capacity == keys->slab_capacity)
        return true;
    struct key **bigger = realloc(keys->slabs, capacity * sizeof(struct key *));
    if (!bigger)
        return false;
    keys->slabs = bigger;
    keys->slab_capacity = capacity;
    return true;
}

static bool add_slabs(struct keys *keys)
{
    size_t count = slabs_in_block(keys->slab_count);

    if (!make_room(keys, count))
        return false;
    struct key *first = block_new(count);
    if (!first)
        return false;
    for (size_t i = 0; i < count; i++)
        keys->slabs[keys->slab_count++] = first + i * SLAB_KEYS;
    return true;
}

/* A free place, its id written in. */
static struct key *take_place(struct keys *keys)
{
    key_id id = keys->vacant;
    struct key *key;

    if (id != KEY_NONE) {
        key = keys_at(keys, id);
        keys->vacant = key->next_sibling;
        memset(key, 0, sizeof(*key));
    } else {
        if (keys->used >= KEY_NONE - SLAB_KEYS ||
            (keys->used == keys->slab_count * SLAB_KEYS && !add_slabs(keys)))
            return NULL;
        id = keys->used++;
        key = keys_at(keys, id);
    }
    key->id = id;
    return key;
}

void keys_fini(struct keys *keys)
{
    for (size_t i = 0; i < keys->slab_count; i += slabs_in_block(i))
        block_free(keys->slabs[i]);
    free(keys->slabs);
    free(keys->index);
    *keys = (struct keys){0};
}

/* ---- the index --------------------------------------------------------------------------- */

static size_t home_of(const struct keys *keys, uint64_t identity)
{
    return (size_t)hash_mix(keys->seed, identity) & (keys->index_size - 1);
}

/* Where the identity stands, or the free slot where it would. */
static size_t slot_of(const struct keys *keys, uint64_t identity)
{
    size_t slot = home_of(keys, identity);

    while (keys->index[slot] && keys_at(keys, keys->index[slot] - 1)->identity != identity)
        slot = (slot + 1) & (keys->index_size - 1);
    return slot;
}

enum status keys_expect(struct keys *keys, size_t count)
{
    size_t size = keys->index_size;
    uint32_t *bigger;

    while (size < count * 2)
        size *= 2;
    if (size == keys->index_size)
        return STATUS_OK;
    bigger = large_calloc(size, sizeof(*bigger));
    if (!bigger)
        return STATUS_NO_MEMORY;
    free(keys->index);
    keys->index = bigger;
    keys->index_size = size;
    for (key_id id = 0; id < keys->used; id++) /* in the order of memory */
        if (keys_at(keys, id)->used)
            bigger[slot_of(keys, keys_at(keys, id)->identity)] = id + 1;
    return STATUS_OK;
}

struct key *keys_find(const struct keys *keys, uint64_t identity)
{
    uint32_t found = keys->index[slot_of(keys, identity)];

    return found ? keys_at(keys, found - 1) : NULL;
}

void keys_fetch(const struct keys *keys, uint64_t identity)
{
    __builtin_prefetch(&keys->index[home_of(keys, identity)], 1);
}

struct key *keys_take(struct keys *keys, uint64_t identity)
{
    struct key *key;

    if (keys_expect(keys, (size_t)keys->live + 1) != STATUS_OK)
        return NULL;
    key = take_place(keys);
    if (!key)
        return NULL;
    key->identity = identity;
    key->used = true;
    keys->index[slot_of(keys, identity)] = key->id + 1;
    keys->live++;
    return key;
}

/* Whether what stands at `slot` could also stand at `gap`, nearer to its home. */
static bool may_move(const struct keys *keys, size_t slot, size_t gap)
{
    size_t mask = keys->index_size - 1;
    size_t home = home_of(keys, keys_at(keys, keys->index[slot] - 1)->identity);

    return ((slot - home) & mask) >= ((slot - gap) & mask);
}

/* Those behind the gap move up, so that no search stops short of them. */
static void close_gap(struct keys *keys, size_t gap)
{
    size_t mask = keys->index_size - 1;

    keys->index[gap] = 0;
    for (size_t slot = (gap + 1) & mask; keys->index[slot]; slot = (slot + 1) & mask) {
        if (!may_move(keys, slot, gap))
            continue;
        keys->index[gap] = keys->index[slot];
        keys->index[slot] = 0;
        gap = slot;
    }
}

void keys_give_back(struct keys *keys, struct key *key)
{
    close_gap(keys, slot_of(keys, key->identity));
    key->used = false;
    key->next_sibling = keys->vacant;
    keys->vacant = key->id;
    keys->live--;
}
