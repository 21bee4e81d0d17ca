/* The tracer: takes finished spans and sends them to a collector, OTLP/HTTP in protobuf.
 *
 *   workers ──tracer_add──▶ ring of batches ──▶ its own thread ──POST /v1/traces──▶ collector
 *
 * What always holds:
 * - tracer_add writes a span as it will be sent (otlp.h), and copies it into the ring under a lock
 *   that is held for nothing else: a batch goes to the socket from where it stands. It never waits
 *   for the collector; with the ring full the span is dropped and counted;
 * - one batch is under way at a time, its place taken until it is sent or lost. What the collector
 *   refuses for the moment (429, 502, 503, 504) or cannot be reached for is sent again when the
 *   interval has passed, TRACER_TRIES times in all, and is lost then;
 * - without OTEL_EXPORTER_OTLP_ENDPOINT there is no tracer, and no request knows of traces.
 */
#ifndef SPAREKEY_GATEWAY_TRACER_H
#define SPAREKEY_GATEWAY_TRACER_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/otlp.h"
#include "observe/log.h"
#include "settings/settings.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TRACER_QUEUE       4096 /* spans waiting; whole batches */
#define TRACER_BATCH       512  /* of them sent together */
#define TRACER_INTERVAL_MS 1000 /* no span waits longer for the collector than this */
#define TRACER_TRIES       5
#define TRACER_FLUSH_MS    3000 /* at the end, for what is still waiting */

struct tracer;

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

/* "a=b,c=d%20e" as header lines. What cannot be a field is left out. STATUS_NO_MEMORY. */
NODISCARD
enum status tracer_fields(struct buffer *out, struct slice headers);

#ifdef __cplusplus
}
#endif
#endif
