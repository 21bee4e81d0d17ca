/* POST /api/openai/keys/{id}/reset|disable|enable: an operator's orders for one key.
 *
 * {id} is the key's name, its mask where no other key has the same, or its place from 0. The answer
 * is the key as the health document shows it; 404 when there is none, 409 when the mask is shared.
 */
#ifndef SPAREKEY_GATEWAY_KEYS_ROUTE_H
#define SPAREKEY_GATEWAY_KEYS_ROUTE_H

#include "gateway/own.h"

#ifdef __cplusplus
extern "C" {
#endif

#define KEYS_ROUTE_PREFIX "/api/openai/keys/"

void keys_route_answer(struct own_request *own);

#ifdef __cplusplus
}
#endif
#endif
