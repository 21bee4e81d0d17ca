#include "keyring/key_batch.h"

#include <stdlib.h>

#include "base/large.h"

static void batch_unref(struct key_batch *batch)
{
    if (__atomic_sub_fetch(&batch->living, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    arena_clear(&batch->strings);
    free(batch);
}

void key_entry_unref(struct key_entry *entry)
{
    if (!entry || __atomic_sub_fetch(&entry->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    secret_unref(entry->secret);
    batch_unref(entry->traits->batch);
}

const char *key_entry_mask(const struct key_entry *entry, char out[SECRET_MASK_MAX])
{
    secret_mask(secret_bytes(entry->secret), out);
    return out;
}

const char *key_entry_name(const struct key_entry *entry, char out[KEY_NAME_MAX])
{
    return key_name_text(entry->traits->name, entry->line, out);
}

static bool keep_text(struct key_batch *batch, const char *text, char **ret)
{
    *ret = text ? arena_copy(&batch->strings, slice_str(text)) : NULL;
    return !text || *ret;
}

struct entry_traits *key_batch_keep_traits(struct key_batch *batch, const struct key_traits *from,
                                           uint32_t service)
{
    struct entry_traits *traits = arena_alloc(&batch->strings, sizeof *traits);

    if (!traits || !keep_text(batch, from->name, &traits->name) ||
        !keep_text(batch, from->organization, &traits->organization) ||
        !keep_text(batch, from->project, &traits->project) ||
        !keep_text(batch, from->auth_header, &traits->auth_header))
        return NULL;
    traits->batch = batch;
    traits->service = service;
    return traits;
}

struct key_entry *key_batch_add(struct key_batch *batch, const struct key_setting *key,
                                const struct entry_traits *traits)
{
    struct key_entry *entry = &batch->entries[batch->count++];

    *entry = (struct key_entry){1, key->line, secret_ref(key->secret), traits};
    batch->living++;
    return entry;
}

struct key_batch *key_batch_new(size_t capacity)
{
    struct key_batch *batch = large_calloc(1, sizeof *batch + capacity * sizeof batch->entries[0]);

    if (batch)
        batch->living = 1;
    return batch;
}

void key_batch_drop(struct key_batch *batch)
{
    for (size_t i = 0; batch && i < batch->count; i++)
        key_entry_unref(&batch->entries[i]);
    if (batch)
        batch_unref(batch);
}
