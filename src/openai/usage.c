#include "openai/usage.h"

#include "base/number.h"

static const struct slice member = {"\"total_tokens\"", 14};

enum {
    UNDERSCORE = 6, /* in `member`: the rarest byte of it, and the one that is searched for */
    DIGITS_MAX = 12,
};

/* The digits behind the member's colon; USAGE_NONE when they are not all here. */
static int64_t read_value(struct slice rest)
{
    size_t at = 0, len = 0;
    uint64_t value;

    while (at < rest.len && (rest.ptr[at] == ' ' || rest.ptr[at] == ':'))
        at++;
    while (at + len < rest.len && rest.ptr[at + len] >= '0' && rest.ptr[at + len] <= '9')
        len++;
    if (len > DIGITS_MAX || at + len == rest.len ||
        number_parse(slice_of(rest.ptr + at, len), INT64_MAX, &value) != STATUS_OK)
        return USAGE_NONE;
    return (int64_t)value;
}

/* Whether the member's name stands around this underscore, and not inside a string. */
static bool stands_at(struct slice piece, size_t underscore)
{
    if (underscore < UNDERSCORE || underscore - UNDERSCORE + member.len > piece.len)
        return false;
    const char *start = piece.ptr + underscore - UNDERSCORE;
    return memcmp(start, member.ptr, member.len) == 0 && (start == piece.ptr || start[-1] != '\\');
}

int64_t usage_total_tokens(struct slice piece)
{
    const char *at = piece.ptr + piece.len;

    while (piece.len && (at = memrchr(piece.ptr, '_', (size_t)(at - piece.ptr)))) {
        size_t underscore = (size_t)(at - piece.ptr);
        if (stands_at(piece, underscore))
            return read_value(slice_from(piece, underscore - UNDERSCORE + member.len));
    }
    return USAGE_NONE;
}
