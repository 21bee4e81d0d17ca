#include "keyring/condition.h"

#include "pool/breaker.h"

/* A key that only lacks one model or endpoint serves all the others. A limit for one model is shown
 * all the same: it is what an operator looks for. */
enum condition condition_of(const struct key_view *view)
{
    if (view->disabled)
        return CONDITION_UNHEALTHY;
    if (view->circuit == CIRCUIT_CLOSED)
        return CONDITION_HEALTHY;
    if (view->rate_limited)
        return CONDITION_RATE_LIMITED;
    return scope_has_detail(view->scope) ? CONDITION_HEALTHY : CONDITION_UNHEALTHY;
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
