#include "base/base64.h"

/* -1: not of the alphabet. */
static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static struct slice without_padding(struct slice text)
{
    for (int i = 0; i < 2 && text.len && text.ptr[text.len - 1] == '='; i++)
        text.len--;
    return text;
}

enum status base64_decode(struct slice text, void *out, size_t *ret_len)
{
    unsigned char *at = out;
    uint32_t bits = 0;
    unsigned held = 0;

    text = without_padding(text);
    if (text.len % 4 == 1)
        return STATUS_INVALID;
    for (size_t i = 0; i < text.len; i++) {
        int value = value_of(text.ptr[i]);
        if (value < 0)
            return STATUS_INVALID;
        bits = bits << 6 | (uint32_t)value;
        held += 6;
        if (held >= 8) {
            held -= 8;
            *at++ = (unsigned char)(bits >> held);
        }
    }
    *ret_len = (size_t)(at - (unsigned char *)out);
    return STATUS_OK;
}
