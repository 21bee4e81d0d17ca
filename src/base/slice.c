#include "base/slice.h"

bool slice_contains_nocase(struct slice s, struct slice needle)
{
    for (size_t i = 0; i + needle.len <= s.len; i++) {
        if (slice_ieq(slice_of(s.ptr + i, needle.len), needle))
            return true;
    }
    return false;
}

size_t slice_copy(struct slice s, char *out, size_t size)
{
    if (size == 0)
        return 0;
    size_t len = s.len < size - 1 ? s.len : size - 1;
    if (len)
        memcpy(out, s.ptr, len);
    out[len] = '\0';
    return len;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

size_t slice_unescape(struct slice s, bool form, char *out, size_t size)
{
    size_t len = 0;

    for (size_t i = 0; i < s.len && len + 1 < size; i++) {
        int high = i + 2 < s.len ? hex_digit(s.ptr[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(s.ptr[i + 2]) : -1;
        if (s.ptr[i] == '%' && low >= 0) {
            out[len++] = (char)(high << 4 | low);
            i += 2;
        } else {
            out[len++] = form && s.ptr[i] == '+' ? ' ' : s.ptr[i];
        }
    }
    out[len] = '\0';
    return len;
}

bool slice_next_item(struct slice *rest, char separator, struct slice *ret_item)
{
    if (rest->len == 0)
        return false;
    const char *end = memchr(rest->ptr, separator, rest->len);
    size_t len = end ? (size_t)(end - rest->ptr) : rest->len;
    *ret_item = slice_trim(slice_of(rest->ptr, len));
    *rest = slice_from(*rest, end ? len + 1 : len);
    return true;
}
