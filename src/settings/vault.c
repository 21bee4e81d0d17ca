/* The vault: secrets in pages of their own.
 *
 * Layout. Regions are mapped anonymously, locked, and left out of dumps. Secrets are cut from the
 * end of the newest region one behind the other (a bump pointer), each with a header of 32 bytes:
 *
 *     region ─▶ │ header │ secret │ secret │ … │ unused │
 *                          │
 *                          ├ hash, vault, next in bucket, references, length
 *                          └ the bytes, rounded up to GRAIN
 *
 * so a million keys of 164 bytes cost about 208 MB and some two hundred system calls. A dropped
 * secret is wiped and waits in the free list of its size for the next one of that size: a reload
 * that replaces keys by keys of the same form never grows the vault.
 *
 * Always true: a secret that is in the index has references > 0; the step to 0 is taken only
 * under the lock, so that vault_put never revives what is being wiped; regions are unmapped by
 * vault_free alone, so a wiped secret's address can still be looked at (and is, by the test).
 *
 * Left to others: keeping copies short-lived. What was read from a file or the environment must be
 * wiped by whoever read it.
 */
#include "settings/vault.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "base/hash.h"

enum {
    GRAIN = 16, /* secrets are sized in steps of this */
    FIRST_REGION_BYTES =
        16384, /* a handful of keys fits the smallest usual RLIMIT_MEMLOCK, 64 KiB */
    LARGEST_REGION_BYTES = 1 << 20,
    FIRST_BUCKETS = 64,
};

struct secret {
    uint64_t hash;
    struct vault *vault;
    struct secret *next; /* in its bucket, or in its free list */
    atomic_uint references;
    uint32_t len;
    char bytes[];
};

enum {
    SIZE_CLASSES = (sizeof(struct secret) + SECRET_MAX_BYTES + GRAIN - 1) / GRAIN + 1,
};

struct region {
    struct region *next;
    size_t bytes, used;
};

_Static_assert(sizeof(struct region) % _Alignof(struct secret) == 0, "secrets start aligned");
_Static_assert(GRAIN % _Alignof(struct secret) == 0, "and stay aligned");

struct vault {
    pthread_mutex_t lock;
    struct hash_seed seed;
    struct region *regions; /* newest first; only the newest has room */
    struct secret *free[SIZE_CLASSES];
    struct secret **buckets; /* the index; a power of two of them */
    size_t bucket_count, secret_count;
    atomic_bool unlocked; /* some region could not be locked */
};

/* ---- regions ---------------------------------------------------------------------------------- */

static struct region *region_map(struct vault *vault, size_t bytes)
{
    struct region *region =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (region == MAP_FAILED)
        return NULL;
    if (mlock(region, bytes) != 0)
        atomic_store(&vault->unlocked, true);
    /* Kernels without the advice still have the rest of the protection. */
    (void)madvise(region, bytes, MADV_DONTDUMP);
    region->bytes = bytes;
    region->used = sizeof *region;
    region->next = vault->regions;
    vault->regions = region;
    return region;
}

static void *cut(struct vault *vault, size_t bytes)
{
    struct region *region = vault->regions;

    if (!region || region->bytes - region->used < bytes) {
        size_t size = region ? region->bytes * 2 : FIRST_REGION_BYTES;
        region = region_map(vault, size < LARGEST_REGION_BYTES ? size : LARGEST_REGION_BYTES);
        if (!region)
            return NULL;
    }
    void *piece = (char *)region + region->used;
    region->used += bytes;
    return piece;
}

static size_t size_class(size_t len)
{
    return (sizeof(struct secret) + len + GRAIN - 1) / GRAIN;
}

/* A wiped one of the same size, or fresh memory. */
static struct secret *take(struct vault *vault, size_t len)
{
    size_t class = size_class(len);
    struct secret *secret = vault->free[class];

    if (!secret)
        return cut(vault, class * GRAIN);
    vault->free[class] = secret->next;
    return secret;
}

/* ---- the index -------------------------------------------------------------------------------- */

static struct secret **bucket_of(const struct vault *vault, uint64_t hash)
{
    return &vault->buckets[hash & (vault->bucket_count - 1)];
}

static struct secret *find(const struct vault *vault, uint64_t hash, struct slice bytes)
{
    for (struct secret *s = *bucket_of(vault, hash); s; s = s->next) {
        if (s->hash == hash && slice_eq(secret_bytes(s), bytes))
            return s;
    }
    return NULL;
}

static void link_secret(struct vault *vault, struct secret *secret)
{
    struct secret **bucket = bucket_of(vault, secret->hash);

    secret->next = *bucket;
    *bucket = secret;
}

static void unlink_secret(struct vault *vault, struct secret *secret)
{
    struct secret **at = bucket_of(vault, secret->hash);

    while (*at != secret)
        at = &(*at)->next;
    *at = secret->next;
}

/* Doubles the buckets when there are as many secrets; a failure only makes chains longer. */
static void grow_index(struct vault *vault)
{
    if (vault->secret_count < vault->bucket_count)
        return;
    size_t old_count = vault->bucket_count;
    struct secret **old = vault->buckets;
    struct secret **buckets = calloc(old_count * 2, sizeof *buckets);
    if (!buckets)
        return;
    vault->buckets = buckets;
    vault->bucket_count = old_count * 2;
    for (size_t i = 0; i < old_count; i++) {
        for (struct secret *s = old[i], *next; s; s = next) {
            next = s->next;
            link_secret(vault, s);
        }
    }
    free(old);
}

