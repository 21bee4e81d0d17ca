/* The log: one line per event on standard error, never a secret, never a wait.
 *
 * On a terminal a line is for people: "12:34:56 ⚠️ [Enhanced OpenAI] text". Otherwise it is one JSON
 * object: time, level, event (a name of log_events.h), component, whatever the caller adds as
 * fields, and the same text as `message`.
 *
 * A sink that does not take a line at once loses it; lost lines are counted and reported with the
 * next one that gets through.
 *
 * Threads: log_set_quiet before there is more than one; log_line, log_fields and log_wants may be
 * called from any thread; log_new and log_free from one.
 */
#ifndef SPAREKEY_OBSERVE_LOG_H
#define SPAREKEY_OBSERVE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log_levels.h"
#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LOG_LINE_MAX 2048 /* bytes; longer lines are cut. Below PIPE_BUF, so lines never mix */

struct log;

/* A member of a JSON line. A text that is NULL or empty, like a number below 0, is left out. */
struct log_field {
    const char *name;
    const char *text; /* NULL: it is the number */
    int64_t number;   /* LOG_TRUE: true */
};

#define LOG_TRUE INT64_MAX

/* `fd` stays the caller's, and open; a terminal is opened a second time. STATUS_NO_MEMORY. */
NODISCARD
enum status log_new(int fd, enum log_severity least, struct log **ret_log);
void log_free(struct log *log);
void log_set_least(struct log *log, enum log_severity least); /* of every component */
void log_set_levels(struct log *log, const struct log_levels *levels);

/* From now on only what a person has to see to, within the levels: errors, and disabled keys. For a
 * log that shares its sink with another program's words. */
void log_set_quiet(struct log *log);

/* Whether a line of this component and severity would be written; one load. NULL log: no. */
bool log_wants(const struct log *log, enum log_component component, enum log_severity severity);

/* `event` is a stable name of log_events.h; the text is for people, in printf's form. NULL log:
 * nothing. */
void log_line(struct log *log, enum log_severity severity, const char *event, const char *format,
              ...) __attribute__((format(printf, 4, 5)));

/* The same with members, which stand before the text: what is cut is the text. */
void log_fields(struct log *log, enum log_severity severity, const char *event,
                const struct log_field *fields, size_t field_count, const char *format, ...)
    __attribute__((format(printf, 6, 7)));

/* Lines dropped so far. */
uint64_t log_dropped(const struct log *log);

#ifdef __cplusplus
}
#endif
#endif
