#include "openai/hints.h"

#include "base/number.h"
#include "pool/plan.h"

/* Everything here errs towards "unknown": a header that is absent, malformed, negative, or that
 * contradicts itself says nothing, and never says zero. A wrong wait of a day costs more than a
 * backoff of a second. */

#define MS_NS INT64_C(1000000)
#define S_NS  INT64_C(1000000000)
#define DAY_S INT64_C(86400)

_Static_assert(HINT_WAIT_MAX_NS == DAY_S * S_NS, "the longest wait is a day");

/* ---- durations ---- */

struct unit {
    struct slice name;
    int64_t ns;
};

/* The words stand in error messages ("after 51.84 seconds"), the letters in headers too. A name
 * is compared whole, so that "ms" is never read as "m". */
static const struct unit units[] = {
    {SLICE("ms"), MS_NS},       {SLICE("s"), S_NS},        {SLICE("m"), 60 * S_NS},
    {SLICE("h"), 3600 * S_NS},  {SLICE("d"), DAY_S *S_NS}, {SLICE("us"), 1000},
    {SLICE("\xC2\xB5s"), 1000}, /* U+00B5 micro sign */
    {SLICE("\xCE\xBCs"), 1000}, /* U+03BC Greek mu */
    {SLICE("ns"), 1},
};
static const struct unit unit_words[] = {
    {SLICE("millisecond"), MS_NS}, {SLICE("second"), S_NS},   {SLICE("sec"), S_NS},
    {SLICE("minute"), 60 * S_NS},  {SLICE("min"), 60 * S_NS}, {SLICE("hour"), 3600 * S_NS},
    {SLICE("day"), DAY_S *S_NS},
};

static bool is_number_byte(char c)
{
    return (c >= '0' && c <= '9') || c == '.';
}

static size_t number_length(struct slice s)
{
    size_t i = 0;
    while (i < s.len && is_number_byte(s.ptr[i]))
        i++;
    return i;
}

/* 0 when there is no such unit. */
static int64_t unit_ns(struct slice name)
{
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (slice_eq(name, units[i].name))
            return units[i].ns;
    }
    return 0;
}

static int64_t unit_word_ns(struct slice word)
{
    for (size_t i = 0; i < sizeof unit_words / sizeof *unit_words; i++) {
        struct slice name = unit_words[i].name;
        bool plural = word.len == name.len + 1 && (word.ptr[name.len] | 0x20) == 's';
        if (slice_ieq(slice_of(word.ptr, word.len - plural), name))
            return unit_words[i].ns;
    }
    return 0;
}

/* "51.84" and a unit, clamped. A number too large for the parser is a valid, very long wait. */
static enum status scale(struct slice number, int64_t unit, int64_t *ret_ns)
{
    uint64_t millionths;
    enum status status = number_parse_decimal(number, UINT64_MAX, &millionths);

    if (status == STATUS_RANGE) {
        *ret_ns = HINT_WAIT_MAX_NS;
        return STATUS_OK;
    }
    if (status != STATUS_OK)
        return status;
    unsigned __int128 ns = (unsigned __int128)millionths * (uint64_t)unit / 1000000;
    *ret_ns = ns > (uint64_t)HINT_WAIT_MAX_NS ? HINT_WAIT_MAX_NS : (int64_t)ns;
    return STATUS_OK;
}

enum status duration_parse(struct slice text, int64_t *ret_ns)
{
    struct slice rest = slice_trim(text);
    int64_t total = 0, part;

    if (rest.len && number_length(rest) == rest.len)
        return scale(rest, S_NS, ret_ns);
    do {
        size_t number = number_length(rest), end = number;
        while (end < rest.len && !is_number_byte(rest.ptr[end]))
            end++;
        int64_t unit = unit_ns(slice_of(rest.ptr ? rest.ptr + number : NULL, end - number));
        if (!unit || scale(slice_of(rest.ptr, number), unit, &part) != STATUS_OK)
            return STATUS_INVALID;
        total = part > HINT_WAIT_MAX_NS - total ? HINT_WAIT_MAX_NS : total + part;
        rest = slice_from(rest, end);
    } while (rest.len);
    *ret_ns = total;
    return STATUS_OK;
}

