/* A key that failed three times in a row is struck off until the next hourly validation; the
 * others take turns; three retries, at once. The habit of the usual rotating key proxies. */
#include "sim/fleet.h"

#define RETRIES    3
#define STRIKES    3
#define VALIDATION (60 * MINUTE)

static struct policy *blacklist_make(const struct policy_setup *setup)
{
    return fleet_make(&policy_blacklist, setup);
}

static void blacklist_next(struct policy *policy, struct call *call, int64_t now_ns,
                           struct policy_step *ret_step)
{
    struct fleet *f = (struct fleet *)policy;

    fleet_wake(f, now_ns);
    if (call->state.simple.given_up || f->awake_count == 0) {
        *ret_step = (struct policy_step){.action = POLICY_FAIL};
        return;
    }
    *ret_step =
        (struct policy_step){.action = POLICY_SEND, .key = f->awake[f->cursor++ % f->awake_count]};
}

static void blacklist_hear(struct policy *policy, struct call *call, const struct reply *reply,
                           int64_t now_ns)
{
    struct fleet *f = (struct fleet *)policy;
    struct simple_call *state = &call->state.simple;
    struct fleet_key *key = &f->keys[call->key];

    if (reply->cause == CAUSE_SERVED) {
        key->failures = 0;
        return;
    }
    if (++key->failures >= STRIKES)
        fleet_rest(f, call->key, (now_ns / VALIDATION + 1) * VALIDATION);
    state->given_up = !policy_retryable(reply, true) || state->tries >= RETRIES;
    state->tries++;
}

const struct policy_class policy_blacklist = {
    .name = "blacklist_3",
    .title = "blacklist after 3, hourly check",
    .make = blacklist_make,
    .free = fleet_free,
    .begin = fleet_begin,
    .next = blacklist_next,
    .hear = blacklist_hear,
    .end = fleet_end,
};
