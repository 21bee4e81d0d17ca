#include "settings/value.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/number.h"
#include "settings/address.h"

enum { VALUE_TEXT_MAX = 1 << 20 };

struct unit {
    struct slice suffix;
    uint64_t factor;
};

/* Largest first, for printing; the first spelling of a factor is the one printed. */
static const struct unit duration_units[] = {
    {{"d", 1}, 86400000}, {{"h", 1}, 3600000}, {{"m", 1}, 60000},
    {{"s", 1}, 1000},     {{"ms", 2}, 1},      {{"", 0}, 1},
};
static const struct unit size_units[] = {
    {{"GiB", 3}, 1u << 30}, {{"G", 1}, 1u << 30}, {{"MiB", 3}, 1u << 20}, {{"M", 1}, 1u << 20},
    {{"KiB", 3}, 1u << 10}, {{"K", 1}, 1u << 10}, {{"B", 1}, 1},          {{"", 0}, 1},
};
#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

enum status value_bool(struct slice text, bool *ret)
{
    static const char *const words[][2] = {
        {"false", "true"},
        {"0", "1"},
        {"no", "yes"},
        {"off", "on"},
    };

    for (size_t i = 0; i < COUNT_OF(words); i++) {
        for (int value = 0; value < 2; value++) {
            if (!slice_ieq(text, slice_str(words[i][value])))
                continue;
            *ret = value;
            return STATUS_OK;
        }
    }
    return STATUS_INVALID;
}

static size_t digits_len(struct slice text)
{
    size_t i = 0;

    while (i < text.len && ((text.ptr[i] >= '0' && text.ptr[i] <= '9') || text.ptr[i] == '.'))
        i++;
    return i;
}

/* A number, perhaps with a fraction, and one of the units. */
static enum status parse_scaled(struct slice text, const struct unit *units, size_t unit_count,
                                uint64_t *ret)
{
    enum { MILLION = 1000000 };
    struct slice digits = slice_of(text.ptr, digits_len(text));
    struct slice suffix = slice_trim(slice_from(text, digits.len));
    uint64_t millionths;

    enum status status = number_parse_decimal(digits, INT64_MAX, &millionths);
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < unit_count; i++) {
        if (!slice_ieq(suffix, units[i].suffix))
            continue;
        unsigned __int128 scaled = (unsigned __int128)millionths * units[i].factor;
        if (scaled % MILLION != 0)
            return STATUS_INVALID; /* half a byte, half a millisecond */
        if (scaled / MILLION > INT64_MAX)
            return STATUS_RANGE;
        *ret = (uint64_t)(scaled / MILLION);
        return STATUS_OK;
    }
    return STATUS_INVALID;
}

enum status value_duration(struct slice text, uint64_t *ret_ms)
{
    return parse_scaled(text, duration_units, COUNT_OF(duration_units), ret_ms);
}

enum status value_size(struct slice text, uint64_t *ret_bytes)
{
    return parse_scaled(text, size_units, COUNT_OF(size_units), ret_bytes);
}

/* ---- what is expected ------------------------------------------------------------------------- */

/* "1h" and not "3600000ms": the largest unit that divides it. */
static void format_scaled(uint64_t value, const struct unit *units, size_t unit_count, char *out,
                          size_t size)
{
    size_t i = 0;

    while (i + 1 < unit_count && (value == 0 || value % units[i].factor != 0))
        i++;
    (void)snprintf(out, size, "%" PRIu64 "%s", value / units[i].factor, units[i].suffix.ptr);
}

