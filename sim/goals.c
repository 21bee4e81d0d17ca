#include "sim/goals.h"

#include <inttypes.h>

static bool fewer_than_single(const struct outcome *o, FILE *out)
{
    const struct result *engine = &o->policies[0], *single = NULL;

    for (size_t i = 0; i < POLICY_COUNT; i++)
        if (policy_at(i) == &policy_single)
            single = &o->policies[i];
    if (o->oracle.failed > 0 || engine->failed * 100 <= single->failed * GOAL_OF_SINGLE_PERCENT)
        return true;
    fprintf(out,
            "GOAL MISSED %s: failed %" PRIu64 ", more than %d %% of the single key's %" PRIu64 "\n",
            o->scenario->name, engine->failed, GOAL_OF_SINGLE_PERCENT, single->failed);
    return false;
}

static bool not_above_others(const struct outcome *o, FILE *out)
{
    const struct result *engine = &o->policies[0];
    bool reached = true;

    for (size_t i = 1; i < POLICY_COUNT; i++) {
        if (engine->failed <= o->policies[i].failed)
            continue;
        fprintf(out, "GOAL MISSED %s: failed %" PRIu64 ", %s only %" PRIu64 "\n", o->scenario->name,
                engine->failed, policy_at(i)->name, o->policies[i].failed);
        reached = false;
    }
    return reached;
}

static bool wastes_little(const struct outcome *o, FILE *out)
{
    const struct result *engine = &o->policies[0];

    if (engine->wasted * 1000 <= engine->attempts * GOAL_WASTED_PER_MILLE)
        return true;
    fprintf(out, "GOAL MISSED %s: %" PRIu64 " of %" PRIu64 " attempts on keys known dead\n",
            o->scenario->name, engine->wasted, engine->attempts);
    return false;
}

static bool near_oracle(const struct outcome *o, FILE *out)
{
    const struct result *engine = &o->policies[0];

    if (!o->scenario->overload || engine->served * 100 >= o->oracle.served * GOAL_OF_ORACLE_PERCENT)
        return true;
    fprintf(out, "GOAL MISSED %s: served %" PRIu64 " of the oracle's %" PRIu64 "\n",
            o->scenario->name, engine->served, o->oracle.served);
    return false;
}

/* If it is not one, the simulator is wrong and no other number here means anything. */
static bool oracle_is_bound(const struct outcome *o, FILE *out)
{
    bool holds = true;

    for (size_t i = 0; i < POLICY_COUNT; i++) {
        if (o->policies[i].served <= o->oracle.served)
            continue;
        fprintf(out, "BOUND BROKEN %s: %s served %" PRIu64 ", the oracle %" PRIu64 "\n",
                o->scenario->name, policy_at(i)->name, o->policies[i].served, o->oracle.served);
        holds = false;
    }
    return holds;
}

unsigned goals_check(const struct outcome *outcome, FILE *out)
{
    static bool (*const goals[])(const struct outcome *, FILE *) = {
        fewer_than_single, not_above_others, wastes_little, near_oracle, oracle_is_bound,
    };
    unsigned missed = 0;

    for (size_t i = 0; i < sizeof goals / sizeof *goals; i++)
        missed += !goals[i](outcome, out);
    return missed;
}
