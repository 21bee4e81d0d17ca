#include "sim/watch.h"

#include "pool/bucket.h"
#include "pool/counts.h"
#include "pool/invariant.h"

void watch_init(struct watch *w, const struct pool *pool)
{
    *w = (struct watch){.pool = pool};
    list_init(&w->requests);
}

void watch_begin(struct watch *w, struct watched *of, const struct plan *plan)
{
    *of = (struct watched){.plan = plan};
    list_init(&of->link);
    list_append(&w->requests, &of->link);
}

void watch_end(struct watch *w, struct watched *of)
{
    if (of->in_flight)
        watch_heard(w, of);
    list_remove(&of->link);
}

static const struct watched *watched_at(const struct list *link)
{
    return container_of(link, const struct watched, link);
}

/* ---- one trial at a time ---- */

static bool tries(const struct watched *of, const struct breaker *b)
{
    for (unsigned i = 0; i < of->trial_count; i++)
        if (of->trials[i].breaker == b && of->trials[i].opened_ns == b->opened_ns)
            return true;
    return false;
}

static void note_trial(const struct watch *w, struct watched *of, const struct breaker *b)
{
    for (const struct list *at = w->requests.next; at != &w->requests; at = at->next)
        INVARIANT(!watched_at(at)->in_flight || !tries(watched_at(at), b),
                  "two attempts try a half-open %s", scope_name(b->place.scope));
    INVARIANT(b->lease == of->serial, "a half-open %s was asked without its lease",
              scope_name(b->place.scope));
    of->trials[of->trial_count++] = (struct watch_trial){b, b->opened_ns};
}

/* What stands on the way of the attempt that has just begun. */
static void look_at_path(const struct watch *w, struct watched *of)
{
    const struct plan *plan = of->plan;
    struct key *key = pool_key(w->pool, plan->current);

    for (enum scope scope = SCOPE_KEY; scope < SCOPE_COUNT; scope++) {
        struct place place = {key_scope_node(plan->pool, key, scope),
                              route_detail(&plan->route, scope), scope};
        const struct breaker *b;
        if (scope == SCOPE_ORG_MODEL_STREAM && !plan->route.stream)
            continue;
        b = circuits_find(&w->pool->circuits, place);
        INVARIANT(!b || b->state != CIRCUIT_OPEN, "a %s that cools down was asked",
                  scope_name(scope));
        if (b && b->state == CIRCUIT_HALF_OPEN)
            note_trial(w, of, b);
    }
}

static void look_at_buckets(const struct watch *w, struct watched *of)
{
    for (int level = 0; level < 2; level++) {
        const struct bucket *b = of->plan->flight.holds[level].bucket;
        of->tried[level] = b && b->trial == of->serial ? b : NULL;
        if (!of->tried[level])
            continue;
        for (const struct list *at = w->requests.next; at != &w->requests; at = at->next)
            INVARIANT(!watched_at(at)->in_flight || watched_at(at)->tried[level] != b,
                      "two attempts try a bucket that seems too empty");
    }
}

void watch_sent(struct watch *w, struct watched *of, int64_t now_ns)
{
    INVARIANT(!of->in_flight, "a request is sent twice at a time");
    INVARIANT(now_ns < of->plan->deadline_ns, "an attempt starts after the deadline");
    of->serial = of->plan->flight.serial;
    of->trial_count = 0;
    look_at_path(w, of);
    look_at_buckets(w, of);
    of->in_flight = true;
    w->in_flight++;
}

void watch_heard(struct watch *w, struct watched *of)
{
    INVARIANT(of->in_flight, "an answer to nothing");
    of->in_flight = false;
    w->in_flight--;
}

/* ---- the books ---- */

static size_t length(const struct list *list)
{
    size_t count = 0;

    for (const struct list *at = list->next; at != list; at = at->next)
        count++;
    return count;
}

static size_t reservations_of(const struct watched *of)
{
    const struct hold *holds = of->plan->flight.holds;

    return of->in_flight ? (size_t)(holds[0].bucket != NULL) + (holds[1].bucket != NULL) : 0;
}

static void check_requests(const struct watch *w)
{
    size_t held = 0, waiting = 0, booked = 0;

    for (const struct list *at = w->requests.next; at != &w->requests; at = at->next) {
        const struct watched *of = watched_at(at);
        INVARIANT(!of->plan->queue || !of->in_flight, "a request waits while it is in flight");
        waiting += of->plan->queue != NULL;
        held += reservations_of(of);
    }
    for (const struct list *at = w->pool->buckets.next; at != &w->pool->buckets; at = at->next) {
        const struct bucket *b = container_of(at, const struct bucket, all);
        booked += length(&b->holds) + length(&b->charged);
    }
    INVARIANT(booked == held, "%zu reservations are booked, %zu are held", booked, held);
    INVARIANT(waiting == pool_waiting(w->pool), "%zu are counted in line, %zu wait",
              pool_waiting(w->pool), waiting);
}

static void check_keys(const struct watch *w)
{
    uint64_t in_flight = 0;

    for (size_t i = 0; i < w->pool->count; i++)
        in_flight += counts_in_flight(w->pool, w->pool->order[i]);
    INVARIANT(in_flight == w->in_flight, "%llu attempts are counted, %u are in flight",
              (unsigned long long)in_flight, w->in_flight);
}

static unsigned holders_of(const struct watch *w, uint64_t lease)
{
    unsigned count = 0;

    for (const struct list *at = w->requests.next; at != &w->requests; at = at->next)
        count += watched_at(at)->in_flight && watched_at(at)->serial == lease;
    return count;
}

static void check_leases(const struct watch *w)
{
    const struct circuits *c = &w->pool->circuits;

    for (size_t i = 0; i < c->bucket_count; i++)
        for (const struct breaker *b = c->buckets[i]; b; b = b->bucket_next)
            INVARIANT(!b->lease || holders_of(w, b->lease) == 1, "%u hold the lease of a %s",
                      holders_of(w, b->lease), scope_name(b->place.scope));
}

void watch_check(const struct watch *w)
{
    check_requests(w);
    check_keys(w);
    check_leases(w);
}
