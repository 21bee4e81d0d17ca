#include "base/utf8.h"

#define HIGH_BITS UINT64_C(0x8080808080808080)

size_t utf8_length(struct slice s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    unsigned char low = 0x80, high = 0xBF;
    size_t len;

    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xC2 || p[0] > 0xF4)
        return 0;
    len = p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    switch (p[0]) {
    case 0xE0: low = 0xA0; break;
    case 0xED: high = 0x9F; break;
    case 0xF0: low = 0x90; break;
    case 0xF4: high = 0x8F; break;
    default: break;
    }
    if (s.len < len || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++) {
        if (p[i] < 0x80 || p[i] > 0xBF)
            return 0;
    }
    return len;
}

bool utf8_valid(struct slice s)
{
    while (s.len) {
        if (s.len >= SLICE_WORD_BYTES &&
            !(slice_word(s.ptr) & HIGH_BITS)) { /* plain ASCII, mostly */
            s = slice_from(s, SLICE_WORD_BYTES);
            continue;
        }
        size_t len = utf8_length(s);
        if (len == 0)
            return false;
        s = slice_from(s, len);
    }
    return true;
}
