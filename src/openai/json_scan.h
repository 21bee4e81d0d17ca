/* A JSON scanner fed in pieces: tokens out of bytes that need not all be there yet.
 *
 * It holds no document, only its place in one: which containers are open (a bit each) and how far
 * the current token has come. Each finished token goes to a handler. Of a string, key or number
 * the first `text_size` bytes are kept, escapes decoded; the rest passes by at memory speed. The
 * tokens are the same however the bytes are cut.
 *
 * Strict where it is cheap (structure, literals, numbers, control characters), blind where it does
 * not matter to us (UTF-8 validity). After an error it stays `bad` and ignores the rest.
 */
#ifndef SPAREKEY_OPENAI_JSON_SCAN_H
#define SPAREKEY_OPENAI_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SCAN_DEPTH_MAX 512 /* deeper nesting is an error */

enum json_event {
    SCAN_OBJECT, /* "{" */
    SCAN_ARRAY,  /* "[" */
    SCAN_CLOSE,  /* "}" or "]" */
    SCAN_KEY,
    SCAN_STRING,
    SCAN_SCALAR, /* a number, true, false or null, as written */
};

struct json_token {
    enum json_event event;
    unsigned depth; /* containers around it; an opening or closing bracket does not count itself */
    struct slice text; /* KEY, STRING, SCALAR: valid during the call */
    bool cut;          /* the token is longer than `text` */
    const char *end;   /* behind the token's last byte, inside the bytes just fed */
};

/* Where tokens go, and the memory for the one in progress: the same at every feed. */
struct json_sink {
    void (*token)(void *ctx, const struct json_token *token);
    void *ctx;
    char *text;
    size_t text_size;
};

/* All private. Holds no pointers: may be copied and moved between feeds. */
struct json_scan {
    uint64_t object[SCAN_DEPTH_MAX / 64]; /* bit d: the container at depth d is an object */
    uint32_t text_len;                    /* of the token in progress, kept or not; saturates */
    uint16_t depth;
    uint16_t surrogate; /* a \uD8xx that waits for its second half */
    uint16_t unit;      /* the \uXXXX being read … */
    uint8_t hex_left;   /* … and its digits to come */
    uint8_t state;
    bool key; /* the string in progress is a key */
};

void json_scan_init(struct json_scan *scan);

void json_scan_feed(struct json_scan *scan, const struct json_sink *sink, const char *data,
                    size_t len);

/* No more bytes: delivers a number that only the end could end. Returns whether exactly one whole
 * JSON document was seen. */
bool json_scan_finish(struct json_scan *scan, const struct json_sink *sink);

bool json_scan_bad(const struct json_scan *scan);

#ifdef __cplusplus
}
#endif
#endif
