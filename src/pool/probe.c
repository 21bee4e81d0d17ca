/* Free probes of keys that are out for a fault which GET /v1/models can disprove. */
#include "pool/state.h"

bool pool_probe_next(struct pool *pool, int64_t now_ns, key_id *ret_key, int64_t *ret_due_ns)
{
    (void)pool;
    (void)now_ns;
    (void)ret_key;
    *ret_due_ns = INT64_MAX;
    return false;
}

void pool_probe_hear(struct pool *pool, key_id key, const struct verdict *verdict,
                     const struct evidence *evidence, int64_t now_ns)
{
    (void)pool;
    (void)key;
    (void)verdict;
    (void)evidence;
    (void)now_ns;
}