/* ---- dates ---- */

struct date {
    unsigned year, month, day, hour, minute, second;
};

/* Days since 1970-01-01 of a date of the Gregorian calendar; H. Hinnant's days_from_civil. */
static int64_t days_from_civil(const struct date *d)
{
    int64_t y = (int64_t)d->year - (d->month <= 2);
    int64_t era = y / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year =
        (153 * ((int64_t)d->month + (d->month > 2 ? -3 : 9)) + 2) / 5 + d->day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

static bool parse_small(struct slice text, size_t from, size_t len, unsigned *ret)
{
    uint64_t value;

    if (from + len > text.len ||
        number_parse(slice_of(text.ptr + from, len), 9999, &value) != STATUS_OK)
        return false;
    *ret = (unsigned)value;
    return true;
}

static bool parse_month(struct slice text, size_t from, unsigned *ret)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

    for (unsigned month = 0; month < 12; month++) {
        if (memcmp(text.ptr + from, names + 3 * (size_t)month, 3) == 0) {
            *ret = month + 1;
            return true;
        }
    }
    return false;
}

/* Whether `text` has the shape of `mask`: '0' a digit or a space, 'A' any letter, else itself. */
static bool has_shape(struct slice text, struct slice mask)
{
    if (text.len != mask.len)
        return false;
    for (size_t i = 0; i < mask.len; i++) {
        char c = text.ptr[i], m = mask.ptr[i];
        bool digit = c >= '0' && c <= '9';
        char lower = (char)(c | 0x20);
        if (m == '0' ? !digit && c != ' ' : m == 'A' ? lower < 'a' || lower > 'z' : c != m)
            return false;
    }
    return true;
}

