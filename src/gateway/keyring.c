#include "gateway/keyring.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/hash.h"

struct keyring {
    pthread_mutex_t lock;
    struct pool *pool;
    struct key_entry **entries; /* the pool's cookies are their addresses */
    size_t entry_count;
    uint64_t epoch;    /* of the pool when `changed` was last called */
    int64_t latest_ns; /* workers read the clock once a wake-up, each at its own time: the
                                   pool is told the latest of them, so that it never goes back */
    void (*changed)(void *context);
    void *context;
    struct service_url services[KEYRING_SERVICES_MAX]; /* only ever appended to */
    uint32_t service_count;                            /* only through __atomic builtins */
};

/* ---- entries ----------------------------------------------------------------------------- */

static void entry_free(struct key_entry *entry)
{
    secret_unref(entry->secret);
    free(entry->name);
    free(entry->organization);
    free(entry->project);
    free(entry->auth_header);
    free(entry);
}

void key_entry_unref(struct key_entry *entry)
{
    if (entry && __atomic_sub_fetch(&entry->refs, 1, __ATOMIC_ACQ_REL) == 0)
        entry_free(entry);
}

static struct key_entry *entry_ref(struct key_entry *entry)
{
    __atomic_add_fetch(&entry->refs, 1, __ATOMIC_RELAXED);
    return entry;
}

static bool copy_text(const char *text, char **ret)
{
    *ret = text ? strdup(text) : NULL;
    return !text || *ret;
}

static struct key_entry *entry_new(const struct key_setting *key, uint32_t service)
{
    struct key_entry *entry = calloc(1, sizeof *entry);
    if (!entry)
        return NULL;
    entry->refs = 1;
    entry->secret = secret_ref(key->secret);
    entry->service = service;
    secret_mask(secret_bytes(key->secret), entry->mask);
    if (copy_text(key->name, &entry->name) && copy_text(key->organization, &entry->organization) &&
        copy_text(key->project, &entry->project) &&
        copy_text(key->auth_header, &entry->auth_header))
        return entry;
    entry_free(entry);
    return NULL;
}

static void free_entries(struct key_entry **entries, size_t count)
{
    for (size_t i = 0; i < count; i++)
        key_entry_unref(entries[i]);
    free(entries);
}

/* ---- services ---------------------------------------------------------------------------- */

static void service_clear(struct service_url *service)
{
    free(service->host);
    free(service->path);
    free(service->text);
}

static bool service_copy(const struct service_url *from, struct service_url *to)
{
    struct service_url copy = {.tls = from->tls, .port = from->port};

    if (!copy_text(from->host, &copy.host) || !copy_text(from->path, &copy.path) ||
        !copy_text(from->text, &copy.text)) {
        service_clear(&copy);
        return false;
    }
    *to = copy;
    return true;
}

static bool same_service(const struct service_url *a, const struct service_url *b)
{
    return a->tls == b->tls && a->port == b->port && strcmp(a->host, b->host) == 0 &&
           strcmp(a->path, b->path) == 0;
}

/* The index of a base URL, new or known. Appending needs no lock against readers: an index is
 * handed out only after its service stands. Writers are serialised by `lock`. */
static enum status service_index(struct keyring *ring, const struct service_url *url,
                                 uint32_t *ret_index)
{
    uint32_t count = __atomic_load_n(&ring->service_count, __ATOMIC_ACQUIRE);

    for (uint32_t i = 0; i < count; i++) {
        if (same_service(&ring->services[i], url)) {
            *ret_index = i;
            return STATUS_OK;
        }
    }
    if (count == KEYRING_SERVICES_MAX)
        return STATUS_LIMIT;
    if (!service_copy(url, &ring->services[count]))
        return STATUS_NO_MEMORY;
    __atomic_store_n(&ring->service_count, count + 1, __ATOMIC_RELEASE);
    *ret_index = count;
    return STATUS_OK;
}

const struct service_url *keyring_service(const struct keyring *ring, uint32_t service)
{
    return &ring->services[service];
}

/* ---- the lock ---------------------------------------------------------------------------- */

static int64_t lock(struct keyring *ring, int64_t now_ns)
{
    pthread_mutex_lock(&ring->lock);
    if (now_ns > ring->latest_ns)
        ring->latest_ns = now_ns;
    return ring->latest_ns;
}

/* Unlocks, and tells the waiting when something changed for them. */
static void unlock(struct keyring *ring)
{
    uint64_t epoch = pool_epoch(ring->pool);
    bool changed = epoch != ring->epoch;

    ring->epoch = epoch;
    pthread_mutex_unlock(&ring->lock);
    if (changed && ring->changed)
        ring->changed(ring->context);
}

