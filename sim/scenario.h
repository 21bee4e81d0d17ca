/* The situations that policies are compared in: a world, its traffic, and how to look at it. */
#ifndef SPAREKEY_SIM_SCENARIO_H
#define SPAREKEY_SIM_SCENARIO_H

#include "sim/arrivals.h"
#include "sim/world.h"

#ifdef __cplusplus
extern "C" {
#endif

struct scenario {
    const char *name;  /* in JSON and on the command line */
    const char *title; /* for people */
    bool overload;     /* more is asked than can be had: measured against the oracle */
    bool only_soak;    /* for invariants: policies are not compared in it */
    struct world_spec world;
    struct traffic traffic;
};

/* The n-th, or NULL behind the last. */
const struct scenario *scenario_at(size_t index);

/* NULL: there is none of that name. */
const struct scenario *scenario_named(const char *name);

#ifdef __cplusplus
}
#endif
#endif
