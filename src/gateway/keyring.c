#include "gateway/keyring.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/hash.h"
#include "base/large.h"
#include "base/number.h"
#include "pool/fast.h"
#include "pool/operator.h"
#include "settings/arena.h"

/* Keys that a load tells the pool about while it holds the lock: under a millisecond. */
#define KEYS_AT_ONCE 4096

struct keyring {
    pthread_mutex_t lock;
    pthread_mutex_t loading; /* one load at a time; taken before `lock` */
    uint32_t came, passed;   /* who had to wait for `lock`, who of them got it; only by builtins */
    pthread_key_t reader;    /* the calling thread's struct pool_reader, which goes with the pool */
    bool has_reader_key;
    struct pool *pool;
    struct key_batch *batch; /* the pool's cookies are addresses of its entries */
    uint64_t epoch;          /* of the pool when `changed` was last called */
    int64_t latest_ns;       /* workers read the clock once a wake-up, each at its own time: the
                                pool is told the latest of them, so that it never goes back */
    struct hash_seed fingerprint_seed;
    struct tally tally; /* of failed attempts, for the history */
    void (*changed)(void *context);
    void *context;
    struct keyring_watch watch;
    pthread_mutex_t telling; /* one thread tells at a time; taken before `lock` is let go */
    bool down;               /* no key was ready when the watch was told last */
    bool guessing;           /* … and one is now, but only because its time has come */
    struct service_url services[KEYRING_SERVICES_MAX]; /* only ever appended to */
    uint32_t service_count;                            /* only through __atomic builtins */
    uint32_t last_resort; /* index of a service, or KEYRING_SERVICES_MAX; likewise */
};

/* ---- entries ----------------------------------------------------------------------------- */

/* The entries of one load, in one piece of memory, and what they share in another. Each entry drops its secret with its own last reference; the memory goes with the last entry. */
struct key_batch {
    struct garbage garbage;
    bool unseen;   /* no thread that chose a key without the lock can still have found it here */
    size_t living; /* entries with references, and one for the batch being built or loaded */
    size_t count;
    struct arena strings;
    struct key_entry entries[];
};

