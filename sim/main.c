/* sim: the engine against other policies and an oracle, in virtual time.
 *
 *     sim [--seed N] [--scenario NAME] [--json FILE]   compare, and check the goals
 *     sim --events N [--seed N]                        the engine alone, its invariants checked
 *                                                      after each of N events
 *
 * Exit codes: 0 all goals reached, 1 one missed (named on the last lines), 2 usage, 3 trouble. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "sim/goals.h"
#include "sim/oracle.h"
#include "sim/report.h"
#include "sim/run.h"

enum { EXIT_REACHED, EXIT_MISSED, EXIT_USAGE, EXIT_TROUBLE };

#define SEED_DEFAULT 7

struct options {
    uint64_t seed, events;
    const struct scenario *only;
    const char *json;
};

static enum status compare(const struct scenario *scenario, uint64_t seed, struct outcome *ret)
{
    struct outcome o = {.scenario = scenario};
    struct arrivals arrivals;
    enum status status = arrivals_make(&scenario->traffic, seed, &arrivals);

    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < POLICY_COUNT && status == STATUS_OK; i++)
        status = run_policy(scenario, &arrivals, policy_at(i), seed, &o.policies[i]);
    if (status == STATUS_OK)
        status = oracle_serve(&scenario->world, &arrivals, &o.oracle);
    o.offered = oracle_offered(&scenario->world, &arrivals);
    arrivals_fini(&arrivals);
    *ret = o;
    return status;
}

static enum status compare_all(const struct options *options, FILE *json, FILE *notes,
                               unsigned *ret_missed)
{
    const struct scenario *scenario;
    struct outcome outcome;
    const char *separator = "";

    *ret_missed = 0;
    fprintf(json, "{\"seed\":%" PRIu64 ",\"scenarios\":[", options->seed);
    for (size_t i = 0; (scenario = scenario_at(i)); i++) {
        if (options->only ? options->only != scenario : scenario->only_soak)
            continue;
        enum status status = compare(scenario, options->seed, &outcome);
        if (status != STATUS_OK)
            return status;
        report_table(&outcome, stdout);
        fflush(stdout);
        fputs(separator, json);
        report_json(&outcome, json);
        separator = ",\n";
        *ret_missed += goals_check(&outcome, notes);
    }
    fputs("]}\n", json);
    return STATUS_OK;
}

/* The verdict stands at the end, where it is read. */
static void copy(FILE *from, FILE *to)
{
    int c;

    rewind(from);
    while ((c = fgetc(from)) != EOF)
        fputc(c, to);
}

static int compare_and_judge(const struct options *options)
{
    FILE *json = fopen(options->json ? options->json : "/dev/null", "w");
    FILE *notes = tmpfile();
    unsigned missed = 0;
    int code = EXIT_TROUBLE;

    if (!json || !notes) {
        perror(options->json ? options->json : "tmpfile");
        goto done;
    }
    if (compare_all(options, json, notes, &missed) != STATUS_OK) {
        fputs("sim: out of memory\n", stderr);
        goto done;
    }
    fputc('\n', stdout);
    copy(notes, stdout);
    printf("%s\n", missed ? "Some numbers were not reached." : "All numbers reached.");
    code = missed || ferror(json) ? EXIT_MISSED : EXIT_REACHED;
done:
    if (notes)
        fclose(notes);
    if (json && fclose(json) != 0)
        code = EXIT_TROUBLE;
    return code;
}

/* Pools small enough that the whole of one can be checked after each event. */
static bool fit_for_soak(const struct options *options, const struct scenario *scenario)
{
    return options->only ? options->only == scenario : world_key_count(&scenario->world) <= 64;
}

static unsigned count_fit(const struct options *options)
{
    const struct scenario *scenario;
    unsigned count = 0;

    for (size_t i = 0; (scenario = scenario_at(i)); i++)
        count += fit_for_soak(options, scenario);
    return count;
}

static enum status soak_once(const struct scenario *scenario, uint64_t seed, uint64_t events_max,
                             struct result *ret)
{
    struct arrivals arrivals;
    enum status status = arrivals_make(&scenario->traffic, seed, &arrivals);

    if (status != STATUS_OK)
        return status;
    status = run_shortened(scenario, &arrivals, &policy_engine, seed, events_max, ret);
    arrivals_fini(&arrivals);
    return status;
}

/* One seed after the other until there were so many events. */
static enum status soak_scenario(const struct scenario *scenario, uint64_t seed, uint64_t wanted,
                                 uint64_t *ret_events)
{
    uint64_t events = 0, requests = 0, attempts = 0, seeds = 0;
    struct result result;

    for (; events < wanted; seeds++) {
        if (soak_once(scenario, seed + seeds, wanted - events, &result) != STATUS_OK)
            return STATUS_NO_MEMORY;
        events += result.events;
        requests += result.requests;
        attempts += result.attempts;
    }
    printf("%-18s %9" PRIu64 " events, %8" PRIu64 " requests, %8" PRIu64 " attempts, %4" PRIu64
           " seeds\n",
           scenario->name, events, requests, attempts, seeds);
    fflush(stdout);
    *ret_events = events;
    return STATUS_OK;
}

/* Every scenario has the same share. */
static int soak(const struct options *options)
{
    const struct scenario *scenario;
    uint64_t share = options->events / count_fit(options) + 1, events, sum = 0;

    for (size_t i = 0; (scenario = scenario_at(i)); i++) {
        if (!fit_for_soak(options, scenario))
            continue;
        if (soak_scenario(scenario, options->seed, share, &events) != STATUS_OK) {
            fputs("sim: out of memory\n", stderr);
            return EXIT_TROUBLE;
        }
        sum += events;
    }
    printf("%" PRIu64 " events: every invariant held after each\n", sum);
    return EXIT_REACHED;
}

static bool read_option(struct options *options, const char *name, const char *value)
{
    if (strcmp(name, "--seed") == 0)
        return number_parse(slice_str(value), UINT64_MAX, &options->seed) == STATUS_OK;
    if (strcmp(name, "--events") == 0)
        return number_parse(slice_str(value), UINT64_MAX, &options->events) == STATUS_OK;
    if (strcmp(name, "--scenario") == 0)
        return (options->only = scenario_named(value)) != NULL;
    if (strcmp(name, "--json") != 0)
        return false;
    options->json = value;
    return true;
}

int main(int argc, char **argv)
{
    struct options options = {.seed = SEED_DEFAULT};

    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc || !read_option(&options, argv[i], argv[i + 1])) {
            fprintf(stderr,
                    "sim: wrong: %s\nusage: sim [--seed N] [--scenario NAME] "
                    "[--json FILE | --events N]\n",
                    argv[i]);
            return EXIT_USAGE;
        }
    }
    return options.events ? soak(&options) : compare_and_judge(&options);
}
