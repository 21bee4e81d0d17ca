/* GET /api/openai/health: the state of every key, for people and for load balancers.
 *
 * Field names are the product's published interface (docs/health.md). Each key counts as exactly one
 * of healthy, rate limited and unhealthy (pool/figures.h); the summary is always that of all keys, whatever part of
 * them is shown.
 */
#ifndef SPAREKEY_GATEWAY_HEALTH_H
#define SPAREKEY_GATEWAY_HEALTH_H

#include "gateway/own.h"
#include "keyring/condition.h"

#ifdef __cplusplus
extern "C" {
#endif

#define HEALTH_KEYS_MAX  10000              /* keys in one document; more are had by offset= */
#define HEALTH_BYTES_MAX ((size_t)64 << 20) /* of one document */

/* Which keys are shown. */
struct health_query {
    uint64_t offset, limit;       /* of those in this condition */
    enum key_condition condition; /* KEY_CONDITIONS: any */
    bool paged;                   /* the document says which part it is */
};

/* All keys, as many as one document holds. */
struct health_query health_query_all(void);

/* Appends the document; `*ret_ready`: some key can serve. STATUS_NO_MEMORY, STATUS_LIMIT. Any thread, but
 * not a loop's: it takes a while with many keys. */
NODISCARD
enum status health_document(struct keyring *ring, const struct health_query *query, int64_t now_ns,
                            struct buffer *out, bool *ret_ready);

/* Appends one key as the document has it. Same errors. */
NODISCARD
enum status health_key(const struct key_status *status, int64_t now_ns, struct buffer *out);

/* Answers it with 200, or 503 when no key is ready. */
void health_answer(struct own_request *own);

#ifdef __cplusplus
}
#endif
#endif
