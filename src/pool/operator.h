/* An operator's hand on a key: out of service, back in, and its failures forgotten.
 *
 * A disabled key is chosen by no request until it is enabled; those that are under way end as they
 * would. That holds across reloads, for as long as the key is loaded. It is no breaker: nothing but
 * the operator brings the key back, and what breakers stand on it goes on below.
 */
#ifndef SPAREKEY_POOL_OPERATOR_H
#define SPAREKEY_POOL_OPERATOR_H

#include "pool/pool.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The id of the index-th loaded key, index < pool_count. */
key_id pool_key_at(const struct pool *pool, size_t index);

/* Both may be called again without effect; true when they had one. */
bool pool_disable(struct pool *pool, key_id key, int64_t now_ns);
bool pool_enable(struct pool *pool, key_id key);

/* Closes every breaker of the key, of its project and of its organisation, and forgets its errors in
 * a row. What stops the service or this host is not the key's and stays. */
void pool_reset(struct pool *pool, key_id key);

#ifdef __cplusplus
}
#endif
#endif
