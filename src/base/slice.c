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
