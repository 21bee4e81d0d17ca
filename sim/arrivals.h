/* The requests of a scenario: when they come, what they weigh, how long their callers wait.
 *
 * Made once per scenario and seed, before any policy runs, and the same for all of them.
 */
#ifndef SPAREKEY_SIM_ARRIVALS_H
#define SPAREKEY_SIM_ARRIVALS_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PHASES_MAX 6

/* A Poisson process of this rate until then. */
struct phase {
    int64_t until_ns;
    double per_s;
};

struct traffic {
    struct phase phases[PHASES_MAX]; /* one after the other; the unused ones end at 0 */
    int64_t tokens_min, tokens_max;  /* the charge of a request, uniform between them */
    int64_t patience_ns;             /* no attempt starts later than this after the arrival */
    uint32_t leaves_ppm;             /* so many callers hang up before that, whatever happens */
};

struct request {
    int64_t at_ns, deadline_ns;
    int64_t tokens;
};

struct arrivals {
    struct request *requests; /* by time */
    size_t count;
    int64_t end_ns; /* of the last phase */
};

/* STATUS_NO_MEMORY. `*ret` needs arrivals_fini only after STATUS_OK. */
NODISCARD
enum status arrivals_make(const struct traffic *traffic, uint64_t seed, struct arrivals *ret);
void arrivals_fini(struct arrivals *arrivals);

#ifdef __cplusplus
}
#endif
#endif
