/* Keyed hashing of bytes a peer may choose: SipHash-1-3, so that nobody outside can aim collisions
 * at our tables. */
#ifndef SPAREKEY_BASE_HASH_H
#define SPAREKEY_BASE_HASH_H

#include <stdint.h>

#include "base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

struct hash_seed {
    uint64_t k0, k1;
};

uint64_t hash_bytes(const struct hash_seed *seed, struct slice bytes);

/* Mixes one number into another hash; for composite keys of small integers. */
static inline uint64_t hash_mix(uint64_t hash, uint64_t value)
{
    uint64_t z = (hash ^ value) * 0x9E3779B97F4A7C15u;
    return z ^ (z >> 32);
}

#ifdef __cplusplus
}
#endif
#endif
