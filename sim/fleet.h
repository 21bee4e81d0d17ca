/* What the gateways that think in keys have in common: a row of keys, each with a count of
 * failures and a time until which it rests. */
#ifndef SPAREKEY_SIM_FLEET_H
#define SPAREKEY_SIM_FLEET_H

#include "sim/policy.h"

#ifdef __cplusplus
extern "C" {
#endif

struct fleet_key {
    int64_t rests_until_ns;
    int64_t window_until_ns; /* of the count of failures, where it has one */
    uint32_t failures;
    uint32_t place; /* of the key in `awake` */
};

struct fleet {
    struct policy base;
    uint64_t seed;
    uint32_t count, awake_count;
    uint32_t cursor;
    uint32_t *awake; /* the keys that do not rest, in no particular order */
    uint32_t *resting;
    uint32_t resting_first,
        resting_count; /* a ring: all rest equally long, so the first wakes first */
    struct fleet_key *keys;
};

struct policy *fleet_make(const struct policy_class *class, const struct policy_setup *setup);
void fleet_free(struct policy *policy);
void fleet_begin(struct policy *policy, struct call *call, int64_t now_ns);
void fleet_end(struct policy *policy, struct call *call, int64_t now_ns);

/* Puts a key to rest; of a fleet all rest equally long. */
void fleet_rest(struct fleet *fleet, uint32_t key, int64_t until_ns);

/* Wakes whoever has rested. */
void fleet_wake(struct fleet *fleet, int64_t now_ns);

#ifdef __cplusplus
}
#endif
#endif
