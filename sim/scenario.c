/* Numbers were chosen so that what is tested can be told from chance: in every scenario but the
 * overloads and the long outage an oracle serves every request. A bucket is one minute deep, so
 * 600 requests a minute are a burst of 600 and ten a second after it. */
#include "sim/scenario.h"

#include <string.h>

#define PATIENCE (20 * SECOND)

/* Everything at once. Waits are long by hints, too: a request may weigh a twentieth of a bucket. Who
 * fails here is no measure: policies that favour light requests serve more of them. */
#define STORM_WORLD(silence)                                                                       \
    {                                                                                              \
        .orgs = 3, .projects = 2, .keys = 2, .org = {120, 0, 60000}, .project = {90, 0, 0},        \
        .silent = silence, .processing_ms = 300,                                                   \
        .faults = {                                                                                \
            {.kind = FAULT_FLAKY, .until_ns = NEVER, .ppm = 100000},                               \
            {.kind = FAULT_REVOKED, .from_ns = 20 * SECOND, .until_ns = 60 * SECOND, .last = 1},   \
            {.kind = FAULT_QUOTA,                                                                  \
             .from_ns = 40 * SECOND,                                                               \
             .until_ns = 100 * SECOND,                                                             \
             .first = 1,                                                                           \
             .last = 1},                                                                           \
            {.kind = FAULT_SLOW_DOWN,                                                              \
             .from_ns = 60 * SECOND,                                                               \
             .until_ns = 120 * SECOND,                                                             \
             .first = 2,                                                                           \
             .last = 2,                                                                            \
             .per_s = 2},                                                                          \
            {.kind = FAULT_OUTAGE, .from_ns = 130 * SECOND, .until_ns = 140 * SECOND},             \
            {.kind = FAULT_OVERLOAD,                                                               \
             .from_ns = 140 * SECOND,                                                              \
             .until_ns = 170 * SECOND,                                                             \
             .per_s = 3},                                                                          \
            {.kind = FAULT_QUOTA, .from_ns = 180 * SECOND, .until_ns = 230 * SECOND},              \
        },                                                                                         \
    }

#define STORM_TRAFFIC                                                                              \
    {                                                                                              \
        .phases = {{60 * SECOND, 2}, {65 * SECOND, 20}, {300 * SECOND, 2}}, .tokens_min = 100,     \
        .tokens_max = 3000, .patience_ns = PATIENCE, .leaves_ppm = 100000                          \
    }

