#include "keyring/keyring_inner.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "settings/arena.h"

/* Keys that a load tells the pool about while it holds the lock: under a millisecond. */
#define KEYS_AT_ONCE 4096

/* ---- services ---------------------------------------------------------------------------- */

static bool copy_text(const char *text, char **ret)
{
    *ret = text ? strdup(text) : NULL;
    return !text || *ret;
}

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
 * handed out only after its service stands. Writers are serialised by `loading`. */
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

void keyring_clear_services(struct keyring *ring)
{
    uint32_t count = __atomic_load_n(&ring->service_count, __ATOMIC_ACQUIRE);

    for (uint32_t i = 0; i < count; i++)
        service_clear(&ring->services[i]);
}

bool keyring_last_resort(const struct keyring *ring, uint32_t *ret_service)
{
    *ret_service = __atomic_load_n(&ring->last_resort, __ATOMIC_ACQUIRE);
    return *ret_service < KEYRING_SERVICES_MAX;
}

static enum status find_last_resort(struct keyring *ring, const struct settings *settings)
{
    uint32_t service = KEYRING_SERVICES_MAX;
    enum status status = settings->last_resort_url.host
                             ? service_index(ring, &settings->last_resort_url, &service)
                             : STATUS_OK;

    if (status == STATUS_OK)
        __atomic_store_n(&ring->last_resort, service, __ATOMIC_RELEASE);
    return status;
}

/* ---- loading ----------------------------------------------------------------------------- */

void keyring_options(const struct settings *settings, struct pool_options *options)
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

/* A load in progress. */
struct ring_load {
    const struct settings *settings;
    struct key_batch *batch;
    const struct entry_traits *traits; /* of the entry made last */
    struct pool_load *pool_load;
    struct arena models;                 /* of the specifications */
    struct key_spec specs[KEYS_AT_ONCE]; /* of the entries made last */
};

/* The models a key is restricted to, as the pool wants them. False: out of memory. */
static bool specify_models(struct arena *arena, char **models, struct key_spec *spec)
{
    size_t count = 0;

    while (models && models[count])
        count++;
    if (count == 0)
        return true;
    struct slice *names = arena_alloc(arena, count * sizeof *names);
    if (!names)
        return false;
    for (size_t i = 0; i < count; i++)
        names[i] = slice_str(models[i]);
    spec->models = names;
    spec->model_count = count;
    return true;
}

/* Neighbours that share their traits go on doing so. */
static enum status next_traits(struct keyring *ring, struct ring_load *load)
{
    const struct settings *settings = load->settings;
    size_t next = load->batch->count;
    const struct key_traits *from = settings->keys[next].traits;
    uint32_t service;

    if (next > 0 && from == settings->keys[next - 1].traits)
        return STATUS_OK;
    enum status status =
        service_index(ring, from->service ? from->service : &settings->upstream, &service);
    if (status != STATUS_OK)
        return status;
    load->traits = key_batch_keep_traits(load->batch, from, service);
    return load->traits ? STATUS_OK : STATUS_NO_MEMORY;
}

static enum status next_spec(struct keyring *ring, struct ring_load *load, struct key_spec *spec)
{
    const struct key_setting *key = &load->settings->keys[load->batch->count];
    const struct key_traits *from = key->traits;
    enum status status = next_traits(ring, load);

    if (status != STATUS_OK)
        return status;
    *spec = (struct key_spec){
        .identity = hash_mix(secret_hash(key->secret), load->traits->service),
        .service = load->traits->service,
        .organization = slice_str(from->organization),
        .project = slice_str(from->project),
        .cookie = (uint64_t)(uintptr_t)key_batch_add(load->batch, key, load->traits),
        .weight = from->weight,
        .max_in_flight = from->max_in_flight,
    };
    return specify_models(&load->models, from->models, spec) ? STATUS_OK : STATUS_NO_MEMORY;
}

/* Entries and specifications of the next keys; `*ret_count` is 0 at the end. */
static enum status specify(struct keyring *ring, struct ring_load *load, size_t *ret_count)
{
    size_t count = load->settings->key_count - load->batch->count;
    enum status status = STATUS_OK;

