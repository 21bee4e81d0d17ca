#include "pool/budget.h"

#define SLOT_NS (RETRY_WINDOW_NS / BUDGET_SLOTS)

/* Forgets what has left the window. The clock never goes back, but may stand or leap. */
static unsigned advance(struct budget *budget, int64_t now_ns)
{
    int64_t slot = now_ns / SLOT_NS;

    if (slot - budget->slot >= BUDGET_SLOTS)
        *budget = (struct budget){.slot = slot};
    while (budget->slot < slot) {
        budget->slot++;
        budget->requests[budget->slot % BUDGET_SLOTS] = 0;
        budget->retries[budget->slot % BUDGET_SLOTS] = 0;
    }
    return (unsigned)(budget->slot % BUDGET_SLOTS);
}

void budget_requests(struct budget *budget, uint32_t count, int64_t now_ns)
{
    budget->requests[advance(budget, now_ns)] += count;
}

bool budget_retry(struct budget *budget, const struct pool_options *options, int64_t now_ns)
{
    unsigned slot = advance(budget, now_ns);
    uint64_t requests = 0, retries = 0, allowed;

    for (unsigned i = 0; i < BUDGET_SLOTS; i++) {
        requests += budget->requests[i];
        retries += budget->retries[i];
    }
    allowed = requests * options->retry_percent / 100;
    if (retries >= allowed && retries >= options->retry_floor)
        return false;
    budget->retries[slot]++;
    return true;
}
