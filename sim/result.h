/* What came of one policy in one scenario. */
#ifndef SPAREKEY_SIM_RESULT_H
#define SPAREKEY_SIM_RESULT_H

#include "sim/arrivals.h"
#include "sim/world.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The scenario's time is told in so many pieces of equal length. */
#define RESULT_BINS 90

struct result {
    uint64_t requests, served, failed;
    uint64_t attempts, extra_attempts; /* extra: of each request those after its first */
    uint64_t wasted;                   /* on keys known dead (ledger.h) */
    uint64_t events;
    int64_t wait_p50_ns, wait_p99_ns; /* of the served: from arrival to the attempt that served */
    uint64_t causes[CAUSE_COUNT];     /* how attempts ended */
    uint32_t bin_requests[RESULT_BINS], bin_failed[RESULT_BINS]; /* by arrival */
    int64_t end_ns;
    int64_t *waits_ns; /* private, until result_finish */
};

/* STATUS_NO_MEMORY. */
NODISCARD
enum status result_init(struct result *result, const struct arrivals *arrivals);

/* A request has ended. */
void result_served(struct result *result, const struct request *request, int64_t wait_ns);
void result_failed(struct result *result, const struct request *request);

/* All have: works out the quantiles. The result owns nothing afterwards. */
void result_finish(struct result *result);

/* Without finishing. */
void result_fini(struct result *result);

double result_failed_share(const struct result *result);

#ifdef __cplusplus
}
#endif
#endif
