/* The health of the keys, as a snapshot. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/client_state.h"
#include "client/fault.h"
#include "keyring/condition.h"
#include "pool/breaker.h"

/* A key and the texts that it points at. */
struct kept_key {
    sparekey_key told;
    struct key_status status;
};

struct sparekey_health {
    struct kept_key *keys;
    size_t count;
    size_t ready, by_condition[KEY_CONDITIONS];
};

struct moment {
    int64_t now_ns, wall_ms;
};

static int64_t clock_ns(clockid_t which)
{
    struct timespec now;

    (void)clock_gettime(which, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t wall_of(int64_t at_ns, const struct moment *moment)
{
    return at_ns < 0 ? -1 : moment->wall_ms + (at_ns - moment->now_ns) / 1000000;
}

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

/* What is said of a key that something stops. */
static void tell_trouble(sparekey_key *told, const struct key_view *v, const struct moment *moment)
{
    if (v->circuit == CIRCUIT_CLOSED && !v->disabled)
        return;
    told->scope = scope_name(v->scope);
    told->reason = failure_name(v->disabled ? FAILURE_DISABLED : v->reason);
    told->evidence_status = v->evidence.status;
    told->evidence_code = v->evidence.code;
    told->evidence_request_id = v->evidence.request_id;
    if (v->circuit == CIRCUIT_OPEN && !v->disabled)
        told->recovery_ms = wall_of(v->open_until_ns, moment);
}

static void tell(struct kept_key *key, const struct moment *moment)
{
    const struct key_view *v = &key->status.view;
    enum key_condition condition = key_condition_of(v);

    key->told = (sparekey_key){
        .key_id = key->status.mask,
        .name = key->status.name,
        .is_healthy = condition == KEY_HEALTHY,
        .is_rate_limited = condition == KEY_RATE_LIMITED,
        .error_count = v->consecutive_errors,
        .success_count = v->successes,
        .total_requests = v->requests,
        .success_rate = v->requests ? 100.0 * (double)v->successes / (double)v->requests : 100.0,
        .in_flight = v->in_flight,
        .last_used_ms = wall_of(v->last_used_ns, moment),
        .recovery_ms = -1,
        .circuit = circuit_name(v->circuit),
        .scope = "",
        .reason = "",
        .readmitted_by = or_empty(condition_readmission(v)),
        .evidence_code = "",
        .evidence_request_id = "",
        .organization = key->status.organization,
        .project = key->status.project,
    };
    tell_trouble(&key->told, v, moment);
}

/* The keys never change in number: no client reloads. */
static bool take(struct sparekey_health *health, struct keyring *ring)
{
    struct moment moment = {clock_ns(CLOCK_MONOTONIC), clock_ns(CLOCK_REALTIME) / 1000000};
    size_t count = keyring_count(ring);

    health->keys = calloc(count + 1, sizeof *health->keys);
    if (!health->keys)
        return false;
    while (health->count < count) {
        struct kept_key *key = &health->keys[health->count];
        if (!keyring_status(ring, health->count, moment.now_ns, &key->status))
            break;
        tell(key, &moment);
        health->ready += key_is_ready(&key->status.view);
        health->by_condition[key_condition_of(&key->status.view)]++;
        health->count++;
    }
    return true;
}

int sparekey_key_health(sparekey_client *client, sparekey_health **ret_health,
                        sparekey_error *error)
{
    if (!client || !ret_health)
        return fault_argument(error, client ? "ret_health" : "client", "is NULL");
    int code = client_usable(client);
    if (code != SPAREKEY_OK)
        return fault_set(error, code, "%s", sparekey_status_text(code));
    sparekey_health *health = calloc(1, sizeof *health);
    if (!health || !take(health, client->ring)) {
        sparekey_health_free(health);
        return fault_set(error, SPAREKEY_ERROR_MEMORY, "out of memory");
    }
    *ret_health = health;
    return SPAREKEY_OK;
}

const char *sparekey_health_status(const sparekey_health *health)
{
    return health ? condition_overall(health->ready, health->by_condition[KEY_UNHEALTHY])
                  : condition_overall(0, 0);
}

size_t sparekey_health_count(const sparekey_health *health)
{
    return health ? health->count : 0;
}

const sparekey_key *sparekey_health_key(const sparekey_health *health, size_t index)
{
    return health && index < health->count ? &health->keys[index].told : NULL;
}

void sparekey_health_free(sparekey_health *health)
{
    if (!health)
        return;
    free(health->keys);
    free(health);
}
