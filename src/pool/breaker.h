/* One circuit breaker: its state, its evidence, and how long it stays open.
 *
 *               fail (second witness, where one is needed)
 *     CLOSED ─────────────────────────────────────────▶ OPEN ◀──────────────┐
 *       ▲                                              │    │               │
 *       │          success of a request that           │    │ due           │ the lease holder
 *       ├──────────began after the opening─────────────┘    ▼               │ fails: n + 1
 *       └────────────────────success─────────────────── HALF_OPEN ──────────┘
 *
 * The wait of an opening is max(hint of the evidence, base * 2^n ≤ cap), then up to a tenth more
 * so that what stopped together does not start together. n counts openings in a row and is lost
 * with the breaker when a success closes it.
 *
 * A breaker exists only while it has something to say: it is OPEN or HALF_OPEN, or CLOSED under
 * suspicion (one key failed in a way that blames the service, and a second one would prove it).
 *
 * What arrives late is not counted twice: 32 requests in flight when the limit is hit bring 32
 * times the same news. So a failure that finds the breaker OPEN may only move its end further
 * away, if its evidence says so, and only the holder of the half-open lease can double a wait.
 * In the same way a success closes nothing unless its request began after the opening, and after
 * the last such failure.
 *
 * This file knows one breaker; where it stands among others is circuits.h, who hears of it
 * report.h.
 */
#ifndef SPAREKEY_POOL_BREAKER_H
#define SPAREKEY_POOL_BREAKER_H

#include "base/list.h"
#include "base/rng.h"
#include "pool/pool.h"

struct node;

/* What only a real request can disprove (a quota, a daily limit) may end long before it said: a
 * wait longer than this is cut into steps, each twice the one before, and after each a request
 * tries. */
#define BREAKER_LONG_NS       (300 * INT64_C(1000000000))
#define BREAKER_FIRST_STEP_NS (60 * INT64_C(1000000000))
#define BREAKER_STEPS_SHARE   16
/* Longest wait any evidence can cause: a monthly budget's reset, with a day to spare. */
#define BREAKER_WAIT_MAX_NS (32 * INT64_C(86400) * 1000000000)
/* A wait grows by up to this share of itself, by chance. */
#define BREAKER_JITTER_DIVISOR 10
/* How long one key's failure is remembered, waiting for a second key to fail the same way. */
#define BREAKER_SUSPICION_NS (10 * INT64_C(1000000000))

/* … and how old the suspicion must be, with nobody served meanwhile, before that opens the breaker.
 * Of a busy service that fails one in ten, two failures in a row come every second minute; a
 * quarter of a second without any success never does. */
#define BREAKER_SECOND_NS INT64_C(250000000)

/* Where a breaker stands: `detail` is the model's hash or the family, 0 where the scope has none. */
struct place {
    struct node *node;
    uint64_t detail;
    enum scope scope;
};

#define HEAP_NONE UINT32_MAX

struct breaker {
    struct place place;
    struct breaker *bucket_next; /* chain of the hash table */
    struct breaker *next, *prev; /* ring of the breakers of the same node */
    uint32_t heap_index;         /* place in the heap of due times, or HEAP_NONE */
    uint8_t state;               /* enum circuit */
    uint8_t reason;              /* enum failure */
    uint8_t probe;               /* enum probe */
    uint8_t exponent;            /* openings in a row before this one */
    bool witness;                /* CLOSED: no success was heard since, so a second key is proof */
    uint64_t suspect;            /* CLOSED: identity of the key that failed alone */
    int64_t due_ns;              /* OPEN: its end; CLOSED: end of suspicion; HALF_OPEN: when it is
                                    forgotten, if it is in the heap */
    int64_t since_ns;            /* left CLOSED */
    int64_t opened_ns;           /* became OPEN last */
    int64_t blamed_ns;           /* that, or the last failure that found it OPEN */
    uint64_t lease;              /* HALF_OPEN: the attempt that may prove recovery, 0 = nobody */
    int64_t lease_until_ns;
    struct list probes; /* among those that free probes are for, in the order of … */
    int64_t probe_ns;   /* … when it may be probed next */
    struct evidence evidence;
};

/* The one way to change the state; an illegal move is a broken invariant. */
void breaker_enter(struct breaker *b, enum circuit to);

/* How long the n-th opening in a row lasts for this verdict, jitter included; 0 = opens nothing. */
int64_t breaker_wait(const struct verdict *verdict, unsigned exponent, struct rng *rng);

/* CLOSED → OPEN, for a first reason. */
void breaker_open(struct breaker *b, const struct verdict *verdict, const struct evidence *evidence,
                  int64_t wait_ns, int64_t now_ns);

/* HALF_OPEN → OPEN, one step further up. */
void breaker_reopen(struct breaker *b, const struct verdict *verdict,
                    const struct evidence *evidence, int64_t wait_ns, int64_t now_ns);

/* OPEN, and more bad news: its end may move away, never nearer. */
void breaker_prolong(struct breaker *b, const struct verdict *verdict,
                     const struct evidence *evidence, struct rng *rng, int64_t now_ns);

/* CLOSED: this key (by identity, which outlives a reload) failed alone. */
void breaker_suspect(struct breaker *b, uint64_t key, enum failure failure, int64_t now_ns);

/* Whether this failure of `key` is what the suspicion waited for. */
bool breaker_is_second(const struct breaker *b, uint64_t key, enum failure failure, int64_t now_ns);

/* Whether the one half-open lease is out and has not expired. */
static inline bool breaker_leased(const struct breaker *b, int64_t now_ns)
{
    return b->lease != 0 && now_ns < b->lease_until_ns;
}

const char *circuit_name(enum circuit circuit);

/* Whether a scope tells models or families apart (so it says nothing about a key as a whole). */
bool scope_has_detail(enum scope scope);

/* Whether a scope stands above accounts: the service's trouble, not a key's. */
bool scope_is_wide(enum scope scope);

#endif
