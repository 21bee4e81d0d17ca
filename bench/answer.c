/* The machine, line by line until the head is over and then by counted runs of bytes:
 *
 *   STATUS_LINE -> HEADERS -+-> BODY ------------------------------------------+-> DONE
 *                           +-> CHUNK_SIZE -> CHUNK_DATA -> CHUNK_END -+       |
 *                                   ^  |                               |       |
 *                                   |  +-- size 0 --> TRAILERS --------|-------+
 *                                   +----------------------------------+
 *
 * A line that lies whole in the input is read where it lies; only one cut by the end of a read is
 * copied.
 */
#include "answer.h"

#include "base/number.h"

#define CHUNK_BYTES_MAX (UINT64_C(1) << 30)

void answer_init(struct answer *a)
{
    a->state = ANSWER_STATUS_LINE;
    a->status = 0;
    a->chunked = a->has_length = a->close = false;
    a->remaining = 0;
    a->line_len = 0;
}

static enum answer_state read_status_line(struct answer *a, struct slice line)
{
    uint64_t status;

    if (!slice_starts(line, SLICE("HTTP/1.1 ")) || line.len < 12)
        return ANSWER_BAD;
    if (number_parse(slice_of(line.ptr + 9, 3), 599, &status) != STATUS_OK)
        return ANSWER_BAD;
    a->status = (unsigned)status;
    return ANSWER_HEADERS;
}

static enum answer_state end_of_head(struct answer *a)
{
    if (a->status == 100)
        return ANSWER_STATUS_LINE;
    if (a->chunked)
        return ANSWER_CHUNK_SIZE;
    if (!a->has_length)
        return ANSWER_BAD;
    return a->remaining ? ANSWER_BODY : ANSWER_DONE;
}

static enum answer_state read_header(struct answer *a, struct slice line)
{
    if (line.len == 0)
        return end_of_head(a);

    const char *colon = memchr(line.ptr, ':', line.len);
    if (!colon)
        return ANSWER_BAD;
    struct slice name = slice_of(line.ptr, (size_t)(colon - line.ptr));
    struct slice value = slice_trim(slice_from(line, name.len + 1));

    if (slice_ieq(name, SLICE("content-length"))) {
        a->has_length = true;
        if (number_parse(value, UINT64_MAX, &a->remaining) != STATUS_OK)
            return ANSWER_BAD;
    } else if (slice_ieq(name, SLICE("transfer-encoding"))) {
        a->chunked = slice_ieq(value, SLICE("chunked"));
    } else if (slice_ieq(name, SLICE("connection"))) {
        a->close = slice_ieq(value, SLICE("close"));
    }
    return ANSWER_HEADERS;
}

/* -1 for a byte that is no hexadecimal digit. */
static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static enum answer_state read_chunk_size(struct answer *a, struct slice line)
{
    uint64_t size = 0;

    if (line.len == 0)
        return ANSWER_BAD;
    for (size_t i = 0; i < line.len; i++) {
        int digit = hex_digit(line.ptr[i]);
        if (digit < 0 || size > CHUNK_BYTES_MAX)
            return ANSWER_BAD;
        size = size * 16 + (uint64_t)digit;
    }
    a->remaining = size;
    return size ? ANSWER_CHUNK_DATA : ANSWER_TRAILERS;
}

static enum answer_state read_line(struct answer *a, struct slice line)
{
    switch (a->state) {
    case ANSWER_STATUS_LINE: return read_status_line(a, line);
    case ANSWER_HEADERS: return read_header(a, line);
    case ANSWER_CHUNK_SIZE: return read_chunk_size(a, line);
    case ANSWER_CHUNK_END: return line.len ? ANSWER_BAD : ANSWER_CHUNK_SIZE;
    case ANSWER_TRAILERS: return line.len ? ANSWER_TRAILERS : ANSWER_DONE;
    case ANSWER_BODY:
    case ANSWER_CHUNK_DATA:
    case ANSWER_DONE:
    case ANSWER_BAD: break;
    }
    return ANSWER_BAD;
}

static bool keep_piece(struct answer *a, struct slice piece)
{
    if (piece.len > sizeof(a->line) - a->line_len)
        return false;
    memcpy(a->line + a->line_len, piece.ptr, piece.len);
    a->line_len += piece.len;
    return true;
}

static struct slice without_cr(struct slice line)
{
    return slice_ends(line, SLICE("\r")) ? slice_of(line.ptr, line.len - 1) : line;
}

static size_t feed_line(struct answer *a, struct slice bytes)
{
    const char *newline = memchr(bytes.ptr, '\n', bytes.len);
    size_t used = newline ? (size_t)(newline - bytes.ptr) + 1 : bytes.len;
    struct slice line = slice_of(bytes.ptr, newline ? used - 1 : used);

    if (!newline || a->line_len) {
        if (!keep_piece(a, line)) {
            a->state = ANSWER_BAD;
            return used;
        }
        line = slice_of(a->line, a->line_len);
    }
    if (newline) {
        a->state = read_line(a, without_cr(line));
        a->line_len = 0;
    }
    return used;
}

static size_t feed_run(struct answer *a, struct slice bytes, answer_body_fn on_body, void *user)
{
    size_t run = bytes.len < a->remaining ? bytes.len : (size_t)a->remaining;

    on_body(user, slice_of(bytes.ptr, run));
    a->remaining -= run;
    if (a->remaining == 0)
        a->state = a->state == ANSWER_BODY ? ANSWER_DONE : ANSWER_CHUNK_END;
    return run;
}

size_t answer_feed(struct answer *a, struct slice bytes, answer_body_fn on_body, void *user)
{
    size_t used = 0;

    while (used < bytes.len && a->state != ANSWER_DONE && a->state != ANSWER_BAD) {
        struct slice rest = slice_from(bytes, used);
        if (a->state == ANSWER_BODY || a->state == ANSWER_CHUNK_DATA)
            used += feed_run(a, rest, on_body, user);
        else
            used += feed_line(a, rest);
    }
    return used;
}
