/* The pool: every key, who owns it, and which of them can serve a request right now.
 *
 * Limits and bills belong to accounts, a key is only a door, so the pool is a tree
 *
 *     service (one base URL) ── organisation ── project ── key
 *
 * and a breaker may stand at any node, alone or together with a model or an endpoint family
 * (enum scope). A key is ready for a request when every breaker on its path lets it pass. The
 * organisation and project of a key are configured or learned from answers (pool_learn); until
 * then each key counts as its own.
 *
 *     CLOSED ──failure──▶ OPEN(until, evidence) ──due──▶ HALF_OPEN(one lease) ──success──▶ CLOSED
 *                            ▲                                 │
 *                            └──────── failure: wait ×2 ───────┘
 *
 * Sans-IO: no clock, no random source of its own, no sockets, no environment, no logging, no
 * globals. `now_ns` is monotonic nanoseconds, read by the caller, never going back between calls.
 *
 * Threads: none. The caller serialises all calls on one pool (the gateway's keyring holds a
 * mutex for them: two short critical sections a request).
 */
#ifndef SPAREKEY_POOL_POOL_H
#define SPAREKEY_POOL_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"
#include "pool/verdict.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A key inside the pool: stable while the key is loaded, reused after it was removed and its last
 * request ended. */
typedef uint32_t key_id;
#define KEY_NONE UINT32_MAX

enum strategy {
    STRATEGY_PRIMARY_FIRST,
    STRATEGY_ROUND_ROBIN,
    STRATEGY_WEIGHTED,     /* turns in proportion to the keys' weights */
    STRATEGY_LEAST_LOADED, /* the fewest requests in flight, by weight */
    STRATEGY_HEADROOM,     /* the largest share of its accounts' buckets left */
};

struct pool_options {
    enum strategy strategy;
    bool fallback_enabled; /* false: only the primary key is ever used */
    bool rotation_enabled; /* primary-first: round-robin over the fallbacks, else first in order */
    uint64_t seed;         /* of jitter and hashing */
    int64_t proof_wait_ns; /* how long requests wait for the first answer ever of an unproven key,
                              so that a dead one is asked once and not once per caller (0 = off) */
    int64_t lease_ns;      /* a half-open lease not returned by then has expired */

    int64_t max_wait_ns; /* how long one request waits, in all, for keys that cool down or are out
                                  of headroom (0 = it is refused at once) */
    uint32_t queue_max;  /* requests that wait so, for each kind of request (model, family,
                                  stream); one more is refused at once */
    uint32_t retry_percent;    /* share of the requests of the last RETRY_WINDOW_NS that may be
                                  tried again because the service failed, … */
    uint32_t retry_floor;      /* … but always so many */
    bool affinity;             /* requests of one affinity prefer one organisation */
    int64_t probe_interval_ns; /* between two free probes of one key (0 = no probes: what a free
                                  probe could prove, a real request does) */
    int64_t ramp_ns;           /* after a limit or quota recovered, traffic returns within this
                                  (0 = at once) */
};

/* The window of the retry budget. */
#define RETRY_WINDOW_NS (INT64_C(10) * 1000000000)

/* Sensible values: primary-first, fallback and rotation on, seed 1, 300 ms proof, 600 s lease;
 * 20 s and 1024 waiting; 20 % and at least 10 retries; no affinity, no probes; 5 s ramp. */
void pool_options_init(struct pool_options *options);

/* One key as configured. Strings are copied. The primary is the first of the array. */
struct key_spec {
    uint64_t identity; /* salted hash of service + secret: the same key before and after a reload */
    uint32_t service;  /* index of its base URL, small */
    struct slice organization; /* configured owner; empty = to be learned */
    struct slice project;
    uint64_t cookie;        /* the caller's own handle, given back by pool_key_cookie */
    uint32_t weight;        /* of STRATEGY_WEIGHTED and STRATEGY_LEAST_LOADED; 0 counts as 1 */
    uint32_t max_in_flight; /* requests at the same time; 0 = no cap */
    const struct slice
        *models;        /* the only ones it may serve; requests that name none always pass */
    size_t model_count; /* 0 = all */
};

struct pool;

/* Something that may be in the hands of a thread that looks without the lock (fast.h): embedded in
 * what is to be released when none is left. Private but for `release`. */
struct garbage {
    struct garbage *next;
    uint64_t era;
    void (*release)(struct garbage *garbage); /* called under the caller's lock */
};

/* Calls garbage->release once no thread can be looking at what was within reach before this call:
 * at once when nobody looks, else within a later call on the pool. What a key's cookie led to
 * before a reload is released so. */
void pool_defer(struct pool *pool, struct garbage *garbage);

/* Releases what nobody looks at any more; other calls do so, too. */
void pool_collect(struct pool *pool);

/* NULL in `*ret` never happens on STATUS_OK. STATUS_NO_MEMORY. */
NODISCARD
enum status pool_new(const struct pool_options *options, struct pool **ret_pool);
void pool_free(struct pool *pool);

