/* The recorder: looks at the keys' counters every few seconds and adds what has changed to the
 * history (store/history.h), on a thread of its own.
 *
 * Always true:
 * - nothing is counted for it on the way of a request that succeeds; a look takes the keyring's lock
 *   for RECORDER_SLICE keys at a time, and all looks together at most 1/RECORDER_SHARE of a core;
 * - a history that cannot be kept is a warning in the log, once, and no other harm.
 */
#ifndef SPAREKEY_GATEWAY_RECORDER_H
#define SPAREKEY_GATEWAY_RECORDER_H

#include "keyring/keyring.h"
#include "observe/log.h"
#include "store/history.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RECORDER_LOOK_MS 5000 /* between two looks */
#define RECORDER_SHARE   200  /* … and at least so many times as long as one takes */
#define RECORDER_SLICE   64   /* keys looked at in one hold of the keyring's lock */
#define RECORDER_TRACKED_MAX                                                                       \
    65536                      /* keys told apart; of those behind them, only the sum is known */
#define RECORDER_GRACE_MS 1000 /* a look so shortly after a minute's end is still that minute's */

struct recorder;

/* As settings say: SPAREKEY_STATE_FILE, SPAREKEY_HISTORY_DAYS; 0 days: `*ret` is NULL. A file that
 * cannot be used: said in the log, and memory takes its place. Makes the keyring's fingerprints
 * those of the file. `ring` and `log` are borrowed. STATUS_NO_MEMORY, STATUS_IO. */
NODISCARD
enum status recorder_start(const struct settings *settings, struct keyring *ring, struct log *log,
                           struct recorder **ret_recorder);

/* A last look, and the end. NULL is allowed. */
void recorder_stop(struct recorder *recorder);

/* A look now, unless the last was so short a time ago that looking would cost more than its share.
 * Not from a loop thread. */
void recorder_refresh(struct recorder *recorder);

struct history *recorder_history(struct recorder *recorder);

#ifdef __cplusplus
}
#endif
#endif
