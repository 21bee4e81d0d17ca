#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"

static void test_append(void **state)
{
    struct buffer b = {0};

    (void)state;
    assert_int_equal(buffer_append(&b, slice_of(NULL, 0), 10), STATUS_OK);
    assert_null(b.data); /* nothing to hold, nothing owned */
    assert_int_equal(buffer_append(&b, SLICE("hello"), 10), STATUS_OK);
    assert_int_equal(buffer_append(&b, SLICE("world"), 10), STATUS_OK);
    assert_true(slice_eq(buffer_slice(&b), SLICE("helloworld")));

    char *data = b.data;
    assert_int_equal(buffer_append(&b, SLICE("!"), 10), STATUS_LIMIT);
    assert_true(slice_eq(buffer_slice(&b), SLICE("helloworld")));
    assert_ptr_equal(b.data, data);
    assert_int_equal(buffer_append(&b, slice_of(NULL, 0), 10), STATUS_OK);
    buffer_clear(&b);
    assert_null(b.data);
    assert_int_equal(b.len, 0);
    assert_int_equal(b.capacity, 0);
}

static void test_growth_keeps_the_bytes(void **state)
{
    struct buffer b = {0};

    (void)state;
    for (unsigned i = 0; i < 100000; i++) {
        char byte = (char)(i * 31);
        assert_int_equal(buffer_append(&b, slice_of(&byte, 1), 100000), STATUS_OK);
        assert_in_range(b.capacity, b.len, 100000);
    }
    for (unsigned i = 0; i < 100000; i++)
        assert_int_equal(b.data[i], (char)(i * 31));
    assert_int_equal(buffer_append(&b, SLICE("x"), 100000), STATUS_LIMIT);
    buffer_clear(&b);
}

static void test_reserve(void **state)
{
    struct buffer b = {0};

    (void)state;
    assert_int_equal(buffer_reserve(&b, 1000, 999), STATUS_LIMIT);
    assert_int_equal(buffer_reserve(&b, SIZE_MAX, SIZE_MAX - 1), STATUS_LIMIT);
    assert_null(b.data);
    assert_int_equal(buffer_reserve(&b, 1000, 1000), STATUS_OK);
    assert_int_equal(b.len, 0);
    assert_int_equal(b.capacity, 1000);
    char *data = b.data;
    assert_int_equal(buffer_reserve(&b, 500, 1000), STATUS_OK);
    assert_ptr_equal(b.data, data);
    b.len = 600;
    assert_int_equal(buffer_reserve(&b, 401, 1000), STATUS_LIMIT);
    assert_int_equal(buffer_reserve(&b, SIZE_MAX - 100, SIZE_MAX), STATUS_LIMIT); /* would wrap */
    buffer_clear(&b);
}

static void test_printf(void **state)
{
    struct buffer b = {0};

    (void)state;
    assert_int_equal(buffer_printf(&b, 100, "%s=%d", "a", 7), STATUS_OK);
    assert_int_equal(buffer_printf(&b, 100, "%s", ""), STATUS_OK);
    assert_int_equal(buffer_printf(&b, 100, ";%05u", 42u), STATUS_OK);
    assert_true(slice_eq(buffer_slice(&b), SLICE("a=7;00042")));
    assert_int_equal(buffer_printf(&b, 12, "%s", "too long"), STATUS_LIMIT);
    assert_true(slice_eq(buffer_slice(&b), SLICE("a=7;00042")));
    buffer_clear(&b);
}

static void test_consume(void **state)
{
    struct buffer b = {0};

    (void)state;
    assert_int_equal(buffer_append(&b, SLICE("abcdef"), 10), STATUS_OK);
    buffer_consume(&b, 0);
    assert_int_equal(b.len, 6);
    buffer_consume(&b, 2);
    assert_true(slice_eq(buffer_slice(&b), SLICE("cdef")));
    buffer_consume(&b, 99);
    assert_int_equal(b.len, 0);
    assert_int_equal(buffer_append(&b, SLICE("again"), 10), STATUS_OK);
    assert_true(slice_eq(buffer_slice(&b), SLICE("again")));
    buffer_clear(&b);
}

static void test_empty_buffers(void **state)
{
    struct buffer b = {0};

    (void)state;
    buffer_consume(&b, 5);
    buffer_clear(&b);
    buffer_wipe(&b);
    assert_int_equal(b.len, 0);
    assert_int_equal(buffer_append(&b, SLICE("secret"), 10), STATUS_OK);
    buffer_wipe(&b);
    assert_null(b.data);
    assert_int_equal(b.capacity, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append),  cmocka_unit_test(test_growth_keeps_the_bytes),
        cmocka_unit_test(test_reserve), cmocka_unit_test(test_printf),
        cmocka_unit_test(test_consume), cmocka_unit_test(test_empty_buffers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
