/* The plan: one request's attempts, from the first choice of a key to the answer.
 *
 *     plan_start ─▶ plan_next ──PLAN_SEND k──▶ (attempt on key k) ──▶ plan_hear ─┐
 *                      ▲  └──PLAN_WAIT t──▶ (sleep until t, or pool_epoch moves) │
 *                      └──────────────────────────────────────────────◀──────────┘
 *                         PLAN_RETURN / PLAN_RETURN_KEPT / PLAN_GIVE_UP: the end
 *
 * Whoever moves bytes (gateway, library, simulator) asks plan_next what to do, does it, and tells
 * the plan what came of it. Bounds (DESIGN.md §2.6): the total deadline; service-scoped failures
 * at most PLAN_SERVICE_ATTEMPTS attempts with full-jitter backoff; key-scoped failures move on at
 * once for as many keys as there are buckets.
 *
 * A plan belongs to one request and is not thread-safe; calls take the pool's lock like every call
 * on the pool.
 */
#ifndef SPAREKEY_POOL_PLAN_H
#define SPAREKEY_POOL_PLAN_H

#include "base/list.h"
#include "pool/pool.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Attempts that may fail for the service's sake. Of a service that fails one in ten, three attempts
 * (the official SDKs) leave one request in a thousand unserved, six one in a million. What keeps
 * them from harming a service in real trouble is its breaker and the retry budget. */
#define PLAN_SERVICE_ATTEMPTS 6
/* Full-jitter backoff between them: uniform in 0 … min(0.5 s * 2^n, 8 s). */
#define PLAN_BACKOFF_BASE_NS 500000000
#define PLAN_BACKOFF_CAP_NS  8000000000
/* Replays of work that may have run (and been billed): at most this many, stateless requests only. */
#define PLAN_MAYBE_RAN_REPLAYS 1

/* How long one request waits, in all, for a service in trouble or for a key that another request
 * is trying; as long as the longest backoff. Waiting for keys that cool down is another matter
 * (pool_options.max_wait_ns). */
#define PLAN_PATIENCE_NS PLAN_BACKOFF_CAP_NS

/* How often a request that has met a rate limit at every key waits and goes round again. */
#define PLAN_ROUNDS_MAX 16

struct plan_request {
    uint8_t family;      /* endpoint family: any small number, the same for the same family */
    bool stream;         /* the caller asked for a stream */
    bool stateless;      /* replay of maybe-run work is allowed (openai-protocol.md §2.4) */
    bool opaque;         /* unknown endpoint: never replayed once bytes were sent */
    bool bound;          /* it names objects of one project (a file, a stored response): after the
                            first attempt only keys of the same project are asked, for elsewhere the
                            objects do not exist */
    struct slice model;  /* only hashed; empty when the request names none */
    int64_t deadline_ns; /* no attempt starts after this */
    int64_t tokens;      /* estimate of what it will be charged: characters / 4 + maximum output * n
                            (0 = unknown or not charged) */
    uint32_t images;     /* images it asks for, where images are what is limited */
    uint64_t affinity;   /* hash of prompt_cache_key or of the prompt's prefix; 0 = none */
    uint16_t drill_keys; /* the first so many keys are asked in rehearsal only: see plan.drilled */
};

/* What x-ratelimit-{limit,remaining,reset}-* of one answer said, in the order of
 * enum limit_dimension (openai/hints.h). -1 where unknown. The first two and the images are the
 * organisation's buckets for the model, the others the project's. */
enum report_dimension {
    REPORT_REQUESTS,
    REPORT_TOKENS,
    REPORT_PROJECT_REQUESTS,
    REPORT_PROJECT_TOKENS,
    REPORT_IMAGES,
    REPORT_DIMENSIONS
};

struct limit_reading {
    int64_t limit, remaining;
    int64_t reset_ns; /* until completely full */
};

struct limit_report {
    struct limit_reading readings[REPORT_DIMENSIONS];
};

/* What an answer told besides its verdict. `{0}` for an attempt without an answer's head. */
struct answer_facts {
    struct slice organization, project; /* of the key; empty when not said */
    const struct limit_report *limits;  /* NULL when no head arrived, or they were told before */
    int64_t tokens;                     /* used; 0 when not said */
    struct slice model;                 /* as the request names it; only shown (models.h) */
};

