/* The log: formats a line, and hands it over only if the sink takes it now.
 *
 * Two forms: for a terminal "12:34:56 TAG text", otherwise one JSON object a line.
 * The text may quote what a peer sent, so control bytes never reach a terminal (they could move
 * its cursor) and bytes that are no UTF-8 never reach a JSON reader.
 *
 * poll(2) tells whether a write would wait. For pipes Linux says so only when PIPE_BUF bytes fit,
 * and LOG_LINE_MAX is less: so a write after a positive answer neither waits nor is cut. The lock
 * keeps a second thread from using up the room in between; it is held for two system calls that do
 * not wait.
 *
 * A terminal says "room" when a byte fits, and other programs write to it, too. So it is written to
 * without waiting (O_NONBLOCK), through a description of the log's own, because that flag belongs to
 * the description and the shell shares the one we were given. What does not fit whole is cut there;
 * the next line that gets through begins on a new line.
 */
#include "observe/log.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/slice.h"
#include "observe/json_text.h"
#include "observe/log_events.h"

_Static_assert(LOG_LINE_MAX <= PIPE_BUF, "a line is written as one");

struct log {
    int fd;
    bool terminal;
    bool own_fd; /* a terminal opened anew, with O_NONBLOCK */
    bool torn;   /* the terminal took a part of the last line; under the lock */
    bool quiet;
    atomic_uint_least8_t least[LOG_COMPONENTS]; /* enum log_severity */
    pthread_mutex_t lock;
    atomic_uint_least64_t dropped;
    uint64_t reported; /* of the dropped ones; under the lock */
};

/* ---- building a line -------------------------------------------------------------------------- */

struct line {
    size_t len;
    char bytes[LOG_LINE_MAX];
};

/* What must still fit behind the text: `"}` and the end of the line. */
enum { TAIL_BYTES = 3 };

/* All or nothing, so that no escape or character is cut in two. */
static bool add(struct line *line, const char *bytes, size_t len)
{
    if (len > LOG_LINE_MAX - TAIL_BYTES - line->len)
        return false;
    memcpy(line->bytes + line->len, bytes, len);
    line->len += len;
    return true;
}

static void add_text(struct line *line, const char *text)
{
    (void)add(line, text, strlen(text));
}

static bool add_json_character(struct line *line, struct slice text, size_t *ret_used)
{
    char escape[JSON_CHARACTER_MAX];
    size_t len = json_character(text, escape, ret_used);

    return add(line, escape, len);
}

static bool add_terminal_character(struct line *line, struct slice text, size_t *ret_used)
{
    size_t len = utf8_len(text);

    *ret_used = len ? len : 1;
    if (len == 0 || utf8_is_control(text.ptr, len))
        return add(line, len && (*text.ptr == '\n' || *text.ptr == '\t') ? " " : "?", 1);
    return add(line, text.ptr, len);
}

static void add_message(struct line *line, bool terminal, struct slice text)
{
    bool fits = true;

    while (text.len && fits) {
        size_t used;
        fits = terminal ? add_terminal_character(line, text, &used)
                        : add_json_character(line, text, &used);
        text = slice_from(text, used);
    }
}

static void add_time(struct line *line, bool terminal)
{
    struct timespec now;
    struct tm parts;
    char text[40];
    size_t len = 0;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (terminal && localtime_r(&now.tv_sec, &parts)) {
        len = strftime(text, sizeof text, "%H:%M:%S", &parts);
    } else if (gmtime_r(&now.tv_sec, &parts)) {
        len = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
        len += (size_t)snprintf(text + len, sizeof text - len, ".%03ldZ", now.tv_nsec / 1000000);
    }
    (void)add(line, text, len);
}

