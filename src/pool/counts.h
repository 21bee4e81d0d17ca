/* How often keys were asked, and how many requests each has in flight: counted by every thread,
 * also without the pool's lock.
 *
 *     key->counts          of all keys: who holds the lock; of keys with large ids, everybody
 *   + reader->counts[id]   of keys with small ids: one thread's own
 *   = what a key has done
 *
 * Many threads that share a few keys would spend their time passing a common word to and fro; so of
 * the first COUNTS_APART ids each thread counts for itself, in plain stores to lines that nobody
 * else writes. A pool with more keys than that has its threads rotate far from each other
 * (fast.h), and there one addition to the key is cheaper than memory for each key and thread.
 *
 * What always holds:
 * - begun and ended only grow, and each end comes after its beginning, whichever threads they are
 *   counted by. Ends are released, and read before beginnings are: so a sum never shows fewer
 *   beginnings than ends, and what it shows in flight may have just ended, but has not been
 *   forgotten;
 * - the counts of a reader are its thread's to change; under the lock only once nobody can count
 *   for that id any more (the key goes), or at all (the reader goes).
 */
#ifndef SPAREKEY_POOL_COUNTS_H
#define SPAREKEY_POOL_COUNTS_H

#include "pool/state.h"

/* Requests in flight now. Under the lock. */
uint32_t counts_in_flight(const struct pool *pool, const struct key *key);

/* Attempts ended. Under the lock. */
uint64_t counts_ended(const struct pool *pool, const struct key *key);

/* When the last attempt began, -1 = never. Under the lock. */
int64_t counts_last_used_ns(const struct pool *pool, const struct key *key);

/* The key goes: nothing of it is in flight, and its id may become another's. Under the lock. */
void counts_forget(struct pool *pool, const struct key *key);

/* The reader goes: what it counted becomes the keys' own. Under the lock. */
void counts_hand_over(struct pool *pool, const struct pool_reader *reader);

/* An attempt begins, or ends: by who holds the lock, … */
static inline void counts_begin(struct key *key, int64_t now_ns)
{
    TALLY_SET(&key->counts.last_used_ns, now_ns);
    TALLY_ADD(&key->counts.begun, 1);
}

static inline void counts_end(struct key *key)
{
    __atomic_fetch_add(&key->counts.ended, 1, __ATOMIC_RELEASE);
}

/* … or by the reader's thread. */
static inline void counts_begin_apart(struct pool_reader *reader, struct key *key, int64_t now_ns)
{
    struct counts *own;

    if (key->id >= COUNTS_APART) {
        counts_begin(key, now_ns);
        return;
    }
    own = &reader->counts[key->id];
    TALLY_SET(&own->last_used_ns, now_ns);
    TALLY_SET(&own->begun, own->begun + 1);
}

static inline void counts_end_apart(struct pool_reader *reader, struct key *key)
{
    struct counts *own;

    if (key->id >= COUNTS_APART) {
        counts_end(key);
        return;
    }
    own = &reader->counts[key->id];
    POST(&own->ended, own->ended + 1);
}

#endif
