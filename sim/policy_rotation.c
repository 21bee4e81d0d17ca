/* Plain round-robin: every attempt takes the next key, two retries, at once, nothing remembered. */
#include "sim/fleet.h"

#define RETRIES 2

static struct policy *rotation_make(const struct policy_setup *setup)
{
    return fleet_make(&policy_rotation, setup);
}

static void rotation_next(struct policy *policy, struct call *call, int64_t now_ns,
                          struct policy_step *ret_step)
{
    struct fleet *f = (struct fleet *)policy;

    (void)now_ns;
    *ret_step = call->state.simple.given_up
                    ? (struct policy_step){.action = POLICY_FAIL}
                    : (struct policy_step){.action = POLICY_SEND, .key = f->cursor++ % f->count};
}

static void rotation_hear(struct policy *policy, struct call *call, const struct reply *reply,
                          int64_t now_ns)
{
    struct simple_call *state = &call->state.simple;

    (void)policy;
    (void)now_ns;
    state->given_up = !policy_retryable(reply, true) || state->tries >= RETRIES;
    state->tries++;
}

const struct policy_class policy_rotation = {
    .name = "round_robin",
    .title = "round-robin, 2 retries",
    .make = rotation_make,
    .free = fleet_free,
    .begin = fleet_begin,
    .next = rotation_next,
    .hear = rotation_hear,
    .end = fleet_end,
};
