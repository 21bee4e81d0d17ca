/* The keyring: the pool of keys as the whole process sees it.
 *
 * It joins what the engine knows (which key) with what the engine must not know (the secret, its
 * name, the service it opens), and makes the pool safe for the workers. A healthy request takes no
 * lock (pool/fast.h); whatever needs a decision takes one short lock.
 *
 * A load builds its entries and specifications aside, tells the pool in steps, between which those
 * pass who wait for the lock, and drops the old entries after the last thread that may have had one in
 * hand has looked up.
 *
 * Threads: all functions may be called from any thread; a few of them at most (one reader of the
 * pool is kept for each thread that ever chose a key).
 */
#ifndef SPAREKEY_KEYRING_KEYRING_H
#define SPAREKEY_KEYRING_KEYRING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "keyring/key_batch.h"
#include "keyring/tally.h"
#include "pool/figures.h"
#include "pool/models.h"
#include "pool/news.h"
#include "pool/plan.h"
#include "settings/settings.h"

#ifdef __cplusplus
extern "C" {
#endif

struct keyring;

/* Different base URLs over the life of the process. */
#define KEYRING_SERVICES_MAX SETTINGS_SERVICES_MAX

/* `changed` is called, from any thread and without the lock, when waiting requests should ask
 * again (pool_epoch moved). STATUS_NO_MEMORY. */
NODISCARD
enum status keyring_new(const struct settings *settings, int64_t now_ns,
                        void (*changed)(void *context), void *context, struct keyring **ret_ring);
void keyring_free(struct keyring *ring);

/* What an operator orders for one key (pool/operator.h). */
enum key_order { KEY_ORDER_RESET, KEY_ORDER_DISABLE, KEY_ORDER_ENABLE };

/* Who wants to know. All are called without the lock, one at a time, in the order in which things
 * happened, from any thread; they must not call the ring. `entry` NULL: no single key's. */
struct keyring_watch {
    void (*news)(void *context, const struct pool_transition *news, const struct key_entry *entry);
    /* An operator's order has changed this key; before what follows from it. */
    void (*ordered)(void *context, enum key_order order, const struct key_entry *entry);
    /* No key is ready any more; some is again, and not by time alone: a breaker has closed or keys
     * have come. */
    void (*readiness)(void *context, bool ready);
    /* At a load after the first: this key came (or went), or `count` did. */
    void (*keys)(void *context, bool came, const struct key_entry *entry, size_t count);
    void *context;
};

#define KEYRING_NAMED_MAX 8 /* keys that come or go are named; if more do, they are summed up */
#define KEYRING_COMPARED_MAX                                                                       \
    16384 /* keys of which each is compared at a load; of more, the count */

/* A seat: what a thread chooses keys with. Each thread gets one of its own with its first request and
 * the ring keeps it; who serves threads that come and go lends them seats instead. A seat serves one
 * thread at a time. NULL: out of memory, and the ring does without. */
struct pool_reader *keyring_seat_new(struct keyring *ring);
void keyring_seat_free(struct keyring *ring, struct pool_reader *seat); /* NULL is allowed */

/* The calling thread's seat from now on (NULL: none); returns the one before. */
struct pool_reader *keyring_sit(struct keyring *ring, struct pool_reader *seat);

/* Before any other thread knows the ring. */
void keyring_watch(struct keyring *ring, const struct keyring_watch *watch);

/* New settings: keys, strategy, switches. On failure everything is as before. */
NODISCARD
enum status keyring_load(struct keyring *ring, const struct settings *settings, int64_t now_ns);

/* The base URL with this index; lives as long as the ring. */
const struct service_url *keyring_service(const struct keyring *ring, uint32_t service);

/* The service of SPAREKEY_LAST_RESORT; false when it is none. */
bool keyring_last_resort(const struct keyring *ring, uint32_t *ret_service);

/* plan_start and the first plan_next. With PLAN_SEND, `*ret_entry` is a new reference. */
void keyring_begin(struct keyring *ring, struct plan *plan, const struct plan_request *request,
                   int64_t now_ns, struct plan_step *ret_step, struct key_entry **ret_entry);

/* plan_next. */
void keyring_next(struct keyring *ring, struct plan *plan, int64_t now_ns,
                  struct plan_step *ret_step, struct key_entry **ret_entry);

/* The facts (pool_learn, plan_limits, plan_usage) and plan_hear. */
bool keyring_hear(struct keyring *ring, struct plan *plan, const struct verdict *verdict,
                  const struct evidence *evidence, const struct answer_facts *facts,
                  int64_t now_ns);

/* The facts, plan_hear of a success and plan_end, in one. */
void keyring_succeed(struct keyring *ring, struct plan *plan, const struct answer_facts *facts,
                     int64_t now_ns);

/* The facts and plan_proven. */
void keyring_proven(struct keyring *ring, struct plan *plan, const struct answer_facts *facts,
                    int64_t now_ns);

/* plan_end (which abandons an attempt in flight). */
void keyring_end(struct keyring *ring, struct plan *plan, int64_t now_ns);

/* pool_probe_next and pool_probe_hear. With true, `*ret_entry` is a new reference. */
bool keyring_probe_next(struct keyring *ring, int64_t now_ns, key_id *ret_key,
                        struct key_entry **ret_entry, int64_t *ret_due_ns);
void keyring_probe_hear(struct keyring *ring, key_id key, const struct verdict *verdict,
                        const struct evidence *evidence, int64_t now_ns);

size_t keyring_count(struct keyring *ring);

/* The pool from afar, and its keys by condition. While no breaker stands and no key is disabled that is a glance, else every
 * key is looked at, KEYRING_GLANCE of them at a time, so that no request waits noticeably. Not on a
 * loop thread. */
#define KEYRING_GLANCE 256
struct keyring_census {
    struct pool_figures pool;
    size_t keys[KEY_CONDITIONS];
    size_t ready;      /* that can serve */
    uint32_t services; /* base URLs known, of which there are figures of the first */
    struct headroom_figure headroom[FIGURES_SERVICES_MAX];
};
void keyring_census(struct keyring *ring, int64_t now_ns, struct keyring_census *ret);

/* One key for display; strings are copies. False when `index` is past the last. */
struct key_status {
    struct key_view view; /* its slices point into the fields below */
    char organization[96], project[96];
    char mask[SECRET_MASK_MAX];
    char name[KEY_NAME_MAX];
    struct model_view models[MODEL_VIEWS_MAX];
    size_t model_count;
};
bool keyring_status(struct keyring *ring, size_t index, int64_t now_ns, struct key_status *ret);

/* The same of as many keys from `index` on as one hold of the lock is for, at most
 * KEYRING_STATUSES_AT_ONCE; how many, 0 past the last. Those who wait for the lock pass before it
 * returns. */
#define KEYRING_STATUSES_AT_ONCE 64
size_t keyring_statuses(struct keyring *ring, size_t index, int64_t now_ns,
                        struct key_status ret[KEYRING_STATUSES_AT_ONCE]);

enum key_match { KEY_MATCH_NONE, KEY_MATCH_ONE, KEY_MATCH_MANY };

/* The key is named as the health document has it: by name, by mask where no other has the same, or
 * by its place from 0. Only with KEY_MATCH_ONE something has been done, and `ret` is the key
 * afterwards. Takes a while with very many keys: not for a loop's thread. */
enum key_match keyring_order(struct keyring *ring, const char *id, enum key_order order,
                             int64_t now_ns, struct key_status *ret);

/* What fingerprints are made with from now on; chance until then. Before the first request. */
void keyring_fingerprint_by(struct keyring *ring, struct hash_seed seed);

/* The counters of one key for the history; `fingerprint` tells keys apart, and after a restart
 * with the same seed recognises them. */
struct key_sample {
    uint64_t fingerprint, requests, successes;
    char mask[SECRET_MASK_MAX];
    char name[KEY_NAME_MAX];
};
/* Of the keys from `first` on, at most `most`; how many. One short hold of the lock. */
size_t keyring_sample(struct keyring *ring, size_t first, struct key_sample *ret, size_t most);

/* Moves to `ret` what failed and was taken over since the last call. */
void keyring_take_tally(struct keyring *ring, struct tally *ret);

#ifdef __cplusplus
}
#endif
#endif
