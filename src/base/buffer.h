/* A growable run of bytes with a named maximum.
 *
 * `{0}` is an empty buffer that owns no memory. A failed append leaves it as it was.
 */
#ifndef SPAREKEY_BASE_BUFFER_H
#define SPAREKEY_BASE_BUFFER_H

#include "base/slice.h"
#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct buffer {
    char *data; /* NULL while capacity is 0 */
    size_t len;
    size_t capacity;
};

/* Appends a copy. STATUS_LIMIT when the length would pass `max_bytes`; STATUS_NO_MEMORY. */
NODISCARD
enum status buffer_append(struct buffer *b, struct slice bytes, size_t max_bytes);

/* Formats at the end, as printf does; no terminator is counted. Same errors. */
NODISCARD
enum status buffer_printf(struct buffer *b, size_t max_bytes, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Makes room for `extra` more bytes without changing the length. Same errors. */
NODISCARD
enum status buffer_reserve(struct buffer *b, size_t extra, size_t max_bytes);

/* Drops the first `count` bytes (at most all). */
void buffer_consume(struct buffer *b, size_t count);

/* Frees the memory; the buffer is empty and usable again. */
void buffer_clear(struct buffer *b);

/* As buffer_clear, the bytes overwritten first: for what held a secret. */
void buffer_wipe(struct buffer *b);

static inline struct slice buffer_slice(const struct buffer *b)
{
    return slice_of(b->data, b->len);
}

#ifdef __cplusplus
}
#endif
#endif
