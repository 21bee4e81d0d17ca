#include "base/number.h"

#include <endian.h>
#include <string.h>

enum status number_parse(struct slice text, uint64_t max, uint64_t *ret)
{
    uint64_t value = 0;

    if (text.len == 0)
        return STATUS_INVALID;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return STATUS_INVALID;
    }
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned)(text.ptr[i] - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return STATUS_RANGE;
        value = value * 10 + digit;
    }
    if (value > max)
        return STATUS_RANGE;
    *ret = value;
    return STATUS_OK;
}

/* The first six digits behind the point, as millionths; later digits must be digits too. */
static enum status parse_fraction(struct slice digits, uint64_t *ret)
{
    uint64_t value = 0, unit = 100000;

    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9')
            return STATUS_INVALID;
        value += (uint64_t)(digits.ptr[i] - '0') * unit;
        unit /= 10;
    }
    *ret = value;
    return STATUS_OK;
}

enum status number_parse_decimal(struct slice text, uint64_t max_millionths,
                                 uint64_t *ret_millionths)
{
    const char *point = text.len ? memchr(text.ptr, '.', text.len) : NULL;
    size_t whole_len = point ? (size_t)(point - text.ptr) : text.len;
    uint64_t whole, fraction = 0;

    if (point && whole_len + 1 == text.len)
        return STATUS_INVALID; /* "3." */
    enum status status = number_parse(slice_of(text.ptr, whole_len), UINT64_MAX / 1000001, &whole);
    if (status == STATUS_OK && point)
        status = parse_fraction(slice_from(text, whole_len + 1), &fraction);
    if (status != STATUS_OK)
        return status;
    if (whole * 1000000 + fraction > max_millionths)
        return STATUS_RANGE;
    *ret_millionths = whole * 1000000 + fraction;
    return STATUS_OK;
}

/* For two digits at a time. */
static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                            "25262728293031323334353637383940414243444546474849"
                            "50515253545556575859606162636465666768697071727374"
                            "75767778798081828384858687888990919293949596979899";

#define EIGHT_DIGITS 100000000

/* All at once: halves of four digits, then of two, then of one, each in a part of one word. The
 * factors are 1/100 and 1/10, exact for what stands there (below 10,000 and 100). */
static void format_eight(uint32_t value, char *out)
{
    uint64_t fours = value / 10000 | (uint64_t)(value % 10000) << 32;
    uint64_t hundreds = fours * 10486 >> 20 & UINT64_C(0x0000007f0000007f);
    uint64_t twos = hundreds | (fours - 100 * hundreds) << 16;
    uint64_t tens = twos * 103 >> 10 & UINT64_C(0x000f000f000f000f);
    uint64_t digits = tens | (twos - 10 * tens) << 8;

    digits = htole64(digits + UINT64_C(0x3030303030303030));
    memcpy(out, &digits, sizeof digits);
}

size_t number_format(uint64_t value, char *out)
{
    char digits[NUMBER_FORMAT_MAX];
    size_t at = sizeof digits;

    for (; value >= EIGHT_DIGITS; value /= EIGHT_DIGITS)
        format_eight((uint32_t)(value % EIGHT_DIGITS), digits + (at -= 8));
    for (; value >= 10; value /= 100)
        memcpy(digits + (at -= 2), pairs + 2 * (value % 100), 2);
    if (value || at == sizeof digits)
        digits[--at] = (char)('0' + value);
    memcpy(out, digits + at, sizeof digits - at);
    return sizeof digits - at;
}

/* A digit in each byte, the last one lowest; then all of them become text at once. */
static void format_hex_half(uint32_t value, char *out)
{
    uint64_t x = value;

    x = (x | x << 16) & UINT64_C(0x0000ffff0000ffff);
    x = (x | x << 8) & UINT64_C(0x00ff00ff00ff00ff);
    x = (x | x << 4) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    uint64_t letters = (x + UINT64_C(0x0606060606060606)) >> 4 & UINT64_C(0x0101010101010101);
    x += UINT64_C(0x3030303030303030) + letters * ('a' - '9' - 1);
    x = htobe64(x);
    memcpy(out, &x, sizeof x);
}

void number_format_hex(uint64_t value, char out[NUMBER_HEX_LEN])
{
    format_hex_half((uint32_t)(value >> 32), out);
    format_hex_half((uint32_t)value, out + NUMBER_HEX_LEN / 2);
}