static void expect_range(const struct option *option, char out[EXPECTED_MAX])
{
    char min[32], max[32];

    if (option->type == OPTION_DURATION) {
        format_scaled(option->min, duration_units, COUNT_OF(duration_units), min, sizeof min);
        format_scaled(option->max, duration_units, COUNT_OF(duration_units), max, sizeof max);
        (void)snprintf(out, EXPECTED_MAX,
                       "a duration from %s to %s, as 1500 (milliseconds), 500ms, 10s or 2m", min,
                       max);
        return;
    }
    format_scaled(option->min, size_units, COUNT_OF(size_units), min, sizeof min);
    format_scaled(option->max, size_units, COUNT_OF(size_units), max, sizeof max);
    (void)snprintf(out, EXPECTED_MAX, "a size from %s to %s, as 1048576, 64M or 64MiB", min, max);
}

static void expect_choice(const struct option *option, char out[EXPECTED_MAX])
{
    int at = snprintf(out, EXPECTED_MAX, "one of");

    for (size_t i = 0; option->choices[i] && at > 0 && at < EXPECTED_MAX; i++)
        at += snprintf(out + at, (size_t)(EXPECTED_MAX - at), "%s %s", i ? "," : "",
                       option->choices[i]);
}

void value_expected(const struct option *option, char out[EXPECTED_MAX])
{
    switch (option->type) {
    case OPTION_BOOL: (void)snprintf(out, EXPECTED_MAX, "true or false"); return;
    case OPTION_COUNT:
        (void)snprintf(out, EXPECTED_MAX, "a whole number from %" PRIu64 " to %" PRIu64,
                       option->min, option->max);
        return;
    case OPTION_DURATION:
    case OPTION_SIZE: expect_range(option, out); return;
    case OPTION_CHOICE: expect_choice(option, out); return;
    case OPTION_LEVELS: (void)snprintf(out, EXPECTED_MAX, LOG_LEVELS_EXPECTED); return;
    case OPTION_WEBHOOK: (void)snprintf(out, EXPECTED_MAX, WEBHOOK_EXPECTED); return;
    case OPTION_PROXY: (void)snprintf(out, EXPECTED_MAX, PROXY_EXPECTED); return;
    case OPTION_TEXT:
        (void)snprintf(out, EXPECTED_MAX, "a name without control characters");
        return;
    case OPTION_PATH: (void)snprintf(out, EXPECTED_MAX, "the path of a file"); return;
    case OPTION_URL: (void)snprintf(out, EXPECTED_MAX, URL_EXPECTED); return;
    case OPTION_ADDRESS: (void)snprintf(out, EXPECTED_MAX, LISTEN_EXPECTED); return;
    case OPTION_KEY:
    case OPTION_KEY_SERIES: (void)snprintf(out, EXPECTED_MAX, "an API key"); return;
    case OPTION_TOKEN:
    case OPTION_TOKENS: (void)snprintf(out, EXPECTED_MAX, "visible ASCII characters"); return;
    }
}

/* ---- parsing ---------------------------------------------------------------------------------- */

static enum status parse_number(const struct option *option, struct slice text, uint64_t *ret)
{
    enum status status = option->type == OPTION_COUNT      ? number_parse(text, UINT64_MAX, ret)
                         : option->type == OPTION_DURATION ? value_duration(text, ret)
                                                           : value_size(text, ret);

    if (status == STATUS_OK && (*ret < option->min || *ret > option->max))
        return STATUS_RANGE;
    return status;
}

static enum status parse_choice(const struct option *option, struct slice text, int *field)
{
    for (int i = 0; option->choices[i]; i++) {
        if (!slice_ieq(text, slice_str(option->choices[i])))
            continue;
        *field = i;
        return STATUS_OK;
    }
    return STATUS_INVALID;
}

static enum status parse_string(struct slice text, struct arena *arena, char **field)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 0x7f)
            return STATUS_INVALID;
    }
    char *copy = text.len ? arena_copy(arena, text) : NULL;
    if (text.len && !copy)
        return STATUS_NO_MEMORY;
    *field = copy;
    return STATUS_OK;
}

