/* The most that any policy can serve.
 *
 * An oracle knows every bucket and every fault in advance and never asks in vain. It is a bound,
 * not a policy: all organisations' buckets of one dimension are poured into one, as deep and as
 * fast as those that live together. That one bucket can serve whatever the many can:
 *
 *     sum of min(level + refill, depth)  <=  min(sum of levels + refills, sum of depths)
 *
 * and for requests of equal cost, with deadlines in the order of arrival, serving each as early as
 * the bucket holds it is the best one bucket can do. Where requests weigh differently, each is
 * taken for the lightest there is, which again can only help. A request is served when every
 * dimension holds it, the service is up, and its caller still waits. Slow-downs are not held
 * against the oracle.
 */
#ifndef SPAREKEY_SIM_ORACLE_H
#define SPAREKEY_SIM_ORACLE_H

#include "sim/arrivals.h"
#include "sim/result.h"
#include "sim/world.h"

#ifdef __cplusplus
extern "C" {
#endif

/* STATUS_NO_MEMORY. `*ret` needs result_fini only after STATUS_OK. */
NODISCARD
enum status oracle_serve(const struct world_spec *spec, const struct arrivals *arrivals,
                         struct result *ret);

/* Requests of this traffic that all buckets together could have held until the patience of the
 * last caller ends. */
double oracle_offered(const struct world_spec *spec, const struct arrivals *arrivals);

#ifdef __cplusplus
}
#endif
#endif