/* ---- loading ----------------------------------------------------------------------------- */

static void options_from(const struct settings *settings, struct pool_options *options)
{
    pool_options_init(options);
    options->strategy = settings->strategy;
    options->fallback_enabled = settings->fallback_enabled;
    options->rotation_enabled = settings->rotation_enabled;
    options->proof_wait_ns = settings->proof_wait_ms * 1000000;
    options->max_wait_ns = settings->max_wait_ms * 1000000;
    options->queue_max = settings->max_waiting;
    options->affinity = settings->prompt_affinity;
    options->probe_interval_ns = settings->health_interval_ms * 1000000;
}

/* The models a key is restricted to, as the pool wants them. False: out of memory. */
static bool specify_models(char **models, struct key_spec *spec)
{
    size_t count = 0;

    while (models && models[count])
        count++;
    if (count == 0)
        return true;
    struct slice *names = calloc(count, sizeof *names);
    if (!names)
        return false;
    for (size_t i = 0; i < count; i++)
        names[i] = slice_str(models[i]);
    spec->models = names;
    spec->model_count = count;
    return true;
}

static void free_specs(struct key_spec *specs, size_t count)
{
    for (size_t i = 0; specs && i < count; i++)
        free((void *)(uintptr_t)specs[i].models);
    free(specs);
}

static enum status build_specs(struct keyring *ring, const struct settings *settings,
                               struct key_entry **entries, struct key_spec *specs)
{
    for (size_t i = 0; i < settings->key_count; i++) {
        const struct key_setting *key = &settings->keys[i];
        uint32_t service;
        enum status status =
            service_index(ring, key->service ? key->service : &settings->upstream, &service);
        if (status != STATUS_OK)
            return status;
        entries[i] = entry_new(key, service);
        if (!entries[i])
            return STATUS_NO_MEMORY;
        specs[i] = (struct key_spec){
            .identity = hash_mix(secret_hash(key->secret), service),
            .service = service,
            .organization = slice_str(key->organization),
            .project = slice_str(key->project),
            .cookie = (uint64_t)(uintptr_t)entries[i],
            .weight = key->weight,
            .max_in_flight = key->max_in_flight,
        };
        if (!specify_models(key->models, &specs[i]))
            return STATUS_NO_MEMORY;
    }
    return STATUS_OK;
}

enum status keyring_load(struct keyring *ring, const struct settings *settings, int64_t now_ns)
{
    size_t count = settings->key_count;
    struct key_entry **entries = calloc(count + 1, sizeof(*entries));
    struct key_spec *specs = calloc(count + 1, sizeof *specs);
    enum status status = entries && specs ? STATUS_OK : STATUS_NO_MEMORY;
    struct pool_options options;

    options_from(settings, &options);
    now_ns = lock(ring, now_ns);
    if (status == STATUS_OK)
        status = build_specs(ring, settings, entries, specs);
    if (status == STATUS_OK)
        status = pool_load(ring->pool, specs, count, now_ns);
    if (status == STATUS_OK) {
        struct key_entry **old = ring->entries;
        size_t old_count = ring->entry_count;
        pool_configure(ring->pool, &options);
        ring->entries = entries;
        ring->entry_count = count;
        entries = old;
        count = old_count;
    }
    unlock(ring); /* new keys are what the waiting wait for */

    if (entries)
        free_entries(entries, count);
    free_specs(specs, settings->key_count);
    return status;
}

enum status keyring_new(const struct settings *settings, int64_t now_ns,
                        void (*changed)(void *context), void *context, struct keyring **ret_ring)
{
    struct pool_options options;
    struct keyring *ring = calloc(1, sizeof *ring);
    if (!ring)
        return STATUS_NO_MEMORY;
    pthread_mutex_init(&ring->lock, NULL);
    options_from(settings, &options);
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
    free_entries(ring->entries, ring->entry_count);
    for (uint32_t i = 0; i < __atomic_load_n(&ring->service_count, __ATOMIC_ACQUIRE); i++)
        service_clear(&ring->services[i]);
    pthread_mutex_destroy(&ring->lock);
    free(ring);
}

/* ---- plans ------------------------------------------------------------------------------- */

/* A key's entry while it is loaded or has a plan in flight. */
static struct key_entry *entry_of(struct keyring *ring, key_id key)
{
    return (struct key_entry *)(uintptr_t)pool_key_cookie(ring->pool, key);
}

