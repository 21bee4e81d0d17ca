/* The retry budget: how often the service's trouble may be answered with more requests.
 *
 * A service that fails under load fails more under retries. So of the requests of the last
 * RETRY_WINDOW_NS only a share may be tried again for the service's sake, all callers together;
 * keys that fail for their own reasons cost nothing here. The window moves in slots. */
#ifndef SPAREKEY_POOL_BUDGET_H
#define SPAREKEY_POOL_BUDGET_H

#include "pool/pool.h"

#define BUDGET_SLOTS 10

struct budget {
    int64_t slot; /* number of the current one since the clock began */
    uint32_t requests[BUDGET_SLOTS], retries[BUDGET_SLOTS];
};

void budget_requests(struct budget *budget, uint32_t count, int64_t now_ns);

/* Takes one retry, if there is one. */
bool budget_retry(struct budget *budget, const struct pool_options *options, int64_t now_ns);

#endif
