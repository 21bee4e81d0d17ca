#include "cli/findings.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const severity_names[] = {"error", "warning", "note"};

/* Where the next one belongs; NULL: it is only counted. */
static struct finding *next_place(struct findings *f)
{
    if (f->count == FINDINGS_MAX)
        return NULL;
    if (f->count == f->capacity) {
        size_t capacity = f->capacity ? f->capacity * 2 : 16;
        struct finding *items = realloc(f->items, capacity * sizeof *items);
        if (!items) {
            f->no_memory = true;
            return NULL;
        }
        f->items = items;
        f->capacity = capacity;
    }
    return &f->items[f->count++];
}

void findings_add(struct findings *f, enum severity severity, const char *code, const char *subject,
                  const char *remedy, const char *format, ...)
{
    struct finding *one = next_place(f);
    va_list args;

    f->by_severity[severity]++;
    if (!one)
        return;
    *one = (struct finding){.severity = severity, .code = code, .remedy = remedy};
    (void)slice_copy(slice_str(subject), one->subject, sizeof one->subject);
    va_start(args, format);
    (void)vsnprintf(one->message, sizeof one->message, format, args);
    va_end(args);
}

void findings_clear(struct findings *f)
{
    free(f->items);
    *f = (struct findings){0};
}

bool findings_any(const struct findings *f)
{
    return f->by_severity[SEVERITY_ERROR] + f->by_severity[SEVERITY_WARNING] > 0;
}

static size_t all(const struct findings *f)
{
    return f->by_severity[0] + f->by_severity[1] + f->by_severity[2];
}

static enum status write_one(const struct finding *one, struct buffer *out)
{
    return buffer_printf(out, FINDINGS_TEXT_MAX, "%s: %s: %s [%s]\n    %s\n",
                         severity_names[one->severity], one->subject, one->message, one->code,
                         one->remedy);
}

static enum status write_end(const struct findings *f, size_t keys, bool live, struct buffer *out)
{
    enum status status = STATUS_OK;

    if (all(f) > f->count)
        status = buffer_printf(out, FINDINGS_TEXT_MAX, "and %zu more\n", all(f) - f->count);
    if (status != STATUS_OK)
        return status;
    return buffer_printf(out, FINDINGS_TEXT_MAX,
                         "%zu key%s checked%s: %zu errors, %zu warnings, %zu notes\n", keys,
                         keys == 1 ? "" : "s", live ? "" : " (--live asks the service, too)",
                         f->by_severity[0], f->by_severity[1], f->by_severity[2]);
}

enum status findings_write(const struct findings *f, size_t keys, bool live, struct buffer *out)
{
    enum status status = STATUS_OK;

    for (int severity = SEVERITY_ERROR; severity <= SEVERITY_NOTE; severity++) {
        for (size_t i = 0; i < f->count && status == STATUS_OK; i++) {
            if (f->items[i].severity == (enum severity)severity)
                status = write_one(&f->items[i], out);
        }
    }
    return status == STATUS_OK ? write_end(f, keys, live, out) : status;
}

enum status findings_write_json(const struct findings *f, size_t keys, bool live,
                                struct buffer *out)
{
    json_t *list = json_array();

    for (size_t i = 0; i < f->count; i++) {
        const struct finding *one = &f->items[i];
        (void)json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s}", "severity",
                                                    severity_names[one->severity], "code",
                                                    one->code, "subject", one->subject, "message",
                                                    one->message, "remedy", one->remedy));
    }
    json_t *root = json_pack(
        "{s:b, s:b, s:I, s:I, s:I, s:I, s:o}", "clean", !findings_any(f), "live", live, "keys",
        (json_int_t)keys, "errors", (json_int_t)f->by_severity[0], "warnings",
        (json_int_t)f->by_severity[1], "notes", (json_int_t)f->by_severity[2], "findings", list);
    char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
    json_decref(root);
    enum status status =
        text ? buffer_printf(out, FINDINGS_TEXT_MAX, "%s\n", text) : STATUS_NO_MEMORY;
    free(text);
    return status;
}
