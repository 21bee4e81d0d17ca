/* The numbers the engine has to reach (issue: "the proof by simulation"), one table row each. */
#ifndef SPAREKEY_SIM_GOALS_H
#define SPAREKEY_SIM_GOALS_H

#include <stdio.h>

#include "sim/policy.h"
#include "sim/result.h"
#include "sim/scenario.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One scenario's outcome. */
struct outcome {
    const struct scenario *scenario;
    double offered; /* requests the buckets could have held while anybody waited */
    struct result policies[POLICY_COUNT]; /* as policy_at; the first is the engine */
    struct result oracle;
};

/* Failed requests: of a hundred the single key fails, the engine fails at most one, wherever an
 * oracle would have served them all. */
#define GOAL_OF_SINGLE_PERCENT 1
/* Attempts on keys known dead, of 1000. */
#define GOAL_WASTED_PER_MILLE 5
/* Of what the oracle serves under overload. */
#define GOAL_OF_ORACLE_PERCENT 98

/* Writes a line about each goal missed to `out`, naming scenario and numbers; returns how many. */
unsigned goals_check(const struct outcome *outcome, FILE *out);

#ifdef __cplusplus
}
#endif
#endif
