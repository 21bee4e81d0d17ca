/* Large arrays, in large pages where the system has them: a fault for each 2 MiB instead of each 4 KiB
 * of a million keys, and fewer misses on the way to any of them. */
#ifndef SPAREKEY_BASE_LARGE_H
#define SPAREKEY_BASE_LARGE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* From here on; smaller ones are calloc's alone. */
#define LARGE_BYTES ((size_t)4 << 20)

/* As calloc: zeroed, NULL without memory, to be freed by free. */
void *large_calloc(size_t count, size_t size);

#ifdef __cplusplus
}
#endif
#endif
