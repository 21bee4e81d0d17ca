/* Notices: what the hooks of a client are to hear.
 *
 * Things happen under locks and inside libcurl, hooks are called outside of both: what is to be told
 * waits here until a thread is at a safe place. One thread tells at a time, in the order of
 * happening; a hook may use the client, whose own notices then follow.
 */
#ifndef SPAREKEY_CLIENT_NOTICES_H
#define SPAREKEY_CLIENT_NOTICES_H

#include <pthread.h>
#include <stdbool.h>

#include "base/list.h"
#include "keyring/keyring.h"
#include "sparekey/sparekey.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NOTICES_MAX      1024 /* that wait; further ones are dropped, and how many is told */
#define NOTICE_TEXT_MAX  512
#define NOTICE_EVENT_MAX 32

enum notice_level { NOTICE_ERROR, NOTICE_WARNING, NOTICE_INFO, NOTICE_DEBUG };

struct notices {
    sparekey_log_hook *on_log; /* NULL: nobody listens */
    sparekey_health_hook *on_health;
    void *user;
    bool wanted; /* either hook is there: never changes */
    pthread_mutex_t lock;
    struct list queue;
    unsigned count, dropped;
    bool telling;
};

void notices_init(struct notices *notices, const sparekey_client_options *options);
void notices_fini(struct notices *notices);

/* Queues a line of the log, cut to NOTICE_TEXT_MAX. Without memory it is dropped. Any thread. */
void notices_log(struct notices *notices, enum notice_level level, const char *event,
                 const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Queues what has happened at a breaker. `entry` NULL: no single key's. */
void notices_health(struct notices *notices, const struct pool_transition *t,
                    const struct key_entry *entry);

/* Calls the hooks with what waits, unless a thread is doing so already. At safe places only. */
void notices_tell(struct notices *notices);

#ifdef __cplusplus
}
#endif
#endif
