#include "keyring/keyring_inner.h"

#include <stdlib.h>
#include <sys/random.h>

#include "pool/fast.h"

enum status keyring_new(const struct settings *settings, int64_t now_ns,
                        void (*changed)(void *context), void *context, struct keyring **ret_ring)
{
    struct pool_options options;
    struct keyring *ring = calloc(1, sizeof *ring);
    if (!ring)
        return STATUS_NO_MEMORY;
    pthread_mutex_init(&ring->lock, NULL);
    pthread_mutex_init(&ring->loading, NULL);
    pthread_mutex_init(&ring->telling, NULL);
    ring->has_reader_key = pthread_key_create(&ring->reader, NULL) == 0;
    keyring_options(settings, &options);
    if (getrandom(&ring->fingerprint_seed, sizeof ring->fingerprint_seed, 0) < 0)
        ring->fingerprint_seed.k0 = (uint64_t)now_ns;
    if (getrandom(&options.seed, sizeof options.seed, 0) != sizeof options.seed)
        options.seed = (uint64_t)now_ns; /* jitter needs variety, not secrecy */
    enum status status = pool_new(&options, &ring->pool);
    if (status == STATUS_OK)
        status = keyring_load(ring, settings, now_ns);
    if (status != STATUS_OK) {
        keyring_free(ring);
        return status;
    }
    ring->changed = changed;
    ring->context = context;
    *ret_ring = ring;
    return STATUS_OK;
}

void keyring_free(struct keyring *ring)
{
    if (!ring)
        return;
    pool_free(ring->pool);
    key_batch_drop(ring->batch);
    if (ring->has_reader_key)
        pthread_key_delete(ring->reader);
    keyring_clear_services(ring);
    pthread_mutex_destroy(&ring->telling);
    pthread_mutex_destroy(&ring->loading);
    pthread_mutex_destroy(&ring->lock);
    free(ring);
}

/* ---- readers ----------------------------------------------------------------------------- */

static struct pool_reader *new_reader(struct keyring *ring)
{
    struct pool_reader *reader = NULL;

    pthread_mutex_lock(&ring->lock);
    if (pool_reader_new(ring->pool, &reader) == STATUS_OK &&
        pthread_setspecific(ring->reader, reader) != 0) {
        pool_reader_free(reader);
        reader = NULL;
    }
    pthread_mutex_unlock(&ring->lock);
    return reader;
}

/* The calling thread's; NULL: out of memory, and everything takes the lock. */
static struct pool_reader *my_reader(struct keyring *ring)
{
    if (!ring->has_reader_key)
        return NULL;
    struct pool_reader *reader = pthread_getspecific(ring->reader);
    return reader ? reader : new_reader(ring);
}

struct pool_reader *keyring_seat_new(struct keyring *ring)
{
    struct pool_reader *seat = NULL;

    pthread_mutex_lock(&ring->lock);
    if (pool_reader_new(ring->pool, &seat) != STATUS_OK)
        seat = NULL;
    pthread_mutex_unlock(&ring->lock);
    return seat;
}

void keyring_seat_free(struct keyring *ring, struct pool_reader *seat)
{
    pthread_mutex_lock(&ring->lock);
    pool_reader_free(seat);
    pthread_mutex_unlock(&ring->lock);
}

struct pool_reader *keyring_sit(struct keyring *ring, struct pool_reader *seat)
{
    if (!ring->has_reader_key)
        return NULL;
    struct pool_reader *before = pthread_getspecific(ring->reader);
    if (pthread_setspecific(ring->reader, seat) != 0)
        return NULL; /* the thread goes on with the one it has, or with one of its own */
    return before;
}

/* ---- plans ------------------------------------------------------------------------------- */

/* A key's entry while it is loaded or has a plan in flight. */
static struct key_entry *entry_of(struct keyring *ring, key_id key)
{
    return (struct key_entry *)(uintptr_t)pool_key_cookie(ring->pool, key);
}

/* A request goes on with another key than the one that failed last. */
static bool is_failover(const struct plan *plan, const struct plan_step *step)
{
    return step->action == PLAN_SEND && plan_has_failed(plan) && !plan->drilled &&
           plan->attempts[plan->attempt_count - 1].key != step->key;
}

static void next_locked(struct keyring *ring, struct pool_reader *reader, struct plan *plan,
                        int64_t now_ns, struct plan_step *ret_step, struct key_entry **ret_entry)
{
    if (reader)
        fast_lend_rotation(reader);
    plan_next(plan, now_ns, ret_step);
    if (reader)
        fast_take_rotation(reader);
    *ret_entry =
        ret_step->action == PLAN_SEND ? key_entry_ref(entry_of(ring, ret_step->key)) : NULL;
    if (is_failover(plan, ret_step))
        tally_failover(&ring->tally, keyring_fingerprint(ring, *ret_entry));
}

/* Where there is nothing to decide. False: the plan is prepared, or `reader` is NULL. */
static bool begin_fast(struct pool_reader *reader, struct plan *plan,
                       const struct plan_request *request, int64_t now_ns,
                       struct plan_step *ret_step, struct key_entry **ret_entry)
{
    uint64_t cookie;

