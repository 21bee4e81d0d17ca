/* What the files of the keyring share; nobody else includes this.
 *
 *   keyring.c          birth and death, plans and probes: the way of every request
 *   keyring_lock.c     the lock, and what is told when it is let go
 *   keyring_load.c     new settings: services, entries, the pool told in steps
 *   keyring_changes.c  which keys came and went with a load
 *   keyring_view.c     the keys and the pool for display
 *   keyring_order.c    an operator's orders
 *   keyring_history.c  what the history asks
 */
#ifndef SPAREKEY_KEYRING_KEYRING_INNER_H
#define SPAREKEY_KEYRING_KEYRING_INNER_H

#include <pthread.h>

#include "base/hash.h"
#include "keyring/keyring.h"

#ifdef __cplusplus
extern "C" {
#endif

struct keyring {
    pthread_mutex_t lock;
    pthread_mutex_t loading; /* one load at a time; taken before `lock` */
    uint32_t came, passed;   /* who had to wait for `lock`, who of them got it; only by builtins */
    pthread_key_t reader;    /* the calling thread's struct pool_reader, which goes with the pool */
    bool has_reader_key;
    struct pool *pool;
    struct key_batch *batch; /* the pool's cookies are addresses of its entries */
    uint64_t epoch;          /* of the pool when `changed` was last called */
    int64_t latest_ns;       /* workers read the clock once a wake-up, each at its own time: the
                                pool is told the latest of them, so that it never goes back */
    struct hash_seed fingerprint_seed;
    struct tally tally; /* of failed attempts, for the history */
    void (*changed)(void *context);
    void *context;
    struct keyring_watch watch;
    pthread_mutex_t telling; /* one thread tells at a time; taken before `lock` is let go */
    bool down;               /* no key was ready when the watch was told last */
    bool guessing;           /* … and one is now, but only because its time has come */
    struct service_url services[KEYRING_SERVICES_MAX]; /* only ever appended to */
    uint32_t service_count;                            /* only through __atomic builtins */
    uint32_t last_resort; /* index of a service, or KEYRING_SERVICES_MAX; likewise */
};

/* ---- keyring_lock.c ---- */

/* Returns the time for the pool: `now_ns`, or the latest it has been told. */
int64_t keyring_lock(struct keyring *ring, int64_t now_ns) __attribute__((nonnull));

/* What was done under the lock that the pool does not tell of itself; all zero: nothing. */
struct keyring_deed {
    bool loaded;                     /* keys have come by a load */
    const struct key_entry *ordered; /* this key was changed by an operator's order … */
    enum key_order order;            /* … namely this */
};

/* Lets go of the lock, and tells the waiting when something changed for them, and the watch what. */
void keyring_unlock_after(struct keyring *ring, const struct keyring_deed *deed);

/* The same after nothing of that. */
void keyring_unlock(struct keyring *ring);

/* Between two holds of the lock for one long task: lets those pass who wait for it by now. Who unlocks
 * and locks again is faster than any thread that has to wake up first. */
void keyring_let_pass(struct keyring *ring);

/* ---- keyring_load.c ---- */

/* What the settings say of the pool. */
void keyring_options(const struct settings *settings, struct pool_options *options);

/* Frees the base URLs. */
void keyring_clear_services(struct keyring *ring);

/* ---- keyring_changes.c ---- */

/* Tells the watch which keys came and went; nothing at the first load (`before` NULL). Not under the
 * lock. */
void keyring_tell_changes(struct keyring *ring, struct key_batch *before, struct key_batch *after);

/* ---- keyring_view.c ---- */

/* keyring_status under the lock, of an index that is there. */
void keyring_status_locked(struct keyring *ring, size_t index, int64_t now_ns,
                           struct key_status *ret);

/* ---- keyring_history.c ---- */

/* Which key it was, without telling what it is. The same secret at two services is two keys. */
uint64_t keyring_fingerprint(const struct keyring *ring, const struct key_entry *entry);

#ifdef __cplusplus
}
#endif
#endif
