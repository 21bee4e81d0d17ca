#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/number.h"

struct parse_case {
    const char *text;
    uint64_t max;
    enum status status;
    uint64_t value;
};

static void test_parse(void **state)
{
    static const struct parse_case cases[] = {
        {"0", 0, STATUS_OK, 0},
        {"7", 7, STATUS_OK, 7},
        {"0007", 7, STATUS_OK, 7},
        {"65535", 65535, STATUS_OK, 65535},
        {"65536", 65535, STATUS_RANGE, 0},
        {"18446744073709551615", UINT64_MAX, STATUS_OK, UINT64_MAX},
        {"18446744073709551616", UINT64_MAX, STATUS_RANGE, 0},
        {"99999999999999999999999", UINT64_MAX, STATUS_RANGE, 0},
        {"99999999999999999999x", UINT64_MAX, STATUS_INVALID, 0},
        {"", UINT64_MAX, STATUS_INVALID, 0},
        {" 1", UINT64_MAX, STATUS_INVALID, 0},
        {"1 ", UINT64_MAX, STATUS_INVALID, 0},
        {"+1", UINT64_MAX, STATUS_INVALID, 0},
        {"-1", UINT64_MAX, STATUS_INVALID, 0},
        {"1,000", UINT64_MAX, STATUS_INVALID, 0},
        {"0x10", UINT64_MAX, STATUS_INVALID, 0},
        {"1.0", UINT64_MAX, STATUS_INVALID, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t value = 42;
        assert_int_equal(number_parse(slice_str(cases[i].text), cases[i].max, &value),
                         cases[i].status);
        assert_true(value == (cases[i].status == STATUS_OK ? cases[i].value : 42));
    }
    uint64_t value;
    assert_int_equal(number_parse(slice_of(NULL, 0), 1, &value), STATUS_INVALID);
    assert_int_equal(number_parse(SLICE("1\0"), 10, &value), STATUS_INVALID);
}

static void test_parse_decimal(void **state)
{
    static const struct parse_case cases[] = {
        {"12", UINT64_MAX, STATUS_OK, 12000000},
        {"0.5", UINT64_MAX, STATUS_OK, 500000},
        {"58.891", UINT64_MAX, STATUS_OK, 58891000},
        {"0.0000019", UINT64_MAX, STATUS_OK, 1}, /* truncated */
        {"0.999999999999999999999", UINT64_MAX, STATUS_OK, 999999},
        {"1.5", 1500000, STATUS_OK, 1500000},
        {"1.500001", 1500000, STATUS_RANGE, 0},
        {"99999999999999999999", UINT64_MAX, STATUS_RANGE, 0},
        {"18446744073709", UINT64_MAX, STATUS_RANGE, 0},
        {"3.", UINT64_MAX, STATUS_INVALID, 0},
        {".5", UINT64_MAX, STATUS_INVALID, 0},
        {".", UINT64_MAX, STATUS_INVALID, 0},
        {"1.2.3", UINT64_MAX, STATUS_INVALID, 0},
        {"1.2x", UINT64_MAX, STATUS_INVALID, 0},
        {"-1", UINT64_MAX, STATUS_INVALID, 0},
        {"1e3", UINT64_MAX, STATUS_INVALID, 0},
        {"", UINT64_MAX, STATUS_INVALID, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t value = 42;
        assert_int_equal(number_parse_decimal(slice_str(cases[i].text), cases[i].max, &value),
                         cases[i].status);
        assert_true(value == (cases[i].status == STATUS_OK ? cases[i].value : 42));
    }
}

static void test_format(void **state)
{
    static const struct parse_case cases[] = {
        {"0", 0, STATUS_OK, 0},
        {"9", 0, STATUS_OK, 9},
        {"10", 0, STATUS_OK, 10},
        {"99", 0, STATUS_OK, 99},
        {"100", 0, STATUS_OK, 100},
        {"1005", 0, STATUS_OK, 1005},
        {"99999999", 0, STATUS_OK, 99999999},
        {"100000000", 0, STATUS_OK, 100000000},
        {"1000000001", 0, STATUS_OK, 1000000001},
        {"1790000000", 0, STATUS_OK, 1790000000},
        {"1790123456789012345", 0, STATUS_OK, 1790123456789012345},
        {"10000000000000000000", 0, STATUS_OK, UINT64_C(10000000000000000000)},
        {"18446744073709551615", 0, STATUS_OK, UINT64_MAX},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[NUMBER_FORMAT_MAX];
        size_t len = number_format(cases[i].value, out);
        assert_int_equal(len, strlen(cases[i].text));
        assert_memory_equal(out, cases[i].text, len);
    }
}

/* Every group of four digits, in both places of eight. */
static void test_format_all_digits(void **state)
{
    char out[NUMBER_FORMAT_MAX + 1], expected[NUMBER_FORMAT_MAX + 1];

    (void)state;
    for (uint64_t four = 0; four < 10000; four++) {
        uint64_t value = UINT64_C(700000000) + four * 10000 + (9999 - four);
        out[number_format(value, out)] = '\0';
        (void)snprintf(expected, sizeof expected, "%llu", (unsigned long long)value);
        assert_string_equal(out, expected);
    }
}

static void test_format_hex(void **state)
{
    static const struct {
        uint64_t value;
        const char *text;
    } cases[] = {
        {0, "0000000000000000"},
        {UINT64_MAX, "ffffffffffffffff"},
        {UINT64_C(0x0123456789abcdef), "0123456789abcdef"},
        {UINT64_C(0xfedcba9876543210), "fedcba9876543210"},
        {UINT64_C(0x90a0009f00000001), "90a0009f00000001"},
    };
    char out[NUMBER_HEX_LEN];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        number_format_hex(cases[i].value, out);
        assert_memory_equal(out, cases[i].text, sizeof out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),      cmocka_unit_test(test_parse_decimal),
        cmocka_unit_test(test_format),     cmocka_unit_test(test_format_all_digits),
        cmocka_unit_test(test_format_hex),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
