/* GET /api/openai/health: the state of every key, for people and for load balancers. */
#ifndef SPAREKEY_GATEWAY_HEALTH_H
#define SPAREKEY_GATEWAY_HEALTH_H

#include "gateway/own.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The document, to be freed; NULL when out of memory. Any thread. */
char *health_document(struct keyring *ring, int64_t now_ns, bool *ret_ready);

/* Answers it with 200, or 503 when no key is ready. */
void health_answer(struct own_request *own);

#ifdef __cplusplus
}
#endif
#endif