    if (!reader)
        return false;
    pool_enter(reader);
    bool begun = fast_begin(reader, plan, request, now_ns, ret_step, &cookie);
    if (begun)
        *ret_entry = key_entry_ref((struct key_entry *)(uintptr_t)cookie);
    pool_leave(reader);
    return begun;
}

void keyring_begin(struct keyring *ring, struct plan *plan, const struct plan_request *request,
                   int64_t now_ns, struct plan_step *ret_step, struct key_entry **ret_entry)
{
    struct pool_reader *reader = my_reader(ring);

    if (!request->drill_keys && begin_fast(reader, plan, request, now_ns, ret_step, ret_entry))
        return;
    now_ns = keyring_lock(ring, now_ns);
    if (!reader || request->drill_keys)
        plan_start(plan, ring->pool, request, now_ns);
    next_locked(ring, reader, plan, now_ns, ret_step, ret_entry);
    keyring_unlock(ring);
}

void keyring_next(struct keyring *ring, struct plan *plan, int64_t now_ns,
                  struct plan_step *ret_step, struct key_entry **ret_entry)
{
    struct pool_reader *reader = my_reader(ring);

    now_ns = keyring_lock(ring, now_ns);
    next_locked(ring, reader, plan, now_ns, ret_step, ret_entry);
    keyring_unlock(ring);
}

typedef bool fast_report(struct pool_reader *reader, struct plan *plan,
                         const struct answer_facts *facts);

/* Whether the report was no news and is counted. */
static bool report_fast(struct keyring *ring, struct plan *plan, const struct answer_facts *facts,
                        fast_report *report)
{
    struct pool_reader *reader = my_reader(ring);

    if (!reader)
        return false;
    pool_enter(reader);
    bool done = report(reader, plan, facts);
    pool_leave(reader);
    return done;
}

static void tell_facts(struct keyring *ring, struct plan *plan, const struct answer_facts *facts,
                       int64_t now_ns)
{
    if (facts->organization.len || facts->project.len)
        pool_learn(ring->pool, plan->current, facts->organization, facts->project);
    if (facts->limits)
        plan_limits(plan, facts->limits, now_ns);
    if (facts->tokens)
        plan_usage(plan, facts->tokens);
    models_name(pool_model_names(ring->pool), plan->route.model, facts->model);
}

static bool hear_locked(struct keyring *ring, struct plan *plan, const struct verdict *verdict,
                        const struct evidence *evidence, const struct answer_facts *facts,
                        int64_t now_ns)
{
    tell_facts(ring, plan, facts, now_ns);
    if (verdict->reaction != REACT_SUCCESS && !plan->drilled)
        tally_failure(&ring->tally, keyring_fingerprint(ring, entry_of(ring, plan->current)),
                      history_group_of(verdict->failure));
    return plan_hear(plan, verdict, evidence, now_ns);
}

bool keyring_hear(struct keyring *ring, struct plan *plan, const struct verdict *verdict,
                  const struct evidence *evidence, const struct answer_facts *facts, int64_t now_ns)
{
    now_ns = keyring_lock(ring, now_ns);
    bool keep = hear_locked(ring, plan, verdict, evidence, facts, now_ns);
    keyring_unlock(ring);
    return keep;
}

void keyring_succeed(struct keyring *ring, struct plan *plan, const struct answer_facts *facts,
                     int64_t now_ns)
{
    static const struct verdict success = {.reaction = REACT_SUCCESS, .wait_ns = -1};

    if (report_fast(ring, plan, facts, fast_succeed))
        return;
    now_ns = keyring_lock(ring, now_ns);
    (void)hear_locked(ring, plan, &success, NULL, facts, now_ns);
    plan_end(plan, now_ns);
    keyring_unlock(ring);
}

void keyring_proven(struct keyring *ring, struct plan *plan, const struct answer_facts *facts,
                    int64_t now_ns)
{
    if (report_fast(ring, plan, facts, fast_proven))
        return;
    now_ns = keyring_lock(ring, now_ns);
    tell_facts(ring, plan, facts, now_ns);
    plan_proven(plan, now_ns);
    keyring_unlock(ring);
}

void keyring_end(struct keyring *ring, struct plan *plan, int64_t now_ns)
{
    if (plan_is_over(plan))
        return;
    now_ns = keyring_lock(ring, now_ns);
    plan_end(plan, now_ns);
    keyring_unlock(ring);
}

/* ---- probes ------------------------------------------------------------------------------ */

bool keyring_probe_next(struct keyring *ring, int64_t now_ns, key_id *ret_key,
                        struct key_entry **ret_entry, int64_t *ret_due_ns)
{
    now_ns = keyring_lock(ring, now_ns);
    bool due = pool_probe_next(ring->pool, now_ns, ret_key, ret_due_ns);
    if (due)
        *ret_entry = key_entry_ref(entry_of(ring, *ret_key));
    keyring_unlock(ring);
    return due;
}

void keyring_probe_hear(struct keyring *ring, key_id key, const struct verdict *verdict,
                        const struct evidence *evidence, int64_t now_ns)
{
    now_ns = keyring_lock(ring, now_ns);
    pool_probe_hear(ring->pool, key, verdict, evidence, now_ns);
    keyring_unlock(ring);
}
