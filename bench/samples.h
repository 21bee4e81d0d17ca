/* Every measured duration, kept whole: percentiles are read from the sorted samples, so there is no
 * histogram whose buckets would have to be argued about. Eight bytes a sample; runs are bounded. */
#ifndef SPAREKEY_BENCH_SAMPLES_H
#define SPAREKEY_BENCH_SAMPLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct samples {
    int64_t *ns;
    size_t count, capacity;
};

/* Room for `capacity` samples. False when memory is short. */
bool samples_init(struct samples *s, size_t capacity);
void samples_fini(struct samples *s);

/* Beyond the capacity a sample is dropped; callers bound their runs so that it does not happen. */
void samples_add(struct samples *s, int64_t ns);

/* Prints `"p50_ns":…,"p90_ns":…,"p99_ns":…,"p999_ns":…,"max_ns":…` to stdout; sorts. */
void samples_print(struct samples *s);

#endif
