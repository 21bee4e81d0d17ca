/* Writing text piece by piece into a buffer, with one check at the end: the first failure sticks,
 * and what follows it is dropped. For the hot path, where printf's parsing would cost more than the
 * copying. */
#ifndef SPAREKEY_BASE_TEXT_H
#define SPAREKEY_BASE_TEXT_H

#include <stdint.h>

#include "base/buffer.h"

#ifdef __cplusplus
extern "C" {
#endif

struct text {
    struct buffer *out;
    size_t max_bytes;
    enum status status; /* STATUS_OK, or why something is missing */
};

static inline struct text text_into(struct buffer *out, size_t max_bytes)
{
    struct text t = {out, max_bytes, STATUS_OK};
    return t;
}

static inline void text_put(struct text *t, struct slice piece)
{
    if (t->status == STATUS_OK)
        t->status = buffer_append(t->out, piece, t->max_bytes);
}

static inline void text_put_str(struct text *t, const char *piece)
{
    text_put(t, slice_str(piece));
}

void text_put_number(struct text *t, uint64_t value);

#ifdef __cplusplus
}
#endif
#endif
