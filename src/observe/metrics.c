#include "observe/metrics.h"

#include <stdio.h>

#include "base/number.h"
#include "base/text.h"

const struct metric_row metrics_table[METRIC_IDS] = {
#define X(id, name, kind, labels, help) [METRIC_##id] = {name, METRIC_KIND_##kind, labels, help},
    METRICS_TABLE(X)
#undef X
};

#define US(n) (INT64_C(1000) * (n))
#define MS(n) (INT64_C(1000000) * (n))

const int64_t metrics_fine_ns[METRICS_BUCKETS_MAX] = {
    US(10), US(25), US(50), US(100), US(250), US(500),
    MS(1),  MS(5),  MS(10), MS(50),  MS(250), MS(1000),
};
const int64_t metrics_coarse_ns[METRICS_BUCKETS_MAX] = {
    MS(5),    MS(25),   MS(100),   MS(250),   MS(500),   MS(1000),
    MS(2500), MS(5000), MS(10000), MS(20000), MS(60000), MS(300000),
};

/* ---- counting ---------------------------------------------------------------------------- */

void histogram_add(struct histogram *h, const int64_t *bounds_ns, int64_t value_ns)
{
    unsigned i = 0;

    if (value_ns < 0)
        value_ns = 0;
    while (i < METRICS_BUCKETS_MAX && value_ns > bounds_ns[i])
        i++;
    metric_add(&h->counts[i]);
    __atomic_store_n(&h->sum_ns, __atomic_load_n(&h->sum_ns, __ATOMIC_RELAXED) + (uint64_t)value_ns,
                     __ATOMIC_RELAXED);
}

enum metric_class metric_class_of(int status)
{
    switch (status / 100) {
    case 2: return METRIC_CLASS_2XX;
    case 3: return METRIC_CLASS_3XX;
    case 4: return METRIC_CLASS_4XX;
    case 5: return METRIC_CLASS_5XX;
    default: return METRIC_CLASS_GONE;
    }
}

_Static_assert(sizeof(struct metrics) % sizeof(uint64_t) == 0 &&
                   _Alignof(struct metrics) == _Alignof(uint64_t),
               "a struct metrics is counters and nothing else");

void metrics_gather(const struct metrics *from, struct metrics *sum)
{
    const uint64_t *counters = (const uint64_t *)(const void *)from;
    uint64_t *sums = (uint64_t *)(void *)sum;

    for (size_t i = 0; i < sizeof *from / sizeof *counters; i++)
        sums[i] += __atomic_load_n(&counters[i], __ATOMIC_RELAXED);
}

/* ---- the page ---------------------------------------------------------------------------- */

static void put(struct metrics_page *page, struct slice piece)
{
    if (page->status == STATUS_OK)
        page->status = buffer_append(&page->out, piece, METRICS_PAGE_MAX);
}

static void put_str(struct metrics_page *page, const char *text)
{
    put(page, slice_str(text));
}

/* Of help and of label values: both forms escape backslash and line end, and OpenMetrics the quote in
 * either place. */
static void put_escaped(struct metrics_page *page, const char *text, bool quotes)
{
    for (const char *c = text; *c; c++) {
        if (*c == '\n')
            put(page, SLICE("\\n"));
        else if (*c == '\\')
            put(page, SLICE("\\\\"));
        else if (*c == '"' && quotes)
            put(page, SLICE("\\\""));
        else
            put(page, slice_of(c, 1));
    }
}

static bool ends_with(struct slice name, struct slice end)
{
    return name.len >= end.len && slice_eq(slice_from(name, name.len - end.len), end);
}

/* OpenMetrics names the family of a counter without its _total. */
static struct slice family_name(const struct metrics_page *page)
{
    struct slice name = slice_str(metrics_table[page->metric].name);

    if (page->openmetrics && metrics_table[page->metric].kind == METRIC_KIND_COUNTER)
        name.len -= SLICE("_total").len;
    return name;
}

static void put_about(struct metrics_page *page, const char *word)
{
    put_str(page, "# ");
    put_str(page, word);
    put_str(page, " ");
    put(page, family_name(page));
    put_str(page, " ");
}

