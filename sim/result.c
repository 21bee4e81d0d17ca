#include "sim/result.h"

#include <stdlib.h>

enum status result_init(struct result *result, const struct arrivals *arrivals)
{
    *result = (struct result){.end_ns = arrivals->end_ns};
    result->waits_ns = malloc((arrivals->count + 1) * sizeof(*result->waits_ns));
    return result->waits_ns ? STATUS_OK : STATUS_NO_MEMORY;
}

static size_t bin_of(const struct result *result, const struct request *request)
{
    size_t bin = (size_t)((double)request->at_ns * RESULT_BINS / (double)result->end_ns);

    return bin < RESULT_BINS ? bin : RESULT_BINS - 1;
}

void result_served(struct result *result, const struct request *request, int64_t wait_ns)
{
    result->waits_ns[result->served++] = wait_ns > 0 ? wait_ns : 0;
    result->bin_requests[bin_of(result, request)]++;
    result->requests++;
}

void result_failed(struct result *result, const struct request *request)
{
    result->bin_requests[bin_of(result, request)]++;
    result->bin_failed[bin_of(result, request)]++;
    result->requests++;
    result->failed++;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

/* The smallest wait that at least `percent` of the served did not exceed. */
static int64_t quantile(const struct result *result, uint64_t percent)
{
    uint64_t rank = (result->served * percent + 99) / 100;

    return result->served ? result->waits_ns[rank ? rank - 1 : 0] : 0;
}

void result_finish(struct result *result)
{
    qsort(result->waits_ns, result->served, sizeof(*result->waits_ns), compare);
    result->wait_p50_ns = quantile(result, 50);
    result->wait_p99_ns = quantile(result, 99);
    result_fini(result);
}

void result_fini(struct result *result)
{
    free(result->waits_ns);
    result->waits_ns = NULL;
}

double result_failed_share(const struct result *result)
{
    return result->requests ? (double)result->failed / (double)result->requests : 0;
}
