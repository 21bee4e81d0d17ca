/* The chunked transfer coding (RFC 9112 §7.1), taken apart as it arrives.
 *
 * Strict, because a length read in two ways is a request smuggled: every line ends in CRLF, a size
 * is hexadecimal digits and nothing else, trailers look like fields. Extensions and trailers are
 * read over, and limited: no more than HTTP_FRAMING_MAX bytes come without a body byte between.
 */
#ifndef SPAREKEY_NET_CHUNKED_H
#define SPAREKEY_NET_CHUNKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/slice.h"
#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define HTTP_FRAMING_MAX 16384 /* chunk sizes, extensions and trailers in a row */

struct chunked {
    uint64_t left;    /* of the present chunk: the size read so far, then bytes to come */
    uint32_t framing; /* bytes since the last of the body */
    uint8_t state;    /* enum chunked_state, private */
    bool last;        /* the chunk of size 0 has come */
    bool done;        /* all has been read */
};

static inline void chunked_init(struct chunked *chunked)
{
    memset(chunked, 0, sizeof *chunked);
}

/* Reads framing up to the next run of body bytes, which `*ret_body` then shows inside `data` (they
 * count as used), up to the end (`done`), or until `data` is used up. STATUS_PROTOCOL: malformed,
 * or the limit was passed. */
NODISCARD
enum status chunked_read(struct chunked *chunked, const char *data, size_t len, size_t *ret_used,
                         struct slice *ret_body);

#ifdef __cplusplus
}
#endif
#endif
