/* The log: formats a line, and hands it over only if the sink takes it now.
 *
 * Two forms: for a terminal "12:34:56 warn  key_opened  text", otherwise one JSON object a line.
 * The text may quote what a peer sent, so control bytes never reach a terminal (they could move
 * its cursor) and bytes that are no UTF-8 never reach a JSON reader.
 *
 * poll(2) tells whether a write would wait. For pipes Linux says so only when PIPE_BUF bytes fit,
 * and LOG_LINE_MAX is less: so a write after a positive answer neither waits nor is cut. The lock
 * keeps a second thread from using up the room in between; it is held for two system calls that do
 * not wait.
 */
#include "observe/log.h"

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

_Static_assert(LOG_LINE_MAX <= PIPE_BUF, "a line is written as one");

static const char *const severity_names[] = {
    [LOG_SEVERITY_ERROR] = "error",
    [LOG_SEVERITY_WARN] = "warn",
    [LOG_SEVERITY_INFO] = "info",
    [LOG_SEVERITY_DEBUG] = "debug",
};

struct log {
    int fd;
    bool terminal;
    atomic_int least;
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

/* Length of the UTF-8 character at the front (RFC 3629 §4), 0 when it is none. */
static size_t character_len(struct slice s)
{
    const unsigned char *b = (const unsigned char *)s.ptr;
    size_t len = b[0] < 0x80   ? 1
                 : b[0] < 0xc2 ? 0
                 : b[0] < 0xe0 ? 2
                 : b[0] < 0xf0 ? 3
                 : b[0] < 0xf5 ? 4
                               : 0;

    if (len > s.len)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((b[i] & 0xc0) != 0x80)
            return 0;
    }
    if (len > 2) { /* no overlong forms, no surrogates, nothing past U+10FFFF */
        unsigned lead = (unsigned)b[0] << 8 | b[1];
        if (lead < 0xe0a0 || (lead >= 0xeda0 && lead < 0xee00) ||
            (lead >= 0xf000 && lead < 0xf090) || lead >= 0xf490)
            return 0;
    }
    return len;
}

static bool is_control(const char *at, size_t len)
{
    unsigned char first = (unsigned char)at[0];

    if (len == 1)
        return first < ' ' || first == 0x7f;
    return len == 2 && first == 0xc2 && (unsigned char)at[1] < 0xa0; /* U+0080 … U+009F */
}

static bool add_json_character(struct line *line, const char *at, size_t len)
{
    char escape[8];

    if (len == 0)
        return add(line, "\\ufffd", 6);
    if (*at == '"' || *at == '\\') {
        escape[0] = '\\';
        escape[1] = *at;
        return add(line, escape, 2);
    }
    if (*at == '\n')
        return add(line, "\\n", 2);
    if (!is_control(at, len))
        return add(line, at, len);
    (void)snprintf(escape, sizeof escape, "\\u%04x", (unsigned char)at[len - 1]);
    return add(line, escape, 6);
}

static bool add_terminal_character(struct line *line, const char *at, size_t len)
{
    if (len == 0 || is_control(at, len))
        return add(line, len && (*at == '\n' || *at == '\t') ? " " : "?", 1);
    return add(line, at, len);
}

static void add_message(struct line *line, bool terminal, struct slice text)
{
    bool fits = true;

    while (text.len && fits) {
        size_t len = character_len(text);
        fits = terminal ? add_terminal_character(line, text.ptr, len)
                        : add_json_character(line, text.ptr, len);
        text = slice_from(text, len ? len : 1);
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

static void build(struct line *line, bool terminal, enum log_severity severity, const char *event,
                  struct slice text)
{
    char middle[160];

    line->len = 0;
    if (!terminal)
        add_text(line, "{\"time\":\"");
    add_time(line, terminal);
    (void)snprintf(middle, sizeof middle,
                   terminal ? " %-5s %s  " : "\",\"level\":\"%s\",\"event\":\"%s\",\"message\":\"",
                   severity_names[severity], event);
    add_text(line, middle);
    add_message(line, terminal, text);
    /* TAIL_BYTES were kept free for this. */
    if (!terminal) {
        line->bytes[line->len++] = '"';
        line->bytes[line->len++] = '}';
    }
    line->bytes[line->len++] = '\n';
}

/* ---- handing it over -------------------------------------------------------------------------- */

static bool write_now(const struct log *log, const struct line *line)
{
    struct pollfd sink = {.fd = log->fd, .events = POLLOUT};

    if (poll(&sink, 1, 0) != 1 || (sink.revents & ~POLLOUT))
        return false;
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
    build(&line, log->terminal, LOG_SEVERITY_WARN, "log_dropped", slice_str(text));
    if (!write_now(log, &line))
        return false;
    log->reported = dropped;
    return true;
}

void log_line(struct log *log, enum log_severity severity, const char *event, const char *format,
              ...)
{
    char text[LOG_LINE_MAX];
    struct line line;
    va_list args;

    if (!log || (int)severity > atomic_load_explicit(&log->least, memory_order_relaxed))
        return;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (len < 0)
        len = 0;
    size_t kept = (size_t)len < sizeof text ? (size_t)len : sizeof text - 1;
    build(&line, log->terminal, severity, event, slice_of(text, kept));
    pthread_mutex_lock(&log->lock);
    if (!report_dropped(log) || !write_now(log, &line))
        atomic_fetch_add(&log->dropped, 1);
    pthread_mutex_unlock(&log->lock);
}

/* ---- lifetime --------------------------------------------------------------------------------- */

enum status log_new(int fd, enum log_severity least, struct log **ret_log)
{
    struct log *log = calloc(1, sizeof *log);

    if (!log)
        return STATUS_NO_MEMORY;
    if (pthread_mutex_init(&log->lock, NULL) != 0) {
        free(log);
        return STATUS_NO_MEMORY;
    }
    log->fd = fd;
    log->terminal = isatty(fd) == 1;
    atomic_init(&log->least, (int)least);
    *ret_log = log;
    return STATUS_OK;
}

void log_free(struct log *log)
{
    if (!log)
        return;
    pthread_mutex_destroy(&log->lock);
    free(log);
}

void log_set_least(struct log *log, enum log_severity least)
{
    atomic_store_explicit(&log->least, (int)least, memory_order_relaxed);
}

uint64_t log_dropped(const struct log *log)
{
    return atomic_load(&log->dropped);
}
