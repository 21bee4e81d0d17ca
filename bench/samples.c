#include "samples.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

bool samples_init(struct samples *s, size_t capacity)
{
    /* calloc, and one entry at least: the caller may ask for none. */
    s->ns = calloc(capacity ? capacity : 1, sizeof(*s->ns));
    s->count = 0;
    s->capacity = s->ns ? capacity : 0;
    return s->ns != NULL;
}

void samples_fini(struct samples *s)
{
    free(s->ns);
    *s = (struct samples){0};
}

void samples_add(struct samples *s, int64_t ns)
{
    if (s->count < s->capacity)
        s->ns[s->count++] = ns;
}

static int by_value(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

/* The nearest-rank percentile: the smallest sample that `ppm` millionths of all do not exceed. */
static int64_t percentile(const struct samples *s, uint64_t ppm)
{
    if (s->count == 0)
        return 0;
    size_t rank = (size_t)((s->count * ppm + 999999) / 1000000);
    return s->ns[rank ? rank - 1 : 0];
}

void samples_print(struct samples *s)
{
    static const struct {
        const char *name;
        uint64_t ppm;
    } wanted[] = {
        {"p50", 500000}, {"p90", 900000}, {"p99", 990000}, {"p999", 999000}, {"max", 1000000}};

    qsort(s->ns, s->count, sizeof(*s->ns), by_value);
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        printf("%s\"%s_ns\":%" PRId64, i ? "," : "", wanted[i].name, percentile(s, wanted[i].ppm));
}
