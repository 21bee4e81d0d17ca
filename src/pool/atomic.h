/* Words that one side reads without the pool's lock (fast.h) while the other, which holds it,
 * writes them. PEEK pairs with POST: who peeks at a pointer or a bit sees all that was written
 * before it was posted. Code that holds the lock may read such a word plainly when only holders of
 * the lock write it.
 *
 * The builtins, not <stdatomic.h>: the headers compile as C++, too. */
#ifndef SPAREKEY_POOL_ATOMIC_H
#define SPAREKEY_POOL_ATOMIC_H

#define PEEK(at)        __atomic_load_n((at), __ATOMIC_ACQUIRE)
#define POST(at, value) __atomic_store_n((at), (value), __ATOMIC_RELEASE)

/* Counters: nothing is concluded from them about other memory. */
#define TALLY(at)            __atomic_load_n((at), __ATOMIC_RELAXED)
#define TALLY_SET(at, value) __atomic_store_n((at), (value), __ATOMIC_RELAXED)
#define TALLY_ADD(at, value) __atomic_fetch_add((at), (value), __ATOMIC_RELAXED)

#endif
