#include "keyring/keyring_inner.h"

#include <string.h>

#include "base/number.h"
#include "pool/operator.h"

/* Keys looked at while the lock is held: some 0.1 ms. */
#define SEARCH_AT_ONCE 512

/* Where a key was found, and whether it is still that one. */
struct finding {
    size_t index;
    uint64_t cookie;
    size_t matches;
};

struct key_search {
    const char *id;
    struct finding by_name, by_mask;
};

static void note_match(struct finding *finding, size_t index, uint64_t cookie)
{
    if (finding->matches++)
        return;
    finding->index = index;
    finding->cookie = cookie;
}

static const struct key_entry *entry_at(const struct keyring *ring, size_t index)
{
    return (struct key_entry *)(uintptr_t)pool_key_cookie(ring->pool,
                                                          pool_key_at(ring->pool, index));
}

static void compare_key(struct keyring *ring, struct key_search *search, size_t index)
{
    char mask[SECRET_MASK_MAX], name[KEY_NAME_MAX];
    const struct key_entry *entry = entry_at(ring, index);
    uint64_t cookie = (uintptr_t)entry;

    if (strcmp(key_entry_name(entry, name), search->id) == 0)
        note_match(&search->by_name, index, cookie);
    if (strcmp(key_entry_mask(entry, mask), search->id) == 0)
        note_match(&search->by_mask, index, cookie);
}

static void search_keys(struct keyring *ring, struct key_search *search)
{
    size_t index = 0, count;

    do {
        pthread_mutex_lock(&ring->lock);
        count = pool_count(ring->pool);
        for (size_t i = 0; i < SEARCH_AT_ONCE && index < count; i++)
            compare_key(ring, search, index++);
        pthread_mutex_unlock(&ring->lock);
        keyring_let_pass(ring);
    } while (index < count);
}

/* Whether it has changed anything: what is as it was ordered is no news. */
static bool apply_order(struct pool *pool, key_id key, enum key_order order, int64_t now_ns)
{
    switch (order) {
    case KEY_ORDER_RESET: pool_reset(pool, key); return true;
    case KEY_ORDER_DISABLE: return pool_disable(pool, key, now_ns);
    case KEY_ORDER_ENABLE: return pool_enable(pool, key);
    }
    return false;
}

/* Under the lock. */
static void carry_out(struct keyring *ring, size_t index, enum key_order order, int64_t now_ns,
                      struct keyring_deed *deed, struct key_status *ret)
{
    if (apply_order(ring->pool, pool_key_at(ring->pool, index), order, now_ns)) {
        deed->order = order;
        deed->ordered = entry_at(ring, index);
    }
    keyring_status_locked(ring, index, now_ns, ret);
}

/* A reload may have come between the search and this. `cookie` 0: whatever is there. */
static bool order_at(struct keyring *ring, size_t index, uint64_t cookie, enum key_order order,
                     int64_t now_ns, struct key_status *ret)
{
    struct keyring_deed deed = {0};

    now_ns = keyring_lock(ring, now_ns);
    bool found =
        index < pool_count(ring->pool) && (!cookie || (uintptr_t)entry_at(ring, index) == cookie);
    if (found)
        carry_out(ring, index, order, now_ns, &deed, ret);
    keyring_unlock_after(ring, &deed);
    return found;
}

enum key_match keyring_order(struct keyring *ring, const char *id, enum key_order order,
                             int64_t now_ns, struct key_status *ret)
{
    struct key_search search = {.id = id};
    uint64_t index;

    if (number_parse(slice_str(id), SIZE_MAX, &index) == STATUS_OK)
        return order_at(ring, (size_t)index, 0, order, now_ns, ret) ? KEY_MATCH_ONE
                                                                    : KEY_MATCH_NONE;
    search_keys(ring, &search);
    struct finding *found = search.by_name.matches ? &search.by_name : &search.by_mask;
    if (found->matches > 1)
        return KEY_MATCH_MANY;
    return found->matches && order_at(ring, found->index, found->cookie, order, now_ns, ret)
               ? KEY_MATCH_ONE
               : KEY_MATCH_NONE;
}