    if (count > KEYS_AT_ONCE)
        count = KEYS_AT_ONCE;
    arena_clear(&load->models);
    for (size_t i = 0; i < count && status == STATUS_OK; i++)
        status = next_spec(ring, load, &load->specs[i]);
    *ret_count = count;
    return status;
}

/* Drops the entries of the load before, once no thread can have found one without the lock: that
 * takes as long as choosing a key, or until the scheduler lets such a thread go on. */
static void retire(struct keyring *ring, struct key_batch *batch)
{
    bool unseen = !batch;

    while (!unseen) {
        pthread_mutex_lock(&ring->lock);
        pool_collect(ring->pool);
        unseen = batch->unseen;
        pthread_mutex_unlock(&ring->lock);
        if (!unseen)
            sched_yield();
    }
    key_batch_drop(batch);
}

static enum status stage_all(struct keyring *ring, struct ring_load *load, int64_t now_ns)
{
    size_t count;
    enum status status = specify(ring, load, &count);

    while (status == STATUS_OK && count > 0) {
        keyring_lock(ring, now_ns);
        status = pool_load_stage(ring->pool, load->pool_load, load->specs, count);
        keyring_unlock(ring);
        keyring_let_pass(ring);
        if (status == STATUS_OK)
            status = specify(ring, load, &count);
    }
    return status;
}

/* The keys and the options change together; on failure neither does. */
static enum status commit(struct keyring *ring, struct pool_load *load,
                          const struct pool_options *options, int64_t now_ns)
{
    static const struct keyring_deed loaded = {.loaded = true};

    keyring_lock(ring, now_ns);
    enum status status = pool_load_commit(ring->pool, load);
    if (status == STATUS_OK)
        pool_configure(ring->pool, options);
    keyring_unlock_after(ring, &loaded); /* new keys are what the waiting wait for */
    return status;
}

static void mark_unseen(struct garbage *garbage)
{
    ((struct key_batch *)(void *)garbage)->unseen = true;
}

static void settle_all(struct keyring *ring, struct pool_load *load, int64_t now_ns)
{
    for (bool done = false; !done; keyring_let_pass(ring)) {
        keyring_lock(ring, now_ns);
        done = pool_load_settle(ring->pool, load, KEYS_AT_ONCE);
        if (done && ring->batch) {
            ring->batch->garbage.release = mark_unseen;
            pool_defer(ring->pool, &ring->batch->garbage);
        }
        keyring_unlock(ring);
    }
}

/* Told in steps, so that no request waits noticeably. */
static enum status tell_pool(struct keyring *ring, struct ring_load *load, int64_t now_ns)
{
    struct pool_options options;
    enum status status = pool_load_new(ring->pool, load->settings->key_count, &load->pool_load);

    if (status != STATUS_OK)
        return status;
    keyring_options(load->settings, &options);
    status = stage_all(ring, load, now_ns);
    if (status == STATUS_OK)
        status = commit(ring, load->pool_load, &options, now_ns);
    if (status == STATUS_OK) {
        settle_all(ring, load->pool_load, now_ns);
        pool_load_free(load->pool_load);
    } else {
        keyring_lock(ring, now_ns);
        pool_load_abandon(ring->pool, load->pool_load);
        keyring_unlock(ring);
    }
    return status;
}

enum status keyring_load(struct keyring *ring, const struct settings *settings, int64_t now_ns)
{
    struct ring_load *load = malloc(sizeof *load);
    struct key_batch *batch = key_batch_new(settings->key_count);
    enum status status = STATUS_NO_MEMORY;

    pthread_mutex_lock(&ring->loading);
    if (load && batch) {
        load->settings = settings;
        load->batch = batch;
        load->models = (struct arena){0};
        status = find_last_resort(ring, settings);
        if (status == STATUS_OK)
            status = tell_pool(ring, load, now_ns);
        arena_clear(&load->models);
    }
    if (status == STATUS_OK) {
        keyring_tell_changes(ring, ring->batch, batch);
        retire(ring, ring->batch);
        ring->batch = batch;
    } else {
        key_batch_drop(batch);
    }
    pthread_mutex_unlock(&ring->loading);
    free(load);
    return status;
}
