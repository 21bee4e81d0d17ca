/* The tally: what failed, by key and group, until somebody takes it.
 *
 * Successes are counted by the pool, for nothing; failures come with a decision and a lock anyway,
 * and are counted here. Of a fixed size: keys beyond the first TALLY_KEYS_MAX are summed in `rest`.
 * Threads: none; the caller holds a lock. All zero is empty.
 */
#ifndef SPAREKEY_KEYRING_TALLY_H
#define SPAREKEY_KEYRING_TALLY_H

#include <stddef.h>
#include <stdint.h>

#include "pool/history_group.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TALLY_KEYS_MAX 512  /* told apart between two takings */
#define TALLY_SLOTS    1024 /* a power of two, twice that: short searches */

struct tally_row {
    uint64_t fingerprint; /* 0 = free */
    uint32_t failures[HISTORY_GROUPS];
    uint32_t failovers;
};

struct tally {
    struct tally_row rows[TALLY_SLOTS];
    struct tally_row rest;
    uint32_t count;
};

void tally_failure(struct tally *tally, uint64_t fingerprint, enum history_group group);
void tally_failover(struct tally *tally, uint64_t fingerprint); /* it took over */

/* The key's row, or NULL. */
struct tally_row *tally_find(struct tally *tally, uint64_t fingerprint);

/* Adds a row to the counts, and empties it. */
void tally_move(struct tally_row *row, struct history_counts *to);

#ifdef __cplusplus
}
#endif
#endif
