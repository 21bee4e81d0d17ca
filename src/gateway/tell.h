/* What the gateway tells: one event for readers (observe/events.h) and one line for the log, made of
 * the same facts.
 *
 * Nothing here is on the way of a request that its first key serves, but for the question
 * tell_wants_served. No secret and no prompt ever gets in: keys are masked, upstream texts have been
 * cleaned of the key before (gateway/echo.h), and of a request only its model is named.
 *
 * Threads: any.
 */
#ifndef SPAREKEY_GATEWAY_TELL_H
#define SPAREKEY_GATEWAY_TELL_H

#include "gateway/worker.h"
#include "keyring/keyring.h"
#include "observe/events.h"

#ifdef __cplusplus
extern "C" {
#endif

struct exchange;

/* Begins an event about a key; NULL: about none. */
void tell_init(struct event *event, enum event_kind kind, const struct key_entry *key);

/* Tells the event and logs it. With an empty message, only the event. */
void tell(struct shared *shared, struct event *event);

/* Listens to the ring of keys: breakers, operators' orders, keys that come and go, all of them out. */
void tell_watch(struct shared *shared);

/* New settings are in force. */
void tell_reloaded(struct shared *shared, size_t key_count);
void tell_draining(struct shared *shared);

/* A request is served, from its first byte on. */
void tell_served(struct exchange *x);
/* Whether tell_served has anything to tell of a request that its first key serves. */
static inline bool tell_wants_served(const struct shared *shared)
{
    return log_wants(shared->log, LOG_REQUESTS, LOG_SEVERITY_DEBUG);
}

/* It ends with an error of the upstream's, with one of ours, in the middle of the answer. The
 * request's id is the upstream's where it gave one. */
void tell_returned(struct exchange *x, int status);
void tell_gave_up(struct exchange *x, const struct plan_step *step, const char *request_id,
                  const char *advice);
void tell_cut(struct exchange *x);

#ifdef __cplusplus
}
#endif
#endif
