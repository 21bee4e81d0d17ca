#include "settings/report.h"

#include <stdarg.h>
#include <stdio.h>

#include "settings/options.h"

enum { MESSAGE_MAX = 1024, REPORT_MAX_BYTES = 1 << 20 };

const char *origin_text(const struct origin *origin, char out[ORIGIN_TEXT_MAX])
{
    static const char *const places[] = {
        [ORIGIN_DEFAULT] = "default",
        [ORIGIN_YAML] = "sparekey.yaml",
        [ORIGIN_DOTENV] = ".env",
        [ORIGIN_DOTENV_LOCAL] = ".env.local",
        [ORIGIN_ENVIRONMENT] = "environment",
        [ORIGIN_ARGUMENTS] = "command line",
    };
    const char *place = origin->file ? origin->file : places[origin->rank];

    if (origin->line)
        (void)snprintf(out, ORIGIN_TEXT_MAX, "%.300s:%u", place, origin->line);
    else
        (void)snprintf(out, ORIGIN_TEXT_MAX, "%.300s", place);
    return out;
}

/* A key pasted into the wrong variable, or credentials in a URL. */
static bool may_hold_secret(struct slice value)
{
    return slice_contains_nocase(value, SLICE("sk-")) ||
           slice_contains_nocase(value, SLICE("sess-")) ||
           (value.len && memchr(value.ptr, '@', value.len));
}

const char *report_quote(struct slice value, bool secret, char out[REPORT_QUOTE_MAX])
{
    enum { SHOWN = REPORT_QUOTE_MAX - 8 };
    size_t at = 0;

    if (secret || may_hold_secret(value)) {
        (void)slice_copy(SLICE("a hidden value"), out, REPORT_QUOTE_MAX);
        return out;
    }
    out[at++] = '"';
    for (size_t i = 0; i < value.len && i < SHOWN; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        out[at++] = c < ' ' || c == 0x7f ? '.' : (char)c;
    }
    for (int dots = value.len > SHOWN ? 3 : 0; dots; dots--)
        out[at++] = '.';
    out[at++] = '"';
    out[at] = '\0';
    return out;
}

static void __attribute__((format(printf, 4, 0), nonnull(4)))
write_line(struct buffer *out, const struct origin *origin, const char *name, const char *format,
           va_list args)
{
    char place[ORIGIN_TEXT_MAX], message[MESSAGE_MAX], flag[OPTION_FLAG_MAX];
    int id = name && origin->rank == ORIGIN_ARGUMENTS ? option_find(slice_str(name), false) : -1;

    if (id >= 0) {
        option_flag(&option_table[id], flag);
        name = flag;
    }
    (void)vsnprintf(message, sizeof message, format, args);
    /* A report that does not fit any more, or finds no memory, is cut; the count is still right. */
    (void)!buffer_printf(out, REPORT_MAX_BYTES, "%s: %s%s%s\n", origin_text(origin, place),
                         name ? name : "", name ? ": " : "", message);
}

void report_error(struct reporter *r, const struct origin *origin, const char *name,
                  const char *format, ...)
{
    va_list args;

    if (++r->errors > REPORT_LINES_MAX)
        return;
    va_start(args, format);
    write_line(&r->report->errors, origin, name, format, args);
    va_end(args);
}

void report_warning(struct reporter *r, const struct origin *origin, const char *name,
                    const char *format, ...)
{
    va_list args;

    if (++r->warnings > REPORT_LINES_MAX)
        return;
    va_start(args, format);
    write_line(&r->report->warnings, origin, name, format, args);
    va_end(args);
}

static void write_rest(struct buffer *out, size_t count, const char *noun)
{
    if (count > REPORT_LINES_MAX)
        (void)!buffer_printf(out, REPORT_MAX_BYTES, "and %zu more %s\n", count - REPORT_LINES_MAX,
                             noun);
}

void report_finish(struct reporter *r)
{
    write_rest(&r->report->errors, r->errors, "errors");
    write_rest(&r->report->warnings, r->warnings, "warnings");
}

void settings_report_clear(struct settings_report *report)
{
    buffer_clear(&report->errors);
    buffer_clear(&report->warnings);
}