enum plan_action {
    PLAN_SEND,        /* send on `key`, then plan_hear (or plan_abandon) */
    PLAN_WAIT,        /* ask plan_next again at `until_ns`, or when pool_epoch has moved and
                         plan_is_called */
    PLAN_RETURN,      /* the answer just heard goes to the caller */
    PLAN_RETURN_KEPT, /* the answer that plan_hear asked to keep goes to the caller */
    PLAN_GIVE_UP,     /* an error of our own goes to the caller: `status`, `retry_after_s` */
};

struct plan_step {
    enum plan_action action;
    key_id key;
    int64_t until_ns;
    int status;            /* PLAN_GIVE_UP: 429 when time will help, 502 (transport), 503 else */
    int retry_after_s;     /* PLAN_GIVE_UP, 429: 1…60; else 0 */
    bool should_not_retry; /* any end: the answer is to carry x-should-retry: false */
    enum failure failure;  /* PLAN_GIVE_UP: the class that stands in the way */
};

/* One ended attempt, for the trail. */
struct plan_attempt {
    key_id key; /* stays valid until plan_end, also when the key is unloaded meanwhile */
    enum failure failure;
    enum hop hop;    /* how far away the next key has to be */
    bool may_repeat; /* its verdict allows asking this key again */
    bool drilled;    /* it was a rehearsal */
};

/* What is counted of a request by the limits of an account. */
enum cost { COST_REQUESTS, COST_TOKENS, COST_IMAGES, COST_COUNT };

/* A reservation in a bucket (pool/bucket.h). */
struct hold {
    struct list link;
    struct bucket *bucket;            /* NULL: none */
    uint64_t birth;                   /* drawn without the lock from the bucket of this birth; 0:
                                         under the lock, and only then the rest means anything */
    bool pending;                     /* not charged yet: it may not have reached the service */
    int64_t ended_before[COST_COUNT]; /* gauge.ended when it began */
};

/* The attempt in flight. */
struct attempt {
    key_id key;
    struct key *at;  /* the same key, for as long as the attempt refers to it */
    uint64_t serial; /* unique in the pool where it is even: the name on half-open leases */
    int64_t started_ns;
    uint32_t leases;           /* half-open breakers it holds */
    bool told;                 /* plan_limits was called */
    bool explained;            /* … and showed an empty bucket */
    bool project_explained;    /* … which is the project's own, not its organisation's */
    int64_t costs[COST_COUNT]; /* as reserved */
    int64_t tokens;            /* really used, or -1 */
    struct hold holds[2];      /* by enum bucket_level */
};

/* Serials of attempts that began without the lock are odd: behind all that were given out before,
 * not unique, and never the name on a lease. */
#define SERIAL_FAST UINT64_C(1)
#define SERIAL_STEP UINT64_C(2)

/* The first attempts are kept inside the plan; only a long trail costs an allocation. */
#define PLAN_INLINE_ATTEMPTS 4

/* What matters about a request to breakers. */
struct route {
    uint64_t model; /* hash of its name */
    uint8_t family;
    bool stream;
    int64_t costs[COST_COUNT];
    uint64_t affinity;
};

/* Caller's memory; all fields private but `attempts`, `attempt_count`, `current` and `drilled`. The engine's author may
 * add fields freely; keep the whole under 768 bytes (an idle stream holds one). */
