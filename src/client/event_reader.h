/* The event reader: server-sent events out of bytes, whole.
 *
 * The scanner of openai/sse.h judges a stream without keeping it; this one keeps each event until it
 * is complete, and hands it on. Any cut into pieces gives the same events. Lines end in LF, CRLF or
 * CR; `data:` lines are joined by LF; comments and unknown fields are passed over. */
#ifndef SPAREKEY_CLIENT_EVENT_READER_H
#define SPAREKEY_CLIENT_EVENT_READER_H

#include <stdbool.h>

#include "base/buffer.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EVENT_BYTES_MAX ((size_t)64 << 20) /* of one event: pictures come in events */
#define EVENT_NAME_MAX  128                /* longer names are cut */

struct event_reader {
    struct buffer line, data;
    char name[EVENT_NAME_MAX];
    bool has_data, after_cr, begun;
};

/* An event is complete: `data` ends in a zero byte that `len` does not count. Returns false to stop. */
typedef bool event_sink(void *context, const char *name, const char *data, size_t len);

void event_reader_init(struct event_reader *reader);
void event_reader_fini(struct event_reader *reader);

/* The next bytes. STATUS_CANCELLED: the sink has stopped it. STATUS_NO_MEMORY, STATUS_LIMIT. */
NODISCARD
enum status event_reader_feed(struct event_reader *reader, struct slice bytes, event_sink *sink,
                              void *context);

#ifdef __cplusplus
}
#endif
#endif