/* `,"name":"text"`, `,"name":7` or `,"name":true`; all of it or nothing. */
static void add_field(struct line *line, const struct log_field *field)
{
    size_t before = line->len;
    char number[48];
    size_t used;

    if (field->text ? !*field->text : field->number < 0)
        return;
    bool fits = add(line, ",\"", 2) && add(line, field->name, strlen(field->name));
    if (!field->text && field->number == LOG_TRUE) {
        fits = fits && add(line, "\":true", 6);
    } else if (!field->text) {
        int len = snprintf(number, sizeof number, "\":%lld", (long long)field->number);
        fits = fits && add(line, number, (size_t)len);
    } else {
        fits = fits && add(line, "\":\"", 3);
        for (struct slice rest = slice_str(field->text); rest.len && fits;
             rest = slice_from(rest, used))
            fits = add_json_character(line, rest, &used);
        fits = fits && add(line, "\"", 1);
    }
    if (!fits)
        line->len = before;
}

static void add_json_head(struct line *line, enum log_severity severity,
                          const struct log_event *event, const struct log_field *fields,
                          size_t field_count)
{
    char middle[160];

    add_text(line, "{\"time\":\"");
    add_time(line, false);
    (void)snprintf(middle, sizeof middle,
                   "\",\"level\":\"%s\",\"event\":\"%s\",\"component\":\"%s\"",
                   log_severity_name(severity), event->name, log_component_name(event->component));
    add_text(line, middle);
    for (size_t i = 0; i < field_count; i++)
        add_field(line, &fields[i]);
    add_text(line, ",\"message\":\"");
}

static void build(struct line *line, bool terminal, enum log_severity severity,
                  const struct log_event *event, const struct log_field *fields, size_t field_count,
                  struct slice text)
{
    line->len = 0;
    if (terminal) {
        add_time(line, true);
        add_text(line, " ");
        add_text(line, log_tag_text(event->tag, severity));
        add_text(line, " ");
    } else {
        add_json_head(line, severity, event, fields, field_count);
    }
    add_message(line, terminal, text);
    /* TAIL_BYTES were kept free for this. */
    if (!terminal) {
        line->bytes[line->len++] = '"';
        line->bytes[line->len++] = '}';
    }
    line->bytes[line->len++] = '\n';
}

/* ---- handing it over -------------------------------------------------------------------------- */

/* A terminal that could not be opened anew (su, another mount namespace) has its flag borrowed for
 * the one call. */
static ssize_t write_terminal(const struct log *log, const char *bytes, size_t len)
{
    int flags = log->own_fd ? -1 : fcntl(log->fd, F_GETFL);

    if (flags >= 0 && fcntl(log->fd, F_SETFL, flags | O_NONBLOCK) != 0)
        return -1;
    ssize_t written = write(log->fd, bytes, len);
    if (flags >= 0)
        (void)fcntl(log->fd, F_SETFL, flags);
    return written;
}

static bool write_to_terminal(struct log *log, const struct line *line)
{
    if (log->torn && write_terminal(log, "\n", 1) != 1)
        return false;
    ssize_t written = write_terminal(log, line->bytes, line->len);
    log->torn = written > 0 && (size_t)written < line->len;
    return written > 0 && (size_t)written + 1 >= line->len; /* its end comes with the next line */
}

static bool write_now(struct log *log, const struct line *line)
{
    struct pollfd sink = {.fd = log->fd, .events = POLLOUT};

    if (poll(&sink, 1, 0) != 1 || (sink.revents & ~POLLOUT))
        return false;
    if (log->terminal)
        return write_to_terminal(log, line);
    return write(log->fd, line->bytes, line->len) == (ssize_t)line->len;
}

/* Under the lock: says how many lines were lost, as soon as there is room to say so. */
static bool report_dropped(struct log *log)
{
    struct line line;
    char text[96];
    uint64_t dropped = atomic_load(&log->dropped);

    if (dropped == log->reported)
        return true;
    (void)snprintf(text, sizeof text, "%llu lines were dropped: nobody read them in time",
                   (unsigned long long)(dropped - log->reported));
    struct log_event event = log_event_of("log_dropped");
    build(&line, log->terminal, LOG_SEVERITY_WARN, &event, NULL, 0, slice_str(text));
    if (!write_now(log, &line))
        return false;
    log->reported = dropped;
    return true;
}

