#include "mock/bucket.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/hash.h"

enum { FIRST_SLOTS = 256 };

#define MS_NS INT64_C(1000000)

struct bucket_slot {
    struct bucket_slot *next;
    uint64_t hash;
    struct bucket bucket;
    size_t name_len;
    char name[];
};

/* Rounded down, so that exactly `limit` units fit into one window. */
static int64_t cost_ns(int64_t units, int64_t limit, int64_t window_ns)
{
    __int128 cost = (__int128)units * window_ns / limit;
    return cost > INT64_MAX / 4 ? INT64_MAX / 4 : (int64_t)cost;
}

/* Rounded up: a unit begun is a unit used. */
static int64_t units_used(int64_t ns, int64_t limit, int64_t window_ns)
{
    __int128 product = (__int128)ns * limit;
    __int128 units = product / window_ns + (product % window_ns ? 1 : 0);
    return units > limit ? limit : (int64_t)units;
}

struct bucket_reading bucket_read(const struct bucket *bucket, int64_t limit, int64_t window_ns,
                                  int64_t requested, int64_t now_ns)
{
    assert(limit >= 1 && limit <= BUCKET_LIMIT_MAX && window_ns > 0 && requested >= 0);
    int64_t busy_ns = bucket->full_at_ns > now_ns ? bucket->full_at_ns - now_ns : 0;
    int64_t over_ns = busy_ns + cost_ns(requested, limit, window_ns) - window_ns;
    struct bucket_reading reading = {
        .limit = limit,
        .used = units_used(busy_ns, limit, window_ns),
        .reset_ns = busy_ns,
        .wait_ns = requested > limit ? -1
                   : over_ns > 0     ? over_ns
                                     : 0,
    };
    reading.remaining = limit - reading.used;
    return reading;
}

void bucket_take(struct bucket *bucket, int64_t limit, int64_t window_ns, int64_t requested,
                 int64_t now_ns)
{
    int64_t from = bucket->full_at_ns > now_ns ? bucket->full_at_ns : now_ns;
    bucket->full_at_ns = from + cost_ns(requested, limit, window_ns);
}

void bucket_set_init(struct bucket_set *set)
{
    *set = (struct bucket_set){0};
}

void bucket_set_fini(struct bucket_set *set)
{
    for (size_t i = 0; i < set->slot_count; i++) {
        struct bucket_slot *slot = set->slots[i];
        while (slot) {
            struct bucket_slot *next = slot->next;
            free(slot);
            slot = next;
        }
    }
    free((void *)set->slots);
    bucket_set_init(set);
}

void bucket_set_refill(struct bucket_set *set)
{
    for (size_t i = 0; i < set->slot_count; i++) {
        for (struct bucket_slot *slot = set->slots[i]; slot; slot = slot->next)
            slot->bucket.full_at_ns = 0;
    }
}

static bool grow(struct bucket_set *set)
{
    size_t count = set->slot_count ? set->slot_count * 2 : FIRST_SLOTS;
    struct bucket_slot **slots = calloc(count, sizeof(*slots));
    if (!slots)
        return false;
    for (size_t i = 0; i < set->slot_count; i++) {
        struct bucket_slot *slot = set->slots[i];
        while (slot) {
            struct bucket_slot *next = slot->next;
            slot->next = slots[slot->hash % count];
            slots[slot->hash % count] = slot;
            slot = next;
        }
    }
    free((void *)set->slots);
    set->slots = slots;
    set->slot_count = count;
    return true;
}

/* owner '\n' model '\n' dimension: none of them can hold a line feed, so names cannot collide. */
static struct bucket_slot *new_slot(struct slice owner, struct slice model, struct slice dimension)
{
    size_t len = owner.len + model.len + dimension.len + 2;
    struct bucket_slot *slot = calloc(1, sizeof(*slot) + len);
    if (!slot)
        return NULL;
    const struct slice parts[] = {owner, SLICE("\n"), model, SLICE("\n"), dimension};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (parts[i].len)
            memcpy(slot->name + slot->name_len, parts[i].ptr, parts[i].len);
        slot->name_len += parts[i].len;
    }
    /* An unkeyed hash will do: whoever writes the script owns the process. */
    slot->hash = hash_bytes(&(struct hash_seed){0}, slice_of(slot->name, len));
    return slot;
}

struct bucket *bucket_set_get(struct bucket_set *set, struct slice owner, struct slice model,
                              struct slice dimension)
{
    if (set->count >= set->slot_count && !grow(set))
        return NULL;
    struct bucket_slot *slot = new_slot(owner, model, dimension);
    if (!slot)
        return NULL;
    struct bucket_slot **chain = &set->slots[slot->hash % set->slot_count];
    for (struct bucket_slot *old = *chain; old; old = old->next) {
        if (old->hash == slot->hash &&
            slice_eq(slice_of(old->name, old->name_len), slice_of(slot->name, slot->name_len))) {
            free(slot);
            return &old->bucket;
        }
    }
    if (set->count >= BUCKETS_MAX) {
        free(slot);
        return NULL;
    }
    slot->next = *chain;
    *chain = slot;
    set->count++;
    return &slot->bucket;
}

enum status duration_write(struct buffer *out, int64_t ns, size_t max_bytes)
{
    int64_t ms = ns <= 0 ? 0 : (ns + MS_NS - 1) / MS_NS;
    if (ms < 1000)
        return ms ? buffer_printf(out, max_bytes, "%" PRId64 "ms", ms)
                  : buffer_append(out, SLICE("0s"), max_bytes);

    int64_t seconds = ms / 1000, hours = seconds / 3600, minutes = seconds / 60 % 60;
    enum status status = STATUS_OK;
    if (hours)
        status = buffer_printf(out, max_bytes, "%" PRId64 "h", hours);
    if (status == STATUS_OK && (hours || minutes))
        status = buffer_printf(out, max_bytes, "%" PRId64 "m", minutes);
    if (status != STATUS_OK)
        return status;
    if (ms % 1000 == 0)
        return buffer_printf(out, max_bytes, "%" PRId64 "s", seconds % 60);
    return buffer_printf(out, max_bytes, "%" PRId64 ".%03" PRId64 "s", seconds % 60, ms % 1000);
}
