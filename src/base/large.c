#include "base/large.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { PAGE_BYTES = 65536 }; /* no system has larger small ones */

void *large_calloc(size_t count, size_t size)
{
    char *at = calloc(count, size);

    if (!at || count * size < LARGE_BYTES)
        return at;
    size_t before = PAGE_BYTES - (uintptr_t)at % PAGE_BYTES;
    /* Advice: where it is not taken, the pages are small. */
    (void)madvise(at + before, (count * size - before) / PAGE_BYTES * PAGE_BYTES, MADV_HUGEPAGE);
    return at;
}
