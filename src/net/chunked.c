/* One state per place in the grammar; a byte of framing moves it on:
 *
 *   SIZE_FIRST ─hex─▶ SIZE ─;─▶ EXTENSION ─CR─▶ SIZE_LF ─▶ DATA ─▶ DATA_CR ─▶ DATA_LF ─▶ SIZE_FIRST
 *                       └────────CR──────────────▲ └─ size 0 ─▶ LINE_FIRST ─CR─▶ END_LF ─▶ (done)
 *                                          LINE_FIRST ─▶ NAME ─:─▶ VALUE ─CR─▶ LINE_LF ─▶ LINE_FIRST
 *
 * Body bytes are never looked at one by one.
 */
#include "net/chunked.h"

#include <string.h>

enum chunked_state {
    SIZE_FIRST, /* 0: what chunked_init begins with */
    SIZE,
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    LINE_FIRST, /* of a trailer, or of the empty line */
    NAME,
    VALUE,
    LINE_LF,
    END_LF,
    WRONG, /* never stored: the byte is not allowed here */
};

/* What a byte of text may be: no control character but the tab. */
static bool is_text(unsigned char c)
{
    return c == '\t' || (c >= ' ' && c != 0x7f);
}

/* RFC 9110 §5.6.2 */
static bool is_token(unsigned char c)
{
    return c > ' ' && c < 0x7f && !strchr("\"(),/:;<=>?@[\\]{}", c);
}

static int hex_value(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A digit of the size; sizes stay below 2^63, as lengths do everywhere. */
static enum chunked_state add_digit(struct chunked *chunked, unsigned char c)
{
    int digit = hex_value(c);
    if (digit < 0 || chunked->left > (uint64_t)INT64_MAX >> 4)
        return WRONG;
    chunked->left = chunked->left << 4 | (unsigned)digit;
    return SIZE;
}

static enum chunked_state end_size(struct chunked *chunked)
{
    chunked->last = chunked->left == 0;
    return chunked->last ? LINE_FIRST : DATA;
}

static enum chunked_state end_all(struct chunked *chunked)
{
    chunked->done = true;
    return END_LF;
}

/* Where a byte of framing leads. */
static enum chunked_state step(struct chunked *chunked, unsigned char c)
{
    switch ((enum chunked_state)chunked->state) {
    case SIZE_FIRST: return add_digit(chunked, c);
    case SIZE: return c == '\r' ? SIZE_LF : c == ';' ? EXTENSION : add_digit(chunked, c);
    case EXTENSION: return c == '\r' ? SIZE_LF : is_text(c) ? EXTENSION : WRONG;
    case SIZE_LF: return c == '\n' ? end_size(chunked) : WRONG;
    case DATA_CR: return c == '\r' ? DATA_LF : WRONG;
    case DATA_LF: return c == '\n' ? SIZE_FIRST : WRONG;
    case LINE_FIRST: return c == '\r' ? END_LF : is_token(c) ? NAME : WRONG;
    case NAME: return c == ':' ? VALUE : is_token(c) ? NAME : WRONG;
    case VALUE: return c == '\r' ? LINE_LF : is_text(c) ? VALUE : WRONG;
    case LINE_LF: return c == '\n' ? LINE_FIRST : WRONG;
    case END_LF: return c == '\n' ? end_all(chunked) : WRONG;
    case DATA:
    case WRONG: break;
    }
    return WRONG;
}

static struct slice take_data(struct chunked *chunked, const char *data, size_t len)
{
    size_t take = chunked->left < len ? (size_t)chunked->left : len;

    chunked->left -= take;
    chunked->framing = 0;
    if (chunked->left == 0)
        chunked->state = DATA_CR;
    return slice_of(data, take);
}

enum status chunked_read(struct chunked *chunked, const char *data, size_t len, size_t *ret_used,
                         struct slice *ret_body)
{
    size_t used = 0;

    *ret_body = slice_of(NULL, 0);
    while (used < len && !chunked->done && !ret_body->len) {
        if (chunked->state == DATA) {
            *ret_body = take_data(chunked, data + used, len - used);
            used += ret_body->len;
            continue;
        }
        enum chunked_state next = step(chunked, (unsigned char)data[used++]);
        if (next == WRONG || ++chunked->framing > HTTP_FRAMING_MAX)
            return STATUS_PROTOCOL;
        chunked->state = (uint8_t)next;
    }
    *ret_used = used;
    return STATUS_OK;
}
