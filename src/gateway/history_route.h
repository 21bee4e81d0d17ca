/* GET /api/openai/history: the last minutes as arrays for a chart (docs/history.md).
 *
 * Read and written out on a thread of the pool; the answer is as of now, not of the last look.
 */
#ifndef SPAREKEY_GATEWAY_HISTORY_ROUTE_H
#define SPAREKEY_GATEWAY_HISTORY_ROUTE_H

#include "gateway/own.h"

#ifdef __cplusplus
extern "C" {
#endif

#define HISTORY_MINUTES_DEFAULT 60
#define HISTORY_STEP_MAX        1440 /* minutes summed to one point */

void history_answer(struct own_request *own);

#ifdef __cplusplus
}
#endif
#endif
