/* Free probes: what the rest of the pool tells probe.c. */
#ifndef SPAREKEY_POOL_PROBE_H
#define SPAREKEY_POOL_PROBE_H

#include "pool/state.h"

/* How late whoever probes may be before time alone half-opens breakers again. */
#define PROBE_GRACE_NS (INT64_C(60) * 1000000000)

/* The breaker opened: from now on it is probed, if its fault can be disproved so. */
void probe_watch(struct pool *pool, struct breaker *b, int64_t now_ns);

/* It is about to vanish. */
void probe_forget(struct pool *pool, struct breaker *b);

/* Whether somebody asks for probes. */
bool probe_is_on(const struct pool *pool, int64_t now_ns);

#endif
