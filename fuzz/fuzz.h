/* What the fuzz targets share. Each is built twice: with libFuzzer (meson option `fuzz`, clang),
 * and with replay.c as an ordinary test over its corpus. */
#ifndef SPAREKEY_FUZZ_FUZZ_H
#define SPAREKEY_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not assert: holds in every build, and stops where it fails. */
#define FUZZ_CHECK(condition)                                                                      \
    do {                                                                                           \
        if (!(condition))                                                                          \
            __builtin_trap();                                                                      \
    } while (0)

#endif
