/* A key that was rate-limited or refused, or failed more than three times within a minute, rests
 * for five seconds; the others are drawn by lot; two retries, at once while another key is awake,
 * after the SDKs' backoff when all rest. The habit of the best-known proxy for many vendors. */
#include "sim/chance.h"
#include "sim/fleet.h"

#define RETRIES          2
#define ALLOWED_FAILURES 3
#define WINDOW_NS        MINUTE
#define COOLDOWN_NS      (5 * SECOND)

static struct policy *cooldown_make(const struct policy_setup *setup)
{
    return fleet_make(&policy_cooldown, setup);
}

/* All rest: that costs a try as an answer would. */
static void wait_or_fail(const struct fleet *f, struct call *call, int64_t now_ns,
                         struct policy_step *ret_step)
{
    struct simple_call *state = &call->state.simple;

    if (state->tries >= RETRIES) {
        *ret_step = (struct policy_step){.action = POLICY_FAIL};
        return;
    }
    state->not_before_ns = now_ns + policy_sdk_backoff_ns(f->seed, call, state->tries++);
    *ret_step = (struct policy_step){.action = POLICY_WAIT, .until_ns = state->not_before_ns};
}

static void cooldown_next(struct policy *policy, struct call *call, int64_t now_ns,
                          struct policy_step *ret_step)
{
    struct fleet *f = (struct fleet *)policy;
    const struct simple_call *state = &call->state.simple;
    uint64_t lot;

    fleet_wake(f, now_ns);
    if (state->given_up) {
        *ret_step = (struct policy_step){.action = POLICY_FAIL};
    } else if (now_ns < state->not_before_ns) {
        *ret_step = (struct policy_step){.action = POLICY_WAIT, .until_ns = state->not_before_ns};
    } else if (f->awake_count == 0) {
        wait_or_fail(f, call, now_ns, ret_step);
    } else {
        lot = chance_bits(f->seed, call->index, state->tries, CHANCE_PICK) % f->awake_count;
        *ret_step = (struct policy_step){.action = POLICY_SEND, .key = f->awake[lot]};
    }
}

static bool rests_at_once(const struct reply *reply)
{
    return reply->status == 429 || reply->status == 401;
}

static void cooldown_hear(struct policy *policy, struct call *call, const struct reply *reply,
                          int64_t now_ns)
{
    struct fleet *f = (struct fleet *)policy;
    struct simple_call *state = &call->state.simple;
    struct fleet_key *key = &f->keys[call->key];

    if (reply->cause == CAUSE_SERVED)
        return;
    if (now_ns >= key->window_until_ns) {
        key->window_until_ns = now_ns + WINDOW_NS;
        key->failures = 0;
    }
    if (++key->failures > ALLOWED_FAILURES || rests_at_once(reply))
        fleet_rest(f, call->key, now_ns + COOLDOWN_NS);
    state->given_up = !policy_retryable(reply, true) || state->tries >= RETRIES;
    state->tries++;
}

const struct policy_class policy_cooldown = {
    .name = "cooldown_5s",
    .title = "5 s cooldown, 3 failures allowed",
    .make = cooldown_make,
    .free = fleet_free,
    .begin = fleet_begin,
    .next = cooldown_next,
    .hear = cooldown_hear,
    .end = fleet_end,
};
