#include "sim/arrivals.h"

#include <stdbool.h>
#include <stdlib.h>

#include "sim/chance.h"

#define SECOND_NS 1e9

static const struct phase *phase_at(const struct traffic *traffic, int64_t at_ns)
{
    for (size_t i = 0; i < PHASES_MAX; i++)
        if (at_ns < traffic->phases[i].until_ns)
            return &traffic->phases[i];
    return NULL;
}

/* The next arrival after `at_ns`, or -1. A phase that ends before the drawn gap does ends the gap:
 * a Poisson process has no memory, so the draw begins anew in the next phase. */
static int64_t next_arrival(const struct traffic *traffic, uint64_t seed, uint64_t *draws,
                            int64_t at_ns)
{
    const struct phase *phase;

    while ((phase = phase_at(traffic, at_ns))) {
        double u = chance_uniform(seed, (*draws)++, 0, CHANCE_GAP);
        double gap_ns = phase->per_s > 0 ? chance_exponential(SECOND_NS / phase->per_s, u) : 1e18;
        if (gap_ns < (double)(phase->until_ns - at_ns))
            return at_ns + (int64_t)gap_ns;
        at_ns = phase->until_ns;
    }
    return -1;
}

static struct request request_at(const struct traffic *traffic, uint64_t seed, size_t index,
                                 int64_t at_ns)
{
    uint64_t span = (uint64_t)(traffic->tokens_max - traffic->tokens_min) + 1;

    return (struct request){
        .at_ns = at_ns,
        .deadline_ns = at_ns + traffic->patience_ns,
        .tokens =
            traffic->tokens_min + (int64_t)(chance_bits(seed, index, 0, CHANCE_TOKENS) % span),
    };
}

static bool reserve(struct arrivals *a, size_t *capacity)
{
    struct request *bigger;

    if (a->count < *capacity)
        return true;
    *capacity = *capacity ? *capacity * 2 : 1024;
    bigger = realloc(a->requests, *capacity * sizeof(*bigger));
    if (bigger)
        a->requests = bigger;
    return bigger != NULL;
}

enum status arrivals_make(const struct traffic *traffic, uint64_t seed, struct arrivals *ret)
{
    struct arrivals a = {0};
    size_t capacity = 0;
    uint64_t draws = 0;

    for (size_t i = 0; i < PHASES_MAX; i++)
        if (traffic->phases[i].until_ns > a.end_ns)
            a.end_ns = traffic->phases[i].until_ns;
    for (int64_t at = next_arrival(traffic, seed, &draws, 0); at >= 0;
         at = next_arrival(traffic, seed, &draws, at)) {
        if (!reserve(&a, &capacity)) {
            arrivals_fini(&a);
            return STATUS_NO_MEMORY;
        }
        a.requests[a.count] = request_at(traffic, seed, a.count, at);
        a.count++;
    }
    *ret = a;
    return STATUS_OK;
}

void arrivals_fini(struct arrivals *arrivals)
{
    free(arrivals->requests);
    *arrivals = (struct arrivals){0};
}
