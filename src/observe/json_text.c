#include "observe/json_text.h"

#include <stdio.h>
#include <time.h>

size_t utf8_len(struct slice s)
{
    const unsigned char *b = (const unsigned char *)s.ptr;
    size_t len = b[0] < 0x80   ? 1
                 : b[0] < 0xc2 ? 0
                 : b[0] < 0xe0 ? 2
                 : b[0] < 0xf0 ? 3
                 : b[0] < 0xf5 ? 4
                               : 0;

    if (len > s.len)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((b[i] & 0xc0) != 0x80)
            return 0;
    }
    if (len > 2) { /* no overlong forms, no surrogates, nothing past U+10FFFF */
        unsigned lead = (unsigned)b[0] << 8 | b[1];
        if (lead < 0xe0a0 || (lead >= 0xeda0 && lead < 0xee00) ||
            (lead >= 0xf000 && lead < 0xf090) || lead >= 0xf490)
            return 0;
    }
    return len;
}

bool utf8_is_control(const char *at, size_t len)
{
    unsigned char first = (unsigned char)at[0];

    if (len == 1)
        return first < ' ' || first == 0x7f;
    return len == 2 && first == 0xc2 && (unsigned char)at[1] < 0xa0; /* U+0080 … U+009F */
}

static size_t copy(char *out, const char *from, size_t len)
{
    memcpy(out, from, len);
    return len;
}

size_t json_character(struct slice text, char out[JSON_CHARACTER_MAX], size_t *ret_used)
{
    size_t len = utf8_len(text);

    *ret_used = len ? len : 1;
    if (len == 0)
        return copy(out, "\\ufffd", 6);
    if (*text.ptr == '"' || *text.ptr == '\\') {
        out[0] = '\\';
        out[1] = *text.ptr;
        return 2;
    }
    if (*text.ptr == '\n')
        return copy(out, "\\n", 2);
    if (!utf8_is_control(text.ptr, len))
        return copy(out, text.ptr, len);
    (void)snprintf(out, JSON_CHARACTER_MAX, "\\u%04x", (unsigned char)text.ptr[len - 1]);
    return 6;
}

void json_put_string(struct text *t, struct slice text)
{
    char escape[JSON_CHARACTER_MAX];
    size_t used;

    text_put(t, SLICE("\""));
    while (text.len) {
        size_t len = json_character(text, escape, &used);
        text_put(t, slice_of(escape, len));
        text = slice_from(text, used);
    }
    text_put(t, SLICE("\""));
}

const char *json_time(int64_t wall_ms, char out[JSON_TIME_MAX])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;
    size_t len = 0;

    if (gmtime_r(&seconds, &parts))
        len = strftime(out, JSON_TIME_MAX, "%Y-%m-%dT%H:%M:%S", &parts);
    (void)snprintf(out + len, JSON_TIME_MAX - len, ".%03dZ", (int)(wall_ms % 1000));
    return out;
}