static const char *unit_of(struct slice family)
{
    static const char *const units[] = {"seconds", "bytes", "ratio"};

    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (ends_with(family, slice_str(units[i])))
            return units[i];
    }
    return NULL;
}

void metrics_family(struct metrics_page *page, enum metric metric)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};

    page->metric = metric;
    put_about(page, "HELP");
    put_escaped(page, metrics_table[metric].help, page->openmetrics);
    put_str(page, "\n");
    put_about(page, "TYPE");
    put_str(page, types[metrics_table[metric].kind]);
    put_str(page, "\n");
    const char *unit = page->openmetrics ? unit_of(family_name(page)) : NULL;
    if (unit) {
        put_about(page, "UNIT");
        put_str(page, unit);
        put_str(page, "\n");
    }
}

static void put_value(struct metrics_page *page, double value)
{
    if (page->status == STATUS_OK)
        page->status = buffer_printf(&page->out, METRICS_PAGE_MAX, " %.15g\n", value);
}

void metrics_sample(struct metrics_page *page, double value, const char *const *label_values)
{
    struct slice names = slice_str(metrics_table[page->metric].labels), name;

    put_str(page, metrics_table[page->metric].name);
    for (unsigned i = 0; slice_next_item(&names, ',', &name) && name.len; i++) {
        put_str(page, i ? "," : "{");
        put(page, name);
        put_str(page, "=\"");
        put_escaped(page, label_values[i], true);
        put_str(page, "\"");
    }
    if (metrics_table[page->metric].labels[0])
        put_str(page, "}");
    put_value(page, value);
}

static void put_bucket(struct metrics_page *page, const char *bound, uint64_t count)
{
    if (page->status == STATUS_OK)
        page->status =
            buffer_printf(&page->out, METRICS_PAGE_MAX, "%s_bucket{le=\"%s\"} %llu\n",
                          metrics_table[page->metric].name, bound, (unsigned long long)count);
}

void metrics_histogram(struct metrics_page *page, const int64_t *bounds_ns,
                       const struct histogram *h)
{
    const char *name = metrics_table[page->metric].name;
    uint64_t count = 0;
    char bound[32];

    for (unsigned i = 0; i < METRICS_BUCKETS_MAX; i++) {
        (void)snprintf(bound, sizeof bound, bounds_ns[i] % MS(1000) ? "%.9g" : "%.1f",
                       (double)bounds_ns[i] / 1e9);
        put_bucket(page, bound, count += h->counts[i]);
    }
    put_bucket(page, "+Inf", count += h->counts[METRICS_BUCKETS_MAX]);
    put_str(page, name);
    put_str(page, "_sum");
    put_value(page, (double)h->sum_ns / 1e9);
    put_str(page, name);
    put_str(page, "_count");
    put_value(page, (double)count);
}

void metrics_end(struct metrics_page *page)
{
    if (page->openmetrics)
        put_str(page, "# EOF\n");
}

/* ---- which form -------------------------------------------------------------------------- */

/* The weight of one range of an Accept field, in millionths; 1 where none is said (RFC 9110 §12.5.1). */
static uint64_t weight_of(struct slice parameters)
{
    struct slice parameter;
    uint64_t millionths = 1000000;

    while (slice_next_item(&parameters, ';', &parameter)) {
        struct slice value = slice_trim(parameter), name;
        if (slice_next_item(&value, '=', &name) && slice_ieq(name, SLICE("q")) &&
            number_parse_decimal(value, 1000000, &millionths) != STATUS_OK)
            millionths = 0;
    }
    return millionths;
}

bool metrics_wants_openmetrics(struct slice accept)
{
    uint64_t openmetrics = 0, text = 0;
    struct slice range;

    while (slice_next_item(&accept, ',', &range)) {
        struct slice parameters = slice_trim(range), type;
        if (!slice_next_item(&parameters, ';', &type))
            continue;
        uint64_t weight = weight_of(parameters);
        type = slice_trim(type);
        if (slice_ieq(type, SLICE("application/openmetrics-text")) && weight > openmetrics)
            openmetrics = weight;
        if (slice_ieq(type, SLICE("text/plain")) && weight > text)
            text = weight;
    }
    return openmetrics > 0 && openmetrics >= text;
}
