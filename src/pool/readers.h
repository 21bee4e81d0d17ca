/* Who is looking at the pool without its lock, and what therefore must not be freed yet.
 *
 *     reader:   enter (writes down the era) … looks … leave (era 0)
 *     writer:   unlinks ─▶ defer (the thing gets the era, the era ends) ─▶ collect: released when
 *               no reader is left that entered in that era or before
 *
 * Epoch-based reclamation with one store of a reader's own cache line to enter and one to leave.
 * Entering is an exchange, a full barrier: either the collector sees the reader, or the reader sees
 * what was unlinked. A reader stays for the length of one choice or one report, some fifty
 * nanoseconds, and never sleeps or locks inside; so what is deferred goes at the next turn.
 *
 * Writers and collectors hold the pool's lock. A reader belongs to one thread.
 */
#ifndef SPAREKEY_POOL_READERS_H
#define SPAREKEY_POOL_READERS_H

#include "pool/atomic.h"
#include "pool/pool.h"

/* Attempts of one key (counts.h). */
struct counts {
    uint64_t begun, ended;
    int64_t last_used_ns; /* one began */
};

/* Keys with ids below this are counted by each reader apart: 24 KB a reader. */
#define COUNTS_APART 1024

/* A model's name and its hash: requests name the same few again and again. */
#define READER_MODELS    8  /* remembered, each where its length and last letter say */
#define READER_MODEL_LEN 52 /* longer names are hashed each time */

struct reader_model {
    uint64_t hash;
    uint32_t len; /* 0: nothing is remembered here */
    char name[READER_MODEL_LEN];
};

/* By so many turns later what was fetched has arrived. */
#define READER_FETCHED 2

struct pool_reader {
    uint64_t era; /* 0: outside */
    struct pool *pool;
    size_t cursor;   /* where this thread's rotation goes on */
    size_t left;     /* where it left the common one, … */
    int64_t meet_ns; /* … and when it looks at that again */
    size_t ahead;    /* behind the last key fetched into the cache before its turn, … */
    size_t fetched[READER_FETCHED]; /* … and the positions of the last few of those */
    uint64_t served;                /* requests, since it was made … */
    uint64_t counted; /* … and how many of them the retry budget knows of; under the lock */
    struct pool_reader *next;
    void *block; /* to be freed */
    struct reader_model models[READER_MODELS];
    struct counts counts[];      /* COUNTS_APART of them */
} __attribute__((aligned(128))); /* and its neighbour: processors fetch lines in pairs */

struct readers {
    struct pool_reader *first;
    uint64_t era;                   /* now; from 1 */
    struct garbage *oldest, **tail; /* in the order of their eras */
};

/* Memory that stays of one kind (buckets): what is made of it has another birth each time. So who left
 * long ago may keep an address, come back, and tell by the birth whether what he knew is still
 * there (headroom.h). */
struct shelf {
    struct readers *readers;
    struct garbage *unused;
    uint64_t births;
};

void readers_init(struct readers *readers);
void readers_fini(struct readers *readers); /* releases all: nobody looks any more */

/* Ends the era and says which it was. */
static inline uint64_t readers_end_era(struct readers *readers)
{
    return __atomic_fetch_add(&readers->era, 1, __ATOMIC_SEQ_CST);
}

/* Whether nobody is left who entered in this era or before. */
bool readers_gone(const struct readers *readers, uint64_t era);

/* Releases the thing now or in a later collect, when nobody can be looking at it. It must be out
 * of reach for those who come now. */
void readers_defer(struct readers *readers, struct garbage *thing);
void readers_collect(struct readers *readers);

static inline void reader_enter(struct pool_reader *reader, struct readers *readers)
{
    (void)__atomic_exchange_n(&reader->era, PEEK(&readers->era), __ATOMIC_SEQ_CST);
}

static inline void reader_leave(struct pool_reader *reader)
{
    POST(&reader->era, 0);
}

#endif
