/* GET /metrics: the page of observe/metrics.h, from the workers' counters and the figures of the
 * moment. It is written on a thread of the pool, and no worker is stopped or locked for it. */
#ifndef SPAREKEY_GATEWAY_SCRAPE_H
#define SPAREKEY_GATEWAY_SCRAPE_H

#include "gateway/own.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The whole page. STATUS_LIMIT, STATUS_NO_MEMORY: `ret_page` is untouched. Any thread. */
NODISCARD
enum status scrape(struct shared *shared, int64_t now_ns, bool openmetrics,
                   struct buffer *ret_page);

void scrape_answer(struct own_request *own);

#ifdef __cplusplus
}
#endif
#endif
