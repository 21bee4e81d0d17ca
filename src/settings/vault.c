/* The vault: secrets in pages of their own.
 *
 * Layout. Regions are mapped anonymously, locked, and left out of dumps. Secrets are cut from the
 * end of the newest region one behind the other (a bump pointer), each with a header of 26 bytes:
 *
 *     region ─▶ │ header │ secret │ secret │ … │ unused │
 *                          │
 *                          ├ hash, vault, references, note, length
 *                          └ the bytes, the whole rounded up to GRAIN
 *
 * so a million keys of 164 bytes cost about 192 MB and some two hundred system calls. A dropped
 * secret is wiped and waits in the free list of its size for the next one of that size: a reload
 * that replaces keys by keys of the same form never grows the vault.
 *
 * The index is a hash table of the secrets with their hashes: linear probing, at most three quarters
 * full. What a million keys cost is mostly waiting for memory; so a search looks at no secret but
 * the one it finds, and who puts several at once (vault_put_all) waits for all their slots together.
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
#include "base/large.h"

enum {
    GRAIN = 8, /* secrets are sized in steps of this */
    FIRST_REGION_BYTES =
        16384, /* a handful of keys fits the smallest usual RLIMIT_MEMLOCK, 64 KiB */
    LARGEST_REGION_BYTES = 1 << 20,
    FIRST_SLOTS = 64,
};

struct secret {
    union {
        uint64_t hash;
        struct secret *next_free; /* of a wiped one: in the free list of its size */
    };
    struct vault *vault;
    atomic_uint references;
    uint32_t note; /* the owner's of the vault (secret_note) */
    uint16_t len;
    char bytes[];
};

enum {
    HEADER_BYTES = offsetof(struct secret, bytes),
    SIZE_CLASSES = (HEADER_BYTES + SECRET_MAX_BYTES + GRAIN - 1) / GRAIN + 1,
};

struct region {
    struct region *next;
    size_t bytes, used;
};

_Static_assert(sizeof(struct region) % _Alignof(struct secret) == 0, "secrets start aligned");
_Static_assert(GRAIN % _Alignof(struct secret) == 0, "and stay aligned");
_Static_assert(SECRET_MAX_BYTES <= UINT16_MAX, "the length fits");

struct slot {
    uint64_t hash;
    struct secret *secret; /* NULL = free */
};

struct vault {
    pthread_mutex_t lock;
    struct hash_seed seed;
    struct region *regions; /* newest first; only the newest has room */
    struct secret *free[SIZE_CLASSES];
    struct slot *slots; /* the index; a power of two of them */
    size_t slot_count, secret_count;
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
    return (HEADER_BYTES + len + GRAIN - 1) / GRAIN;
}

/* A wiped one of the same size, or fresh memory. */
static struct secret *take(struct vault *vault, size_t len)
{
    size_t class = size_class(len);
    struct secret *secret = vault->free[class];

    if (!secret)
        return cut(vault, class * GRAIN);
    vault->free[class] = secret->next_free;
    return secret;
}

/* ---- the index -------------------------------------------------------------------------------- */

static struct slot *slot_after(const struct vault *vault, const struct slot *slot)
{
    return &vault->slots[(size_t)(slot + 1 - vault->slots) & (vault->slot_count - 1)];
}

static struct slot *home_of(const struct vault *vault, uint64_t hash)
{
    return &vault->slots[hash & (vault->slot_count - 1)];
}

/* Where the secret of these bytes stands, or the free slot where it would. */
static struct slot *find(const struct vault *vault, uint64_t hash, struct slice bytes)
{
    struct slot *slot = home_of(vault, hash);

    while (slot->secret && !(slot->hash == hash && slice_eq(secret_bytes(slot->secret), bytes)))
        slot = slot_after(vault, slot);
    return slot;
}

static void put_in(struct vault *vault, struct slot entry)
{
    struct slot *slot = home_of(vault, entry.hash);

    while (slot->secret)
        slot = slot_after(vault, slot);
    *slot = entry;
}

/* Those behind the gap are put in again, so that no search stops short of them. */
static void take_out(struct vault *vault, struct secret *secret)
{
    struct slot *slot = home_of(vault, secret->hash);

    while (slot->secret != secret)
        slot = slot_after(vault, slot);
    slot->secret = NULL;
    for (slot = slot_after(vault, slot); slot->secret; slot = slot_after(vault, slot)) {
        struct slot entry = *slot;
        slot->secret = NULL;
        put_in(vault, entry);
    }
}

static enum status grow_index(struct vault *vault)
{
    struct slot *old = vault->slots;
    size_t old_count = vault->slot_count;

