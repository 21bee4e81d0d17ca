#include "keyring/keyring_inner.h"

#include <string.h>

size_t keyring_count(struct keyring *ring)
{
    pthread_mutex_lock(&ring->lock);
    size_t count = pool_count(ring->pool);
    pthread_mutex_unlock(&ring->lock);
    return count;
}

static void keep_slice(struct slice *view, char *own, size_t size)
{
    *view = slice_of(own, slice_copy(*view, own, size));
}

void keyring_status_locked(struct keyring *ring, size_t index, int64_t now_ns,
                           struct key_status *ret)
{
    pool_view(ring->pool, index, now_ns, &ret->view);
    const struct key_entry *entry = (struct key_entry *)(uintptr_t)ret->view.cookie;
    (void)key_entry_mask(entry, ret->mask);
    (void)key_entry_name(entry, ret->name);
    keep_slice(&ret->view.organization, ret->organization, sizeof ret->organization);
    keep_slice(&ret->view.project, ret->project, sizeof ret->project);
    ret->model_count = pool_view_models(ring->pool, index, now_ns, ret->models);
}

/* The next keys in order from `from` on; false when these were the last. */
static bool glance(struct keyring *ring, size_t from, int64_t now_ns, struct keyring_census *census)
{
    struct key_view view;

    pthread_mutex_lock(&ring->lock);
    size_t count = pool_count(ring->pool), to = from + KEYRING_GLANCE;
    for (size_t i = from; i < to && i < count; i++) {
        pool_view(ring->pool, i, now_ns, &view);
        census->keys[key_condition_of(&view)]++;
        census->ready += key_is_ready(&view);
    }
    pthread_mutex_unlock(&ring->lock);
    return to < count;
}

void keyring_census(struct keyring *ring, int64_t now_ns, struct keyring_census *ret)
{
    memset(ret, 0, sizeof *ret);
    pthread_mutex_lock(&ring->lock);
    pool_figures(ring->pool, &ret->pool);
    pool_headroom(ring->pool, now_ns, ret->headroom);
    pthread_mutex_unlock(&ring->lock);
    ret->services = __atomic_load_n(&ring->service_count, __ATOMIC_ACQUIRE);
    if (ret->pool.blocking == 0) {
        ret->keys[KEY_HEALTHY] = ret->ready = ret->pool.keys;
        return;
    }
    for (size_t from = 0; glance(ring, from, now_ns, ret); from += KEYRING_GLANCE)
        keyring_let_pass(ring);
}

bool keyring_status(struct keyring *ring, size_t index, int64_t now_ns, struct key_status *ret)
{
    pthread_mutex_lock(&ring->lock);
    bool found = index < pool_count(ring->pool);
    if (found)
        keyring_status_locked(ring, index, now_ns, ret);
    pthread_mutex_unlock(&ring->lock);
    return found;
}

size_t keyring_statuses(struct keyring *ring, size_t index, int64_t now_ns,
                        struct key_status ret[KEYRING_STATUSES_AT_ONCE])
{
    size_t count = 0;

    pthread_mutex_lock(&ring->lock);
    for (; count < KEYRING_STATUSES_AT_ONCE && index + count < pool_count(ring->pool); count++)
        keyring_status_locked(ring, index + count, now_ns, &ret[count]);
    pthread_mutex_unlock(&ring->lock);
    keyring_let_pass(ring);
    return count;
}
