#include "sim/policy.h"

#include "sim/chance.h"

#define BACKOFF_BASE_NS (500 * MS)
#define BACKOFF_CAP_NS  (8 * SECOND)

const struct policy_class *policy_at(size_t index)
{
    static const struct policy_class *const all[POLICY_COUNT] = {
        &policy_engine, &policy_single, &policy_rotation, &policy_cooldown, &policy_blacklist};
    return index < POLICY_COUNT ? all[index] : NULL;
}

bool policy_retryable(const struct reply *reply, bool other_key)
{
    if (reply->transport != TRANSPORT_OK || reply->status >= 500)
        return true;
    if (reply->status == 401 || reply->status == 403)
        return other_key;
    return reply->status == 408 || reply->status == 409 || reply->status == 429;
}

int64_t policy_sdk_backoff_ns(uint64_t seed, const struct call *call, unsigned n)
{
    double jitter = 1.0 - 0.25 * chance_uniform(seed, call->index, n, CHANCE_BACKOFF);
    int64_t base_ns = n < 5 ? BACKOFF_BASE_NS << n : BACKOFF_CAP_NS;

    return (int64_t)((double)(base_ns < BACKOFF_CAP_NS ? base_ns : BACKOFF_CAP_NS) * jitter);
}
