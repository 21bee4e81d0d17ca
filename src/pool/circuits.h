/* All breakers of one pool: found by place in a hash table, by time in a binary heap, by node in a
 * ring that hangs on the node.
 *
 * A breaker is in the table and in its node's ring for as long as it exists, and in the heap while
 * time alone will change it. Adding may fail for want of memory or room, and then there is no
 * breaker: the engine goes on asking a key it would have rested, which costs attempts and breaks
 * nothing. Nothing else here allocates.
 */
#ifndef SPAREKEY_POOL_CIRCUITS_H
#define SPAREKEY_POOL_CIRCUITS_H

#include "pool/breaker.h"

/* Model names come from callers, so what a stream of invented ones can leave behind is bounded:
 * about 20 MB. Beyond it, model and family failures are not remembered. */
#define CIRCUITS_DETAIL_MAX 65536

struct circuits {
    struct breaker **buckets; /* a power of two of them */
    size_t bucket_count;
    struct breaker **heap; /* first due on top */
    size_t heap_count, heap_capacity;
    int64_t next_due_ns; /* of the top, INT64_MAX when there is none; seen without the lock */
    size_t count, detail_count;
    uint32_t standing[SCOPE_COUNT][CIRCUIT_HALF_OPEN + 1]; /* how many, by enum circuit */
    struct breaker *spare; /* freed ones, chained by bucket_next: no malloc in the steady state */
};

NODISCARD
enum status circuits_init(struct circuits *c);
void circuits_fini(struct circuits *c);

/* NULL when none stands there. */
struct breaker *circuits_find(const struct circuits *c, struct place place);

/* A new CLOSED one at a place where none stands. NULL: no memory or no room. */
struct breaker *circuits_add(struct circuits *c, struct place place);

void circuits_remove(struct circuits *c, struct breaker *b);

/* It has left the state `from`. */
static inline void circuits_left(struct circuits *c, const struct breaker *b, enum circuit from)
{
    c->standing[b->place.scope][from]--;
    c->standing[b->place.scope][b->state]++;
}

/* Puts it into the heap by its due_ns, or to its new place there. */
void circuits_schedule(struct circuits *c, struct breaker *b);

/* Takes it out of the heap. */
void circuits_unschedule(struct circuits *c, struct breaker *b);

/* The next whose due_ns has come, or NULL. */
static inline struct breaker *circuits_due(const struct circuits *c, int64_t now_ns)
{
    return c->heap_count && c->heap[0]->due_ns <= now_ns ? c->heap[0] : NULL;
}

/* Gives a breaker another node, where none stands at that place yet. */
void circuits_rehang(struct circuits *c, struct breaker *b, struct node *node);

#endif
