#include "cli/health_view.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LINE_SIZE = 512, NAME_SHOWN_MAX = 40 };

#define GREEN  "\033[32m"
#define YELLOW "\033[33m"
#define RED    "\033[31m"
#define BOLD   "\033[1m"
#define PLAIN  "\033[0m"

/* ---- reading ----------------------------------------------------------------------------- */

static void take_text(const json_t *value, char *out, size_t size)
{
    (void)slice_copy(slice_str(json_string_value(value)), out, size);
    for (char *c = out; *c; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    }
}

static uint64_t take_count(const json_t *object, const char *name)
{
    json_int_t number = json_integer_value(json_object_get(object, name));

    return number > 0 ? (uint64_t)number : 0;
}

static double take_number(const json_t *object, const char *name)
{
    return json_number_value(json_object_get(object, name));
}

/* "2026-11-28T12:00:00.000Z" as Unix milliseconds; -1: it is none. */
static int64_t iso_ms(const char *text)
{
    struct tm tm = {0};
    const char *rest = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;

    return rest ? (int64_t)timegm(&tm) * 1000 : -1;
}

/* When it is tried again, as the document tells it. */
static int64_t back_of(const json_t *key, int64_t wall_ms)
{
    static const char *const names[] = {"recoveryTime", "rateLimitResetAt"};
    const json_t *opens = json_object_get(json_object_get(key, "reason"), "opensInMs");

    if (opens)
        return json_integer_value(opens);
    for (size_t i = 0; i < 2; i++) {
        int64_t at_ms = iso_ms(json_string_value(json_object_get(key, names[i])));
        if (at_ms >= 0)
            return at_ms > wall_ms ? at_ms - wall_ms : 0;
    }
    return -1;
}

static enum health_state state_of(const json_t *key)
{
    if (json_is_true(json_object_get(key, "isHealthy")))
        return HEALTH_READY;
    return json_is_true(json_object_get(key, "isRateLimited")) ? HEALTH_LIMITED : HEALTH_OUT;
}

static void read_row(const json_t *key, int64_t wall_ms, struct health_row *row)
{
    const json_t *reason = json_object_get(key, "reason");

    row->state = state_of(key);
    take_text(json_object_get(key, "keyId"), row->mask, sizeof row->mask);
    take_text(json_object_get(key, "name"), row->name, sizeof row->name);
    take_text(json_is_object(reason) ? json_object_get(reason, "class") : reason, row->reason,
              sizeof row->reason);
    row->back_ms = row->state == HEALTH_READY ? -1 : back_of(key, wall_ms);
    row->success_percent = take_number(key, "successRate");
    row->requests = take_count(key, "totalRequests");
    row->in_flight = take_count(key, "inFlight");
    row->errors = take_count(key, "errorCount");
}

static void read_summary(const json_t *root, struct health *h)
{
    const json_t *summary = json_object_get(root, "summary");

    take_text(json_object_get(root, "overallStatus"), h->overall, sizeof h->overall);
    h->total = take_count(summary, "totalKeys");
    h->by_state[HEALTH_READY] = take_count(summary, "healthyKeys");
    h->by_state[HEALTH_LIMITED] = take_count(summary, "rateLimitedKeys");
    h->by_state[HEALTH_OUT] = take_count(summary, "unhealthyKeys");
    h->success_percent = take_number(summary, "overallSuccessRate");
}

static enum status read_rows(const json_t *keys, int64_t wall_ms, struct health *h)
{
    size_t count = json_array_size(keys);

    h->rows = calloc(count + 1, sizeof *h->rows);
    if (!h->rows)
        return STATUS_NO_MEMORY;
    for (; h->row_count < count; h->row_count++) {
        struct health_row *row = &h->rows[h->row_count];
        read_row(json_array_get(keys, h->row_count), wall_ms, row);
        row->place = (uint32_t)h->row_count;
        h->requests += row->requests;
        h->in_flight += row->in_flight;
    }
    return STATUS_OK;
}

enum status health_read(struct slice document, int64_t wall_ms, struct health *ret)
{
    json_t *root = json_loadb(document.ptr ? document.ptr : "", document.len, 0, NULL);
    const json_t *keys = json_object_get(root, "keys");
    struct health h = {0};
    enum status status = STATUS_INVALID;

    if (json_is_array(keys) && json_is_object(json_object_get(root, "summary"))) {
        read_summary(root, &h);
        status = read_rows(keys, wall_ms, &h);
    }
    json_decref(root);
    if (status == STATUS_OK)
        *ret = h;
    return status;
}

void health_clear(struct health *h)
{
    free(h->rows);
    *h = (struct health){0};
}

