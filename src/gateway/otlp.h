/* Spans as OpenTelemetry's protocol says them: the body of an OTLP/HTTP request, in protobuf.
 *
 *     ExportTraceServiceRequest { 1 ResourceSpans { 1 Resource, 2 ScopeSpans { 1 scope, 2 span ··· } } }
 *     └────────────────── otlp_frame ──────────────────────────────────────────┘ └ otlp_span ┘
 *
 * What always holds:
 * - a span is one run of bytes that depends on nothing else, and nothing follows the last one: a frame
 *   with spans behind it, in any order, is a whole body;
 * - texts are printable ASCII, whatever a peer sent, because protobuf's must be UTF-8;
 * - the functions touch nothing but what they are given, and cannot fail: any thread.
 *
 * The numbers of the fields are those of opentelemetry-proto 1.x (trace.proto, common.proto,
 * resource.proto), which never change.
 */
#ifndef SPAREKEY_GATEWAY_OTLP_H
#define SPAREKEY_GATEWAY_OTLP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "settings/settings.h"

#ifdef __cplusplus
extern "C" {
#endif

#define OTLP_SPAN_MAX    768 /* more bytes than the longest span has */
#define OTLP_SERVICE_MAX 255 /* of the service's name; the rest is cut off */
#define OTLP_FRAME_MAX   512 /* more than the longest frame has */

enum span_kind { SPAN_SERVER = 2, SPAN_CLIENT = 3 }; /* OTLP's numbers */

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

/* Writes the span as ScopeSpans' field. Returns the number of bytes. */
size_t otlp_span(char out[OTLP_SPAN_MAX], const struct span *span);

/* Writes what stands before `spans_bytes` bytes of spans. Returns the number of bytes. */
size_t otlp_frame(char out[OTLP_FRAME_MAX], const char *service, size_t spans_bytes);

#ifdef __cplusplus
}
#endif
#endif