static bool parse_time(struct slice text, size_t from, struct date *d)
{
    return parse_small(text, from, 2, &d->hour) && parse_small(text, from + 3, 2, &d->minute) &&
           parse_small(text, from + 6, 2, &d->second);
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" */
static bool parse_imf_fixdate(struct slice text, struct date *d)
{
    return has_shape(text, SLICE("AAA, 00 AAA 0000 00:00:00 GMT")) &&
           parse_small(text, 5, 2, &d->day) && parse_month(text, 8, &d->month) &&
           parse_small(text, 12, 4, &d->year) && parse_time(text, 17, d);
}

/* "Sunday, 06-Nov-94 08:49:37 GMT". Two digits of a year mean the one nearest to our days: RFC
 * 9110 wants more than 50 years ahead read as past; 1970…2069 does that until 2020 + 49. */
static bool parse_rfc850(struct slice text, struct date *d)
{
    const char *comma = text.len ? memchr(text.ptr, ',', text.len) : NULL;
    struct slice tail = comma ? slice_from(text, (size_t)(comma - text.ptr)) : slice_of(NULL, 0);

    if (!has_shape(tail, SLICE(", 00-AAA-00 00:00:00 GMT")) || !parse_small(tail, 2, 2, &d->day) ||
        !parse_month(tail, 5, &d->month) || !parse_small(tail, 9, 2, &d->year) ||
        !parse_time(tail, 12, d))
        return false;
    d->year += d->year < 70 ? 2000 : 1900;
    return true;
}

/* "Sun Nov  6 08:49:37 1994" */
static bool parse_asctime(struct slice text, struct date *d)
{
    if (!has_shape(text, SLICE("AAA AAA 00 00:00:00 0000")))
        return false;
    size_t day = text.ptr[8] == ' ' ? 9 : 8;
    return parse_month(text, 4, &d->month) && parse_small(text, day, 10 - day, &d->day) &&
           parse_time(text, 11, d) && parse_small(text, 20, 4, &d->year);
}

enum status http_date_parse(struct slice text, int64_t *ret_wall_ms)
{
    static const unsigned month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    struct slice trimmed = slice_trim(text);
    struct date d = {0};

    if (!parse_imf_fixdate(trimmed, &d) && !parse_rfc850(trimmed, &d) &&
        !parse_asctime(trimmed, &d))
        return STATUS_INVALID;
    /* 60: a leap second. */
    if (d.year < 1970 || d.day < 1 || d.day > month_days[d.month - 1] || d.hour > 23 ||
        d.minute > 59 || d.second > 60)
        return STATUS_INVALID;
    int64_t seconds =
        days_from_civil(&d) * DAY_S + (int64_t)d.hour * 3600 + (int64_t)d.minute * 60 + d.second;
    *ret_wall_ms = seconds * 1000;
    return STATUS_OK;
}

/* ---- message text ---- */

/* Where `needle` begins in `s`, from `from` on; s.len when nowhere. */
static size_t find_nocase(struct slice s, struct slice needle, size_t from)
{
    for (size_t i = from; i + needle.len <= s.len; i++) {
        if (slice_ieq(slice_of(s.ptr + i, needle.len), needle))
            return i;
    }
    return s.len;
}

/* A word of a sentence: up to white space, without the punctuation behind it. */
static struct slice take_word(struct slice *rest)
{
    size_t start = 0;
    while (start < rest->len && (rest->ptr[start] == ' ' || rest->ptr[start] == '\n'))
        start++;
    size_t end = start;
    while (end < rest->len && rest->ptr[end] != ' ' && rest->ptr[end] != '\n')
        end++;
    struct slice word = slice_of(rest->len ? rest->ptr + start : NULL, end - start);
    *rest = slice_from(*rest, end);
    while (word.len && strchr(".,;:)!\"'", word.ptr[word.len - 1]) && word.ptr[word.len - 1])
        word.len--;
    return word;
}

/* "534ms", "1m2.5s" or "51.84 seconds" at the beginning of `text`. A number without a unit is no
 * hint: it may count anything. */
static int64_t wait_at(struct slice text)
{
    struct slice first = take_word(&text);
    int64_t ns;

    if (first.len == 0 || !(first.ptr[0] >= '0' && first.ptr[0] <= '9'))
        return HINT_NONE;
    if (number_length(first) < first.len)
        return duration_parse(first, &ns) == STATUS_OK ? ns : HINT_NONE;
    struct slice second = take_word(&text);
    int64_t unit = unit_ns(second);
    if (!unit)
        unit = unit_word_ns(second);
    return unit && scale(first, unit, &ns) == STATUS_OK ? ns : HINT_NONE;
}

int64_t message_wait_ns(struct slice message)
{
    static const struct slice leads[] = {SLICE("try again in "), SLICE("retry in "),
                                         SLICE("after ")};

    for (size_t i = 0; i < sizeof leads / sizeof *leads; i++) {
        size_t at = 0;
        while ((at = find_nocase(message, leads[i], at)) < message.len) {
            at += leads[i].len;
            int64_t ns = wait_at(slice_from(message, at));
            if (ns != HINT_NONE)
                return ns;
        }
    }
    return HINT_NONE;
}

/* ---- header fields ---- */

/* Bits of hints.seen, three for each dimension behind these. */
enum { SEEN_RETRY_AFTER_MS, SEEN_RETRY_AFTER, SEEN_SHOULD_RETRY, SEEN_LIMITS };

_Static_assert(SEEN_LIMITS + 3 * LIMIT_DIMENSIONS <= 32, "hints.seen has 32 bits");

void hints_init(struct hints *hints)
{
    memset(hints, 0, sizeof *hints);
    hints->retry_after_ms_ns = hints->retry_after_ns = hints->should_retry = HINT_NONE;
    for (int i = 0; i < LIMIT_DIMENSIONS; i++)
        hints->limits[i] = (struct limit_hint){HINT_NONE, HINT_NONE, HINT_NONE};
}

/* A field that comes twice with different values contradicts itself: unknown, and stays so. */
static void store(struct hints *hints, int bit, int64_t *slot, int64_t value)
{
    bool repeated = hints->seen >> bit & 1;

    hints->seen |= 1u << bit;
    *slot = repeated && *slot != value ? HINT_NONE : value;
}

static int64_t parse_count(struct slice value)
{
    uint64_t count;
    return number_parse(value, INT64_MAX, &count) == STATUS_OK ? (int64_t)count : HINT_NONE;
}

static int64_t parse_milliseconds(struct slice value)
{
    int64_t ns;
    return scale(value, MS_NS, &ns) == STATUS_OK ? ns : HINT_NONE;
}

/* Seconds, a float of them, a Go duration, or a date; a date gone by means now. */
static int64_t parse_retry_after(struct slice value, int64_t wall_ms)
{
    int64_t ns, date_ms;

    if (duration_parse(value, &ns) == STATUS_OK)
        return ns;
    if (http_date_parse(value, &date_ms) != STATUS_OK)
        return HINT_NONE;
    if (date_ms <= wall_ms)
        return 0;
    int64_t left_ms = date_ms - wall_ms;
    return left_ms > HINT_WAIT_MAX_NS / MS_NS ? HINT_WAIT_MAX_NS : left_ms * MS_NS;
}

bool retry_after_readable(struct slice value, bool milliseconds)
{
    int64_t ignored;

    return scale(value, S_NS, &ignored) == STATUS_OK ||
           (!milliseconds && http_date_parse(value, &ignored) == STATUS_OK);
}

static int64_t parse_boolean(struct slice value)
{
    if (slice_ieq(value, SLICE("true")))
        return 1;
    return slice_ieq(value, SLICE("false")) ? 0 : HINT_NONE;
}

/* Names go to logs and to other tables: visible ASCII only, and never a cut one, which could be
 * somebody else's. */
static void store_name(struct slice value, char *out, size_t size)
{
    if (value.len == 0 || value.len >= size)
        return;
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] <= ' ' || value.ptr[i] > '~')
            return;
    }
    slice_copy(value, out, size);
}