/* ---- order ------------------------------------------------------------------------------- */

static int descending(uint64_t a, uint64_t b)
{
    return (a < b) - (a > b);
}

static int compare(const void *left, const void *right)
{
    const struct health_row *a = left, *b = right;
    int order = descending(a->state, b->state);

    if (!order)
        order = descending(a->errors, b->errors);
    if (!order)
        order = descending(a->in_flight, b->in_flight);
    if (!order)
        order = descending(a->requests, b->requests);
    return order ? order : (a->place > b->place) - (a->place < b->place);
}

void health_sort(struct health *h)
{
    qsort(h->rows, h->row_count, sizeof *h->rows, compare);
}

/* ---- writing ----------------------------------------------------------------------------- */

static const char *paint(const struct health_style *style, const char *code)
{
    return style->colour ? code : "";
}

/* "12 s", "4 min", "3 h", "2 d"; "-" when it is not told. */
static void write_wait(int64_t ms, char *out, size_t size)
{
    int64_t s = (ms + 999) / 1000;

    if (ms < 0)
        (void)snprintf(out, size, "-");
    else if (s < 120)
        (void)snprintf(out, size, "%lld s", (long long)s);
    else if (s < 7200)
        (void)snprintf(out, size, "%lld min", (long long)(s / 60));
    else if (s < 172800)
        (void)snprintf(out, size, "%lld h", (long long)(s / 3600));
    else
        (void)snprintf(out, size, "%lld d", (long long)(s / 86400));
}

/* One line, cut to the columns there are; what colours take does not count. */
static enum status put_line(const struct health_style *style, const char *colour, const char *line,
                            struct buffer *out)
{
    int most = style->columns && style->columns < LINE_SIZE ? (int)style->columns : LINE_SIZE;

    return buffer_printf(out, HEALTH_TEXT_MAX, "%s%.*s%s\n", paint(style, colour), most, line,
                         paint(style, PLAIN));
}

static size_t name_width(const struct health *h, size_t rows)
{
    size_t width = sizeof "NAME" - 1;

    for (size_t i = 0; i < rows; i++) {
        size_t len = strlen(h->rows[i].name);
        width = len > width ? len : width;
    }
    return width < NAME_SHOWN_MAX ? width : NAME_SHOWN_MAX;
}

static enum status put_row(const struct health_row *row, int width,
                           const struct health_style *style, struct buffer *out)
{
    static const char *const states[] = {"ready", "rate limited", "out"};
    static const char *const colours[] = {GREEN, YELLOW, RED};
    char line[LINE_SIZE], back[24];

    write_wait(row->back_ms, back, sizeof back);
    (void)snprintf(line, sizeof line, "%-15s  %-*.*s  %-12s  %-24.40s  %7s  %9.2f %%  %8llu  %6llu",
                   row->mask, width, width, row->name, states[row->state],
                   row->reason[0] ? row->reason : "-", back, row->success_percent,
                   (unsigned long long)row->requests, (unsigned long long)row->in_flight);
    return put_line(style, colours[row->state], line, out);
}

enum status health_table(const struct health *h, size_t rows, const struct health_style *style,
                         struct buffer *out)
{
    char line[LINE_SIZE];

    if (rows > h->row_count)
        rows = h->row_count;
    int width = (int)name_width(h, rows);
    (void)snprintf(line, sizeof line, "%-15s  %-*s  %-12s  %-24s  %7s  %11s  %8s  %6s", "KEY",
                   width, "NAME", "STATE", "REASON", "BACK IN", "SUCCESS", "REQUESTS", "ACTIVE");
    enum status status = put_line(style, BOLD, line, out);
    for (size_t i = 0; i < rows && status == STATUS_OK; i++)
        status = put_row(&h->rows[i], width, style, out);
    return status;
}

enum status health_summary(const struct health *h, const struct health_style *style,
                           struct buffer *out)
{
    const char *colour = strcmp(h->overall, "healthy") == 0    ? GREEN
                         : strcmp(h->overall, "degraded") == 0 ? YELLOW
                                                               : RED;
    char line[LINE_SIZE];

    (void)snprintf(line, sizeof line,
                   "%s: %llu of %llu key%s ready, %llu rate limited, %llu out; %.2f %% of %llu "
                   "attempts succeeded",
                   h->overall, (unsigned long long)h->by_state[HEALTH_READY],
                   (unsigned long long)h->total, h->total == 1 ? "" : "s",
                   (unsigned long long)h->by_state[HEALTH_LIMITED],
                   (unsigned long long)h->by_state[HEALTH_OUT], h->success_percent,
                   (unsigned long long)h->requests);
    return put_line(style, colour, line, out);
}
