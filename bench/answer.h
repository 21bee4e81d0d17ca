/* Reads HTTP/1.1 answers for the load generator, byte by byte if need be.
 *
 * It knows what a benchmark needs: the status, where the body ends (Content-Length or chunked), and
 * whether the connection may be used again. It is on purpose not the gateway's parser: the one who
 * checks must not share the mistakes of the one who is checked. An answer that ends with the
 * connection is refused, because nobody could tell whether it was whole.
 */
#ifndef SPAREKEY_BENCH_ANSWER_H
#define SPAREKEY_BENCH_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/* Longer lines of head or chunk framing are refused. The longest that a proxy here sends is a
 * Set-Cookie of some 200 bytes. */
#define ANSWER_LINE_MAX 1024

enum answer_state {
    ANSWER_STATUS_LINE,
    ANSWER_HEADERS,
    ANSWER_BODY, /* Content-Length bytes */
    ANSWER_CHUNK_SIZE,
    ANSWER_CHUNK_DATA,
    ANSWER_CHUNK_END, /* the empty line behind a chunk's data */
    ANSWER_TRAILERS,
    ANSWER_DONE,
    ANSWER_BAD,
};

struct answer {
    enum answer_state state;
    unsigned status;
    bool chunked, has_length;
    bool close;         /* the server will close after this answer */
    uint64_t remaining; /* bytes left of the body, or of the chunk */
    size_t line_len;    /* of a line that came in pieces */
    char line[ANSWER_LINE_MAX];
};

/* Hears the body as it comes, without its chunk framing; never an empty piece. */
typedef void (*answer_body_fn)(void *user, struct slice piece);

/* Makes ready for the next answer. */
void answer_init(struct answer *a);

/* Takes the next bytes of the connection and returns how many belonged to this answer: all of
 * them unless the state is now ANSWER_DONE or ANSWER_BAD. */
size_t answer_feed(struct answer *a, struct slice bytes, answer_body_fn on_body, void *user);

#endif