static enum status parse_field(const struct option *option, struct slice text, struct arena *arena,
                               void *field, const char **ret_why)
{
    uint64_t number = 0;
    enum status status = STATUS_OK;

    switch (option->type) {
    case OPTION_BOOL: return value_bool(text, field);
    case OPTION_CHOICE: return parse_choice(option, text, field);
    case OPTION_LEVELS: return log_levels_parse(text, field);
    case OPTION_TEXT:
    case OPTION_PATH: return parse_string(text, arena, field);
    case OPTION_URL: return url_parse(text, arena, ret_why, field);
    case OPTION_ADDRESS: return listen_parse(text, arena, ret_why, field);
    case OPTION_COUNT:
        status = parse_number(option, text, &number);
        if (status == STATUS_OK)
            *(uint32_t *)field = (uint32_t)number;
        return status;
    case OPTION_DURATION:
    case OPTION_SIZE:
        status = parse_number(option, text, &number);
        if (status == STATUS_OK)
            *(uint64_t *)field = number; /* below 2^63: the same bits as int64_t */
        return status;
    case OPTION_KEY:
    case OPTION_KEY_SERIES:
    case OPTION_TOKEN:
    case OPTION_WEBHOOK:
    case OPTION_PROXY:
    case OPTION_TOKENS: break;
    }
    return STATUS_OK; /* secrets are read elsewhere */
}

enum status value_parse(const struct option *option, struct slice text, struct arena *arena,
                        struct settings *settings, char ret_expected[EXPECTED_MAX])
{
    const char *why = NULL;
    void *field = (char *)settings + option->offset;

    enum status status = parse_field(option, text, arena, field, &why);
    if (status == STATUS_OK || status == STATUS_NO_MEMORY)
        return status;
    value_expected(option, ret_expected);
    if (why) {
        size_t at = strlen(ret_expected);
        (void)snprintf(ret_expected + at, EXPECTED_MAX - at, " (%s)", why);
    }
    return STATUS_INVALID;
}

/* ---- printing --------------------------------------------------------------------------------- */

static enum status put_text(struct buffer *out, const char *text)
{
    return buffer_append(out, slice_str(text), VALUE_TEXT_MAX + out->len);
}

static enum status format_number(const struct option *option, uint64_t value, struct buffer *out)
{
    char text[32];

    if (option->type == OPTION_SIZE)
        format_scaled(value, size_units, COUNT_OF(size_units), text, sizeof text);
    else if (option->unit && strcmp(option->unit, "s") == 0)
        format_scaled(value, duration_units, COUNT_OF(duration_units), text, sizeof text);
    else
        (void)snprintf(text, sizeof text, "%" PRIu64, value);
    return put_text(out, text);
}

static enum status format_address(const struct listen_address *address, struct buffer *out)
{
    bool v6 = strchr(address->host, ':') != NULL;

    return buffer_printf(out, VALUE_TEXT_MAX + out->len, "%s%s%s:%u", v6 ? "[" : "", address->host,
                         v6 ? "]" : "", address->port);
}

enum status value_format(const struct option *option, const struct settings *settings,
                         struct buffer *out)
{
    const void *field = (const char *)settings + option->offset;

    switch (option->type) {
    case OPTION_BOOL: return put_text(out, *(const bool *)field ? "true" : "false");
    case OPTION_LEVELS: return log_levels_format(field, out);
    case OPTION_CHOICE: return put_text(out, option->choices[*(const int *)field]);
    case OPTION_TEXT:
    case OPTION_PATH: return put_text(out, *(char *const *)field);
    case OPTION_URL: return put_text(out, ((const struct service_url *)field)->text);
    case OPTION_ADDRESS: return format_address(field, out);
    case OPTION_COUNT: return format_number(option, *(const uint32_t *)field, out);
    case OPTION_DURATION:
    case OPTION_SIZE: return format_number(option, *(const uint64_t *)field, out);
    case OPTION_KEY:
    case OPTION_KEY_SERIES:
    case OPTION_TOKEN:
    case OPTION_WEBHOOK:
    case OPTION_PROXY:
    case OPTION_TOKENS: break;
    }
    return STATUS_OK;
}
