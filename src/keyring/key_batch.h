/* The entries of one load: what the workers need of each key, in one piece of memory.
 *
 * Each entry is counted by itself, as an attempt in flight keeps the one it uses; it drops its secret
 * with its own last reference, the memory goes with the last entry of the batch.
 *
 * Threads: any may hold and drop references; one builds a batch, and only before others know it.
 */
#ifndef SPAREKEY_KEYRING_KEY_BATCH_H
#define SPAREKEY_KEYRING_KEY_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "pool/pool.h"
#include "settings/arena.h"
#include "settings/settings.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a key is besides its secret; neighbours that were configured together share it. */
struct entry_traits {
    struct key_batch *batch;      /* whose memory this is */
    uint32_t service;             /* index into keyring_service */
    char *name;                   /* "OPENAI_API_KEY_FALLBACK_1", "keys.txt" */
    char *organization, *project; /* configured, sent as headers; NULL = none */
    char *auth_header;            /* NULL = "Authorization: Bearer" */
};

/* What is needed to use a key. Immutable, reference-counted: an attempt in flight keeps the entry
 * of a key that a reload has dropped. */
struct key_entry {
    uint32_t refs; /* only through __atomic builtins */
    uint32_t line; /* part of the name (key_name_text) */
    struct secret *secret;
    const struct entry_traits *traits;
};

static inline struct key_entry *key_entry_ref(struct key_entry *entry)
{
    __atomic_add_fetch(&entry->refs, 1, __ATOMIC_RELAXED);
    return entry;
}

void key_entry_unref(struct key_entry *entry); /* NULL is allowed */

/* "sk-proj...N0IA" */
const char *key_entry_mask(const struct key_entry *entry, char out[SECRET_MASK_MAX]);

/* "OPENAI_API_KEY_FALLBACK_1", "keys.txt:17" */
const char *key_entry_name(const struct key_entry *entry, char out[KEY_NAME_MAX]);

struct key_batch {
    struct garbage garbage;
    bool unseen;   /* no thread that chose a key without the lock can still have found it here */
    size_t living; /* entries with references, and one for the batch being built or loaded */
    size_t count;
    struct arena strings; /* what the entries share */
    struct key_entry entries[];
};

/* Room for `capacity` entries; NULL: out of memory. */
struct key_batch *key_batch_new(size_t capacity);

/* A copy of these traits in the batch's memory. NULL: out of memory, and the batch is to be dropped. */
struct entry_traits *key_batch_keep_traits(struct key_batch *batch, const struct key_traits *from,
                                           uint32_t service);

/* The next entry of the batch, which has room for it; one reference is the batch's. */
struct key_entry *key_batch_add(struct key_batch *batch, const struct key_setting *key,
                                const struct entry_traits *traits);

/* Drops the batch's references to its entries. NULL is allowed. */
void key_batch_drop(struct key_batch *batch);

#ifdef __cplusplus
}
#endif
#endif
