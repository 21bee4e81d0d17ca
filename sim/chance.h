/* Chance without a sequence: every draw is a hash of what it is about.
 *
 * A generator that is asked in order would give policy B other luck than policy A as soon as A
 * asked once more. Here the draw for (request 17, second attempt, latency) is the same number
 * whoever asks and whenever, so policies are compared on the same luck ("common random numbers")
 * and a difference between them is a difference of theirs.
 */
#ifndef SPAREKEY_SIM_CHANCE_H
#define SPAREKEY_SIM_CHANCE_H

#include <math.h>
#include <stdint.h>

#include "base/rng.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a draw is about; the last word of its name. */
enum chance_topic {
    CHANCE_GAP = 1, /* until the next arrival */
    CHANCE_TOKENS,
    CHANCE_UPLINK,
    CHANCE_DOWNLINK,
    CHANCE_PROCESSING,
    CHANCE_PROCESSING_2,
    CHANCE_FAULT,
    CHANCE_FAULT_KIND,
    CHANCE_PICK,
    CHANCE_BACKOFF,
    CHANCE_ESTIMATE,
    CHANCE_LEAVES,
    CHANCE_LEAVES_WHEN,
};

static inline uint64_t chance_bits(uint64_t seed, uint64_t subject, uint64_t turn,
                                   enum chance_topic topic)
{
    struct rng rng = {seed ^ (subject * 0xD6E8FEB86659FD93u)};

    rng.state ^= rng_next(&rng) + turn * 0xA0761D6478BD642Fu;
    rng.state ^= rng_next(&rng) + (uint64_t)topic * 0xE7037ED1A0B428DBu;
    return rng_next(&rng);
}

/* Uniform in (0, 1): never an end, so that logarithms are safe. */
static inline double chance_uniform(uint64_t seed, uint64_t subject, uint64_t turn,
                                    enum chance_topic topic)
{
    return ((double)(chance_bits(seed, subject, turn, topic) >> 12) + 0.5) / 4503599627370496.0;
}

/* Whether something that happens in `ppm` of a million cases happens. */
static inline int chance_happens(uint64_t seed, uint64_t subject, uint64_t turn,
                                 enum chance_topic topic, uint32_t ppm)
{
    return chance_bits(seed, subject, turn, topic) % 1000000 < ppm;
}

/* Waiting time of a Poisson process. */
static inline double chance_exponential(double mean, double uniform)
{
    return -mean * log(uniform);
}

/* Median and spread: what most service times look like. Box and Muller's transform. */
static inline double chance_lognormal(double median, double sigma, double u, double v)
{
    return median * exp(sigma * sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v));
}

#ifdef __cplusplus
}
#endif
#endif
