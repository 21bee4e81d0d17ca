/* A key's rate limits: which buckets a call draws from, what the headers say, and the 429.
 *
 * Requests, tokens and images are counted per (project, model) and per (organisation, model), so
 * two keys of one project share what is left. A call is admitted by all of its buckets or by none:
 * a refused one takes nothing. */
#ifndef SPAREKEY_MOCK_LIMITS_H
#define SPAREKEY_MOCK_LIMITS_H

#include "mock/bucket.h"
#include "mock/keys.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Draws, and adds the x-ratelimit-* fields to `reply`. False: `reply` is the 429, with Retry-After
 * where waiting helps. */
bool limits_admit(struct bucket_set *buckets, const struct mock_key *key, const struct call *call,
                  int64_t now_ns, struct reply *reply);

#ifdef __cplusplus
}
#endif
#endif
