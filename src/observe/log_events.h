/* Every line the log can write has a name, and they stand here: programs filter by them, so a name
 * once given stays. A name that is not in the table would be logged under "gateway"; a lint check
 * keeps that from happening.
 */
#ifndef SPAREKEY_OBSERVE_LOG_EVENTS_H
#define SPAREKEY_OBSERVE_LOG_EVENTS_H

#include "base/log_levels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What stands before the line on a terminal. AUTO: by its severity, ❌ for errors, ⚠️ for warnings,
 * 🔑 below. */
enum log_tag { TAG_AUTO, TAG_KEYS, TAG_SUCCESS, TAG_FALLBACK, TAG_FAILURE };

/* name, component, tag */
#define LOG_EVENT_TABLE(X)                                                                         \
    X("alert_dropped", LOG_ALERTS, TAG_AUTO)                                                       \
    X("alert_failed", LOG_ALERTS, TAG_AUTO)                                                        \
    X("alert_sent", LOG_ALERTS, TAG_KEYS)                                                          \
    X("all_down", LOG_KEYS, TAG_FAILURE)                                                           \
    X("answer_cut", LOG_REQUESTS, TAG_FAILURE)                                                     \
    X("attempt_failed", LOG_REQUESTS, TAG_FALLBACK)                                                \
    X("buffers_full", LOG_GATEWAY, TAG_AUTO)                                                       \
    X("circuit_closed", LOG_KEYS, TAG_KEYS)                                                        \
    X("circuit_half_open", LOG_KEYS, TAG_KEYS)                                                     \
    X("circuit_opened", LOG_KEYS, TAG_KEYS)                                                        \
    X("draining", LOG_GATEWAY, TAG_KEYS)                                                           \
    X("failover", LOG_REQUESTS, TAG_FALLBACK)                                                      \
    X("few_open_files", LOG_GATEWAY, TAG_AUTO)                                                     \
    X("gave_up", LOG_REQUESTS, TAG_FAILURE)                                                        \
    X("history", LOG_GATEWAY, TAG_AUTO)                                                            \
    X("key_added", LOG_KEYS, TAG_KEYS)                                                             \
    X("key_disabled", LOG_KEYS, TAG_KEYS)                                                          \
    X("key_enabled", LOG_KEYS, TAG_KEYS)                                                           \
    X("key_removed", LOG_KEYS, TAG_KEYS)                                                           \
    X("key_reset", LOG_KEYS, TAG_KEYS)                                                             \
    X("last_resort", LOG_REQUESTS, TAG_FALLBACK)                                                   \
    X("last_resort_failed", LOG_REQUESTS, TAG_FAILURE)                                             \
    X("listener_cut", LOG_GATEWAY, TAG_AUTO)                                                       \
    X("log_dropped", LOG_GATEWAY, TAG_AUTO)                                                        \
    X("loop_detected", LOG_REQUESTS, TAG_AUTO)                                                     \
    X("probed", LOG_KEYS, TAG_KEYS)                                                                \
    X("proxy_unchanged", LOG_NET, TAG_AUTO)                                                        \
    X("ready", LOG_GATEWAY, TAG_KEYS)                                                              \
    X("recovered", LOG_KEYS, TAG_SUCCESS)                                                          \
    X("reload_refused", LOG_GATEWAY, TAG_AUTO)                                                     \
    X("reloaded", LOG_GATEWAY, TAG_KEYS)                                                           \
    X("restart_needed", LOG_GATEWAY, TAG_AUTO)                                                     \
    X("served", LOG_REQUESTS, TAG_SUCCESS)                                                         \
    X("stopped", LOG_GATEWAY, TAG_KEYS)                                                            \
    X("tls_context", LOG_NET, TAG_AUTO)                                                            \
    X("traces_refused", LOG_GATEWAY, TAG_AUTO)                                                     \
    X("upstream_unreachable", LOG_NET, TAG_FALLBACK)

struct log_event {
    const char *name;
    enum log_component component;
    enum log_tag tag;
};

/* The line of this name; for a name outside the table one of the gateway, by that name. */
struct log_event log_event_of(const char *name);

/* "⚠️ [Enhanced OpenAI]" */
const char *log_tag_text(enum log_tag tag, enum log_severity severity);

#ifdef __cplusplus
}
#endif
#endif
