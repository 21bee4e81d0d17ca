/* What one answer means for the request and for the keys: the words the engine thinks in.
 *
 * A verdict is made by openai/verdict.c out of one upstream answer and heard by pool/plan.c. It is
 * data only: which reaction for the request, at which scope a breaker opens, for how long, and
 * what will prove recovery.
 */
#ifndef SPAREKEY_POOL_VERDICT_H
#define SPAREKEY_POOL_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Where a breaker may stand, from the narrowest to the widest. SCOPE_REQUEST: nowhere, the request
 * itself is at fault (or nobody is). name as shown to operators. */
#define SCOPE_TABLE(X)                                                                             \
    X(SCOPE_REQUEST, "request")                                                                    \
    X(SCOPE_KEY, "key")                                                                            \
    X(SCOPE_KEY_FAMILY, "key+family")                                                              \
    X(SCOPE_PROJECT_MODEL, "project+model")                                                        \
    X(SCOPE_PROJECT, "project")                                                                    \
    X(SCOPE_ORG_MODEL, "organization+model")                                                       \
    X(SCOPE_ORG_MODEL_STREAM, "organization+model+stream")                                         \
    X(SCOPE_ORG, "organization")                                                                   \
    X(SCOPE_SERVICE_MODEL, "service+model")                                                        \
    X(SCOPE_SERVICE, "service")                                                                    \
    X(SCOPE_EGRESS, "egress")

enum scope {
#define X(code, name) code,
    SCOPE_TABLE(X)
#undef X
        SCOPE_COUNT
};

/* What happens to the request. */
enum reaction {
    REACT_SUCCESS, /* served */
    REACT_RETURN,  /* this answer goes to the caller, unchanged */
    REACT_NEXT,    /* another key, now (service-scoped: after a backoff) */
    REACT_SAME,    /* the same key, after `wait_ns` or the backoff */
};

/* Where REACT_NEXT may go. */
enum hop {
    HOP_ANY,           /* any other key */
    HOP_OTHER_PROJECT, /* keys of a project not tried yet */
    HOP_OTHER_ORG,     /* keys of an organisation not tried yet */
};

/* What proves that an open breaker may close again. */
enum probe {
    PROBE_TIME, /* time alone: half-open when due, one live request decides */
    PROBE_FREE, /* GET /v1/models with this key is proof (a free probe) */
    PROBE_LIVE, /* only a real request is proof: quota, rate */
};

/* How useful an upstream answer is to a caller whose request could not be served, by
 * openai-protocol.md §2.5: his own fault tells most, then when to come back, then that the service
 * is in trouble. What is wrong with one of our keys is none of his business. */
enum rank { RANK_NONE, RANK_SERVICE, RANK_RATE, RANK_CALLER };

/* Whether time heals it; the others need an operator. */
enum { LASTS, PASSES };

/* The class of a failed attempt, as shown in x-sparekey-trail, logs and metrics; whether it passes,
 * and the rank of its answer. */
#define FAILURE_TABLE(X)                                                                           \
    X(FAILURE_NONE, "ok", LASTS, RANK_NONE)                                                        \
    X(FAILURE_CALLER, "caller_fault", LASTS, RANK_CALLER)                                          \
    X(FAILURE_POLICY, "policy_refusal", LASTS, RANK_CALLER)                                        \
    X(FAILURE_REVOKED, "revoked", LASTS, RANK_NONE)                                                \
    X(FAILURE_DEACTIVATED, "account_deactivated", LASTS, RANK_NONE)                                \
    X(FAILURE_MISMATCHED, "mismatched_account", LASTS, RANK_NONE)                                  \
    X(FAILURE_EGRESS_IP, "ip_not_allowed", LASTS, RANK_NONE)                                       \
    X(FAILURE_SCOPE, "missing_scope", LASTS, RANK_NONE)                                            \
    X(FAILURE_FORBIDDEN, "forbidden", LASTS, RANK_NONE)                                            \
    X(FAILURE_REGION, "region_blocked", LASTS, RANK_NONE)                                          \
    X(FAILURE_UNVERIFIED, "organization_unverified", LASTS, RANK_CALLER)                           \
    X(FAILURE_MODEL, "model_not_available", LASTS, RANK_CALLER)                                    \
    X(FAILURE_TIER, "tier_not_available", LASTS, RANK_CALLER)                                      \
    X(FAILURE_RATE, "rate_limited", PASSES, RANK_RATE)                                             \
    X(FAILURE_TOO_LARGE, "too_large_for_bucket", PASSES, RANK_CALLER)                              \
    X(FAILURE_SLOW_DOWN, "slow_down", PASSES, RANK_RATE)                                           \
    X(FAILURE_QUOTA, "quota_exhausted", LASTS, RANK_NONE)                                          \
    X(FAILURE_CONFLICT, "conflict", PASSES, RANK_CALLER)                                           \
    X(FAILURE_OVERLOADED, "overloaded", PASSES, RANK_SERVICE)                                      \
    X(FAILURE_SERVER, "server_error", PASSES, RANK_SERVICE)                                        \
    X(FAILURE_NETWORK, "network", PASSES, RANK_SERVICE) /* the edge's 52x pages */                 \
    X(FAILURE_TIMEOUT, "timeout", PASSES, RANK_SERVICE)                                            \
    X(FAILURE_CUT, "cut_stream", PASSES, RANK_NONE)                                                \
    X(FAILURE_GARBAGE, "bad_answer", PASSES, RANK_NONE)                                            \
    X(FAILURE_ABANDONED, "client_gone", LASTS, RANK_NONE)                                          \
    X(FAILURE_DISABLED, "disabled", LASTS, RANK_NONE) /* by an operator; no attempt fails so */

enum failure {
#define X(code, name, lasting, rank) code,
    FAILURE_TABLE(X)
#undef X
        FAILURE_COUNT
};

/* Names of the tables above; static storage, never NULL. */
const char *scope_name(enum scope scope);
const char *failure_name(enum failure failure);

/* By the table: whether time heals this class; the rank of its answer. */
bool failure_passes(enum failure failure);
enum rank failure_rank(enum failure failure);

struct verdict {
    enum reaction reaction;
    enum scope scope;     /* where the breaker opens; SCOPE_REQUEST opens none */
    enum failure failure; /* FAILURE_NONE with REACT_SUCCESS */
    enum hop hop;         /* REACT_NEXT only */
    enum probe probe;     /* how an opened breaker is tested */
    uint16_t max_hops;    /* REACT_NEXT/SAME: at most so many more attempts because of this class;
                             0 = as many as the plan's own bounds allow */
    bool one_per_project; /* REACT_NEXT: at most one key of each project is asked */
    bool blame_on_second; /* the breaker opens only when a second key fails the same way */
    bool maybe_ran;       /* the work may have been done (and billed): replay rules of
                             openai-protocol.md §2.4 apply */
    int64_t wait_ns;      /* what the evidence says about when to come back; -1 = nothing */
    int64_t base_ns;      /* the class's own backoff: base_ns * 2^n, … */
    int64_t cap_ns;       /* … at most this */
};

/* Why a breaker is open, kept for people. Empty strings where unknown. */
struct evidence {
    int status;          /* HTTP status, 0 for a transport failure */
    char code[48];       /* error.code, or the transport failure's name */
    char request_id[72]; /* x-request-id, or cf-ray */
    int64_t wall_ms;     /* Unix time of the answer */
};

#ifdef __cplusplus
}
#endif
#endif
