/* The merge: one document out of a stream's events, the same as would have come without streaming.
 *
 * Chat completions come as deltas and are put together here; a response ends with an event that
 * holds it whole. Other protocols have no such document. */
#ifndef SPAREKEY_CLIENT_MERGE_H
#define SPAREKEY_CLIENT_MERGE_H

#include <jansson.h>
#include <stdbool.h>

#include "base/buffer.h"
#include "openai/endpoint.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MERGE_CHOICES_MAX    128 /* OpenAI's own limit of n */
#define MERGE_TOOL_CALLS_MAX 128
#define MERGE_TEXT_MAX       ((size_t)256 << 20) /* bytes of one text */

struct merge_tool_call {
    struct buffer id, name, arguments;
};

struct merge_choice {
    struct buffer text;
    char finish[32];
    struct merge_tool_call *calls;
    size_t call_count;
};

struct merge {
    enum stream_protocol protocol;
    json_t *event; /* the one read last */
    json_t *whole; /* the response that ended a stream of them */
    json_t *usage;
    char model[129], id[129];
    struct merge_choice *choices;
    size_t choice_count;
};

void merge_init(struct merge *merge, enum stream_protocol protocol);
void merge_fini(struct merge *merge);

/* Takes in an event's data. `*ret_text` is the piece of text of the first choice that it adds, valid
 * until the next call, or empty. STATUS_NO_MEMORY, STATUS_LIMIT. Data that is no JSON, or not of the
 * protocol, adds nothing. */
NODISCARD
enum status merge_event(struct merge *merge, struct slice data, struct slice *ret_text);

/* The document, a new reference; NULL: out of memory, or the protocol has none. */
json_t *merge_document(struct merge *merge);

#ifdef __cplusplus
}
#endif
#endif
