/* The log: one line per event on standard error, never a secret, never a wait.
 *
 * A sink that does not take a line at once loses it; lost lines are counted and reported with the
 * next one that gets through.
 *
 * Threads: log_line may be called from any thread; log_new and log_free from one.
 */
#ifndef SPAREKEY_OBSERVE_LOG_H
#define SPAREKEY_OBSERVE_LOG_H

#include <stdint.h>

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LOG_LINE_MAX 2048 /* bytes; longer lines are cut. Below PIPE_BUF, so lines never mix */

enum log_severity { LOG_SEVERITY_ERROR, LOG_SEVERITY_WARN, LOG_SEVERITY_INFO, LOG_SEVERITY_DEBUG };

struct log;

/* `fd` stays the caller's. STATUS_NO_MEMORY. */
NODISCARD
enum status log_new(int fd, enum log_severity least, struct log **ret_log);
void log_free(struct log *log);
void log_set_least(struct log *log, enum log_severity least);

/* `event` is a stable name ("key_opened"); the text is for people, in printf's form. NULL log: nothing. */
void log_line(struct log *log, enum log_severity severity, const char *event, const char *format,
              ...) __attribute__((format(printf, 4, 5)));

/* Lines dropped so far. */
uint64_t log_dropped(const struct log *log);

#ifdef __cplusplus
}
#endif
#endif
