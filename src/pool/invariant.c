#include "pool/invariant.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void invariant_broken(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("pool: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    abort();
}