/* Makes these the keys: first load and reload alike. A key whose identity was there before keeps
 * its state, its id and its place in breakers; one that is gone is retired (never selected; its id
 * lives until its last plan ends). Duplicate identities after the first are ignored.
 * On failure (STATUS_NO_MEMORY) the pool is as before. */
NODISCARD
enum status pool_load(struct pool *pool, const struct key_spec *specs, size_t count,
                      int64_t now_ns);

/* The same in steps, for a caller whose lock others wait for: other calls may come between any two
 * of these. One load at a time.
 *
 *     pool_load_new ─▶ pool_load_stage … ─▶ pool_load_commit ─▶ pool_load_settle … ─▶ pool_load_free
 *                             └──── failure: pool_load_abandon ────┘
 *
 * Until the commit the old keys are chosen, after it the new ones. A key that stays has its old
 * cookie, owners and rules until it is settled: what the old cookies lead to must live until
 * pool_load_settle has said true, and from then as long as pool_defer tells. */
struct pool_load;

/* Of `count` keys at most. Without the caller's lock. STATUS_NO_MEMORY. */
NODISCARD
enum status pool_load_new(const struct pool *pool, size_t count, struct pool_load **ret_load);

/* Finds or makes the next `count` keys. STATUS_NO_MEMORY. */
NODISCARD
enum status pool_load_stage(struct pool *pool, struct pool_load *load, const struct key_spec *specs,
                            size_t count);

/* STATUS_NO_MEMORY, and the pool is as before. */
NODISCARD
enum status pool_load_commit(struct pool *pool, struct pool_load *load);

/* Settles the next `most` keys that stay; true when all are. */
NODISCARD
bool pool_load_settle(struct pool *pool, struct pool_load *load, size_t most);

/* Unmakes and frees a load that was not committed. */
void pool_load_abandon(struct pool *pool, struct pool_load *load);

/* Without the caller's lock: frees one that is settled. */
void pool_load_free(struct pool_load *load);

/* Changes strategy and switches of a running pool; seed is ignored. */
void pool_configure(struct pool *pool, const struct pool_options *options);

/* Keys loaded and not retired. */
size_t pool_count(const struct pool *pool);

/* The caller's handle of a key that is loaded or retired with a plan in flight. */
uint64_t pool_key_cookie(const struct pool *pool, key_id key);

/* What an answer said about the key's owner (openai-organization, openai-project); an empty slice
 * says nothing. Configured values win; a changed value moves the key to its new owner. */
void pool_learn(struct pool *pool, key_id key, struct slice organization, struct slice project);

/* A number that changes whenever waiting requests should ask again: a proof arrived, a breaker
 * closed, keys were loaded. Compare, do not interpret. */
uint64_t pool_epoch(const struct pool *pool);

/* Requests that wait in line now, for keys that cool down or are out of headroom. */
size_t pool_waiting(const struct pool *pool);

/* Free probes (GET /v1/models) of keys that are out for a fault which such a probe can disprove.
 * True: send one with `*ret_key` (it stays valid) and tell pool_probe_hear what came of it. False:
 * nothing now; ask again at `*ret_due_ns` (INT64_MAX: nothing is out) or when pool_epoch has
 * moved. At most PROBES_AT_ONCE are under way; those of many keys are spread over the interval. */
#define PROBES_AT_ONCE 2
bool pool_probe_next(struct pool *pool, int64_t now_ns, key_id *ret_key, int64_t *ret_due_ns);

/* What came of the probe. `verdict` NULL: it was lost, and proves nothing; so do verdicts of wide
 * scope (the service's trouble). A probe nobody tells about is lost after pool_options.lease_ns. */
void pool_probe_hear(struct pool *pool, key_id key, const struct verdict *verdict,
                     const struct evidence *evidence, int64_t now_ns);

enum circuit { CIRCUIT_CLOSED, CIRCUIT_OPEN, CIRCUIT_HALF_OPEN };

/* One key as an operator sees it. Strings live until the next call that changes the pool. */
struct key_view {
    uint64_t cookie;
    struct slice organization, project; /* empty while unknown */
    uint64_t requests, successes;       /* attempts ended, of them successful */
    uint32_t
        consecutive_errors; /* failures blamed on the key or its accounts since the last success */
    uint32_t in_flight;
    int64_t last_used_ns; /* -1 = never */
    /* The worst open breaker on the key's path that blocks it as a whole or for some model: */
    enum circuit circuit;
    enum scope scope;
    enum failure reason;
    bool rate_limited; /* it is open for a rate limit, not for a fault of the key */
    enum probe probe;  /* what will close it again */
    int64_t open_since_ns, open_until_ns;
    struct evidence evidence;
    bool disabled;       /* by an operator, whatever the circuit is, … */
    int64_t disabled_ns; /* … since then */
};

/* Fills the view of the i-th loaded key in order, i < pool_count. */
void pool_view(const struct pool *pool, size_t index, int64_t now_ns, struct key_view *ret_view);

/* Invariants, for tests and the simulator: aborts with a message when one is broken. */
void pool_check(const struct pool *pool);

#ifdef __cplusplus
}
#endif
#endif
