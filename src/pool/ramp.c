#include "pool/ramp.h"

void ramp_begin(struct service *service, int64_t now_ns)
{
    service->ramping = true;
    service->ramp_ns = service->sent_ns = now_ns;
}

int64_t ramp_ready_ns(struct service *service, int64_t now_ns, int64_t *ret_gap_ns)
{
    int64_t step = (now_ns - service->ramp_ns) / RAMP_STEP_NS;

    *ret_gap_ns = 0;
    service->ramping = service->ramping && step < RAMP_STEPS;
    if (!service->ramping)
        return now_ns;
    *ret_gap_ns = RAMP_GAP_NS >> step;
    return service->sent_ns + *ret_gap_ns;
}
