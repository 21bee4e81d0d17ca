/* The peek: what failover must know of a JSON request body, read in one pass as it arrives.
 *
 * A scanner, not a parser: it keeps the few fields of the top level it looks for, skips all else
 * at memory speed, holds no more than PEEK_VALUE_MAX bytes of any value, and gives the same result
 * however the body is cut into pieces. It does not judge: a body that is no JSON leaves
 * `malformed` set, and the body is forwarded for OpenAI to answer.
 */
#ifndef SPAREKEY_OPENAI_PEEK_H
#define SPAREKEY_OPENAI_PEEK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "openai/json_scan.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PEEK_VALUE_MAX 128            /* longest string value kept; a longer one counts as absent */
#define PEEK_DEPTH_MAX SCAN_DEPTH_MAX /* deeper nesting sets `malformed` */

struct peek {
    /* Results, valid at any time, final after the last byte. When a member occurs twice the last
     * wins, as in OpenAI's own parser. */
    char model[PEEK_VALUE_MAX + 1];
    size_t model_len;
    bool stream;        /* "stream": true */
    bool store_false;   /* "store": false, said in so many words */
    bool store_true;    /* "store": true, likewise */
    bool background;    /* "background": true */
    bool include_usage; /* "stream_options": {"include_usage": true} */
    bool
        references; /* names an object by id: previous_response_id, conversation, prompt … (not null) */
    bool stream_sse; /* "stream_format": "sse" (speech) */
    uint64_t
        max_output_tokens; /* max_tokens, max_completion_tokens or max_output_tokens; 0 = not said */
    uint64_t n;            /* "n"; 0 = not said */
    char cache_key[PEEK_VALUE_MAX + 1]; /* "prompt_cache_key" */
    size_t cache_key_len;
    bool malformed;
    /* Private: the scanner's place in the body, and the token it is in. No pointers: a peek may be
     * copied and moved between pieces. */
    struct json_scan scan;
    char text[PEEK_VALUE_MAX];
    uint32_t named; /* which of the members that name an object have done so */
    uint8_t member; /* the top-level member whose value is being read */
    bool inner; /* inside "prompt": {…} or "stream_options": {…}, behind the key looked for */
};

void peek_init(struct peek *peek);

/* The next bytes of the body, any cut. */
void peek_feed(struct peek *peek, const char *data, size_t len);

/* No more bytes: an unfinished document sets `malformed`. */
void peek_finish(struct peek *peek);

static inline struct slice peek_model(const struct peek *peek)
{
    return slice_of(peek->model, peek->model_len);
}

#ifdef __cplusplus
}
#endif
#endif
