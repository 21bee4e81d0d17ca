/* The health document as a table for people: what status and top show. */
#ifndef SPAREKEY_CLI_HEALTH_VIEW_H
#define SPAREKEY_CLI_HEALTH_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"

#ifdef __cplusplus
extern "C" {
#endif

#define HEALTH_TEXT_MAX (64u << 20) /* bytes of a whole table */

enum health_state { HEALTH_READY, HEALTH_LIMITED, HEALTH_OUT };

struct health_row {
    char mask[24], name[96], reason[64];
    enum health_state state;
    int64_t back_ms; /* until it is tried again; -1 = not told */
    double success_percent;
    uint64_t requests, in_flight, errors;
    uint32_t place; /* in the document */
};

struct health {
    char overall[16]; /* "healthy", "degraded", "unhealthy" */
    uint64_t total, by_state[3];
    double success_percent;
    uint64_t requests, in_flight; /* of all keys */
    struct health_row *rows;
    size_t row_count;
};

/* Control bytes in texts become '?': a terminal obeys them. `wall_ms` is now. STATUS_INVALID: this is
 * no health document; STATUS_NO_MEMORY. */
NODISCARD
enum status health_read(struct slice document, int64_t wall_ms, struct health *ret);
void health_clear(struct health *health);

/* The worst first: out, then limited, then those with errors, then the busiest. */
void health_sort(struct health *health);

struct health_style {
    bool colour;
    unsigned columns; /* lines are cut there; 0 = never */
};

/* The head line and the first `rows` rows. */
NODISCARD
enum status health_table(const struct health *health, size_t rows, const struct health_style *style,
                         struct buffer *out);

/* "degraded: 2 of 3 keys ready, 0 rate limited, 1 out; 98.50 % of 200 requests succeeded". */
NODISCARD
enum status health_summary(const struct health *health, const struct health_style *style,
                           struct buffer *out);

#ifdef __cplusplus
}
#endif
#endif