struct dimension {
    struct slice name;
    enum limit_dimension index;
};

static const struct dimension dimensions[] = {
    {SLICE("requests"), LIMIT_REQUESTS},
    {SLICE("tokens"), LIMIT_TOKENS},
    {SLICE("project-requests"), LIMIT_PROJECT_REQUESTS},
    {SLICE("project-tokens"), LIMIT_PROJECT_TOKENS},
    {SLICE("images"), LIMIT_IMAGES},
    {SLICE("input-images"), LIMIT_IMAGES},
};

static int find_dimension(struct slice name)
{
    for (size_t i = 0; i < sizeof dimensions / sizeof *dimensions; i++) {
        if (slice_ieq(name, dimensions[i].name))
            return (int)dimensions[i].index;
    }
    return -1;
}

/* More left than there is at all: one of the two is wrong, and the smaller promise is the safe
 * one. */
static void check_limit(struct limit_hint *limit)
{
    if (limit->limit != HINT_NONE && limit->remaining > limit->limit)
        limit->remaining = HINT_NONE;
}

/* x-ratelimit-{limit,remaining,reset}-<dimension>; `rest` begins behind "x-ratelimit-". */
static bool limit_field(struct hints *hints, struct slice rest, struct slice value)
{
    static const struct slice kinds[] = {SLICE("limit-"), SLICE("remaining-"), SLICE("reset-")};

    for (int kind = 0; kind < 3; kind++) {
        struct slice prefix = kinds[kind];
        if (rest.len <= prefix.len || !slice_ieq(slice_of(rest.ptr, prefix.len), prefix))
            continue;
        int index = find_dimension(slice_from(rest, prefix.len));
        if (index < 0)
            return false;
        struct limit_hint *limit = &hints->limits[index];
        int64_t *slots[] = {&limit->limit, &limit->remaining, &limit->reset_ns};
        int64_t parsed = parse_count(value);
        if (kind == 2 && duration_parse(value, &parsed) != STATUS_OK)
            parsed = HINT_NONE;
        store(hints, SEEN_LIMITS + 3 * index + kind, slots[kind], parsed);
        check_limit(limit);
        return true;
    }
    return false;
}

