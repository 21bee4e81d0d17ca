/* An arena: many small strings, freed together and overwritten first.
 *
 * `{0}` is empty. Everything handed out stays where it is until arena_clear. */
#ifndef SPAREKEY_SETTINGS_ARENA_H
#define SPAREKEY_SETTINGS_ARENA_H

#include "base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

struct arena {
    struct arena_block *blocks; /* newest first */
};

/* `bytes` of memory aligned for any object; NULL when there is none. */
void *arena_alloc(struct arena *arena, size_t bytes);

/* A zero-terminated copy, NULL when there is no memory. */
char *arena_copy(struct arena *arena, struct slice text);

/* A zero-terminated string in printf's form, NULL when there is no memory. */
char *arena_printf(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

void arena_clear(struct arena *arena);

#ifdef __cplusplus
}
#endif
#endif
