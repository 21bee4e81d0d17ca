/* Allocations that fail on demand: for programs linked with --wrap=malloc, calloc and realloc. */
#ifndef SPAREKEY_TESTS_FAILING_MEMORY_H
#define SPAREKEY_TESTS_FAILING_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* The n-th allocation from now on fails (the linker sends them here); 0: none does. */
static unsigned fail_at;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

static bool fails_now(void)
{
    return fail_at && --fail_at == 0;
}

void *__wrap_malloc(size_t size)
{
    return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails_now() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails_now() ? NULL : __real_realloc(old, size);
}

#endif
