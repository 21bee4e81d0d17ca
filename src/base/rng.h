/* A seeded generator (splitmix64): the engine's only source of chance, handed in by the caller so
 * that the same seed gives the same decisions. Not for secrets. */
#ifndef SPAREKEY_BASE_RNG_H
#define SPAREKEY_BASE_RNG_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct rng {
    uint64_t state;
};

static inline uint64_t rng_next(struct rng *r)
{
    /* Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014. */
    uint64_t z = (r->state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* Uniform in 0 … bound-1; bound 0 gives 0. The bias is below bound/2^64. */
static inline uint64_t rng_below(struct rng *r, uint64_t bound)
{
    return (uint64_t)(((unsigned __int128)rng_next(r) * bound) >> 64);
}

#ifdef __cplusplus
}
#endif
#endif
