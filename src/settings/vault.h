/* The vault: the one place where secrets live.
 *
 * Pages of their own, locked into memory, left out of core dumps, overwritten when dropped.
 * Everyone else holds a handle; the bytes are borrowed for as long as it takes to write them to a
 * socket. Reference counts let a reload drop a key while its last request still uses it.
 *
 * Threads: all functions may be called from any thread.
 */
#ifndef SPAREKEY_SETTINGS_VAULT_H
#define SPAREKEY_SETTINGS_VAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SECRET_MAX_BYTES 4096 /* longest secret taken: workload identity tokens are long */

/* A secret at rest: an address inside the vault, stable until its last reference is dropped. */
struct secret;

struct vault;

/* STATUS_NO_MEMORY. A locking limit (RLIMIT_MEMLOCK) that is too low is not an error: the pages
 * stay unlocked and vault_locked says so. */
NODISCARD
enum status vault_new(struct vault **ret_vault);

/* Wipes and frees everything; no secret of it may be in use any more. NULL is allowed. */
void vault_free(struct vault *vault);

bool vault_locked(const struct vault *vault);

/* Copies `bytes` (1 … SECRET_MAX_BYTES) in, or finds the same bytes already there; either way one
 * reference is the caller's. STATUS_NO_MEMORY, STATUS_LIMIT. */
NODISCARD
enum status vault_put(struct vault *vault, struct slice bytes, struct secret **ret_secret);

/* The same for several, faster: all of them or none. Nothing in `ret_secrets` counts on failure. */
#define VAULT_AT_ONCE 64
NODISCARD
enum status vault_put_all(struct vault *vault, const struct slice *bytes, size_t count,
                          struct secret **ret_secrets);

struct secret *secret_ref(struct secret *secret);

/* Drops a reference; the last one overwrites the bytes. NULL is allowed. */
void secret_unref(struct secret *secret);

/* The bytes, valid while a reference is held. */
struct slice secret_bytes(const struct secret *secret);

/* Whether these bytes are a secret of the same vault: for texts that must show none of them. */
bool secret_beside(const struct secret *secret, struct slice bytes);

/* A salted hash, the same for the same bytes within this process, of no use outside it. */
uint64_t secret_hash(const struct secret *secret);

/* A number that the owner of the vault keeps beside the secret, 0 at first: loads find a key's
 * double by it (keys.c). Not guarded: one thread at a time. */
uint32_t *secret_note(struct secret *secret);

/* Constant-time comparison with what a client presented. */
bool secret_equals(const struct secret *secret, struct slice presented);

/* "sk-proj...N0IA": first 7, "...", last 4; "..." when shorter than 20 bytes. */
#define SECRET_MASK_MAX 16
void secret_mask(struct slice bytes, char out[SECRET_MASK_MAX]);

#ifdef __cplusplus
}
#endif
#endif
