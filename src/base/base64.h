/* Base64 (RFC 4648 §4) into bytes. */
#ifndef SPAREKEY_BASE_BASE64_H
#define SPAREKEY_BASE_BASE64_H

#include "base/slice.h"
#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes that a text of this length can become at most. */
static inline size_t base64_room(size_t text_len)
{
    return text_len / 4 * 3 + 3;
}

/* Decodes all of `text` into `out`, which has base64_room bytes. Padding may be missing; white space
 * may not stand in it. STATUS_INVALID: it is no Base64. */
NODISCARD
enum status base64_decode(struct slice text, void *out, size_t *ret_len);

#ifdef __cplusplus
}
#endif
#endif
