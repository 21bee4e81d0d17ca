#include "base/number.h"

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

size_t number_format(uint64_t value, char *out)
{
    char reversed[NUMBER_FORMAT_MAX];
    size_t len = 0;

    do {
        reversed[len++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    for (size_t i = 0; i < len; i++)
        out[i] = reversed[len - 1 - i];
    return len;
}
