#include "sim/ledger.h"

#include <stdlib.h>

/* The times at which it was heard; NEVER: it is not so, for all that is known. */
struct ledger_key {
    bool owner_known;
    int64_t revoked_ns;
};

struct ledger_account {
    int64_t out_of_quota_ns;
    int64_t cools_until_ns;
    /* Of a project, by refusals of its own keys, whosever the limit is: the last, and until when. */
    int64_t told_ns, told_until_ns;
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
        l->keys[i] = (struct ledger_key){world->owners_configured, NEVER};
    for (uint32_t i = 0; i < world->orgs; i++)
        l->orgs[i].out_of_quota_ns = NEVER;
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

    if (l->keys[key].revoked_ns != NEVER)
        return CAUSE_REVOKED;
    if (!l->keys[key].owner_known)
        return CAUSE_SERVED;
    if (org->out_of_quota_ns != NEVER)
        return CAUSE_QUOTA;
    return now_ns < org->cools_until_ns || now_ns < project->cools_until_ns ? CAUSE_REQUESTS
                                                                            : CAUSE_SERVED;
}

bool ledger_was_told(const struct ledger *l, uint32_t key, int64_t now_ns)
{
    const struct ledger_account *project = &l->projects[world_key_project(l->world, key)];

    return l->keys[key].revoked_ns != NEVER ||
           (l->keys[key].owner_known && now_ns < project->told_until_ns);
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

/* A success disproves what was known when its attempt began; one that is older proves nothing. */
static void disprove(int64_t *known_ns, int64_t sent_ns)
{
    if (*known_ns <= sent_ns)
        *known_ns = NEVER;
}

static void note_first(int64_t *known_ns, int64_t now_ns)
{
    if (*known_ns == NEVER)
        *known_ns = now_ns;
}

static void note_later(int64_t *known_ns, int64_t until_ns)
{
    if (until_ns > *known_ns)
        *known_ns = until_ns;
}

void ledger_hear(struct ledger *l, uint32_t key, const struct reply *reply, int64_t sent_ns,
                 int64_t now_ns)
{
    struct ledger_account *org = &l->orgs[reply->org], *project = &l->projects[reply->project];
    struct ledger_account *refuser = reply->project_refused ? project : org;
    int64_t until_ns = now_ns + reply->retry_after_ns;

    l->keys[key].owner_known |= reply->owned;
    if (reply->cause == CAUSE_SERVED) {
        disprove(&l->keys[key].revoked_ns, sent_ns);
        disprove(&org->out_of_quota_ns, sent_ns);
        if (project->told_ns < sent_ns)
            project->told_until_ns = 0;
    } else if (reply->cause == CAUSE_REVOKED) {
        note_first(&l->keys[key].revoked_ns, now_ns);
    } else if (reply->cause == CAUSE_QUOTA) {
        note_first(&org->out_of_quota_ns, now_ns);
    } else if (is_rate(reply->cause)) {
        note_later(&refuser->cools_until_ns, until_ns);
        note_later(&project->told_until_ns, until_ns);
        project->told_ns = now_ns;
    }
}
