/* How much is logged of what: a severity for each component of the program.
 *
 * Written as "info" or "info,net=debug,keys=warn": the bare word is for every component that is not
 * named. Here, and not with the log, because settings read it and the log obeys it.
 */
#ifndef SPAREKEY_BASE_LOG_LEVELS_H
#define SPAREKEY_BASE_LOG_LEVELS_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/slice.h"
#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* name as shown and written; the worst first */
#define LOG_SEVERITY_TABLE(X)                                                                      \
    X(LOG_SEVERITY_ERROR, "error")                                                                 \
    X(LOG_SEVERITY_WARN, "warn")                                                                   \
    X(LOG_SEVERITY_INFO, "info")                                                                   \
    X(LOG_SEVERITY_DEBUG, "debug")

enum log_severity {
#define X(code, name) code,
    LOG_SEVERITY_TABLE(X)
#undef X
        LOG_SEVERITIES
};

#define LOG_COMPONENT_TABLE(X)                                                                     \
    X(LOG_KEYS, "keys")         /* keys and their breakers */                                      \
    X(LOG_REQUESTS, "requests") /* what became of clients' requests */                             \
    X(LOG_NET, "net")           /* connections, names, TLS */                                      \
    X(LOG_GATEWAY, "gateway")   /* the process: start, reload, drain, limits */                    \
    X(LOG_ALERTS, "alerts")     /* messages to SPAREKEY_ALERT_WEBHOOK */

enum log_component {
#define X(code, name) code,
    LOG_COMPONENT_TABLE(X)
#undef X
        LOG_COMPONENTS
};

/* Static storage, never NULL. */
const char *log_severity_name(enum log_severity severity);
const char *log_component_name(enum log_component component);

#define LOG_LEVELS_EXPECTED                                                                        \
    "one of error, warn, info, debug, and perhaps others for keys, requests, net, gateway, "       \
    "alerts, "                                                                                     \
    "as info,net=debug"

struct log_levels {
    uint8_t base;               /* enum log_severity: of the components that were not named */
    uint8_t of[LOG_COMPONENTS]; /* enum log_severity */
};

/* STATUS_INVALID: not of the form above. `*ret` is written only on success. */
NODISCARD
enum status log_levels_parse(struct slice text, struct log_levels *ret);

/* Appends the form that log_levels_parse reads. */
NODISCARD
enum status log_levels_format(const struct log_levels *levels, struct buffer *out);

#ifdef __cplusplus
}
#endif
#endif
