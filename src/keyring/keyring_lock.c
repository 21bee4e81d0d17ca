#include "keyring/keyring_inner.h"

#include <sched.h>

int64_t keyring_lock(struct keyring *ring, int64_t now_ns)
{
    if (pthread_mutex_trylock(&ring->lock) != 0) {
        __atomic_add_fetch(&ring->came, 1, __ATOMIC_RELAXED);
        pthread_mutex_lock(&ring->lock);
        __atomic_add_fetch(&ring->passed, 1, __ATOMIC_RELAXED);
    }
    if (now_ns > ring->latest_ns)
        ring->latest_ns = now_ns;
    return ring->latest_ns;
}

void keyring_let_pass(struct keyring *ring)
{
    uint32_t came = __atomic_load_n(&ring->came, __ATOMIC_RELAXED);

    while ((int32_t)(came - __atomic_load_n(&ring->passed, __ATOMIC_RELAXED)) > 0)
        sched_yield();
}

/* ---- news -------------------------------------------------------------------------------- */

/* News taken under the lock, to be told without it. */
struct told {
    unsigned count;
    struct pool_transition news[NEWS_MAX];
    struct key_entry *entries[NEWS_MAX]; /* references, or NULL */
    bool turned, ready;
    struct key_entry *ordered; /* a reference, or NULL */
    enum key_order order;
};

static bool tells_of(const struct told *told, enum circuit to)
{
    for (unsigned i = 0; i < told->count; i++) {
        if (told->news[i].to == to)
            return true;
    }
    return false;
}

/* Where all keys are out and time lets one be tried again, that is a guess: only a breaker that
 * closes, or a load, proves it. What becomes ready in any other way (an operator's order) is. */
static void take_readiness(struct keyring *ring, struct told *told, bool loaded)
{
    told->ready = pool_any_ready(ring->pool);
    ring->guessing =
        told->ready && ring->down && (ring->guessing || tells_of(told, CIRCUIT_HALF_OPEN));
    bool proven = loaded || tells_of(told, CIRCUIT_CLOSED) || !ring->guessing;
    told->turned = ring->down == told->ready && (!told->ready || proven);
    if (told->turned)
        ring->down = !told->ready;
}

static struct key_entry *entry_of_news(struct keyring *ring, const struct pool_transition *t)
{
    uint64_t cookie;

    if (!pool_news_cookie(ring->pool, t, &cookie))
        return NULL;
    return key_entry_ref((struct key_entry *)(uintptr_t)cookie);
}

/* Under the lock. What a key is called is looked up now: later it may be gone. */
static void take_news(struct keyring *ring, struct told *told, const struct keyring_deed *deed)
{
    told->count = 0;
    told->order = deed->order;
    told->ordered =
        deed->ordered ? key_entry_ref((struct key_entry *)(uintptr_t)deed->ordered) : NULL;
    while (told->count < NEWS_MAX && pool_news_next(ring->pool, &told->news[told->count])) {
        told->entries[told->count] = entry_of_news(ring, &told->news[told->count]);
        told->count++;
    }
    take_readiness(ring, told, deed->loaded);
}

static void tell_watch(const struct keyring *ring, const struct told *told)
{
    if (told->ordered) {
        ring->watch.ordered(ring->watch.context, told->order, told->ordered);
        key_entry_unref(told->ordered);
    }
    for (unsigned i = 0; i < told->count; i++) {
        ring->watch.news(ring->watch.context, &told->news[i], told->entries[i]);
        key_entry_unref(told->entries[i]);
    }
    if (told->turned)
        ring->watch.readiness(ring->watch.context, told->ready);
}

/* Under the lock, which is let go. Who tells holds no `lock` any more, so waiting for it here is
 * short; without it two threads could tell in the wrong order. */
static void unlock_and_tell(struct keyring *ring, const struct keyring_deed *deed)
{
    struct told told;

    take_news(ring, &told, deed);
    if (told.count == 0 && !told.turned && !told.ordered) {
        pthread_mutex_unlock(&ring->lock);
        return;
    }
    pthread_mutex_lock(&ring->telling);
    pthread_mutex_unlock(&ring->lock);
    tell_watch(ring, &told);
    pthread_mutex_unlock(&ring->telling);
}

void keyring_watch(struct keyring *ring, const struct keyring_watch *watch)
{
    ring->watch = *watch;
}

void keyring_unlock_after(struct keyring *ring, const struct keyring_deed *deed)
{
    uint64_t epoch = pool_epoch(ring->pool);
    bool changed = epoch != ring->epoch;

    ring->epoch = epoch;
    if (ring->watch.news && (changed || pool_has_news(ring->pool)))
        unlock_and_tell(ring, deed);
    else
        pthread_mutex_unlock(&ring->lock);
    if (changed && ring->changed)
        ring->changed(ring->context);
}

void keyring_unlock(struct keyring *ring)
{
    static const struct keyring_deed nothing = {0};

    keyring_unlock_after(ring, &nothing);
}
