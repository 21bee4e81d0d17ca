#include "base/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void decoded(const char *text, const char *bytes)
{
    char out[64];
    size_t len = 99;

    assert_int_equal(base64_decode(slice_str(text), out, &len), STATUS_OK);
    assert_int_equal(len, strlen(bytes));
    assert_memory_equal(out, bytes, len);
}

static void the_vectors_of_the_rfc(void **state)
{
    (void)state;
    decoded("", "");
    decoded("Zg==", "f");
    decoded("Zm8=", "fo");
    decoded("Zm9v", "foo");
    decoded("Zm9vYg==", "foob");
    decoded("Zm9vYmE", "fooba");
    decoded("Zm9vYmFy", "foobar");
}

static void what_is_none(void **state)
{
    char out[64];
    size_t len = 99;

    (void)state;
    assert_int_equal(base64_decode(SLICE("Zg=g"), out, &len), STATUS_INVALID);
    assert_int_equal(base64_decode(SLICE("Z"), out, &len), STATUS_INVALID);
    assert_int_equal(base64_decode(SLICE("Zm 9"), out, &len), STATUS_INVALID);
    assert_int_equal(base64_decode(SLICE("Zm_9"), out, &len), STATUS_INVALID);
    assert_int_equal(len, 99);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_the_rfc),
        cmocka_unit_test(what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