static const struct scenario scenarios[] = {
    {
        .name = "burst_requests",
        .title = "sharp burst at the request limit",
        .world =
            {.orgs = 4, .projects = 1, .keys = 2, .org = {600, 0, 2000000}, .processing_ms = 600},
        .traffic = {.phases = {{30 * SECOND, 8}, {35 * SECOND, 520}, {90 * SECOND, 8}},
                    .tokens_min = 1000,
                    .tokens_max = 1000,
                    .patience_ns = PATIENCE},
    },
    {
        .name = "burst_tokens",
        .title = "sharp burst at the token limit",
        .world =
            {.orgs = 4, .projects = 1, .keys = 2, .org = {10000, 0, 600000}, .processing_ms = 600},
        .traffic = {.phases = {{30 * SECOND, 6}, {35 * SECOND, 320}, {90 * SECOND, 6}},
                    .tokens_min = 500,
                    .tokens_max = 2500,
                    .patience_ns = PATIENCE},
    },
    {
        .name = "project_limits",
        .title = "projects limited below their organisation",
        .world = {.orgs = 2,
                  .projects = 3,
                  .keys = 1,
                  .org = {900, 0, 2000000},
                  .project = {400, 0, 0},
                  .processing_ms = 600},
        .traffic = {.phases = {{120 * SECOND, 20}, {124 * SECOND, 180}, {180 * SECOND, 10}},
                    .tokens_min = 500,
                    .tokens_max = 1500,
                    .patience_ns = PATIENCE},
    },
    {
        .name = "primary_revoked",
        .title = "primary revoked",
        .world = {.orgs = 3,
                  .projects = 1,
                  .keys = 1,
                  .org = {4800, 0, 9600000},
                  .processing_ms = 600,
                  .faults = {{.kind = FAULT_REVOKED, .from_ns = 30 * SECOND, .until_ns = NEVER}}},
        .traffic = {.phases = {{150 * SECOND, 60}},
                    .tokens_min = 500,
                    .tokens_max = 1500,
                    .patience_ns = PATIENCE},
    },
    {
        .name = "quota_exhausted",
        .title = "one organisation out of quota",
        .world = {.orgs = 3,
                  .projects = 1,
                  .keys = 3,
                  .org = {4800, 0, 9600000},
                  .processing_ms = 600,
                  .faults = {{.kind = FAULT_QUOTA, .from_ns = 30 * SECOND, .until_ns = NEVER}}},
        .traffic = {.phases = {{150 * SECOND, 60}},
                    .tokens_min = 500,
                    .tokens_max = 1500,
                    .patience_ns = PATIENCE},
    },
    {
        .name = "one_organisation",
        .title = "all keys one organisation",
        .world =
            {.orgs = 1, .projects = 2, .keys = 3, .org = {1200, 0, 6000000}, .processing_ms = 600},
        .traffic = {.phases = {{30 * SECOND, 10}, {34 * SECOND, 330}, {100 * SECOND, 8}},
                    .tokens_min = 500,
                    .tokens_max = 1500,
                    .patience_ns = PATIENCE},
    },
    {
        .name = "slow_down",
        .title = "two of three organisations slowed down",
        .world = {.orgs = 3,
                  .projects = 1,
                  .keys = 2,
                  .org = {6000, 0, 9000000},
                  .processing_ms = 600,
                  .faults = {{.kind = FAULT_SLOW_DOWN,
                              .from_ns = 20 * SECOND,
                              .until_ns = 80 * SECOND,
                              .first = 0,
                              .last = 1,
                              .per_s = 5}}},
        .traffic = {.phases = {{120 * SECOND, 40}},
                    .tokens_min = 500,
                    .tokens_max = 1500,
                    .patience_ns = PATIENCE},
    },
    {
        .name = "flaky_service",
        .title = "10 % flaky service",
        .world = {.orgs = 3,
                  .projects = 1,
                  .keys = 2,
                  .org = {6000, 0, 12000000},
                  .processing_ms = 600,
                  .faults = {{.kind = FAULT_FLAKY, .until_ns = NEVER, .ppm = 100000}}},
        .traffic = {.phases = {{600 * SECOND, 50}},
                    .tokens_min = 500,
                    .tokens_max = 1500,
                    .patience_ns = PATIENCE},
    },
    {
        .name = "outage",
        .title = "full outage of 5 minutes",
        .world =
            {.orgs = 3,
             .projects = 1,
             .keys = 2,
             .org = {6000, 0, 12000000},
             .processing_ms = 600,
             .faults = {{.kind = FAULT_OUTAGE, .from_ns = 30 * SECOND, .until_ns = 330 * SECOND}}},
        .traffic = {.phases = {{420 * SECOND, 20}},
                    .tokens_min = 500,
                    .tokens_max = 1500,
                    .patience_ns = PATIENCE},
    },
    {
        .name = "recovery_herd",
        .title = "recovery herd: 12 s outage, then a weak service",
        .world =
            {.orgs = 3,
             .projects = 1,
             .keys = 2,
             .org = {6000, 0, 12000000},
             .processing_ms = 600,
             .faults = {{.kind = FAULT_OUTAGE, .from_ns = 30 * SECOND, .until_ns = 42 * SECOND},
                        {.kind = FAULT_OVERLOAD,
                         .from_ns = 42 * SECOND,
                         .until_ns = 72 * SECOND,
                         .per_s = 150}}},
        .traffic = {.phases = {{100 * SECOND, 40}},
                    .tokens_min = 500,
                    .tokens_max = 1500,
                    .patience_ns = PATIENCE},
    },
    {
        .name = "overload",
        .title = "sustained overload, 2 × capacity",
        .overload = true,
        .world =
            {.orgs = 4, .projects = 1, .keys = 2, .org = {600, 0, 2000000}, .processing_ms = 600},
        .traffic = {.phases = {{600 * SECOND, 80}},
                    .tokens_min = 1000,
                    .tokens_max = 1000,
                    .patience_ns = PATIENCE},
    },
    {
        .name = "overload_counted",
        .title = "the same where refused requests count",
        .overload = true,
        .world = {.orgs = 4,
                  .projects = 1,
                  .keys = 2,
                  .org = {600, 0, 2000000},
                  .refusals_count = true,
                  .processing_ms = 600},
        .traffic = {.phases = {{600 * SECOND, 80}},
                    .tokens_min = 1000,
                    .tokens_max = 1000,
                    .patience_ns = PATIENCE},
    },
    {
        .name = "ten_thousand_keys",
        .title = "10,000 keys, 100,000 requests/s",
        .world =
            {.orgs = 1000,
             .projects = 1,
             .keys = 10,
             .org = {150, 0, 2000000},
             .owners_configured = true,
             .processing_ms = 150,
             .faults = {{.kind = FAULT_QUOTA, .until_ns = NEVER, .first = 50, .last = 99},
                        {.kind = FAULT_REVOKED, .until_ns = NEVER, .first = 2000, .last = 2499}}},
        .traffic = {.phases = {{2 * SECOND, 5000}, {3 * SECOND, 100000}},
                    .tokens_min = 500,
                    .tokens_max = 1500,
                    .patience_ns = PATIENCE},
    },
    {.name = "storm",
     .title = "everything at once",
     .only_soak = true,
     .world = STORM_WORLD(false),
     .traffic = STORM_TRAFFIC},
    {.name = "silent_storm",
     .title = "the same, and answers say nothing about limits",
     .only_soak = true,
     .world = STORM_WORLD(true),
     .traffic = STORM_TRAFFIC},
};

const struct scenario *scenario_at(size_t index)
{
    return index < sizeof scenarios / sizeof *scenarios ? &scenarios[index] : NULL;
}

const struct scenario *scenario_named(const char *name)
{
    const struct scenario *s;

    for (size_t i = 0; (s = scenario_at(i)); i++)
        if (strcmp(s->name, name) == 0)
            return s;
    return NULL;
}