static void batch_unref(struct key_batch *batch)
{
    if (__atomic_sub_fetch(&batch->living, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    arena_clear(&batch->strings);
    free(batch);
}

void key_entry_unref(struct key_entry *entry)
{
    if (!entry || __atomic_sub_fetch(&entry->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    secret_unref(entry->secret);
    batch_unref(entry->traits->batch);
}

const char *key_entry_mask(const struct key_entry *entry, char out[SECRET_MASK_MAX])
{
    secret_mask(secret_bytes(entry->secret), out);
    return out;
}

const char *key_entry_name(const struct key_entry *entry, char out[KEY_NAME_MAX])
{
    return key_name_text(entry->traits->name, entry->line, out);
}

static struct key_entry *entry_ref(struct key_entry *entry)
{
    __atomic_add_fetch(&entry->refs, 1, __ATOMIC_RELAXED);
    return entry;
}

static bool keep_text(struct key_batch *batch, const char *text, char **ret)
{
    *ret = text ? arena_copy(&batch->strings, slice_str(text)) : NULL;
    return !text || *ret;
}

/* NULL: out of memory, and the batch is to be dropped. */
static struct entry_traits *keep_traits(struct key_batch *batch, const struct key_traits *from,
                                        uint32_t service)
{
    struct entry_traits *traits = arena_alloc(&batch->strings, sizeof *traits);

    if (!traits || !keep_text(batch, from->name, &traits->name) ||
        !keep_text(batch, from->organization, &traits->organization) ||
        !keep_text(batch, from->project, &traits->project) ||
        !keep_text(batch, from->auth_header, &traits->auth_header))
        return NULL;
    traits->batch = batch;
    traits->service = service;
    return traits;
}

/* The next entry of the batch. */
static struct key_entry *batch_add(struct key_batch *batch, const struct key_setting *key,
                                   const struct entry_traits *traits)
{
    struct key_entry *entry = &batch->entries[batch->count++];

    *entry = (struct key_entry){1, key->line, secret_ref(key->secret), traits};
    batch->living++;
    return entry;
}

static struct key_batch *batch_new(size_t capacity)
{
    struct key_batch *batch = large_calloc(1, sizeof *batch + capacity * sizeof batch->entries[0]);

    if (batch)
        batch->living = 1;
    return batch;
}

/* Drops the ring's references to its entries. NULL is allowed. */
static void batch_drop(struct key_batch *batch)
{
    for (size_t i = 0; batch && i < batch->count; i++)
        key_entry_unref(&batch->entries[i]);
    if (batch)
        batch_unref(batch);
}

static void mark_unseen(struct garbage *garbage)
{
    ((struct key_batch *)(void *)garbage)->unseen = true;
}

static bool copy_text(const char *text, char **ret)
{
    *ret = text ? strdup(text) : NULL;
    return !text || *ret;
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

/* ---- the lock ---------------------------------------------------------------------------- */

static int64_t lock(struct keyring *ring, int64_t now_ns)
{
    if (pthread_mutex_trylock(&ring->lock) != 0) {
        __atomic_add_fetch(&ring->came, 1, __ATOMIC_RELAXED);
        pthread_mutex_lock(&ring->lock);
        __atomic_add_fetch(&ring->passed, 1, __ATOMIC_RELAXED);
    }
    if (now_ns > ring->latest_ns)
        ring->latest_ns = now_ns;
    return ring->latest_ns;
}

/* ---- news -------------------------------------------------------------------------------- */

/* News taken under the lock, to be told without it. */
struct told {
    unsigned count;
    struct pool_transition news[NEWS_MAX];
    struct key_entry *entries[NEWS_MAX]; /* references, or NULL */
    bool turned, ready;
};

static bool tells_of(const struct told *told, enum circuit to)
{
    for (unsigned i = 0; i < told->count; i++) {
        if (told->news[i].to == to)
            return true;
    }
    return false;
}

/* Where all keys are out and time lets one be tried again, that is a guess: only a breaker that
 * closes, or a load, proves it. What becomes ready in any other way (an operator's order) is. */
static void take_readiness(struct keyring *ring, struct told *told, bool loaded)
{
    told->ready = pool_any_ready(ring->pool);
    ring->guessing =
        told->ready && ring->down && (ring->guessing || tells_of(told, CIRCUIT_HALF_OPEN));
    bool proven = loaded || tells_of(told, CIRCUIT_CLOSED) || !ring->guessing;
    told->turned = ring->down == told->ready && (!told->ready || proven);
    if (told->turned)
        ring->down = !told->ready;
}

static struct key_entry *entry_of_news(struct keyring *ring, const struct pool_transition *t)
{
    uint64_t cookie;

    if (!pool_news_cookie(ring->pool, t, &cookie))
        return NULL;
    return entry_ref((struct key_entry *)(uintptr_t)cookie);
}

/* Under the lock. What a key is called is looked up now: later it may be gone. */
static void take_news(struct keyring *ring, struct told *told, bool loaded)
{
    told->count = 0;
    while (told->count < NEWS_MAX && pool_news_next(ring->pool, &told->news[told->count])) {
        told->entries[told->count] = entry_of_news(ring, &told->news[told->count]);
        told->count++;
    }
    take_readiness(ring, told, loaded);
}

static void tell_watch(const struct keyring *ring, const struct told *told)
{
    for (unsigned i = 0; i < told->count; i++) {
        ring->watch.news(ring->watch.context, &told->news[i], told->entries[i]);
        key_entry_unref(told->entries[i]);
    }
    if (told->turned)
        ring->watch.readiness(ring->watch.context, told->ready);
}

/* Under the lock, which is let go. Who tells holds no `lock` any more, so waiting for it here is
 * short; without it two threads could tell in the wrong order. */
static void unlock_and_tell(struct keyring *ring, bool loaded)
{
    struct told told;

    take_news(ring, &told, loaded);
    if (told.count == 0 && !told.turned) {
        pthread_mutex_unlock(&ring->lock);
        return;
    }
    pthread_mutex_lock(&ring->telling);
    pthread_mutex_unlock(&ring->lock);
    tell_watch(ring, &told);
    pthread_mutex_unlock(&ring->telling);
}

void keyring_watch(struct keyring *ring, const struct keyring_watch *watch)
{
    ring->watch = *watch;
}

/* Unlocks, and tells the waiting when something changed for them, and the watch what. */
static void unlock_after(struct keyring *ring, bool loaded)
{
    uint64_t epoch = pool_epoch(ring->pool);
    bool changed = epoch != ring->epoch;

    ring->epoch = epoch;
    if (ring->watch.news && (changed || pool_has_news(ring->pool)))
        unlock_and_tell(ring, loaded);
    else
        pthread_mutex_unlock(&ring->lock);
    if (changed && ring->changed)
        ring->changed(ring->context);
}

static void unlock(struct keyring *ring)
{
    unlock_after(ring, false);
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
    load->traits = keep_traits(load->batch, from, service);
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
        .cookie = (uint64_t)(uintptr_t)batch_add(load->batch, key, load->traits),
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
    batch_drop(batch);
}

/* Between two steps of a load: lets those pass who wait for the lock by now. Who unlocks and locks
 * again is faster than any thread that has to wake up first. */
static void let_pass(struct keyring *ring)
{
    uint32_t came = __atomic_load_n(&ring->came, __ATOMIC_RELAXED);

    while ((int32_t)(came - __atomic_load_n(&ring->passed, __ATOMIC_RELAXED)) > 0)
        sched_yield();
}

static enum status stage_all(struct keyring *ring, struct ring_load *load, int64_t now_ns)
{
    size_t count;
    enum status status = specify(ring, load, &count);

    while (status == STATUS_OK && count > 0) {
        lock(ring, now_ns);
        status = pool_load_stage(ring->pool, load->pool_load, load->specs, count);
        unlock(ring);
        let_pass(ring);
        if (status == STATUS_OK)
            status = specify(ring, load, &count);
    }
    return status;
}

/* The keys and the options change together; on failure neither does. */
static enum status commit(struct keyring *ring, struct pool_load *load,
                          const struct pool_options *options, int64_t now_ns)
{
    lock(ring, now_ns);
    enum status status = pool_load_commit(ring->pool, load);
    if (status == STATUS_OK)
        pool_configure(ring->pool, options);
    unlock_after(ring, true); /* new keys are what the waiting wait for */
    return status;
}

static void settle_all(struct keyring *ring, struct pool_load *load, int64_t now_ns)
{
    for (bool done = false; !done; let_pass(ring)) {
        lock(ring, now_ns);
        done = pool_load_settle(ring->pool, load, KEYS_AT_ONCE);
        if (done && ring->batch) {
            ring->batch->garbage.release = mark_unseen;
            pool_defer(ring->pool, &ring->batch->garbage);
        }
        unlock(ring);
    }
}

/* Told in steps, so that no request waits noticeably. */
static enum status tell_pool(struct keyring *ring, struct ring_load *load, int64_t now_ns)
{
    struct pool_options options;
    enum status status = pool_load_new(ring->pool, load->settings->key_count, &load->pool_load);

    if (status != STATUS_OK)
        return status;
    options_from(load->settings, &options);
    status = stage_all(ring, load, now_ns);
    if (status == STATUS_OK)
        status = commit(ring, load->pool_load, &options, now_ns);
    if (status == STATUS_OK) {
        settle_all(ring, load->pool_load, now_ns);
        pool_load_free(load->pool_load);
    } else {
        lock(ring, now_ns);
        pool_load_abandon(ring->pool, load->pool_load);
        unlock(ring);
    }
    return status;
}

/* ---- what came and went ------------------------------------------------------------------ */

/* By the secret, which the vault holds once, and the service. */
static int by_key(const void *left, const void *right)
{
    const struct key_entry *a = *(struct key_entry *const *)left;
    const struct key_entry *b = *(struct key_entry *const *)right;

    if (a->secret != b->secret)
        return a->secret < b->secret ? -1 : 1;
    return (a->traits->service > b->traits->service) - (a->traits->service < b->traits->service);
}

static struct key_entry **sorted_entries(struct key_batch *batch)
{
    struct key_entry **entries = calloc(batch->count + 1, sizeof *entries);

    for (size_t i = 0; entries && i < batch->count; i++)
        entries[i] = &batch->entries[i];
    if (entries)
        qsort(entries, batch->count, sizeof *entries, by_key);
    return entries;
}

/* Entries of `a` that are not in `b`, both sorted; the first of them go to `ret`. */
static size_t missing_from(struct key_entry **a, size_t a_count, struct key_entry **b,
                           size_t b_count, const struct key_entry *ret[KEYRING_NAMED_MAX])
{
    size_t at = 0, missing = 0;

    for (size_t i = 0; i < a_count; i++) {
        while (at < b_count && by_key(&b[at], &a[i]) < 0)
            at++;
        if (at < b_count && by_key(&b[at], &a[i]) == 0)
            continue;
        if (missing < KEYRING_NAMED_MAX)
            ret[missing] = a[i];
        missing++;
    }
    return missing;
}

static void tell_keys(const struct keyring *ring, bool came, const struct key_entry **entries,
                      size_t count)
{
    if (count > KEYRING_NAMED_MAX) {
        ring->watch.keys(ring->watch.context, came, NULL, count);
        return;
    }
    for (size_t i = 0; i < count; i++)
        ring->watch.keys(ring->watch.context, came, entries[i], 1);
}

static void compare(struct keyring *ring, struct key_batch *before, struct key_batch *after)
{
    const struct key_entry *named[KEYRING_NAMED_MAX];
    struct key_entry **old = sorted_entries(before), **new = sorted_entries(after);

    if (old && new) {
        size_t came = missing_from(new, after->count, old, before->count, named);
        tell_keys(ring, true, named, came);
        size_t gone = missing_from(old, before->count, new, after->count, named);
        tell_keys(ring, false, named, gone);
    }
    free(old);
    free(new);
}

/* Of very many keys only how many more or fewer there are: comparing each would take longer than the
 * load. */
static void tell_changes(struct keyring *ring, struct key_batch *before, struct key_batch *after)
{
    if (!ring->watch.keys || !before)
        return;
    pthread_mutex_lock(&ring->telling);
    if (before->count <= KEYRING_COMPARED_MAX && after->count <= KEYRING_COMPARED_MAX)
        compare(ring, before, after);
    else if (before->count != after->count)
        ring->watch.keys(ring->watch.context, after->count > before->count, NULL,
                         after->count > before->count ? after->count - before->count
                                                      : before->count - after->count);
    pthread_mutex_unlock(&ring->telling);
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

enum status keyring_load(struct keyring *ring, const struct settings *settings, int64_t now_ns)
{
    struct ring_load *load = malloc(sizeof *load);
    struct key_batch *batch = batch_new(settings->key_count);
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
        tell_changes(ring, ring->batch, batch);
        retire(ring, ring->batch);
        ring->batch = batch;
    } else {
        batch_drop(batch);
    }
    pthread_mutex_unlock(&ring->loading);
    free(load);
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
    pthread_mutex_init(&ring->loading, NULL);
    pthread_mutex_init(&ring->telling, NULL);
    ring->has_reader_key = pthread_key_create(&ring->reader, NULL) == 0;
    options_from(settings, &options);
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
    batch_drop(ring->batch);
    if (ring->has_reader_key)
        pthread_key_delete(ring->reader);
    for (uint32_t i = 0; i < __atomic_load_n(&ring->service_count, __ATOMIC_ACQUIRE); i++)
        service_clear(&ring->services[i]);
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

/* ---- plans ------------------------------------------------------------------------------- */

/* A key's entry while it is loaded or has a plan in flight. */
static struct key_entry *entry_of(struct keyring *ring, key_id key)
{
    return (struct key_entry *)(uintptr_t)pool_key_cookie(ring->pool, key);
}

/* Which key it was, without telling what it is. The same secret at two services is two keys. */
static uint64_t fingerprint_of(const struct keyring *ring, const struct key_entry *entry)
{
    const struct service_url *url = keyring_service(ring, entry->traits->service);

    return hash_mix(hash_bytes(&ring->fingerprint_seed, secret_bytes(entry->secret)),
                    hash_bytes(&ring->fingerprint_seed, slice_str(url->text)));
}

/* A request goes on with another key than the one that failed last. */
static bool is_failover(const struct plan *plan, const struct plan_step *step)
{
    return step->action == PLAN_SEND && plan->attempt_count > 0 &&
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
    *ret_entry = ret_step->action == PLAN_SEND ? entry_ref(entry_of(ring, ret_step->key)) : NULL;
    if (is_failover(plan, ret_step))
        tally_failover(&ring->tally, fingerprint_of(ring, *ret_entry));
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
        *ret_entry = entry_ref((struct key_entry *)(uintptr_t)cookie);
    pool_leave(reader);
    return begun;
}

void keyring_begin(struct keyring *ring, struct plan *plan, const struct plan_request *request,
                   int64_t now_ns, struct plan_step *ret_step, struct key_entry **ret_entry)
{
    struct pool_reader *reader = my_reader(ring);

    if (!request->drill_keys && begin_fast(reader, plan, request, now_ns, ret_step, ret_entry))
        return;
    now_ns = lock(ring, now_ns);
    if (!reader || request->drill_keys)
        plan_start(plan, ring->pool, request, now_ns);
    next_locked(ring, reader, plan, now_ns, ret_step, ret_entry);
    unlock(ring);
}

void keyring_next(struct keyring *ring, struct plan *plan, int64_t now_ns,
                  struct plan_step *ret_step, struct key_entry **ret_entry)
{
    struct pool_reader *reader = my_reader(ring);

    now_ns = lock(ring, now_ns);
    next_locked(ring, reader, plan, now_ns, ret_step, ret_entry);
    unlock(ring);
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
    if (verdict->reaction != REACT_SUCCESS)
        tally_failure(&ring->tally, fingerprint_of(ring, entry_of(ring, plan->current)),
                      history_group_of(verdict->failure));
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

    if (report_fast(ring, plan, facts, fast_succeed))
        return;
    now_ns = lock(ring, now_ns);
    (void)hear_locked(ring, plan, &success, NULL, facts, now_ns);
    plan_end(plan, now_ns);
    unlock(ring);
}

void keyring_proven(struct keyring *ring, struct plan *plan, const struct answer_facts *facts,
                    int64_t now_ns)
{
    if (report_fast(ring, plan, facts, fast_proven))
        return;
    now_ns = lock(ring, now_ns);
    tell_facts(ring, plan, facts, now_ns);
    plan_proven(plan, now_ns);
    unlock(ring);
}

void keyring_end(struct keyring *ring, struct plan *plan, int64_t now_ns)
{
    if (plan_is_over(plan))
        return;
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

static void keep_slice(struct slice *view, char *own, size_t size)
{
    *view = slice_of(own, slice_copy(*view, own, size));
}

static void status_locked(struct keyring *ring, size_t index, int64_t now_ns,
                          struct key_status *ret)
{
    pool_view(ring->pool, index, now_ns, &ret->view);
    const struct key_entry *entry = (struct key_entry *)(uintptr_t)ret->view.cookie;
    (void)key_entry_mask(entry, ret->mask);
    (void)key_entry_name(entry, ret->name);
    keep_slice(&ret->view.organization, ret->organization, sizeof ret->organization);
    keep_slice(&ret->view.project, ret->project, sizeof ret->project);
    ret->model_count = pool_view_models(ring->pool, index, now_ns, ret->models);
}

/* The next keys in order from `from` on; false when these were the last. */
static bool glance(struct keyring *ring, size_t from, int64_t now_ns, struct keyring_census *census)
{
    struct key_view view;

    pthread_mutex_lock(&ring->lock);
    size_t count = pool_count(ring->pool), to = from + KEYRING_GLANCE;
    for (size_t i = from; i < to && i < count; i++) {
        pool_view(ring->pool, i, now_ns, &view);
        census->keys[key_condition_of(&view)]++;
    }
    pthread_mutex_unlock(&ring->lock);
    return to < count;
}

void keyring_census(struct keyring *ring, int64_t now_ns, struct keyring_census *ret)
{
    memset(ret, 0, sizeof *ret);
    pthread_mutex_lock(&ring->lock);
    pool_figures(ring->pool, &ret->pool);
    pool_headroom(ring->pool, now_ns, ret->headroom);
    pthread_mutex_unlock(&ring->lock);
    ret->services = __atomic_load_n(&ring->service_count, __ATOMIC_ACQUIRE);
    if (ret->pool.blocking == 0) {
        ret->keys[KEY_HEALTHY] = ret->pool.keys;
        return;
    }
    for (size_t from = 0; glance(ring, from, now_ns, ret); from += KEYRING_GLANCE)
        let_pass(ring);
}

bool keyring_status(struct keyring *ring, size_t index, int64_t now_ns, struct key_status *ret)
{
    pthread_mutex_lock(&ring->lock);
    bool found = index < pool_count(ring->pool);
    if (found)
        status_locked(ring, index, now_ns, ret);
    pthread_mutex_unlock(&ring->lock);
    return found;
}

size_t keyring_statuses(struct keyring *ring, size_t index, int64_t now_ns,
                        struct key_status ret[KEYRING_STATUSES_AT_ONCE])
{
    size_t count = 0;

    pthread_mutex_lock(&ring->lock);
    for (; count < KEYRING_STATUSES_AT_ONCE && index + count < pool_count(ring->pool); count++)
        status_locked(ring, index + count, now_ns, &ret[count]);
    pthread_mutex_unlock(&ring->lock);
    let_pass(ring);
    return count;
}

/* ---- an operator's orders ---------------------------------------------------------------- */

/* Keys looked at while the lock is held: some 0.1 ms. */
#define SEARCH_AT_ONCE 512

/* Where a key was found, and whether it is still that one. */
struct finding {
    size_t index;
    uint64_t cookie;
    size_t matches;
};

struct key_search {
    const char *id;
    struct finding by_name, by_mask;
};

static void note_match(struct finding *finding, size_t index, uint64_t cookie)
{
    if (finding->matches++)
        return;
    finding->index = index;
    finding->cookie = cookie;
}

static void compare_key(struct keyring *ring, struct key_search *search, size_t index)
{
    char mask[SECRET_MASK_MAX], name[KEY_NAME_MAX];
    uint64_t cookie = pool_key_cookie(ring->pool, pool_key_at(ring->pool, index));
    const struct key_entry *entry = (struct key_entry *)(uintptr_t)cookie;

    if (strcmp(key_entry_name(entry, name), search->id) == 0)
        note_match(&search->by_name, index, cookie);
    if (strcmp(key_entry_mask(entry, mask), search->id) == 0)
        note_match(&search->by_mask, index, cookie);
}

static void search_keys(struct keyring *ring, struct key_search *search)
{
    size_t index = 0, count;

    do {
        pthread_mutex_lock(&ring->lock);
        count = pool_count(ring->pool);
        for (size_t i = 0; i < SEARCH_AT_ONCE && index < count; i++)
            compare_key(ring, search, index++);
        pthread_mutex_unlock(&ring->lock);
        let_pass(ring);
    } while (index < count);
}

static void apply_order(struct pool *pool, key_id key, enum key_order order)
{
    switch (order) {
    case KEY_ORDER_RESET: pool_reset(pool, key); return;
    case KEY_ORDER_DISABLE: pool_disable(pool, key); return;
    case KEY_ORDER_ENABLE: pool_enable(pool, key); return;
    }
}

/* A reload may have come between the search and this. `cookie` 0: whatever is there. */
static bool order_at(struct keyring *ring, size_t index, uint64_t cookie, enum key_order order,
                     int64_t now_ns, struct key_status *ret)
{
    now_ns = lock(ring, now_ns);
    bool found = index < pool_count(ring->pool);
    if (found) {
        key_id key = pool_key_at(ring->pool, index);
        found = !cookie || pool_key_cookie(ring->pool, key) == cookie;
        if (found) {
            apply_order(ring->pool, key, order);
            status_locked(ring, index, now_ns, ret);
        }
    }
    unlock(ring);
    return found;
}

enum key_match keyring_order(struct keyring *ring, const char *id, enum key_order order,
                             int64_t now_ns, struct key_status *ret)
{
    struct key_search search = {.id = id};
    uint64_t index;

    if (number_parse(slice_str(id), SIZE_MAX, &index) == STATUS_OK)
        return order_at(ring, (size_t)index, 0, order, now_ns, ret) ? KEY_MATCH_ONE
                                                                    : KEY_MATCH_NONE;
    search_keys(ring, &search);
    struct finding *found = search.by_name.matches ? &search.by_name : &search.by_mask;
    if (found->matches > 1)
        return KEY_MATCH_MANY;
    return found->matches && order_at(ring, found->index, found->cookie, order, now_ns, ret)
               ? KEY_MATCH_ONE
               : KEY_MATCH_NONE;
}

/* ---- the history's questions ------------------------------------------------------------- */

void keyring_fingerprint_by(struct keyring *ring, struct hash_seed seed)
{
    pthread_mutex_lock(&ring->lock);
    ring->fingerprint_seed = seed;
    pthread_mutex_unlock(&ring->lock);
}

size_t keyring_sample(struct keyring *ring, size_t first, struct key_sample *ret, size_t most)
{
    struct key_view view;
    size_t count = 0;

    pthread_mutex_lock(&ring->lock);
    for (; count < most && first + count < pool_count(ring->pool); count++) {
        struct key_sample *sample = &ret[count];
        pool_view(ring->pool, first + count, 0, &view);
        const struct key_entry *entry = (struct key_entry *)(uintptr_t)view.cookie;
        sample->fingerprint = fingerprint_of(ring, entry);
        sample->requests = view.requests;
        sample->successes = view.successes;
        (void)key_entry_mask(entry, sample->mask);
        (void)key_entry_name(entry, sample->name);
    }
    pthread_mutex_unlock(&ring->lock);
    return count;
}

void keyring_take_tally(struct keyring *ring, struct tally *ret)
{
    pthread_mutex_lock(&ring->lock);
    *ret = ring->tally;
    ring->tally = (struct tally){0};
    pthread_mutex_unlock(&ring->lock);
}
