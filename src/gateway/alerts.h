/* Alerts: the few events that a person should hear of, posted to SPAREKEY_ALERT_WEBHOOK.
 *
 *     events ──▶ alerts_wake ──(de-duplicate)──▶ queue of ALERTS_QUEUED ──▶ one POST at a time
 *                                                    ▲                        │ not 2xx, no answer
 *                                                    └──── backoff, ALERT_TRIES times ◀──┘
 *
 * Always true:
 * - nothing waits for a webhook: one worker's loop sends, as it sends requests, and an alert that
 *   does not get through is dropped after ALERT_TRIES and counted;
 * - they are sent in the order in which things happened;
 * - of one kind and key none is sent twice within ALERT_REPEAT_MS, unless its state has changed in
 *   between: all out → recovered → all out are three alerts, however fast. A storm of those is held
 *   to ALERT_BURST within ALERT_REPEAT_MS; how many were left out is told with the next one;
 * - the URL is a secret: only its host is ever logged.
 *
 * Threads: all on the worker's.
 */
#ifndef SPAREKEY_GATEWAY_ALERTS_H
#define SPAREKEY_GATEWAY_ALERTS_H

#include "gateway/worker.h"

#ifdef __cplusplus
extern "C" {
#endif

#define ALERTS_QUEUED     32     /* waiting to be sent; the newest is dropped beyond */
#define ALERTS_REMEMBERED 256    /* kinds and keys, for de-duplication; the oldest is forgotten */
#define ALERT_REPEAT_MS   600000 /* within which the same is not told again */
#define ALERT_BURST       40     /* alerts within ALERT_REPEAT_MS, whatever happens */
#define ALERT_TRIES       8      /* 0.5 + 1 + 2 + … s: for about a minute */
#define ALERT_BACKOFF_MS  500    /* before the second try; doubled each time */
#define ALERT_TIMEOUT_MS  10000  /* for all of a call: connection, alert and answer */
#define ALERT_BODY_MAX    8192   /* bytes of an alert */

struct alerts;

/* STATUS_NO_MEMORY. Begins with what happens from now on. */
NODISCARD
enum status alerts_start(struct worker *worker, struct alerts **ret_alerts);

/* Whether there is a webhook. NULL: no. */
bool alerts_on(const struct alerts *alerts);

/* New settings: another webhook, none, or the first. NULL is allowed, here and below. */
void alerts_configure(struct alerts *alerts);

/* Something was told. */
void alerts_wake(struct alerts *alerts);

/* Cancels what is under way; what waits is dropped and counted. */
void alerts_stop(struct alerts *alerts);

/* After the loop has ended. */
void alerts_free(struct alerts *alerts);

#ifdef __cplusplus
}
#endif
#endif
