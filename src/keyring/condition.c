#include "keyring/condition.h"

const char *condition_overall(size_t ready, size_t unhealthy)
{
    if (ready == 0)
        return "unhealthy";
    return unhealthy ? "degraded" : "healthy";
}

const char *condition_readmission(const struct key_view *view)
{
    if (view->disabled)
        return "operator";
    switch (view->circuit) {
    case CIRCUIT_CLOSED: return NULL;
    case CIRCUIT_HALF_OPEN: return "a live request";
    case CIRCUIT_OPEN: break;
    }
    switch (view->probe) {
    case PROBE_FREE: return "free probe";
    case PROBE_LIVE: return "a live request";
    case PROBE_TIME: break;
    }
    return "time";
}