bool log_wants(const struct log *log, enum log_component component, enum log_severity severity)
{
    return log && severity <= atomic_load_explicit(&log->least[component], memory_order_relaxed);
}

static bool needs_a_person(const struct log_event *event, enum log_severity severity)
{
    return severity == LOG_SEVERITY_ERROR || strcmp(event->name, "key_disabled") == 0;
}

static bool takes(const struct log *log, const struct log_event *event, enum log_severity severity)
{
    return log_wants(log, event->component, severity) &&
           (!log->quiet || needs_a_person(event, severity));
}

static void write_line(struct log *log, enum log_severity severity, const struct log_event *event,
                       const struct log_field *fields, size_t field_count, const char *format,
                       va_list args)
{
    char text[LOG_LINE_MAX];
    struct line line;

    int len = vsnprintf(text, sizeof text, format, args);
    if (len < 0)
        len = 0;
    size_t kept = (size_t)len < sizeof text ? (size_t)len : sizeof text - 1;
    build(&line, log->terminal, severity, event, fields, field_count, slice_of(text, kept));
    pthread_mutex_lock(&log->lock);
    if (!report_dropped(log) || !write_now(log, &line))
        atomic_fetch_add(&log->dropped, 1);
    pthread_mutex_unlock(&log->lock);
}

void log_line(struct log *log, enum log_severity severity, const char *event, const char *format,
              ...)
{
    struct log_event known = log_event_of(event);
    va_list args;

    if (!takes(log, &known, severity))
        return;
    va_start(args, format);
    write_line(log, severity, &known, NULL, 0, format, args);
    va_end(args);
}

void log_fields(struct log *log, enum log_severity severity, const char *event,
                const struct log_field *fields, size_t field_count, const char *format, ...)
{
    struct log_event known = log_event_of(event);
    va_list args;

    if (!takes(log, &known, severity))
        return;
    va_start(args, format);
    write_line(log, severity, &known, fields, field_count, format, args);
    va_end(args);
}

/* ---- lifetime --------------------------------------------------------------------------------- */

/* The same terminal with flags of our own; -1 when it cannot be opened. */
static int open_terminal(int fd)
{
    char name[PATH_MAX];

    if (ttyname_r(fd, name, sizeof name) != 0)
        return -1;
    return open(name, O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
}

enum status log_new(int fd, enum log_severity least, struct log **ret_log)
{
    struct log *log = calloc(1, sizeof *log);

    if (!log)
        return STATUS_NO_MEMORY;
    if (pthread_mutex_init(&log->lock, NULL) != 0) {
        free(log);
        return STATUS_NO_MEMORY;
    }
    log->terminal = isatty(fd) == 1;
    int own = log->terminal ? open_terminal(fd) : -1;
    log->own_fd = own >= 0;
    log->fd = log->own_fd ? own : fd;
    log_set_least(log, least);
    *ret_log = log;
    return STATUS_OK;
}

void log_free(struct log *log)
{
    if (!log)
        return;
    pthread_mutex_destroy(&log->lock);
    if (log->own_fd)
        (void)close(log->fd);
    free(log);
}

void log_set_least(struct log *log, enum log_severity least)
{
    for (int i = 0; i < LOG_COMPONENTS; i++)
        atomic_store_explicit(&log->least[i], (uint8_t)least, memory_order_relaxed);
}

void log_set_levels(struct log *log, const struct log_levels *levels)
{
    for (int i = 0; i < LOG_COMPONENTS; i++)
        atomic_store_explicit(&log->least[i], levels->of[i], memory_order_relaxed);
}

void log_set_quiet(struct log *log)
{
    log->quiet = true;
}

uint64_t log_dropped(const struct log *log)
{
    return atomic_load(&log->dropped);
}
