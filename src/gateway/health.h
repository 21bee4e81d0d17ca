/* GET /api/openai/health: the state of every key, for people and for load balancers. */
#ifndef SPAREKEY_GATEWAY_HEALTH_H
#define SPAREKEY_GATEWAY_HEALTH_H

#include "gateway/keyring.h"
#include "net/server.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Answers 200, or 503 when no key is ready. */
void health_reply(struct server_conn *request, struct keyring *ring, int64_t now_ns);

#ifdef __cplusplus
}
#endif
#endif
