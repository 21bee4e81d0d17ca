/* One key and the official SDK: two retries, waits as its Python edition does (openai-protocol.md
 * §4): the hint when it is above 0 and at most 120 s, no retry at all beyond, else its backoff. */
#include "sim/policy.h"

#include <stdlib.h>

#define RETRIES     2
#define HINT_MAX_NS (120 * SECOND)

struct single {
    struct policy base;
    uint64_t seed;
};

static struct policy *single_make(const struct policy_setup *setup)
{
    struct single *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    *s = (struct single){.base = {&policy_single}, .seed = setup->seed};
    return &s->base;
}

static void single_free(struct policy *policy)
{
    free(policy);
}

static void single_begin(struct policy *policy, struct call *call, int64_t now_ns)
{
    (void)policy;
    call->state.simple = (struct simple_call){.not_before_ns = now_ns};
}

static void single_next(struct policy *policy, struct call *call, int64_t now_ns,
                        struct policy_step *ret_step)
{
    const struct simple_call *state = &call->state.simple;

    (void)policy;
    if (state->given_up)
        *ret_step = (struct policy_step){.action = POLICY_FAIL};
    else if (now_ns < state->not_before_ns)
        *ret_step = (struct policy_step){.action = POLICY_WAIT, .until_ns = state->not_before_ns};
    else
        *ret_step = (struct policy_step){.action = POLICY_SEND, .key = 0};
}

static void single_hear(struct policy *policy, struct call *call, const struct reply *reply,
                        int64_t now_ns)
{
    const struct single *s = (const struct single *)policy;
    struct simple_call *state = &call->state.simple;
    int64_t hint_ns = reply->retry_after_ns;

    state->given_up =
        !policy_retryable(reply, false) || state->tries >= RETRIES || hint_ns > HINT_MAX_NS;
    state->not_before_ns =
        now_ns + (hint_ns > 0 ? hint_ns : policy_sdk_backoff_ns(s->seed, call, state->tries));
    state->tries++;
}

static void single_end(struct policy *policy, struct call *call, int64_t now_ns)
{
    (void)policy;
    (void)call;
    (void)now_ns;
}

const struct policy_class policy_single = {
    .name = "single",
    .title = "single key, official SDK",
    .make = single_make,
    .free = single_free,
    .begin = single_begin,
    .next = single_next,
    .hear = single_hear,
    .end = single_end,
};
