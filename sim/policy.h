/* A policy: which key an attempt uses, when it is made, and when a request is given up.
 *
 * All policies are driven alike (run.c): for each call `next` says what to do, the run does it,
 * and `hear` is told what came of an attempt, until a reply served the caller or the policy gave
 * up. The policy is all the retry logic there is: the callers behind a gateway do not retry once
 * more (openai-protocol.md §3: retry layers do not nest), the caller without one uses the
 * official SDK.
 *
 * No attempt may start after the call's deadline; the run holds every policy to that.
 */
#ifndef SPAREKEY_SIM_POLICY_H
#define SPAREKEY_SIM_POLICY_H

#include "pool/plan.h"
#include "sim/arrivals.h"
#include "sim/watch.h"
#include "sim/world.h"

#ifdef __cplusplus
extern "C" {
#endif

enum policy_action { POLICY_SEND, POLICY_WAIT, POLICY_FAIL };

struct policy_step {
    enum policy_action action;
    uint32_t key;     /* POLICY_SEND */
    int64_t until_ns; /* POLICY_WAIT: ask again then, or when the policy's epoch has moved */
};

/* What the engine's does. */
struct engine_call {
    struct plan plan;
    struct watched watched;
};

/* What the simple policies remember of a call. */
struct simple_call {
    uint32_t tries;
    int64_t not_before_ns;
    bool given_up;
};

/* One request on its way. */
struct call {
    const struct request *request;
    uint32_t index;
    uint32_t attempts;
    uint32_t key; /* of the attempt in flight */
    union {
        struct engine_call engine;
        struct simple_call simple;
    } state;
};

struct policy_setup {
    const struct world_spec *world;
    int64_t patience_ns;
    uint64_t seed;
};

struct policy;

struct policy_class {
    const char *name;  /* in JSON */
    const char *title; /* for people */
    bool heeds;        /* never asks a key while answers have said that it cools down or is revoked
                          (ledger.h): the run aborts when it does */
    /* NULL: out of memory. */
    struct policy *(*make)(const struct policy_setup *setup);
    void (*free)(struct policy *policy);
    void (*begin)(struct policy *policy, struct call *call, int64_t now_ns);
    void (*next)(struct policy *policy, struct call *call, int64_t now_ns,
                 struct policy_step *ret_step);
    void (*hear)(struct policy *policy, struct call *call, const struct reply *reply,
                 int64_t now_ns);
    void (*end)(struct policy *policy, struct call *call, int64_t now_ns);
    /* A number that moves when waiting calls should ask again. NULL: never. */
    uint64_t (*epoch)(const struct policy *policy);
    /* Whether this one of them should. NULL: all. */
    bool (*called)(const struct call *call);
    /* Free probes. Fills the key to probe now, or the time to ask again. NULL: none. */
    bool (*probe)(struct policy *policy, int64_t now_ns, uint32_t *ret_key, int64_t *ret_due_ns);
    void (*probed)(struct policy *policy, uint32_t key, const struct reply *reply, int64_t now_ns);
    /* Looks over everything it has and aborts when an invariant is broken. NULL: none. */
    void (*check)(struct policy *policy);
};

struct policy {
    const struct policy_class *class;
};

extern const struct policy_class policy_engine, policy_single, policy_rotation, policy_cooldown,
    policy_blacklist;

/* The n-th of all policies, or NULL. The first is the engine. */
const struct policy_class *policy_at(size_t index);
enum { POLICY_COUNT = 5 };

/* Whether the answer invites another attempt, as the official SDKs and the usual gateways see it:
 * transport failures, 408, 409, 429, 5xx; gateways also leave a key that is refused (401, 403). */
bool policy_retryable(const struct reply *reply, bool other_key);

/* min(0.5 s * 2^n, 8 s) less up to a quarter: the SDKs' backoff before the n-th retry, n from 0. */
int64_t policy_sdk_backoff_ns(uint64_t seed, const struct call *call, unsigned n);

#ifdef __cplusplus
}
#endif
#endif
