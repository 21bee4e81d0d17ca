#include "keyring/keyring_inner.h"

#include <stdlib.h>

/* By the secret, which the vault holds once, and the service. */
static int by_key(const void *left, const void *right)
{
    const struct key_entry *a = *(struct key_entry *const *)left;
    const struct key_entry *b = *(struct key_entry *const *)right;

    if (a->secret != b->secret)
        return a->secret < b->secret ? -1 : 1;
    return (a->traits->service > b->traits->service) - (a->traits->service < b->traits->service);
}

static struct key_entry **sorted_entries(struct key_batch *batch)
{
    struct key_entry **entries = calloc(batch->count + 1, sizeof *entries);

    for (size_t i = 0; entries && i < batch->count; i++)
        entries[i] = &batch->entries[i];
    if (entries)
        qsort(entries, batch->count, sizeof *entries, by_key);
    return entries;
}

/* Entries of `a` that are not in `b`, both sorted; the first of them go to `ret`. */
static size_t missing_from(struct key_entry **a, size_t a_count, struct key_entry **b,
                           size_t b_count, const struct key_entry *ret[KEYRING_NAMED_MAX])
{
    size_t at = 0, missing = 0;

    for (size_t i = 0; i < a_count; i++) {
        while (at < b_count && by_key(&b[at], &a[i]) < 0)
            at++;
        if (at < b_count && by_key(&b[at], &a[i]) == 0)
            continue;
        if (missing < KEYRING_NAMED_MAX)
            ret[missing] = a[i];
        missing++;
    }
    return missing;
}

static void tell_keys(const struct keyring *ring, bool came, const struct key_entry **entries,
                      size_t count)
{
    if (count > KEYRING_NAMED_MAX) {
        ring->watch.keys(ring->watch.context, came, NULL, count);
        return;
    }
    for (size_t i = 0; i < count; i++)
        ring->watch.keys(ring->watch.context, came, entries[i], 1);
}

static void compare(struct keyring *ring, struct key_batch *before, struct key_batch *after)
{
    const struct key_entry *named[KEYRING_NAMED_MAX];
    struct key_entry **old = sorted_entries(before), **new = sorted_entries(after);

    if (old && new) {
        size_t came = missing_from(new, after->count, old, before->count, named);
        tell_keys(ring, true, named, came);
        size_t gone = missing_from(old, before->count, new, after->count, named);
        tell_keys(ring, false, named, gone);
    }
    free(old);
    free(new);
}

/* Of very many keys only how many more or fewer there are: comparing each would take longer than the
 * load. */
void keyring_tell_changes(struct keyring *ring, struct key_batch *before, struct key_batch *after)
{
    if (!ring->watch.keys || !before)
        return;
    pthread_mutex_lock(&ring->telling);
    if (before->count <= KEYRING_COMPARED_MAX && after->count <= KEYRING_COMPARED_MAX)
        compare(ring, before, after);
    else if (before->count != after->count)
        ring->watch.keys(ring->watch.context, after->count > before->count, NULL,
                         after->count > before->count ? after->count - before->count
                                                      : before->count - after->count);
    pthread_mutex_unlock(&ring->telling);
}