static void next_locked(struct keyring *ring, struct plan *plan, int64_t now_ns,
                        struct plan_step *ret_step, struct key_entry **ret_entry)
{
    plan_next(plan, now_ns, ret_step);
    *ret_entry = ret_step->action == PLAN_SEND ? entry_ref(entry_of(ring, ret_step->key)) : NULL;
}

void keyring_begin(struct keyring *ring, struct plan *plan, const struct plan_request *request,
                   int64_t now_ns, struct plan_step *ret_step, struct key_entry **ret_entry)
{
    now_ns = lock(ring, now_ns);
    plan_start(plan, ring->pool, request, now_ns);
    next_locked(ring, plan, now_ns, ret_step, ret_entry);
    unlock(ring);
}

void keyring_next(struct keyring *ring, struct plan *plan, int64_t now_ns,
                  struct plan_step *ret_step, struct key_entry **ret_entry)
{
    now_ns = lock(ring, now_ns);
    next_locked(ring, plan, now_ns, ret_step, ret_entry);
    unlock(ring);
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
}

static bool hear_locked(struct keyring *ring, struct plan *plan, const struct verdict *verdict,
                        const struct evidence *evidence, const struct answer_facts *facts,
                        int64_t now_ns)
{
    tell_facts(ring, plan, facts, now_ns);
    return plan_hear(plan, verdict, evidence, now_ns);
}

bool keyring_hear(struct keyring *ring, struct plan *plan, const struct verdict *verdict,
                  const struct evidence *evidence, const struct answer_facts *facts, int64_t now_ns)
{
    now_ns = lock(ring, now_ns);
    bool keep = hear_locked(ring, plan, verdict, evidence, facts, now_ns);
    unlock(ring);
    return keep;
}

void keyring_succeed(struct keyring *ring, struct plan *plan, const struct answer_facts *facts,
                     int64_t now_ns)
{
    static const struct verdict success = {.reaction = REACT_SUCCESS, .wait_ns = -1};

    now_ns = lock(ring, now_ns);
    (void)hear_locked(ring, plan, &success, NULL, facts, now_ns);
    plan_end(plan, now_ns);
    unlock(ring);
}

void keyring_proven(struct keyring *ring, struct plan *plan, const struct answer_facts *facts,
                    int64_t now_ns)
{
    now_ns = lock(ring, now_ns);
    tell_facts(ring, plan, facts, now_ns);
    plan_proven(plan, now_ns);
    unlock(ring);
}

void keyring_end(struct keyring *ring, struct plan *plan, int64_t now_ns)
{
    now_ns = lock(ring, now_ns);
    plan_end(plan, now_ns);
    unlock(ring);
}

/* ---- probes ------------------------------------------------------------------------------ */

bool keyring_probe_next(struct keyring *ring, int64_t now_ns, key_id *ret_key,
                        struct key_entry **ret_entry, int64_t *ret_due_ns)
{
    now_ns = lock(ring, now_ns);
    bool due = pool_probe_next(ring->pool, now_ns, ret_key, ret_due_ns);
    if (due)
        *ret_entry = entry_ref(entry_of(ring, *ret_key));
    unlock(ring);
    return due;
}

void keyring_probe_hear(struct keyring *ring, key_id key, const struct verdict *verdict,
                        const struct evidence *evidence, int64_t now_ns)
{
    now_ns = lock(ring, now_ns);
    pool_probe_hear(ring->pool, key, verdict, evidence, now_ns);
    unlock(ring);
}

/* ---- display ----------------------------------------------------------------------------- */

size_t keyring_count(struct keyring *ring)
{
    pthread_mutex_lock(&ring->lock);
    size_t count = pool_count(ring->pool);
    pthread_mutex_unlock(&ring->lock);
    return count;
}

bool keyring_status(struct keyring *ring, size_t index, int64_t now_ns, struct key_status *ret)
{
    pthread_mutex_lock(&ring->lock);
    bool found = index < pool_count(ring->pool);
    if (found) {
        pool_view(ring->pool, index, now_ns, &ret->view);
        const struct key_entry *entry = (struct key_entry *)(uintptr_t)ret->view.cookie;
        memcpy(ret->mask, entry->mask, sizeof ret->mask);
        slice_copy(slice_str(entry->name), ret->name, sizeof ret->name);
        size_t len =
            slice_copy(ret->view.organization, ret->organization, sizeof ret->organization);
        ret->view.organization = slice_of(ret->organization, len);
        len = slice_copy(ret->view.project, ret->project, sizeof ret->project);
        ret->view.project = slice_of(ret->project, len);
    }
    pthread_mutex_unlock(&ring->lock);
    return found;
}
