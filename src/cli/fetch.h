/* GET requests of a command: several at a time, each with its answer, until all have ended.
 *
 * The secret of a request goes from the vault to the socket and into no buffer; where an answer
 * repeats it, it is masked.
 */
#ifndef SPAREKEY_CLI_FETCH_H
#define SPAREKEY_CLI_FETCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "net/upstream.h"
#include "openai/hints.h"
#include "settings/settings.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FETCH_ANSWER_MAX   (64u << 20) /* bytes of one answer: health of some 150,000 keys */
#define FETCH_AT_ONCE      8           /* requests under way */
#define FETCH_CONNECT_MS   5000
#define FETCH_ANSWER_MS    20000 /* to the head, and between bytes of the body */
#define FETCH_TARGET_MAX   1024
#define FETCH_SERVICES_MAX SETTINGS_SERVICES_MAX

struct fetch {
    /* Asked. Borrowed until fetch_run returns. */
    const struct service_url *service;
    char target[FETCH_TARGET_MAX];      /* path and query */
    const char *auth_header;            /* of the credential; NULL = "authorization: Bearer" */
    const char *organization, *project; /* sent as OpenAI's headers; NULL = not */
    bool only_errors;                   /* the body of an answer below 400 is not kept */
    struct slice secret;                /* empty = no credential */

    /* Told. */
    enum status status;           /* STATUS_OK: a whole answer arrived */
    char reason[UPSTREAM_REASON]; /* of a failure, in words */
    int code;                     /* the answer's status, 0 = none */
    char content_type[64];
    struct hints hints;
    int64_t sent_wall_ms, took_ms;
    int64_t date_wall_ms; /* its Date field; -1 = none */
    struct buffer body;   /* the caller's to clear */

    struct fetcher *fetcher; /* private from here on */
    struct upstream_call call;
    struct buffer head;
};

/* Runs them all, with the trust and the proxy of `settings`. `interrupt_fd` (or -1): when it becomes readable, what is
 * under way ends with STATUS_CANCELLED. Failures are told in the items; STATUS_IO, STATUS_NO_MEMORY:
 * nothing could be begun, with the reason in `reason`. */
NODISCARD
enum status fetch_run(struct fetch *items, size_t count, const struct settings *settings,
                      int interrupt_fd, struct buffer *reason);

#ifdef __cplusplus
}
#endif
#endif
