#include "keyring/keyring_inner.h"

uint64_t keyring_fingerprint(const struct keyring *ring, const struct key_entry *entry)
{
    const struct service_url *url = keyring_service(ring, entry->traits->service);

    return hash_mix(hash_bytes(&ring->fingerprint_seed, secret_bytes(entry->secret)),
                    hash_bytes(&ring->fingerprint_seed, slice_str(url->text)));
}

void keyring_fingerprint_by(struct keyring *ring, struct hash_seed seed)
{
    pthread_mutex_lock(&ring->lock);
    ring->fingerprint_seed = seed;
    pthread_mutex_unlock(&ring->lock);
}

size_t keyring_sample(struct keyring *ring, size_t first, struct key_sample *ret, size_t most)
{
    struct key_view view;
    size_t count = 0;

    pthread_mutex_lock(&ring->lock);
    for (; count < most && first + count < pool_count(ring->pool); count++) {
        struct key_sample *sample = &ret[count];
        pool_view(ring->pool, first + count, 0, &view);
        const struct key_entry *entry = (struct key_entry *)(uintptr_t)view.cookie;
        sample->fingerprint = keyring_fingerprint(ring, entry);
        sample->requests = view.requests;
        sample->successes = view.successes;
        (void)key_entry_mask(entry, sample->mask);
        (void)key_entry_name(entry, sample->name);
    }
    pthread_mutex_unlock(&ring->lock);
    return count;
}

void keyring_take_tally(struct keyring *ring, struct tally *ret)
{
    pthread_mutex_lock(&ring->lock);
    *ret = ring->tally;
    ring->tally = (struct tally){0};
    pthread_mutex_unlock(&ring->lock);
}
