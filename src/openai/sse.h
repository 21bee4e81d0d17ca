/* The stream scanner: does this event stream mean something yet, has it failed, is it complete?
 *
 * It reads server-sent events as they pass (any cut into pieces gives the same result), keeps no
 * copy of them but the data of a first error event, and answers three questions the gateway asks:
 * may the held head go out (content), must the request go elsewhere (error before content), and
 * was the end the true end (terminal event seen)?
 */
#ifndef SPAREKEY_OPENAI_SSE_H
#define SPAREKEY_OPENAI_SSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "openai/endpoint.h"
#include "openai/json_scan.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SSE_ERROR_MAX 16384 /* bytes of an error event's data that are kept */

#define SSE_TEXT_MAX 56 /* longer than any event name that means something here */

struct sse {
    enum stream_protocol protocol;
    bool content;  /* a content-bearing event has begun or passed */
    bool error;    /* an error event has passed; its data is in error_data */
    bool terminal; /* the protocol's terminal event has passed: the stream is complete */
    bool
        mid_event; /* bytes of an unfinished event have passed: the next byte is not a line start of a new event */
    uint64_t events;          /* dispatched so far (blank lines behind data) */
    struct buffer error_data; /* owned; freed by sse_clear */
    bool choices_finished;    /* chat, completions: every choice seen so far has a finish_reason */

    /* Private. An idle stream holds one of these, so no line is ever kept: data goes through the
     * JSON scanner as it comes. */
    uint8_t line;               /* where in a line we are */
    bool after_cr;              /* a "\n" that comes now belongs to the "\r" before it */
    uint8_t bom_len;            /* bytes of a byte order mark seen at the very front */
    uint8_t field_len;          /* of the field name in progress */
    uint8_t name_len;           /* of the event name in progress, which stands in `text` */
    uint8_t done_len;           /* bytes of "[DONE]" the event's data has begun with */
    uint8_t name_class;         /* what the event's name says … */
    uint8_t type_class;         /* … and the "type" in its data */
    uint8_t capture;            /* whether data goes to error_data */
    uint8_t top, choice, delta; /* the members of the chunk we are inside of */
    bool has_data, has_choices, choice_done;
    uint8_t choice_index;
    char field[5];
    char text[SSE_TEXT_MAX];
    uint64_t seen[2], finished[2]; /* choices by index, a bit each */
    struct json_scan scan;
};

/* STREAM_NONE and unknown protocols: everything is content, and terminal stays true. */
void sse_init(struct sse *sse, enum stream_protocol protocol);

/* The next bytes of the body, any cut. On exhausted memory the error data is cut short, nothing else. */
void sse_feed(struct sse *sse, const char *data, size_t len);

/* The body has ended as it should. An event whose lines are whole counts though the blank line behind
 * it is missing, if it is what ends the stream: true then, and the blank line is to be made up for
 * the reader, who would lose the event. */
bool sse_finish(struct sse *sse);

void sse_clear(struct sse *sse);

/* The in-band error event to append when a stream of this protocol was cut after content had been
 * forwarded (openai-protocol.md §4.1: official SDKs must raise on it). Begins by closing an
 * unfinished event (blank line) when `mid_event`. Appends to `out`. */
NODISCARD
enum status sse_write_error(enum stream_protocol protocol, bool mid_event, struct slice message,
                            struct slice code, struct buffer *out);

#ifdef __cplusplus
}
#endif
#endif