/* ---- the vault -------------------------------------------------------------------------------- */

enum status vault_new(struct vault **ret_vault)
{
    struct vault *vault = calloc(1, sizeof *vault);

    if (!vault)
        return STATUS_NO_MEMORY;
    vault->bucket_count = FIRST_BUCKETS;
    vault->buckets = calloc(FIRST_BUCKETS, sizeof(struct secret *));
    if (!vault->buckets)
        goto fail_buckets;
    /* 16 bytes at once are never cut short (getrandom(2)); it can fail only before the kernel's
     * pool is ready on systems without the call, where no secret should be hashed. */
    if (getrandom(&vault->seed, sizeof vault->seed, 0) != (ssize_t)sizeof vault->seed)
        goto fail_seed;
    if (pthread_mutex_init(&vault->lock, NULL) != 0)
        goto fail_seed;
    *ret_vault = vault;
    return STATUS_OK;

fail_seed:
    free(vault->buckets);
fail_buckets:
    free(vault);
    return STATUS_NO_MEMORY;
}

void vault_free(struct vault *vault)
{
    if (!vault)
        return;
    for (struct region *region = vault->regions, *next; region; region = next) {
        size_t bytes = region->bytes;

        next = region->next;
        explicit_bzero(region, bytes);
        (void)munmap(region, bytes);
    }
    pthread_mutex_destroy(&vault->lock);
    free(vault->buckets);
    explicit_bzero(&vault->seed, sizeof vault->seed);
    free(vault);
}

bool vault_locked(const struct vault *vault)
{
    return !atomic_load(&vault->unlocked);
}

static struct secret *store(struct vault *vault, uint64_t hash, struct slice bytes)
{
    struct secret *secret = take(vault, bytes.len);

    if (!secret)
        return NULL;
    grow_index(vault);
    secret->hash = hash;
    secret->vault = vault;
    secret->len = (uint32_t)bytes.len;
    memcpy(secret->bytes, bytes.ptr, bytes.len);
    atomic_init(&secret->references, 1);
    link_secret(vault, secret);
    vault->secret_count++;
    return secret;
}

enum status vault_put(struct vault *vault, struct slice bytes, struct secret **ret_secret)
{
    if (bytes.len == 0 || bytes.len > SECRET_MAX_BYTES)
        return STATUS_LIMIT;
    uint64_t hash = hash_bytes(&vault->seed, bytes);

    pthread_mutex_lock(&vault->lock);
    struct secret *secret = find(vault, hash, bytes);
    if (secret)
        secret_ref(secret);
    else
        secret = store(vault, hash, bytes);
    pthread_mutex_unlock(&vault->lock);
    if (!secret)
        return STATUS_NO_MEMORY;
    *ret_secret = secret;
    return STATUS_OK;
}

/* ---- one secret ------------------------------------------------------------------------------- */

struct secret *secret_ref(struct secret *secret)
{
    atomic_fetch_add_explicit(&secret->references, 1, memory_order_relaxed);
    return secret;
}

/* Drops a reference that is not the last; false when it may be. */
static bool drop_shared(struct secret *secret)
{
    unsigned seen = atomic_load_explicit(&secret->references, memory_order_relaxed);

    while (seen > 1) {
        if (atomic_compare_exchange_weak_explicit(&secret->references, &seen, seen - 1,
                                                  memory_order_release, memory_order_relaxed))
            return true;
    }
    return false;
}

/* Under the lock, without references. Hash and bytes go; the size stays, as its free list. */
static void wipe(struct vault *vault, struct secret *secret)
{
    size_t class = size_class(secret->len);

    unlink_secret(vault, secret);
    vault->secret_count--;
    explicit_bzero(secret->bytes, secret->len);
    secret->hash = 0;
    secret->next = vault->free[class];
    vault->free[class] = secret;
}

void secret_unref(struct secret *secret)
{
    if (!secret || drop_shared(secret))
        return;
    struct vault *vault = secret->vault;

    pthread_mutex_lock(&vault->lock);
    if (atomic_fetch_sub_explicit(&secret->references, 1, memory_order_acq_rel) == 1)
        wipe(vault, secret);
    pthread_mutex_unlock(&vault->lock);
}

struct slice secret_bytes(const struct secret *secret)
{
    return slice_of(secret->bytes, secret->len);
}

uint64_t secret_hash(const struct secret *secret)
{
    return secret->hash;
}

bool secret_equals(const struct secret *secret, struct slice presented)
{
    /* The time depends on the length of what was presented, which its sender knows anyway. */
    volatile unsigned difference = secret->len != presented.len;
    size_t last = secret->len - 1;

    for (size_t i = 0; i < presented.len; i++) {
        unsigned char mine = (unsigned char)secret->bytes[i < last ? i : last];
        difference |= (unsigned)(mine ^ (unsigned char)presented.ptr[i]);
    }
    return difference == 0;
}

void secret_mask(struct slice bytes, char out[SECRET_MASK_MAX])
{
    enum { HEAD = 7, TAIL = 4, SHORTEST = 20 };
    _Static_assert(HEAD + 3 + TAIL < SECRET_MASK_MAX, "the mask fits");
    size_t at = 0;

    if (bytes.len >= SHORTEST) {
        memcpy(out, bytes.ptr, HEAD);
        at = HEAD;
    }
    memcpy(out + at, "...", 3);
    at += 3;
    if (bytes.len >= SHORTEST) {
        memcpy(out + at, bytes.ptr + bytes.len - TAIL, TAIL);
        at += TAIL;
    }
    out[at] = '\0';
}
