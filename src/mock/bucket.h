/* A rate limit as OpenAI counts one: so many units a window, refilled continuously.
 *
 * The whole state is one number, the time at which the bucket will be full again ("virtual
 * scheduling", the GCRA of ATM Forum TM 4.1). A unit costs window/limit nanoseconds of it:
 *
 *     now ├──── used ────┤ full_at ├──── free ────┤ now + window
 *
 * so the three headers of openai-protocol.md §3 are readings of the same line: remaining is what
 * fits into `free`, reset is full_at - now ("until completely full"), and the wait of a 429 is how
 * far the request would stick out beyond now + window. Sans-IO: time comes in.
 */
#ifndef SPAREKEY_MOCK_BUCKET_H
#define SPAREKEY_MOCK_BUCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BUCKET_LIMIT_MAX INT64_C(1000000000) /* units a window: a unit must cost at least 1 ns */

struct bucket {
    int64_t full_at_ns; /* 0: full since ever */
};

struct bucket_reading {
    int64_t limit, remaining, used;
    int64_t reset_ns; /* until completely full */
    int64_t wait_ns;  /* until `requested` fits; 0: now; -1: never, it is larger than the limit */
};

/* What the bucket says about taking `requested` units at `now_ns`; changes nothing.
 * 1 <= limit <= BUCKET_LIMIT_MAX, window_ns > 0, requested >= 0. */
struct bucket_reading bucket_read(const struct bucket *bucket, int64_t limit, int64_t window_ns,
                                  int64_t requested, int64_t now_ns);

/* Takes them, whether they fit or not. */
void bucket_take(struct bucket *bucket, int64_t limit, int64_t window_ns, int64_t requested,
                 int64_t now_ns);

/* Buckets by name ("org-a/m-1/requests"), made on first use, at most BUCKETS_MAX. */
#define BUCKETS_MAX 65536

struct bucket_set {
    struct bucket_slot **slots; /* chained hash table of `slot_count` chains */
    size_t slot_count, count;
};

void bucket_set_init(struct bucket_set *set);
void bucket_set_fini(struct bucket_set *set);

/* NULL when memory or BUCKETS_MAX is used up: the caller then limits nothing. The bucket lives as
 * long as the set. */
struct bucket *bucket_set_get(struct bucket_set *set, struct slice owner, struct slice model,
                              struct slice dimension);

/* Every bucket full again. */
void bucket_set_refill(struct bucket_set *set);

/* Appends a duration as OpenAI writes it: "120ms", "1s", "58.891s", "6m0s", "1h2m3s". Below a
 * millisecond it is rounded up, so that a wait that is not over never reads as zero. */
NODISCARD
enum status duration_write(struct buffer *out, int64_t ns, size_t max_bytes);

#ifdef __cplusplus
}
#endif
#endif
