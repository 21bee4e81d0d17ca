#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_CAPACITY = 256 };

enum status buffer_reserve(struct buffer *b, size_t extra, size_t max_bytes)
{
    if (extra > max_bytes || b->len > max_bytes - extra)
        return STATUS_LIMIT;
    size_t need = b->len + extra;
    if (need <= b->capacity)
        return STATUS_OK;

    size_t capacity = b->capacity ? b->capacity : FIRST_CAPACITY;
    while (capacity < need)
        capacity += capacity / 2 + FIRST_CAPACITY;
    if (capacity > max_bytes)
        capacity = max_bytes;
    char *data = realloc(b->data, capacity);
    if (!data)
        return STATUS_NO_MEMORY;
    b->data = data;
    b->capacity = capacity;
    return STATUS_OK;
}

enum status buffer_append(struct buffer *b, struct slice bytes, size_t max_bytes)
{
    enum status status = buffer_reserve(b, bytes.len, max_bytes);
    if (status != STATUS_OK)
        return status;
    if (bytes.len)
        memcpy(b->data + b->len, bytes.ptr, bytes.len);
    b->len += bytes.len;
    return STATUS_OK;
}

enum status buffer_printf(struct buffer *b, size_t max_bytes, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0)
        return STATUS_INVALID;
    /* One byte more than is kept, for the terminator vsnprintf insists on. */
    enum status status = buffer_reserve(b, (size_t)len + 1, max_bytes);
    if (status != STATUS_OK)
        return status;
    va_start(args, format);
    (void)vsnprintf(b->data + b->len, (size_t)len + 1, format, args);
    va_end(args);
    b->len += (size_t)len;
    return STATUS_OK;
}

void buffer_consume(struct buffer *b, size_t count)
{
    if (count > b->len)
        count = b->len;
    b->len -= count;
    if (b->len)
        memmove(b->data, b->data + count, b->len);
}

void buffer_clear(struct buffer *b)
{
    free(b->data);
    *b = (struct buffer){0};
}

void buffer_wipe(struct buffer *b)
{
    if (b->data)
        explicit_bzero(b->data, b->capacity);
    buffer_clear(b);
}
