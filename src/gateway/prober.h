/* The prober: asks GET /v1/models with keys that are out for a fault such a request can disprove.
 *
 * It costs nothing and touches no caller. Which key and when is the pool's decision
 * (pool_probe_next); the prober of one worker sends for all of them. What cannot be proven for free
 * (quota, rate) is left to one real request, as always.
 */
#ifndef SPAREKEY_GATEWAY_PROBER_H
#define SPAREKEY_GATEWAY_PROBER_H

#include "gateway/worker.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PROBER_LOOK_MS  1000  /* between two looks for keys that are due */
#define PROBER_BODY_MAX 65536 /* of an answer's body is kept to judge it */

struct prober;

/* STATUS_NO_MEMORY. Starts at once. */
NODISCARD
enum status prober_start(struct worker *worker, struct prober **ret_prober);

/* Cancels what is under way, without blame. NULL is allowed. */
void prober_stop(struct prober *prober);

#ifdef __cplusplus
}
#endif
#endif
