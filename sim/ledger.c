#include "sim/ledger.h"

#include <stdlib.h>

struct ledger_key {
    bool owner_known, revoked;
};

struct ledger_account {
    bool out_of_quota;
    int64_t cools_until_ns;
};

enum status ledger_init(struct ledger *l, const struct world_spec *world)
{
    uint32_t count = world_key_count(world);

    *l = (struct ledger){.world = world};
    l->keys = calloc(count, sizeof(*l->keys));
    l->orgs = calloc(world->orgs, sizeof(*l->orgs));
    l->projects = calloc((size_t)world->orgs * world->projects, sizeof(*l->projects));
    if (!l->keys || !l->orgs || !l->projects) {
        ledger_fini(l);
        return STATUS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < count; i++)
        l->keys[i].owner_known = world->owners_configured;
    return STATUS_OK;
}

void ledger_fini(struct ledger *l)
{
    free(l->keys);
    free(l->orgs);
    free(l->projects);
}

enum cause ledger_expects(const struct ledger *l, uint32_t key, int64_t now_ns)
{
    const struct ledger_account *org = &l->orgs[world_key_org(l->world, key)];
    const struct ledger_account *project = &l->projects[world_key_project(l->world, key)];

    if (l->keys[key].revoked)
        return CAUSE_REVOKED;
    if (!l->keys[key].owner_known)
        return CAUSE_SERVED;
    if (org->out_of_quota)
        return CAUSE_QUOTA;
    return now_ns < org->cools_until_ns || now_ns < project->cools_until_ns ? CAUSE_REQUESTS
                                                                            : CAUSE_SERVED;
}

static bool is_rate(enum cause cause)
{
    return cause == CAUSE_REQUESTS || cause == CAUSE_TOKENS || cause == CAUSE_SLOW_DOWN;
}

bool ledger_confirmed(enum cause expected, const struct reply *reply)
{
    if (expected == CAUSE_SERVED)
        return false;
    return expected == reply->cause || (expected == CAUSE_REQUESTS && is_rate(reply->cause));
}

void ledger_hear(struct ledger *l, uint32_t key, const struct reply *reply, int64_t now_ns)
{
    struct ledger_account *org = &l->orgs[reply->org], *project = &l->projects[reply->project];

    l->keys[key].owner_known |= reply->owned;
    if (reply->cause == CAUSE_SERVED) {
        l->keys[key].revoked = org->out_of_quota = false;
    } else if (reply->cause == CAUSE_REVOKED) {
        l->keys[key].revoked = true;
    } else if (reply->cause == CAUSE_QUOTA) {
        org->out_of_quota = true;
    } else if (is_rate(reply->cause)) {
        struct ledger_account *account = reply->project_refused ? project : org;
        account->cools_until_ns = now_ns + reply->retry_after_ns;
    }
}