struct plan {
    struct pool *pool;
    struct route route;
    int64_t deadline_ns;
    int64_t not_before_ns; /* backoff: no attempt before */
    int64_t patience_ns;   /* end of waiting for the service or for a key in use, -1 = not begun */
    uint64_t age;          /* plans that began later have more */
    struct queue *queue;   /* the line it stands in, or NULL */
    struct list line;      /* its place there */
    int64_t told_ns;       /* in line: when it was told to ask again */
    bool called;           /* … and that it had better ask now; posted */
    int64_t wait_end_ns;   /* in line: when it stops waiting */
    int64_t wait_left_ns;  /* not in line: how long it may still wait in lines */
    uint32_t forgiven;     /* rate limits among the first so many attempts no longer count */
    uint8_t rounds;        /* how often that was done */
    bool stateless, opaque, bound;
    uint16_t drill_keys; /* as asked for */
    bool drilled;        /* the attempt in flight is a rehearsal: whoever was to send it makes its
                           failure up. It moves this plan and nothing else: no breaker, counter,
                           bucket, lease or budget hears of it */
    bool unpaid;         /* its next attempt has not had its share of the retry budget yet */
    bool stepped_aside;  /* for others to try whether the service is back */
    bool proven;         /* the attempt in flight has begun to serve the caller */
    bool unreachable;    /* the last failure came without any HTTP answer */
    uint8_t phase;       /* enum plan_phase of plan.c */
    uint8_t kept_rank;   /* usefulness of the kept answer, 0 = none kept */
    uint8_t service_failures;
    uint8_t maybe_ran_replays;
    enum failure last_failure, kept_failure;
    int64_t kept_reset_ns;         /* when the kept answer says to come back */
    key_id stay;                   /* ask this key again if it is ready, or KEY_NONE */
    key_id current;                /* between PLAN_SEND and plan_hear, else KEY_NONE */
    struct attempt flight;         /* the same, for the engine */
    struct plan_step ending;       /* what plan_next answers once all is decided */
    struct plan_attempt *attempts; /* inline_attempts, or heap when the trail grew */
    uint32_t attempt_count, attempt_capacity;
    struct plan_attempt inline_attempts[PLAN_INLINE_ATTEMPTS];
};

/* Whether the latest attempt was really sent, and failed: to go on with another key is a failover. */
static inline bool plan_has_failed(const struct plan *plan)
{
    return plan->attempt_count && !plan->attempts[plan->attempt_count - 1].drilled;
}

/* Begins. Allocates nothing. */
void plan_start(struct plan *plan, struct pool *pool, const struct plan_request *request,
                int64_t now_ns);

/* What to do now. Legal after plan_start, after plan_hear and after PLAN_WAIT. */
void plan_next(struct plan *plan, int64_t now_ns, struct plan_step *ret_step);

/* Tells the outcome of the attempt begun by PLAN_SEND. Updates breakers and counters.
 * Returns true when this answer is the most useful one so far (openai-protocol.md §2.5, last
 * paragraph) and the caller shall keep it for a later PLAN_RETURN_KEPT, instead of any kept
 * before; false: nothing needs to be kept. `evidence` may be NULL on success. */
bool plan_hear(struct plan *plan, const struct verdict *verdict, const struct evidence *evidence,
               int64_t now_ns);

/* What the head of the answer of the attempt in flight said about limits. Call it for every answer
 * with a head, also when it says nothing (every field -1), after pool_learn and before plan_hear
 * or plan_proven. Contradictions count as unknown. Ignored when nothing is in flight. */
void plan_limits(struct plan *plan, const struct limit_report *report, int64_t now_ns);

/* The tokens that the attempt in flight really used (`usage` of its answer). Before plan_hear. */
void plan_usage(struct plan *plan, int64_t tokens);

/* Success was certain before the end (a stream has begun to flow to the caller): closes half-open
 * breakers and counts the proof now; plan_hear still follows at the end. Idempotent. */
void plan_proven(struct plan *plan, int64_t now_ns);

/* plan_start, without what takes the lock: the first call under it makes up for that. `model` is
 * what plan_model says of the request's. */
void plan_prepare(struct plan *plan, struct pool *pool, const struct plan_request *request,
                  uint64_t model, int64_t now_ns);

/* The hash by which a model is known; 0 of an empty name. Without the lock. */
uint64_t plan_model(const struct pool *pool, struct slice name);

/* The client hung up: ends the attempt in flight, if any, blaming nobody and returning leases. */
void plan_abandon(struct plan *plan, int64_t now_ns);

/* Of a plan that waits, when pool_epoch has moved: whether it shall ask now. One that stands in line
 * behind others need not: it is called when its turn comes. By the plan's thread, without the lock. */
bool plan_is_called(const struct plan *plan);

/* Whether plan_end has nothing to do; without the lock. */
bool plan_is_over(const struct plan *plan);

/* Frees what the plan holds; legal in every phase after plan_start (abandons when in flight). */
void plan_end(struct plan *plan, int64_t now_ns);

#ifdef __cplusplus
}
#endif
#endif
