#include "settings/arena.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { BLOCK_BYTES = 65536 - 64 }; /* with malloc's header below 64 KiB */

struct arena_block {
    struct arena_block *next;
    size_t bytes, used;
    max_align_t memory[];
};

static struct arena_block *add_block(struct arena *arena, size_t least)
{
    size_t bytes = least > BLOCK_BYTES ? least : BLOCK_BYTES;

    if (bytes > SIZE_MAX - sizeof(struct arena_block))
        return NULL;
    struct arena_block *block = malloc(sizeof *block + bytes);
    if (!block)
        return NULL;
    *block = (struct arena_block){arena->blocks, bytes, 0};
    arena->blocks = block;
    return block;
}

static void *take(struct arena *arena, size_t bytes, size_t alignment)
{
    struct arena_block *block = arena->blocks;
    size_t from = block ? (block->used + alignment - 1) / alignment * alignment : 0;

    if (!block || from > block->bytes || block->bytes - from < bytes) {
        block = add_block(arena, bytes);
        from = 0;
    }
    if (!block)
        return NULL;
    block->used = from + bytes;
    return (char *)block->memory + from;
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
    return take(arena, bytes, _Alignof(max_align_t));
}

char *arena_copy(struct arena *arena, struct slice text)
{
    char *copy = take(arena, text.len + 1, 1);

    if (!copy)
        return NULL;
    if (text.len)
        memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return copy;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = len < 0 ? NULL : take(arena, (size_t)len + 1, 1);
    if (!text)
        return NULL;
    va_start(args, format);
    (void)vsnprintf(text, (size_t)len + 1, format, args);
    va_end(args);
    return text;
}

void arena_clear(struct arena *arena)
{
    for (struct arena_block *block = arena->blocks, *next; block; block = next) {
        next = block->next;
        explicit_bzero(block->memory, block->used);
        free(block);
    }
    arena->blocks = NULL;
}
