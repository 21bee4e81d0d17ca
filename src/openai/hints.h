/* What the headers of an answer say about limits and waiting (openai-protocol.md §3). */
#ifndef SPAREKEY_OPENAI_HINTS_H
#define SPAREKEY_OPENAI_HINTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Waits beyond a day are cut to this. */
#define HINT_WAIT_MAX_NS (INT64_C(86400) * 1000000000)

#define HINT_NONE INT64_C(-1)

/* The dimensions of x-ratelimit-{limit,remaining,reset}-<name>. */
enum limit_dimension {
    LIMIT_REQUESTS,
    LIMIT_TOKENS,
    LIMIT_PROJECT_REQUESTS,
    LIMIT_PROJECT_TOKENS,
    LIMIT_IMAGES, /* -images and -input-images */
    LIMIT_DIMENSIONS
};

struct limit_hint {
    int64_t limit;     /* HINT_NONE: absent or invalid, never 0 by mistake */
    int64_t remaining; /* likewise */
    int64_t reset_ns;  /* until the bucket is completely full */
};

struct limit_report;

struct hints {
    int64_t retry_after_ms_ns; /* retry-after-ms, as nanoseconds */
    int64_t retry_after_ns;    /* retry-after: seconds, float or HTTP date */
    int64_t should_retry;      /* x-should-retry: 1, 0 or HINT_NONE */
    struct limit_hint limits[LIMIT_DIMENSIONS];
    char organization[64]; /* openai-organization */
    char project[64];      /* openai-project */
    char request_id[72];   /* x-request-id, else cf-ray */
    uint32_t seen;         /* private: which numbers were there, to notice contradictions */
};

/* All absent. */
void hints_init(struct hints *hints);

/* Looks at one header field of an answer; unknown names are ignored, cheaply. `wall_ms` is Unix
 * time, for HTTP dates. Returns whether the field was one of its own. */
bool hints_field(struct hints *hints, struct slice name, struct slice value, int64_t wall_ms);

/* Go-style durations: "1s", "6m0s", "120ms", "58.891s", "1h2m3s", "114h18m0s"; units ns us µs ms s m
 * h d; a bare number is seconds. Clamped to HINT_WAIT_MAX_NS. STATUS_INVALID: anything else. */
NODISCARD
enum status duration_parse(struct slice text, int64_t *ret_ns);

/* Whether a client can read it as Retry-After: seconds, perhaps with a fraction, or a date; of
 * Retry-After-Ms (`milliseconds`) a number alone. Never -1, nan or a Go duration. */
bool retry_after_readable(struct slice value, bool milliseconds);

/* RFC 9110 §5.6.7 dates (IMF-fixdate, and the two obsolete forms) as Unix milliseconds. */
NODISCARD
enum status http_date_parse(struct slice text, int64_t *ret_wall_ms);

/* "Please try again in 534ms." / "after 51.84 seconds" inside an error message; HINT_NONE if there
 * is no such hint. */
int64_t message_wait_ns(struct slice message);

/* The order of openai-protocol.md §3: retry-after-ms, retry-after, message text, reset of the
 * exhausted dimension; HINT_NONE when nothing is said. `message` may be empty. */
int64_t hints_wait_ns(const struct hints *hints, struct slice message);

/* The same without the last step: only what the answer asks for in so many words. For failures
 * that are no rate limit, where an exhausted bucket is beside the point. */
int64_t hints_asked_wait_ns(const struct hints *hints, struct slice message);

/* The limits in the words of the engine. */
void hints_report(const struct hints *hints, struct limit_report *ret);

#ifdef __cplusplus
}
#endif
#endif
