/* Zeroed and whole, below and above the size from which pages may be large. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/large.h"

static void is_zeroed_and_can_be_written(void **state)
{
    static const size_t sizes[] = {
        1, 4096, LARGE_BYTES - 1, LARGE_BYTES, LARGE_BYTES + 1, 3 * LARGE_BYTES + 777};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (int turn = 0; turn < 2; turn++) { /* the second may get the memory of the first */
            unsigned char *at = large_calloc(1, sizes[i]);
            assert_non_null(at);
            for (size_t byte = 0; byte < sizes[i]; byte++)
                if (at[byte])
                    fail_msg("byte %zu of %zu is not zero", byte, sizes[i]);
            memset(at, 0xff, sizes[i]);
            free(at);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_zeroed_and_can_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
