#include "openai/json_whole.h"

#include <stdint.h>

/* What a byte outside of strings does to the depth. */
static const int8_t step[256] = {['{'] = 1, ['['] = 1, ['}'] = -1, [']'] = -1};

static const char *skip_space(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
        at++;
    return at;
}

/* Behind the string that begins at `at`, its opening quote; NULL when it does not end. A quote
 * behind an odd number of backslashes is part of the string. */
static const char *skip_string(const char *at, const char *end)
{
    const char *quote = at;

    while ((quote = memchr(quote + 1, '"', (size_t)(end - quote - 1)))) {
        const char *before = quote;
        while (before[-1] == '\\') /* stops at the opening quote */
            before--;
        if ((quote - before) % 2 == 0)
            return quote + 1;
    }
    return NULL;
}

bool json_whole(struct slice text)
{
    struct slice mark = SLICE("\xEF\xBB\xBF");
    if (slice_starts(text, mark))
        text = slice_from(text, mark.len);
    const char *end = text.ptr + text.len;
    const char *at = skip_space(text.ptr, end);
    int64_t depth = 0;

    if (at == end || step[(unsigned char)*at] != 1)
        return false;
    do {
        if (*at == '"') {
            at = skip_string(at, end);
            if (!at)
                return false;
            continue;
        }
        depth += step[(unsigned char)*at++];
    } while (at < end && depth > 0);
    return depth == 0 && skip_space(at, end) == end;
}

bool json_content_type(struct slice content_type)
{
    struct slice behind = slice_from(content_type, SLICE("application/json").len);

    return slice_starts(content_type, SLICE("application/json")) &&
           (!behind.len || behind.ptr[0] == ';' || behind.ptr[0] == ' ');
}