static bool x_field(struct hints *hints, struct slice name, struct slice value)
{
    static const struct slice prefix = SLICE("x-ratelimit-");

    if (name.len == 12 && slice_ieq(name, SLICE("x-request-id"))) {
        store_name(value, hints->request_id, sizeof hints->request_id);
        return true;
    }
    if (name.len == 14 && slice_ieq(name, SLICE("x-should-retry"))) {
        store(hints, SEEN_SHOULD_RETRY, &hints->should_retry, parse_boolean(value));
        return true;
    }
    if (name.len > prefix.len && slice_ieq(slice_of(name.ptr, prefix.len), prefix))
        return limit_field(hints, slice_from(name, prefix.len), value);
    return false;
}

static bool retry_field(struct hints *hints, struct slice name, struct slice value, int64_t wall_ms)
{
    if (name.len == 11 && slice_ieq(name, SLICE("retry-after"))) {
        store(hints, SEEN_RETRY_AFTER, &hints->retry_after_ns, parse_retry_after(value, wall_ms));
        return true;
    }
    if (name.len == 14 && slice_ieq(name, SLICE("retry-after-ms"))) {
        store(hints, SEEN_RETRY_AFTER_MS, &hints->retry_after_ms_ns, parse_milliseconds(value));
        return true;
    }
    return false;
}

static bool account_field(struct hints *hints, struct slice name, struct slice value)
{
    if (name.len == 19 && slice_ieq(name, SLICE("openai-organization"))) {
        store_name(value, hints->organization, sizeof hints->organization);
        return true;
    }
    if (name.len == 14 && slice_ieq(name, SLICE("openai-project"))) {
        store_name(value, hints->project, sizeof hints->project);
        return true;
    }
    return false;
}

/* Called for every header of every answer: the first letter decides for most of them. */
bool hints_field(struct hints *hints, struct slice name, struct slice value, int64_t wall_ms)
{
    if (name.len < 6)
        return false;
    switch (name.ptr[0] | 0x20) {
    case 'x': return x_field(hints, name, slice_trim(value));
    case 'r': return retry_field(hints, name, slice_trim(value), wall_ms);
    case 'o': return account_field(hints, name, slice_trim(value));
    case 'c':
        if (name.len != 6 || !slice_ieq(name, SLICE("cf-ray")))
            return false;
        if (!hints->request_id[0]) /* OpenAI's own id says more, whichever comes first */
            store_name(slice_trim(value), hints->request_id, sizeof hints->request_id);
        return true;
    default: return false;
    }
}

/* ---- what it all says ---- */

/* Until the slowest of the exhausted buckets is full again. */
static int64_t exhausted_reset_ns(const struct hints *hints)
{
    int64_t longest = HINT_NONE;

    for (int i = 0; i < LIMIT_DIMENSIONS; i++) {
        const struct limit_hint *limit = &hints->limits[i];
        if (limit->remaining == 0 && limit->reset_ns > longest)
            longest = limit->reset_ns;
    }
    return longest;
}

int64_t hints_wait_ns(const struct hints *hints, struct slice message)
{
    int64_t said = hints_asked_wait_ns(hints, message);
    return said != HINT_NONE ? said : exhausted_reset_ns(hints);
}

int64_t hints_asked_wait_ns(const struct hints *hints, struct slice message)
{
    if (hints->retry_after_ms_ns != HINT_NONE)
        return hints->retry_after_ms_ns;
    if (hints->retry_after_ns != HINT_NONE)
        return hints->retry_after_ns;
    return message_wait_ns(message);
}

_Static_assert((int)LIMIT_DIMENSIONS == (int)REPORT_DIMENSIONS &&
                   (int)LIMIT_PROJECT_TOKENS == (int)REPORT_PROJECT_TOKENS &&
                   (int)LIMIT_IMAGES == (int)REPORT_IMAGES,
               "headers and engine number the dimensions alike");

void hints_report(const struct hints *hints, struct limit_report *ret)
{
    for (unsigned i = 0; i < REPORT_DIMENSIONS; i++) {
        const struct limit_hint *hint = &hints->limits[i];
        ret->readings[i] = (struct limit_reading){hint->limit, hint->remaining, hint->reset_ns};
    }
}
