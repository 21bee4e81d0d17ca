/* Events: what an operator wants to be told, kept in a bounded ring.
 *
 *     keyring, exchanges, main thread ──events_tell──▶ ring of EVENTS_KEPT ──events_read──▶ readers
 *                                                       └─ wake ─▶ event streams, alerts
 *
 * Always true:
 * - events have running numbers without gaps, from 1; the oldest are overwritten;
 * - a reader keeps its own position and is told how many it missed; nobody waits for readers;
 * - an event holds copies: the key may be gone when it is read. Keys are named by mask and variable,
 *   never by themselves;
 * - what requests cause comes at most at EVENTS_RATE a second of each kind (EVENTS_BURST at once);
 *   the others are counted in the next one's `count`, so that an outage with ten thousand requests a
 *   second does not push out of the ring what began it.
 *
 * Threads: everything from any thread. The lock is held for a copy of a few hundred bytes and for
 * the wake calls, which must not wait and must not call back.
 */
#ifndef SPAREKEY_OBSERVE_EVENTS_H
#define SPAREKEY_OBSERVE_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/list.h"
#include "base/log_levels.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EVENTS_KEPT  1024 /* a power of two; some 800 bytes each */
#define EVENTS_RATE  50   /* a second, of each kind that requests cause */
#define EVENTS_BURST 256  /* of them at once */

/* kind, stable name, severity, component, whether single requests cause it */
#define EVENT_TABLE(X)                                                                             \
    X(EVENT_FAILOVER, "failover", LOG_SEVERITY_WARN, LOG_REQUESTS, true)                           \
    X(EVENT_GAVE_UP, "gave_up", LOG_SEVERITY_ERROR, LOG_REQUESTS, true)                            \
    X(EVENT_ANSWER_CUT, "answer_cut", LOG_SEVERITY_ERROR, LOG_REQUESTS, true)                      \
    X(EVENT_CIRCUIT_OPENED, "circuit_opened", LOG_SEVERITY_WARN, LOG_KEYS, false)                  \
    X(EVENT_CIRCUIT_HALF_OPEN, "circuit_half_open", LOG_SEVERITY_DEBUG, LOG_KEYS, false)           \
    X(EVENT_CIRCUIT_CLOSED, "circuit_closed", LOG_SEVERITY_INFO, LOG_KEYS, false)                  \
    X(EVENT_KEY_DISABLED, "key_disabled", LOG_SEVERITY_WARN, LOG_KEYS, false)                      \
    X(EVENT_KEY_ENABLED, "key_enabled", LOG_SEVERITY_INFO, LOG_KEYS, false)                        \
    X(EVENT_KEY_RESET, "key_reset", LOG_SEVERITY_INFO, LOG_KEYS, false)                            \
    X(EVENT_KEY_ADDED, "key_added", LOG_SEVERITY_INFO, LOG_KEYS, false)                            \
    X(EVENT_KEY_REMOVED, "key_removed", LOG_SEVERITY_INFO, LOG_KEYS, false)                        \
    X(EVENT_ALL_DOWN, "all_down", LOG_SEVERITY_ERROR, LOG_KEYS, false)                             \
    X(EVENT_RECOVERED, "recovered", LOG_SEVERITY_INFO, LOG_KEYS, false)                            \
    X(EVENT_RELOADED, "reloaded", LOG_SEVERITY_INFO, LOG_GATEWAY, false)                           \
    X(EVENT_DRAINING, "draining", LOG_SEVERITY_INFO, LOG_GATEWAY, false)

enum event_kind {
#define X(kind, ...) kind,
    EVENT_TABLE(X)
#undef X
        EVENT_KINDS
};

const char *event_name(enum event_kind kind); /* static storage, never NULL */

#define EVENT_KEY_MAX     16
#define EVENT_NAME_MAX    96
#define EVENT_CODE_MAX    48
#define EVENT_ID_MAX      72
#define EVENT_MODEL_MAX   64
#define EVENT_TRAIL_MAX   192 /* classes of failed attempts, separated by ','; longer ones are cut */
#define EVENT_MESSAGE_MAX 256

/* Texts that are empty, pointers that are NULL and numbers that are 0 say nothing. */
struct event {
    enum event_kind kind;
    uint64_t number; /* given by events_tell, like the time */
    int64_t wall_ms;
    char key[EVENT_KEY_MAX];      /* "sk-proj...N0IA" */
    char name[EVENT_NAME_MAX];    /* the variable or line it came from */
    char account[EVENT_NAME_MAX]; /* organisation, project or service a breaker belongs to */
    const char *scope;            /* static names: of the breaker, of the failure class, … */
    const char *reason;
    const char *circuit, *from; /* … of the breaker's new state and the one before */
    int64_t until_wall_ms;      /* when an open breaker is tried again */
    int status;                 /* HTTP status: the upstream's, or of an answer of our own */
    char code[EVENT_CODE_MAX];  /* error.code */
    char request_id[EVENT_ID_MAX];
    char model[EVENT_MODEL_MAX];
    char trail[EVENT_TRAIL_MAX];
    uint32_t attempts;
    bool drill;                      /* played (gateway/rehearsal.h): an info, no alarm */
    uint32_t count;                  /* how many this event stands for; 0 = itself */
    char message[EVENT_MESSAGE_MAX]; /* the same for people */
};

/* That of its kind; a drill's is an info. */
enum log_severity event_severity(const struct event *event);

struct events;

/* Embedded in who wants to know at once. `wake` is called under the lock: it must not wait, and call
 * nothing of this header. */
struct event_listener {
    struct list node;
    void (*wake)(struct event_listener *listener);
};

/* STATUS_NO_MEMORY. */
NODISCARD
enum status events_new(struct events **ret_events);
void events_free(struct events *events); /* NULL is allowed; no listener is left */

/* Numbers the event, keeps a copy and wakes the listeners. False: too many of its kind (EVENTS_RATE),
 * it was counted only. NULL events: nothing, true. `now_ns` is monotonic, for the rate. */
bool events_tell(struct events *events, const struct event *event, int64_t now_ns, int64_t wall_ms);

/* The number the next event will have: where a reader begins that wants only what is new. */
uint64_t events_next_number(struct events *events);

/* The oldest event with a number from `*position` on; false when there is none. `*position` moves
 * behind it, and `*ret_missed` is how many were overwritten before this reader came. A position
 * beyond the next number (of an earlier process) is taken for the beginning. */
bool events_read(struct events *events, uint64_t *position, struct event *ret_event,
                 uint64_t *ret_missed);

/* After events_unsubscribe has returned, `wake` is not called any more. */
void events_subscribe(struct events *events, struct event_listener *listener);
void events_unsubscribe(struct events *events, struct event_listener *listener);

/* Appends the event as one JSON object without line breaks (docs/events.md). */
#define EVENT_JSON_MAX 8192
NODISCARD
enum status event_json(const struct event *event, struct buffer *out);

#ifdef __cplusplus
}
#endif
#endif
