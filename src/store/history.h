/* The history: what every key did in every minute, in SQLite.
 *
 *     keys      id | fingerprint | mask | name | seen       0 is all keys together, 1 those beyond
 *     minutes   key | minute | requests, successes, …         the most that are told apart
 *
 * Always true:
 * - no secret is stored: a key is its mask, its name and a hash salted with a number of the file's
 *   own, so that the same key is known again and nothing about it can be guessed;
 * - rows are sums: what is added to a minute that is there already is added up, so two gateways may
 *   share one file, and a gateway that is started anew within a minute loses nothing of it;
 * - a minute of more than HISTORY_KEYS_PER_MINUTE keys has the others in one row; minutes older than
 *   the days asked for are removed. So a file has a largest size: about 40 bytes a row.
 * - the file is its owner's alone (0600). One that is damaged is set aside as FILE.damaged, and one
 *   that is removed is missed at the next history_add: a new one is begun, with a warning. The
 *   history is for people, nothing that serves a request depends on it;
 * - a file that never was a database, or another program's, is refused and stays as it is.
 *
 * Without a file it is kept in memory, of all keys together only, for HISTORY_MEMORY_MINUTES.
 *
 * Threads: any; a lock of its own, held while SQLite works, so never from a loop thread.
 */
#ifndef SPAREKEY_STORE_HISTORY_H
#define SPAREKEY_STORE_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/hash.h"
#include "base/status.h"
#include "pool/history_group.h"

#ifdef __cplusplus
extern "C" {
#endif

#define HISTORY_KEYS_PER_MINUTE 200   /* told apart in one minute; the rest is summed */
#define HISTORY_MEMORY_MINUTES  1440  /* kept without a file: a day */
#define HISTORY_MINUTES_MAX     10080 /* of one question: a week */
#define HISTORY_BUSY_MS         2000  /* how long another process may hold the file */
#define HISTORY_NAME_MAX        96    /* bytes of a key's name, with its terminator */
#define HISTORY_MASK_MAX        16

void history_counts_add(struct history_counts *to, const struct history_counts *from);
uint64_t history_failures(const struct history_counts *counts); /* of all groups */
bool history_is_nothing(const struct history_counts *counts);

/* One key in one minute. */
struct history_key {
    uint64_t fingerprint; /* history_seed over the secret */
    char mask[HISTORY_MASK_MAX], name[HISTORY_NAME_MAX];
    struct history_counts counts;
};

/* One minute, or a part of it. */
struct history_minute {
    int64_t minute; /* Unix time / 60 s */
    struct history_counts all;
    struct history_counts other; /* of keys that are not in `keys` */
    const struct history_key *keys;
    size_t key_count; /* at most HISTORY_KEYS_PER_MINUTE */
};

struct history;

/* `path` NULL: in memory. `days`: how long minutes are kept in a file. `now_minute` removes what is
 * too old. STATUS_OK with a `warning` when a damaged file was set aside. STATUS_IO: the file cannot
 * be used, and `warning` says why in one line; nothing was begun. STATUS_NO_MEMORY. */
NODISCARD
enum status history_open(const char *path, unsigned days, int64_t now_minute,
                         struct buffer *warning, struct history **ret_history);
void history_close(struct history *history); /* NULL is allowed */

/* Whether it is a file: then single keys are remembered, too. */
bool history_is_file(const struct history *history);

/* What fingerprints are made with: of the file, so that keys are known again. */
struct hash_seed history_seed(const struct history *history);

/* Adds to the minute's rows. STATUS_IO with the reason in `warning`: nothing was added.
 * STATUS_OK with a `warning`: as of history_open. A file that turns out to be damaged is set aside,
 * one that is gone or was replaced is left; then it is added to the new one. */
NODISCARD
enum status history_add(struct history *history, const struct history_minute *minute,
                        struct buffer *warning);

/* The sums of `count` minutes (at most HISTORY_MINUTES_MAX) from `first` on into `ret`, a zero where
 * nothing is known. `key` NULL: of all keys together; else of those with that name or mask.
 * STATUS_NOT_FOUND: no such key; STATUS_IO. */
NODISCARD
enum status history_read(struct history *history, const char *key, int64_t first, size_t count,
                         struct history_counts *ret);

#ifdef __cplusplus
}
#endif
#endif