    if (vault->secret_count < old_count / 4 * 3)
        return STATUS_OK;
    struct slot *slots = large_calloc(old_count * 2, sizeof *slots);
    if (!slots)
        return STATUS_NO_MEMORY;
    vault->slots = slots;
    vault->slot_count = old_count * 2;
    for (size_t i = 0; i < old_count; i++) {
        if (old[i].secret)
            put_in(vault, old[i]);
    }
    free(old);
    return STATUS_OK;
}

/* ---- the vault -------------------------------------------------------------------------------- */

enum status vault_new(struct vault **ret_vault)
{
    struct vault *vault = calloc(1, sizeof *vault);

    if (!vault)
        return STATUS_NO_MEMORY;
    vault->slot_count = FIRST_SLOTS;
    vault->slots = large_calloc(FIRST_SLOTS, sizeof *vault->slots);
    if (!vault->slots)
        goto fail_slots;
    /* 16 bytes at once are never cut short (getrandom(2)); it can fail only before the kernel's
     * pool is ready on systems without the call, where no secret should be hashed. */
    if (getrandom(&vault->seed, sizeof vault->seed, 0) != (ssize_t)sizeof vault->seed)
        goto fail_seed;
    if (pthread_mutex_init(&vault->lock, NULL) != 0)
        goto fail_seed;
    *ret_vault = vault;
    return STATUS_OK;

fail_seed:
    free(vault->slots);
fail_slots:
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
    free(vault->slots);
    explicit_bzero(&vault->seed, sizeof vault->seed);
    free(vault);
}

bool vault_locked(const struct vault *vault)
{
    return !atomic_load(&vault->unlocked);
}

static struct secret *store(struct vault *vault, uint64_t hash, struct slice bytes)
{
    struct secret *secret = grow_index(vault) == STATUS_OK ? take(vault, bytes.len) : NULL;

    if (!secret)
        return NULL;
    secret->hash = hash;
    secret->vault = vault;
    secret->note = 0;
    secret->len = (uint16_t)bytes.len;
    memcpy(secret->bytes, bytes.ptr, bytes.len);
    atomic_store_explicit(&secret->references, 1, memory_order_relaxed);
    put_in(vault, (struct slot){hash, secret});
    vault->secret_count++;
    return secret;
}

static bool all_fit(const struct slice *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes[i].len == 0 || bytes[i].len > SECRET_MAX_BYTES)
            return false;
    }
    return true;
}

/* Under the lock; the reference is the caller's. */
static struct secret *find_or_store(struct vault *vault, uint64_t hash, struct slice bytes)
{
    struct secret *secret = find(vault, hash, bytes)->secret;

    return secret ? secret_ref(secret) : store(vault, hash, bytes);
}

enum status vault_put_all(struct vault *vault, const struct slice *bytes, size_t count,
                          struct secret **ret_secrets)
{
    uint64_t hashes[VAULT_AT_ONCE];
    size_t done = 0;

    if (count > VAULT_AT_ONCE || !all_fit(bytes, count))
        return STATUS_LIMIT;
    pthread_mutex_lock(&vault->lock);
    for (size_t i = 0; i < count; i++) {
        hashes[i] = hash_bytes(&vault->seed, bytes[i]);
        __builtin_prefetch(home_of(vault, hashes[i]), 1);
    }
    for (; done < count; done++) {
        ret_secrets[done] = find_or_store(vault, hashes[done], bytes[done]);
        if (!ret_secrets[done])
            break;
    }
    pthread_mutex_unlock(&vault->lock);
    if (done == count)
        return STATUS_OK;
    while (done > 0)
        secret_unref(ret_secrets[--done]);
    return STATUS_NO_MEMORY;
}

enum status vault_put(struct vault *vault, struct slice bytes, struct secret **ret_secret)
{
    struct secret *secret;
    enum status status = vault_put_all(vault, &bytes, 1, &secret);

    if (status == STATUS_OK)
        *ret_secret = secret;
    return status;
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

    take_out(vault, secret);
    vault->secret_count--;
    explicit_bzero(secret->bytes, secret->len);
    secret->next_free = vault->free[class]; /* over the hash */
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

bool secret_beside(const struct secret *secret, struct slice bytes)
{
    struct vault *vault = secret->vault;
    uint64_t hash = hash_bytes(&vault->seed, bytes);

    pthread_mutex_lock(&vault->lock);
    bool found = find(vault, hash, bytes)->secret != NULL;
    pthread_mutex_unlock(&vault->lock);
    return found;
}

uint64_t secret_hash(const struct secret *secret)
{
    return secret->hash;
}

uint32_t *secret_note(struct secret *secret)
{
    return &secret->note;
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
