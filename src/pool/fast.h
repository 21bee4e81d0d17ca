/* The way of a healthy request: choosing a key and reporting success without the pool's lock.
 *
 * Almost every request meets nothing to decide: the key whose turn it is has been proven, no
 * breaker stands on its path, its buckets of headroom have lent enough, and its answer is a success
 * that tells of no less. Then all there is to do is to find the key and to count. That is done here, on words that several threads may
 * read and count at once. Everything else (a first answer, a failure, a half-open breaker, an
 * empty loan, a new owner, waiting, strategies that compare keys) is answered "no", and then the
 * caller takes the lock and calls plan.h as if nothing had been tried.
 *
 *     pool_enter(reader);
 *     if (fast_begin(reader, plan, request, now, &step, &cookie))
 *         … the key's cookie is good until pool_leave …
 *     pool_leave(reader);
 *     otherwise: lock; plan_next(plan, now, &step); unlock
 *
 * Threads. Each thread has a reader of its own; between pool_enter and pool_leave it must neither
 * take the lock nor sleep. What is safe, and why:
 * - the order of keys, the bits and the lanes are one view, replaced whole by a load and released
 *   when no reader is left that can have seen it (readers.h); so are owners. Slabs of keys stay;
 * - a retired key is given back only when nothing holds it and the readers are gone who may have
 *   chosen it from an old view. Who ended a request before it was retired is among those, or is seen
 *   to have ended it; who enters later sees that it is retired, and says that it may go;
 * - bits and pointers are posted after what they lead to. A choice may miss a change that is being
 *   made at that moment: it is a request that began just before it, and is treated as one: its
 *   attempt holds no lease, and is older than the opening of any breaker it did not see;
 * - attempts are counted by each thread apart, or added to the key (counts.h);
 * - what is drawn from buckets is drawn from loans (credit.h), and comes back to the bucket it was
 *   drawn from or, if that is gone, nowhere (headroom.h).
 *
 * Loading and configuring, registering readers and every call of pool.h and plan.h take the lock.
 */
#ifndef SPAREKEY_POOL_FAST_H
#define SPAREKEY_POOL_FAST_H

#include "pool/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Above so many keys each thread rotates on its own, and threads share no cache line. Up to it a thread
 * goes on where another has led the rotation, but looks that up only so often: requests that are
 * rarer, which somebody may be watching, ask the keys strictly in turn; between more frequent ones
 * nobody can tell. */
#define ROTATE_TOGETHER_MAX 1024
#define ROTATE_TOGETHER_NS  INT64_C(1000000)

struct pool_reader;

/* Under the lock. STATUS_NO_MEMORY. Readers go with the pool at the latest. */
NODISCARD
enum status pool_reader_new(struct pool *pool, struct pool_reader **ret_reader);
void pool_reader_free(struct pool_reader *reader); /* NULL is allowed */

void pool_enter(struct pool_reader *reader);
void pool_leave(struct pool_reader *reader);

/* plan_prepare, and plan_next where that is PLAN_SEND without anything to decide. False: the plan is
 * started and nothing else has happened. */
bool fast_begin(struct pool_reader *reader, struct plan *plan, const struct plan_request *request,
                int64_t now_ns, struct plan_step *ret_step, uint64_t *ret_cookie);

/* pool_learn, plan_limits, plan_usage and plan_proven, where all would change nothing but the plan.
 * False: nothing has happened. */
bool fast_proven(struct pool_reader *reader, struct plan *plan, const struct answer_facts *facts);

/* pool_learn, plan_limits, plan_usage, plan_hear of a success and plan_end, in the same sense. */
bool fast_succeed(struct pool_reader *reader, struct plan *plan, const struct answer_facts *facts);

/* Under the lock, around a plan_next of this thread: the rotation goes on where the thread's own
 * stands, and the thread's where that one has led. */
void fast_lend_rotation(struct pool_reader *reader);
void fast_take_rotation(struct pool_reader *reader);

#ifdef __cplusplus
}
#endif
#endif
