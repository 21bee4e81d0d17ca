/* The tracer: takes finished spans and sends them to a collector, OTLP/HTTP in JSON.
 *
 *   workers ──tracer_add──▶ ring of TRACER_QUEUE spans ──▶ its own thread ──POST /v1/traces──▶ collector
 *
 * What always holds:
 * - tracer_add copies a span into the ring under a lock that is held for nothing else, and never
 *   waits for the collector; with the ring full the span is dropped and counted. Text is made of it
 *   by the tracer's thread, where it stands;
 * - one batch is under way at a time. What the collector refuses for the moment (429, 502, 503, 504)
 *   or cannot be reached for is sent again, TRACER_TRIES times in all, and is lost then;
 * - without OTEL_EXPORTER_OTLP_ENDPOINT there is no tracer, and no request knows of traces.
 */
#ifndef SPAREKEY_GATEWAY_TRACER_H
#define SPAREKEY_GATEWAY_TRACER_H

#include <stdbool.h>
#include <stdint.h>

#include "observe/log.h"
#include "settings/settings.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TRACER_QUEUE       4096    /* spans waiting; a power of two */
#define TRACER_BATCH       512     /* of them sent together */
#define TRACER_SPAN_BYTES  1280    /* more than the longest span has as JSON */
#define TRACER_BATCH_BYTES 1048576 /* with what stands around them */
#define TRACER_INTERVAL_MS 1000    /* no span waits longer for the collector than this */
#define TRACER_TRIES       5
#define TRACER_FLUSH_MS    3000 /* at the end, for what is still waiting */

struct tracer;

enum span_kind { SPAN_SERVER = 2, SPAN_CLIENT = 3 }; /* OTLP's numbers */

/* Copied once, into the ring; made text only by the tracer's thread. */
struct span {
    uint64_t trace[2], id, parent; /* parent 0: it has none */
    int64_t began_wall_ns, ended_wall_ns;
    const char *family;  /* static */
    const char *verdict; /* SPAN_CLIENT; static, never NULL */
    uint32_t attempts;   /* SPAN_SERVER */
    uint16_t status;     /* HTTP, 0 = none */
    uint8_t kind;
    bool failed;
    union {
        struct { /* SPAN_SERVER */
            char method[16];
            char path[160]; /* without query, cut to fit */
        };
        struct { /* SPAN_CLIENT */
            char mask[SECRET_MASK_MAX], key[KEY_NAME_MAX];
            char request_id[72]; /* the upstream's */
        };
    };
};

/* `*ret` is NULL when the settings name no collector. STATUS_NO_MEMORY, STATUS_IO, STATUS_INVALID. */
NODISCARD
enum status tracer_start(const struct settings *settings, struct log *log, struct tracer **ret);

/* Sends what waits, for TRACER_FLUSH_MS at most, and ends the thread. NULL is allowed. */
void tracer_stop(struct tracer *tracer);

/* Any thread. */
void tracer_add(struct tracer *tracer, const struct span *span);

/* A number for an id: never 0, never twice in practice. Any thread. */
uint64_t tracer_id(struct tracer *tracer);

struct tracer_counts {
    uint64_t exported, dropped, lost;
};
void tracer_count(const struct tracer *tracer, struct tracer_counts *ret);

/* ---- for the tests ---- */

/* The request's body for these spans. STATUS_LIMIT, STATUS_NO_MEMORY. */
NODISCARD
enum status spans_json(struct buffer *out, const char *service, const struct span *spans,
                       size_t count);

/* "a=b,c=d%20e" as header lines. What cannot be a field is left out. STATUS_NO_MEMORY. */
NODISCARD
enum status tracer_fields(struct buffer *out, struct slice headers);

#ifdef __cplusplus
}
#endif
#endif
