#include "mock/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "mock/errors.h"

#define MS_NS INT64_C(1000000)

enum { DIMENSIONS = 3, LEVELS = 2, DRAWS_MAX = DIMENSIONS * LEVELS };

static const struct dimension {
    const char *name; /* in the header, and error.type */
    const char *unit; /* in the message */
    bool images_only;
    size_t project, org; /* the limit's place in struct key_config */
} dimensions[DIMENSIONS] = {
    {"requests", "requests per min (RPM)", false, offsetof(struct key_config, rpm),
     offsetof(struct key_config, org_rpm)},
    {"tokens", "tokens per min (TPM)", false, offsetof(struct key_config, tpm),
     offsetof(struct key_config, org_tpm)},
    {"input-images", "input-images per min", true, offsetof(struct key_config, ipm),
     offsetof(struct key_config, org_ipm)},
};

/* One bucket a call draws from. */
struct draw {
    const struct dimension *dimension;
    struct bucket *bucket;
    int64_t limit, amount;
    bool project_name; /* told as x-ratelimit-…-project-requests: the organisation has one too */
};

static int64_t limit_at(const struct key_config *config, size_t offset)
{
    int64_t limit;
    memcpy(&limit, (const char *)config + offset, sizeof(limit));
    return limit;
}

static int64_t amount_of(const struct dimension *dimension, const struct call *call)
{
    if (strcmp(dimension->name, "tokens") == 0)
        return call->prompt_tokens + call->max_output_tokens * call->n;
    return dimension->images_only ? call->n : 1;
}

static size_t find_draws(struct bucket_set *buckets, const struct mock_key *key,
                         const struct call *call, struct draw *draws)
{
    const struct key_config *config = &key->config;
    bool images = strcmp(call->route->family, "images") == 0;
    struct slice model = slice_str(call->model);
    size_t count = 0;

    for (size_t i = 0; i < DIMENSIONS; i++) {
        const struct dimension *d = &dimensions[i];
        int64_t org = limit_at(config, d->org), project = limit_at(config, d->project);
        struct draw draw = {.dimension = d, .amount = amount_of(d, call)};
        if (d->images_only && !images)
            continue;
        if (org) {
            draw.limit = org;
            draw.bucket =
                bucket_set_get(buckets, slice_str(config->organization), model, slice_str(d->name));
            if (draw.bucket)
                draws[count++] = draw;
        }
        if (project) {
            draw.limit = project;
            draw.project_name = org != 0;
            draw.bucket =
                bucket_set_get(buckets, slice_str(config->project), model, slice_str(d->name));
            if (draw.bucket)
                draws[count++] = draw;
        }
    }
    return count;
}

static void tell(const struct draw *draw, int64_t window_ns, int64_t now_ns, struct reply *reply)
{
    struct bucket_reading now = bucket_read(draw->bucket, draw->limit, window_ns, 0, now_ns);
    struct buffer reset = {0};
    char name[64];
    const char *level = draw->project_name ? "project-" : "";

    snprintf(name, sizeof(name), "x-ratelimit-limit-%s%s", level, draw->dimension->name);
    reply_field(reply, name, "%" PRId64, now.limit);
    snprintf(name, sizeof(name), "x-ratelimit-remaining-%s%s", level, draw->dimension->name);
    reply_field(reply, name, "%" PRId64, now.remaining);
    snprintf(name, sizeof(name), "x-ratelimit-reset-%s%s", level, draw->dimension->name);
    if (duration_write(&reset, now.reset_ns, 64) == STATUS_OK)
        reply_field(reply, name, "%.*s", (int)reset.len, reset.data);
    buffer_clear(&reset);
}

static void refuse(const struct draw *draw, const struct mock_key *key, const struct call *call,
                   const struct bucket_reading *reading, struct reply *reply)
{
    char message[512];
    const struct dimension *d = draw->dimension;

    if (reading->wait_ns < 0) {
        snprintf(message, sizeof(message),
                 "Request too large for %s in organization %s on %s: Limit %" PRId64
                 ", Requested %" PRId64 ". The input or output tokens must be reduced in order to "
                 "run successfully.",
                 call->model, key->config.organization, d->unit, reading->limit, draw->amount);
    } else {
        struct buffer wait = {0};
        if (duration_write(&wait, reading->wait_ns, 64) != STATUS_OK)
            reply->failed = true;
        snprintf(message, sizeof(message),
                 "Rate limit reached for %s in organization %s on %s: Limit %" PRId64
                 ", Used %" PRId64 ", Requested %" PRId64 ". Please try again in %.*s.",
                 call->model, key->config.organization, d->unit, reading->limit, reading->used,
                 draw->amount, (int)wait.len, wait.data ? wait.data : "");
        buffer_clear(&wait);
        error_retry_after(reply, (reading->wait_ns + MS_NS - 1) / MS_NS);
    }
    reply_error(reply, 429, d->name, "rate_limit_exceeded", NULL, message);
}

bool limits_admit(struct bucket_set *buckets, const struct mock_key *key, const struct call *call,
                  int64_t now_ns, struct reply *reply)
{
    struct draw draws[DRAWS_MAX];
    int64_t window_ns = key->config.window_ms * MS_NS;
    size_t count = find_draws(buckets, key, call, draws);
    bool admitted = true;

    for (size_t i = 0; admitted && i < count; i++) {
        struct bucket_reading reading =
            bucket_read(draws[i].bucket, draws[i].limit, window_ns, draws[i].amount, now_ns);
        if (reading.wait_ns != 0) {
            refuse(&draws[i], key, call, &reading, reply);
            admitted = false;
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (admitted)
            bucket_take(draws[i].bucket, draws[i].limit, window_ns, draws[i].amount, now_ns);
        tell(&draws[i], window_ns, now_ns, reply);
    }
    return admitted;
}
