/* The HTTP/1.1 reader. A message is fed whole, byte by byte and cut at every point, and must always
 * tell the same story, written down as text; what is malformed must be refused in all of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/list.h"
#include "base/rng.h"
#include "net/http1.h"

enum { STORY_MAX = 1 << 20 };

struct recorder {
    struct http_reader reader;
    struct buffer story;                       /* what the reader told, as text */
    bool in_body;                              /* the last thing told was body bytes */
    enum status on_head, on_body, on_complete; /* what the callbacks answer */
};

static struct recorder *of_reader(struct http_reader *reader)
{
    return container_of(reader, struct recorder, reader);
}

static void tell(struct recorder *r, struct slice text)
{
    assert_int_equal(buffer_append(&r->story, text, STORY_MAX), STATUS_OK);
}

static void tell_number(struct recorder *r, const char *name, long long value)
{
    assert_int_equal(buffer_printf(&r->story, STORY_MAX, " %s=%lld", name, value), STATUS_OK);
}

static enum status record_head(struct http_reader *reader, const struct http_head *head)
{
    struct recorder *r = of_reader(reader);

    r->in_body = false;
    tell(r, SLICE("HEAD "));
    if (reader->response) {
        assert_int_equal(buffer_printf(&r->story, STORY_MAX, "%d", head->status), STATUS_OK);
        tell(r, SLICE(" "));
        tell(r, head->reason);
    } else {
        tell(r, head->method);
        tell(r, SLICE(" "));
        tell(r, head->target);
    }
    tell_number(r, "minor", head->minor);
    tell_number(r, "keep", head->keep_alive);
    tell_number(r, "chunked", head->chunked);
    tell_number(r, "length", head->content_length);
    tell_number(r, "upgrade", head->upgrade);
    tell_number(r, "continue", head->expect_continue);
    for (size_t i = 0; i < head->field_count; i++) {
        tell(r, SLICE(" ["));
        tell(r, head->fields[i].name);
        tell(r, SLICE("|"));
        tell(r, head->fields[i].value);
        tell(r, SLICE("]"));
    }
    tell(r, SLICE("\n"));
    return r->on_head;
}

static enum status record_body(struct http_reader *reader, const char *data, size_t len)
{
    struct recorder *r = of_reader(reader);

    assert_true(len > 0);
    if (!r->in_body)
        tell(r, SLICE("BODY "));
    r->in_body = true;
    tell(r, slice_of(data, len));
    return r->on_body;
}

static enum status record_complete(struct http_reader *reader)
{
    struct recorder *r = of_reader(reader);

    if (r->in_body)
        tell(r, SLICE("\n"));
    r->in_body = false;
    tell(r, SLICE("END"));
    return r->on_complete;
}

static const struct http_reader_ops recording = {record_head, record_body, record_complete};

enum side { REQUESTS, ANSWERS, ANSWERS_TO_HEAD };

static void begin(struct recorder *r, enum side side)
{
    *r = (struct recorder){0};
    http_reader_init(&r->reader, side != REQUESTS, &recording);
    http_reader_expect_no_body(&r->reader, side == ANSWERS_TO_HEAD);
}

static void finish(struct recorder *r)
{
    http_reader_clear(&r->reader);
    buffer_clear(&r->story);
}

/* Feeds one read of its own, exactly as large as it is, so that looking behind it is noticed. The
 * end of every message is written down with its place in the whole stream. */
static enum status feed_read(struct recorder *r, struct slice bytes, size_t offset)
{
    char *read = malloc(bytes.len ? bytes.len : 1);
    size_t at = 0;
    enum status status = STATUS_OK;

    assert_non_null(read);
    if (bytes.len)
        memcpy(read, bytes.ptr, bytes.len);
    while (at < bytes.len && status == STATUS_OK) {
        size_t used = 0, before = r->story.len;
        status = http_reader_feed(&r->reader, read + at, bytes.len - at, &used);
        if (status != STATUS_OK)
            break;
        assert_true(used > 0 && used <= bytes.len - at);
        at += used;
        bool ended = r->story.len > before && slice_ends(buffer_slice(&r->story), SLICE("END"));
        if (ended) {
            tell_number(r, "at", (long long)(offset + at));
            tell(r, SLICE("\n"));
        } else {
            assert_int_equal(at, bytes.len); /* only the end of a message stops early */
        }
    }
    free(read);
    return status;
}

/* The stream cut after `first` bytes and then into pieces of `step`. */
static enum status feed_cut(struct recorder *r, struct slice stream, size_t first, size_t step)
{
    enum status status = feed_read(r, slice_of(stream.ptr, first), 0);

    for (size_t at = first; at < stream.len && status == STATUS_OK; at += step) {
        size_t len = stream.len - at < step ? stream.len - at : step;
        status = feed_read(r, slice_of(stream.ptr + at, len), at);
    }
    return status;
}

static void assert_story(struct recorder *r, const char *expected, const char *how, size_t cut)
{
    if (!slice_eq(buffer_slice(&r->story), slice_str(expected)))
        fail_msg("%s %zu\n--- told\n%.*s\n--- expected\n%s", how, cut, (int)r->story.len,
                 r->story.data ? r->story.data : "", expected);
}

/* Every cut of a well-formed stream tells the same story. `end`: what http_reader_end answers. */
static void reads_as_bytes(enum side side, struct slice stream, enum status end,
                           const char *expected)
{
    struct recorder r;

    for (size_t cut = 0; cut <= stream.len; cut++) {
        begin(&r, side);
        assert_int_equal(feed_cut(&r, stream, cut, stream.len + 1), STATUS_OK);
        assert_int_equal(http_reader_end(&r.reader), end);
        assert_story(&r, expected, "cut at", cut);
        finish(&r);
    }
    for (size_t step = 1; step <= 7; step++) {
        begin(&r, side);
        assert_int_equal(feed_cut(&r, stream, 0, step), STATUS_OK);
        assert_int_equal(http_reader_end(&r.reader), end);
        assert_story(&r, expected, "steps of", step);
        finish(&r);
    }
}

static void reads_as(enum side side, const char *stream, const char *expected)
{
    reads_as_bytes(side, slice_str(stream), STATUS_OK, expected);
}

/* Whatever the cut, the stream is refused while it is fed, and no message of it is told whole. */
static void refuses_bytes(enum side side, struct slice stream, enum status expected)
{
    struct recorder r;

    for (size_t cut = 0; cut <= stream.len; cut++) {
        begin(&r, side);
        enum status status = feed_cut(&r, stream, cut, stream.len + 1);
        if (status != expected)
            fail_msg("cut at %zu: %s instead of %s for\n%.*s", cut, status_text(status),
                     status_text(expected), (int)stream.len, stream.ptr);
        finish(&r);
    }
    begin(&r, side);
    enum status status = feed_cut(&r, stream, 0, 1);
    if (status != expected)
        fail_msg("byte by byte: %s for\n%.*s", status_text(status), (int)stream.len, stream.ptr);
    assert_null(memmem(r.story.data ? r.story.data : "", r.story.len, "END", 3));
    finish(&r);
}

static void refuses(enum side side, const char *stream)
{
    refuses_bytes(side, slice_str(stream), STATUS_PROTOCOL);
}

/* ---- well-formed ------------------------------------------------------------------------- */

static void requests_without_body(void **state)
{
    (void)state;
    reads_as(REQUESTS, "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
             "HEAD GET / minor=1 keep=1 chunked=0 length=-1 upgrade=0 continue=0 [Host|a]\n"
             "END at=27\n");
    reads_as(REQUESTS, "DELETE /v1/files/x?a=b%20c HTTP/1.0\r\n\r\n",
             "HEAD DELETE /v1/files/x?a=b%20c minor=0 keep=0 chunked=0 length=-1 upgrade=0 "
             "continue=0\nEND at=39\n");
    reads_as(REQUESTS, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
             "HEAD GET / minor=0 keep=1 chunked=0 length=-1 upgrade=0 continue=0 "
             "[Connection|keep-alive]\nEND at=42\n");
    reads_as(REQUESTS, "POST /x HTTP/1.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
             "HEAD POST /x minor=1 keep=0 chunked=0 length=0 upgrade=0 continue=0 "
             "[Content-Length|0] [Connection|close]\nEND at=58\n");
}

static void field_values_are_trimmed_and_otherwise_untouched(void **state)
{
    (void)state;
    reads_as(REQUESTS,
             "GET / HTTP/1.1\r\nA:\r\nB:  \t x  y\t \r\nC:z\r\nD: \xc3\xa9:,;\"=\r\nE: \t\r\n\r\n",
             "HEAD GET / minor=1 keep=1 chunked=0 length=-1 upgrade=0 continue=0 "
             "[A|] [B|x  y] [C|z] [D|\xc3\xa9:,;\"=] [E|]\nEND at=59\n");
}

static void bodies_of_known_length(void **state)
{
    (void)state;
    reads_as(REQUESTS, "POST /x HTTP/1.1\r\nContent-Length: 11\r\n\r\nhello\r\n\r\n{}",
             "HEAD POST /x minor=1 keep=1 chunked=0 length=11 upgrade=0 continue=0 "
             "[Content-Length|11]\nBODY hello\r\n\r\n{}\nEND at=51\n");
    reads_as(REQUESTS, "POST /x HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length:\t2 \r\n\r\nab",
             "HEAD POST /x minor=1 keep=1 chunked=0 length=2 upgrade=0 continue=1 "
             "[Expect|100-Continue] [Content-Length|2]\nBODY ab\nEND at=64\n");
}

static void chunked_bodies(void **state)
{
    (void)state;
    reads_as(REQUESTS,
             "POST /x HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n"
             "5\r\nhello\r\n1;a=b;c=\"d\"\r\n!\r\n00A\r\n0123456789\r\n0\r\n\r\n",
             "HEAD POST /x minor=1 keep=1 chunked=1 length=-1 upgrade=0 continue=0 "
             "[Transfer-Encoding|Chunked]\nBODY hello!0123456789\nEND at=96\n");
    reads_as(ANSWERS,
             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
             "3;x\r\nabc\r\n0;y=1\r\nTrailer: 1\r\nX-B: two words\r\n\r\n",
             "HEAD 200 OK minor=1 keep=1 chunked=1 length=-1 upgrade=0 continue=0 "
             "[Transfer-Encoding|chunked]\nBODY abc\nEND at=94\n");
    reads_as(REQUESTS, "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
             "HEAD POST /x minor=1 keep=1 chunked=1 length=-1 upgrade=0 continue=0 "
             "[Transfer-Encoding|chunked]\nEND at=53\n");
}

static void pipelined_requests(void **state)
{
    (void)state;
    reads_as(REQUESTS,
             "GET /1 HTTP/1.1\r\n\r\n"
             "POST /2 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
             "POST /3 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n"
             "GET /4 HTTP/1.1\r\n\r\n",
             "HEAD GET /1 minor=1 keep=1 chunked=0 length=-1 upgrade=0 continue=0\nEND at=19\n"
             "HEAD POST /2 minor=1 keep=1 chunked=0 length=3 upgrade=0 continue=0 "
             "[Content-Length|3]\nBODY abc\nEND at=61\n"
             "HEAD POST /3 minor=1 keep=1 chunked=1 length=-1 upgrade=0 continue=0 "
             "[Transfer-Encoding|chunked]\nBODY de\nEND at=121\n"
             "HEAD GET /4 minor=1 keep=1 chunked=0 length=-1 upgrade=0 continue=0\nEND at=140\n");
}

static void empty_lines_before_a_request(void **state)
{
    (void)state;
    reads_as(REQUESTS, "\r\nGET / HTTP/1.1\r\n\r\n\r\n\r\nGET /2 HTTP/1.1\r\n\r\n",
             "HEAD GET / minor=1 keep=1 chunked=0 length=-1 upgrade=0 continue=0\nEND at=20\n"
             "HEAD GET /2 minor=1 keep=1 chunked=0 length=-1 upgrade=0 continue=0\nEND at=43\n");
    refuses(REQUESTS, "\rGET / HTTP/1.1\r\n\r\n");
    refuses(REQUESTS, "\nGET / HTTP/1.1\r\n\r\n");
    refuses(REQUESTS, "\r\r\nGET / HTTP/1.1\r\n\r\n");
    refuses(ANSWERS, "\r\nHTTP/1.1 200 OK\r\n\r\n");
}

/* A peer cannot keep a reader busy with nothing. */
static void endless_empty_lines(void **state)
{
    (void)state;
    char lines[2 * (HTTP_EMPTY_LINES_MAX + 1)];
    for (size_t i = 0; i < sizeof lines; i++)
        lines[i] = i % 2 ? '\n' : '\r';
    refuses_bytes(REQUESTS, slice_of(lines, sizeof lines), STATUS_PROTOCOL);
}

static void an_offer_of_another_protocol_is_not_taken_up(void **state)
{
    (void)state;
    reads_as(REQUESTS,
             "GET /v1/realtime HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
             "GET /2 HTTP/1.1\r\n\r\n",
             "HEAD GET /v1/realtime minor=1 keep=1 chunked=0 length=-1 upgrade=1 continue=0 "
             "[Connection|Upgrade] [Upgrade|websocket]\nEND at=70\n"
             "HEAD GET /2 minor=1 keep=1 chunked=0 length=-1 upgrade=0 continue=0\nEND at=89\n");
    reads_as(REQUESTS, "CONNECT a:1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n",
             "HEAD CONNECT a:1 minor=1 keep=1 chunked=0 length=-1 upgrade=1 continue=0\nEND at=24\n"
             "HEAD GET /2 minor=1 keep=1 chunked=0 length=-1 upgrade=0 continue=0\nEND at=43\n");
}

static void answers_with_length(void **state)
{
    (void)state;
    reads_as(ANSWERS,
             "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 429 Too Many\r\n"
             "Content-Length: 0\r\nConnection: close\r\n\r\n",
             "HEAD 200 OK minor=1 keep=1 chunked=0 length=2 upgrade=0 continue=0 "
             "[Content-Length|2]\nBODY ok\nEND at=40\n"
             "HEAD 429 Too Many minor=1 keep=0 chunked=0 length=0 upgrade=0 continue=0 "
             "[Content-Length|0] [Connection|close]\nEND at=103\n");
    reads_as(ANSWERS, "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
             "HEAD 200  minor=1 keep=1 chunked=0 length=0 upgrade=0 continue=0 "
             "[Content-Length|0]\nEND at=35\n");
    reads_as(ANSWERS, "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
             "HEAD 200  minor=1 keep=1 chunked=0 length=0 upgrade=0 continue=0 "
             "[Content-Length|0]\nEND at=36\n");
}

static void answers_delimited_by_closing(void **state)
{
    (void)state;
    reads_as(ANSWERS, "HTTP/1.1 200 OK\r\n\r\nall\r\n\r\nthis",
             "HEAD 200 OK minor=1 keep=0 chunked=0 length=-1 upgrade=0 continue=0\n"
             "BODY all\r\n\r\nthis\nEND");
    reads_as(ANSWERS, "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n",
             "HEAD 200 OK minor=0 keep=0 chunked=0 length=-1 upgrade=0 continue=0 "
             "[Connection|keep-alive]\nEND");
}

static void answers_without_body(void **state)
{
    (void)state;
    reads_as(ANSWERS,
             "HTTP/1.1 204 No Content\r\n\r\n"
             "HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n"
             "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"
             "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
             "HEAD 204 No Content minor=1 keep=1 chunked=0 length=-1 upgrade=0 continue=0\n"
             "END at=27\n"
             "HEAD 304 Not Modified minor=1 keep=1 chunked=0 length=10 upgrade=0 continue=0 "
             "[Content-Length|10]\nEND at=76\n"
             "HEAD 204 No Content minor=1 keep=1 chunked=1 length=-1 upgrade=0 continue=0 "
             "[Transfer-Encoding|chunked]\nEND at=131\n"
             "HEAD 204 No Content minor=1 keep=1 chunked=0 length=5 upgrade=0 continue=0 "
             "[Content-Length|5]\nEND at=177\n");
    reads_as(ANSWERS_TO_HEAD,
             "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
             "HTTP/1.1 200 OK\r\n\r\n",
             "HEAD 200 OK minor=1 keep=1 chunked=0 length=100 upgrade=0 continue=0 "
             "[Content-Length|100]\nEND at=40\n"
             "HEAD 200 OK minor=1 keep=1 chunked=1 length=-1 upgrade=0 continue=0 "
             "[Transfer-Encoding|chunked]\nEND at=87\n"
             "HEAD 200 OK minor=1 keep=1 chunked=0 length=-1 upgrade=0 continue=0\nEND at=106\n");
}

static void interim_answers_are_skipped(void **state)
{
    (void)state;
    reads_as(ANSWERS,
             "HTTP/1.1 100 Continue\r\n\r\n"
             "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 4\r\n\r\n"
             "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
             "HEAD 200 OK minor=1 keep=1 chunked=0 length=2 upgrade=0 continue=0 "
             "[Content-Length|2]\nBODY ok\nEND at=124\n");
}

static void too_many_interim_answers(void **state)
{
    (void)state;
    struct buffer b = {0};
    for (int i = 0; i <= HTTP_INTERIM_MAX; i++)
        assert_int_equal(buffer_append(&b, SLICE("HTTP/1.1 102 Processing\r\n\r\n"), 4096),
                         STATUS_OK);
    refuses_bytes(ANSWERS, buffer_slice(&b), STATUS_PROTOCOL);
    buffer_clear(&b);
    refuses(ANSWERS,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
}

static void the_end_of_the_stream(void **state)
{
    (void)state;
    static const char request[] = "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
    static const char chunks[] =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    struct recorder r;

    for (size_t cut = 1; cut < sizeof request - 1; cut++) {
        begin(&r, REQUESTS);
        assert_int_equal(feed_read(&r, slice_of(request, cut), 0), STATUS_OK);
        assert_int_equal(http_reader_end(&r.reader), STATUS_EOF);
        finish(&r);
    }
    for (size_t cut = 1; cut < sizeof chunks - 1; cut++) {
        begin(&r, ANSWERS);
        assert_int_equal(feed_read(&r, slice_of(chunks, cut), 0), STATUS_OK);
        assert_int_equal(http_reader_end(&r.reader), STATUS_EOF);
        finish(&r);
    }
    begin(&r, ANSWERS);
    assert_int_equal(http_reader_end(&r.reader), STATUS_OK);
    finish(&r);
}

static void a_callback_stops_the_reader(void **state)
{
    (void)state;
    static const char stream[] = "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
    struct recorder r;

    begin(&r, REQUESTS);
    r.on_head = STATUS_CANCELLED;
    assert_int_equal(feed_read(&r, slice_str(stream), 0), STATUS_CANCELLED);
    assert_null(memmem(r.story.data, r.story.len, "BODY", 4));
    finish(&r);
    begin(&r, REQUESTS);
    r.on_body = STATUS_NO_MEMORY;
    assert_int_equal(feed_read(&r, slice_str(stream), 0), STATUS_NO_MEMORY);
    assert_null(memmem(r.story.data, r.story.len, "END", 3));
    finish(&r);
    begin(&r, REQUESTS);
    r.on_complete = STATUS_REFUSED;
    assert_int_equal(feed_read(&r, slice_str(stream), 0), STATUS_REFUSED);
    finish(&r);
}

/* ---- malformed --------------------------------------------------------------------------- */

#define GET     "GET / HTTP/1.1\r\n"
#define POST    "POST / HTTP/1.1\r\n"
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

static void ambiguous_framing(void **state)
{
    (void)state;
    static const char *const streams[] = {
        POST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        POST "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        POST "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        POST "Content-Length: 3, 3\r\n\r\nabc",
        POST "Content-Length: 3,4\r\n\r\nabc",
        POST "Content-Length: +3\r\n\r\nabc",
        POST "Content-Length: -3\r\n\r\nabc",
        POST "Content-Length: 0x3\r\n\r\nabc",
        POST "Content-Length: 3 3\r\n\r\nabc",
        POST "Content-Length: 3a\r\n\r\nabc",
        POST "Content-Length: 3.0\r\n\r\nabc",
        POST "Content-Length:\r\n\r\nabc",
        POST "Content-Length: \r\n\r\nabc",
        POST "Content-Length: 18446744073709551616\r\n\r\nabc",
        POST "Content-Length: 18446744073709551615\r\n\r\nabc",
        POST "Content-Length: 9223372036854775808\r\n\r\nabc",
        POST "Content-Length: 99999999999999999999999\r\n\r\nabc",
        POST "Transfer-Encoding: gzip\r\n\r\n",
        POST "Transfer-Encoding: identity\r\n\r\n",
        POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        POST "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        POST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
        POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        POST "Transfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n",
        POST "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
        POST "Transfer-Encoding:\r\n\r\n",
        POST "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n",
        POST "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++)
        refuses(REQUESTS, streams[i]);
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\nabc",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
        refuses(ANSWERS, answers[i]);
}

static void broken_lines(void **state)
{
    (void)state;
    static const char *const streams[] = {
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\n\n",
        GET "Host: a\n\r\n",
        GET "Host: a\nB: c\r\n\r\n",
        GET "Host: a\r\n\n",
        GET "Host: a\r\n b\r\n\r\n",
        GET "Host: a\r\n\tb\r\n\r\n",
        GET " Host: a\r\n\r\n",
        GET " Content-Length: 3\r\n\r\nabc",
        GET "Host: a\rB: c\r\n\r\n",
        GET "Host: a\r\rB: c\r\n\r\n",
        GET "Host: a\r\r\n\r\n",
        GET "Ho\rst: a\r\n\r\n",
        GET "A: b\r Content-Length: 3\r\n\r\n",
        GET "Transfer-Encoding: chunked\rA: b\r\n\r\n",
        GET "Content-Length: 3\rA: b\r\n\r\nabc",
        GET "Connection: close\rA: b\r\n\r\n",
        "GET /\r HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\r\n\r\n",
        GET "\rA: b\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++)
        refuses(REQUESTS, streams[i]);
    refuses(ANSWERS, "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n");
    refuses(ANSWERS, "HTTP/1.1 200 OK\rContent-Length: 0\r\n\r\n");
    refuses(ANSWERS, "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n");
    refuses(ANSWERS, "HTTP/1.1 200 OK\r\nA: b\rContent-Length: 0\r\n\r\n");
}

static void broken_fields(void **state)
{
    (void)state;
    static const char *const streams[] = {
        GET "Host : a\r\n\r\n",
        GET "Host\t: a\r\n\r\n",
        GET "Content-Length : 3\r\n\r\nabc",
        GET "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        GET ": a\r\n\r\n",
        GET "Host\r\n\r\n",
        GET "Host a\r\n\r\n",
        GET "Ho st: a\r\n\r\n",
        GET "Ho(st: a\r\n\r\n",
        GET "H\xc3\xb6st: a\r\n\r\n",
        GET "\"Host\": a\r\n\r\n",
        GET "Ho\x7fst: a\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++)
        refuses(REQUESTS, streams[i]);
}

/* Every control character but the tab, in a name, in a value, and in the values the parser itself
 * reads. */
static void control_characters(void **state)
{
    (void)state;
    static const char *const shapes[] = {
        "GET / HTTP/1.1\r\nHo?st: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a?b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: ?\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:?\r\n\r\n",
        "GET / HTTP/1.1\r\nConnection: close?\r\n\r\n",
        "GET / HTTP/1.1\r\nConnection: clo?se\r\n\r\n",
        "GET / HTTP/1.1\r\nConnection: ?close\r\n\r\n",
        "GET / HTTP/1.1\r\nUpgrade: a?\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 0?\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: ?0\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked?\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: ?chunked\r\n\r\n0\r\n\r\n",
        "GET /a?b HTTP/1.1\r\n\r\n",
        "GE?T / HTTP/1.1\r\n\r\n",
        "GET / HT?TP/1.1\r\n\r\n",
        "GET / HTTP/1.1?\r\n\r\n",
        "?GET / HTTP/1.1\r\n\r\n",
    };
    char stream[128];

    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        size_t len = strlen(shapes[i]);
        memcpy(stream, shapes[i], len);
        char *at = memchr(stream, '?', len);
        assert_non_null(at);
        for (int c = 0; c < 0x80; c++) {
            if ((c >= ' ' && c != 0x7f) || c == '\t' || c == '\r' || c == '\n')
                continue; /* ends of lines have a test of their own */
            *at = (char)c;
            refuses_bytes(REQUESTS, slice_of(stream, len), STATUS_PROTOCOL);
        }
    }
}

/* What chunked.c finds wrong (its own tests have all of it) is the reader's error, each way. */
static void bad_chunks(void **state)
{
    (void)state;
    refuses(REQUESTS, CHUNKED "g\r\nabc\r\n0\r\n\r\n");
    refuses(REQUESTS, CHUNKED "3\r\nabcd\r\n0\r\n\r\n");
    refuses(REQUESTS, CHUNKED "0\r\n\rX");
    refuses(ANSWERS, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc0\r\n\r\n");
}

static void start_lines(void **state)
{
    (void)state;
    static const char *const requests[] = {
        "GET / HTTP/2.0\r\n\r\n",
        "GET / HTTP/0.9\r\n\r\n",
        "GET / HTTP/1.2\r\n\r\n",
        "GET / HTTP/1\r\n\r\n",
        "GET / HTTP/1.1 \r\n\r\n",
        "GET / http/1.1\r\n\r\n",
        "GET / HTTPS/1.1\r\n\r\n",
        "GET / HTTP/11\r\n\r\n",
        "GET / HTTP/1.10\r\n\r\n",
        "GET /\r\n",
        "GET  HTTP/1.1\r\n\r\n",
        "GET HTTP/1.1\r\n\r\n",
        "GET / a HTTP/1.1\r\n\r\n",
        "GET\t/ HTTP/1.1\r\n\r\n",
        "GET /\tHTTP/1.1\r\n\r\n",
        "get / HTTP/1.1\r\n\r\n",
        "FOO / HTTP/1.1\r\n\r\n",
        "GETS / HTTP/1.1\r\n\r\n",
        " GET / HTTP/1.1\r\n\r\n",
        "/ HTTP/1.1\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        "GET /\xc3\xa9 HTTP/1.1\r\n\r\n",
        "{\"json\":1}",
        "SSH-2.0-OpenSSH_9.2\r\n",
    };
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++)
        refuses(REQUESTS, requests[i]);
    static const char *const answers[] = {
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.2 200 OK\r\n\r\n",
        "HTTP/0.9 200 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",
        "HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 000 Odd\r\nContent-Length: 0\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
        "http/1.1 200 OK\r\n\r\n",
        "<html>",
        "GET / HTTP/1.1\r\n\r\n",
        "garbage",
    };
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
        refuses(ANSWERS, answers[i]);
}

/* What cannot become HTTP any more is refused with the bytes that show it, not at a timeout. */
/* Bodies aside, of which nothing is left to read. */
static void a_lone_cr_is_refused_wherever_it_stands(void **state)
{
    (void)state;
    static const struct {
        enum side side;
        const char *head;
    } heads[] = {
        {REQUESTS, "POST /v1/a?b=c HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n"
                   "Connection: keep-alive, x\r\nUpgrade: u\r\nEmpty:\r\nX-Long-Name-Of-A-Field: "
                   "a value longer than sixteen bytes\r\n\r\n"},
        {REQUESTS,
         "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nProxy-Connection: close\r\n\r\n"},
        {ANSWERS, "HTTP/1.1 200 All is well\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
        {ANSWERS, "HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n"},
    };

    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        size_t len = strlen(heads[i].head);
        for (size_t at = 0; at < len; at++) {
            char text[512];
            assert_true(len + 1 <= sizeof text);
            memcpy(text, heads[i].head, at);
            text[at] = '\r';
            memcpy(text + at + 1, heads[i].head + at, len - at);
            refuses_bytes(heads[i].side, slice_of(text, len + 1), STATUS_PROTOCOL);
        }
    }
}

static void refused_at_once(void **state)
{
    (void)state;
    static const struct {
        enum side side;
        struct slice bytes;
    } starts[] = {
        {REQUESTS, {"\x16\x03\x01\x02", 4}}, /* TLS */
        {REQUESTS, {"\0", 1}},
        {REQUESTS, {"\x05\x01", 2}}, /* SOCKS */
        {REQUESTS, {"{", 1}},
        {REQUESTS, {"get ", 4}},
        {REQUESTS, {"GET /\r\n", 7}}, /* HTTP/0.9 */
        {REQUESTS, {"GET / HTTP/2.0\r\n", 16}},
        {REQUESTS, {"EHLO example.org\r\n", 18}},
        {REQUESTS, {"GET / HTTP/1.1\n", 15}},
        {REQUESTS, {"GET / HTTP/1.1\r\nA: b\n", 21}},
        {REQUESTS, {"GET / HTTP/1.1\r\nA: b\rC", 22}},
        {REQUESTS, {"GET / HTTP/1.1\r\n ", 17}},
        {ANSWERS, {"\x15\x03\x03", 3}},
        {ANSWERS, {"<", 1}},
        {ANSWERS, {"HTTP/2", 6}},
        {ANSWERS, {"HTTP/1.1 200 OK\n", 16}},
    };
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++)
        refuses_bytes(starts[i].side, starts[i].bytes, STATUS_PROTOCOL);
}

/* ---- limits ------------------------------------------------------------------------------ */

/* A request whose head is `bytes` long in all. */
static struct buffer head_of_length(size_t bytes)
{
    struct buffer b = {0};
    assert_int_equal(buffer_append(&b, SLICE(GET "A: "), STORY_MAX), STATUS_OK);
    while (b.len < bytes - 4)
        assert_int_equal(buffer_append(&b, SLICE("x"), STORY_MAX), STATUS_OK);
    assert_int_equal(buffer_append(&b, SLICE("\r\n\r\n"), STORY_MAX), STATUS_OK);
    assert_int_equal(b.len, bytes);
    return b;
}

static void head_size_limit(void **state)
{
    (void)state;
    static const size_t steps[] = {1, 1000, 4096, 65535, 65536};
    struct buffer fits = head_of_length(HTTP_HEAD_MAX), large = head_of_length(HTTP_HEAD_MAX + 1);
    struct recorder r;

    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        begin(&r, REQUESTS);
        assert_int_equal(feed_cut(&r, buffer_slice(&fits), 0, steps[i]), STATUS_OK);
        assert_true(slice_ends(buffer_slice(&r.story), SLICE("END at=65536\n")));
        finish(&r);
        begin(&r, REQUESTS);
        assert_int_equal(feed_cut(&r, buffer_slice(&large), 0, steps[i]), STATUS_LIMIT);
        finish(&r);
        /* Without an end in sight it is refused too. */
        begin(&r, REQUESTS);
        assert_int_equal(feed_cut(&r, slice_of(large.data, large.len - 4), 0, steps[i]), STATUS_OK);
        assert_int_equal(feed_read(&r, SLICE("xxxxx"), 0), STATUS_LIMIT);
        finish(&r);
    }
    buffer_clear(&fits);
    buffer_clear(&large);
}

static struct buffer head_with_fields(size_t count)
{
    struct buffer b = {0};
    assert_int_equal(buffer_append(&b, SLICE(GET), STORY_MAX), STATUS_OK);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(buffer_append(&b, SLICE("A: b\r\n"), STORY_MAX), STATUS_OK);
    assert_int_equal(buffer_append(&b, SLICE("\r\n"), STORY_MAX), STATUS_OK);
    return b;
}

static void field_count_limit(void **state)
{
    (void)state;
    struct buffer fits = head_with_fields(HTTP_FIELDS_MAX);
    struct buffer many = head_with_fields(HTTP_FIELDS_MAX + 1);
    struct recorder r;

    begin(&r, REQUESTS);
    assert_int_equal(feed_read(&r, buffer_slice(&fits), 0), STATUS_OK);
    finish(&r);
    refuses_bytes(REQUESTS, buffer_slice(&many), STATUS_LIMIT);
    buffer_clear(&fits);
    buffer_clear(&many);
}

/* ---- chance ------------------------------------------------------------------------------ */

/* Mutated streams: no crash, and every cut comes to the same end. */
static void mutations_end_the_same_way_however_cut(void **state)
{
    (void)state;
    static const char *const seeds[] = {
        POST "Host: a\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\n\r\n",
        CHUNKED "5;a=b\r\nhello\r\n0\r\nT: x\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
         "3\r\nabc\r\n0\r\n\r\n"),
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nokx",
    };
    static const char spice[] = "\r\n\0 :;,0123456789abcdefxXHTP/.-\t\x7f\xff";
    struct rng rng = {.state = 20240611};
    char stream[256];

    for (int round = 0; round < 20000; round++) {
        size_t which = rng_next(&rng) % 4, len = strlen(seeds[which]);
        enum side side = which < 2 ? REQUESTS : ANSWERS;
        memcpy(stream, seeds[which], len);
        for (size_t i = rng_next(&rng) % 3 + 1; i; i--) {
            size_t at = rng_next(&rng) % len;
            char byte = spice[rng_next(&rng) % (sizeof spice - 1)];
            switch (rng_next(&rng) % 3) {
            case 0: stream[at] = byte; break;
            case 1:
                memmove(stream + at + 1, stream + at, len - at);
                stream[at] = byte;
                len++;
                break;
            default: memmove(stream + at, stream + at + 1, len - at - 1); len--;
            }
        }
        struct recorder whole, cut;
        begin(&whole, side);
        enum status expected = feed_read(&whole, slice_of(stream, len), 0);
        begin(&cut, side);
        size_t step = rng_next(&rng) % 5 + 1;
        enum status got = feed_cut(&cut, slice_of(stream, len), rng_next(&rng) % len, step);
        if (got != expected ||
            (got == STATUS_OK && !slice_eq(buffer_slice(&whole.story), buffer_slice(&cut.story))))
            fail_msg("round %d: %s whole, %s cut in %zu\n%.*s", round, status_text(expected),
                     status_text(got), step, (int)len, stream);
        finish(&whole);
        finish(&cut);
    }
}

static void noise(void **state)
{
    (void)state;
    struct rng rng = {.state = 7};
    char bytes[300];

    for (int round = 0; round < 20000; round++) {
        size_t len = rng_next(&rng) % sizeof bytes + 1;
        for (size_t i = 0; i < len; i++)
            bytes[i] = (char)rng_next(&rng);
        struct recorder r;
        begin(&r, round % 2 ? REQUESTS : ANSWERS);
        (void)feed_cut(&r, slice_of(bytes, len), rng_next(&rng) % len, rng_next(&rng) % 50 + 1);
        if (http_reader_end(&r.reader) == STATUS_OK)
            assert_int_equal(r.story.len, 0);
        assert_null(memmem(r.story.data ? r.story.data : "", r.story.len, "END", 3));
        finish(&r);
    }
}

static void the_path_of_a_target(void **state)
{
    (void)state;
    assert_true(slice_eq(http_target_path(SLICE("/a/b?c=d?e")), SLICE("/a/b")));
    assert_true(slice_eq(http_target_path(SLICE("/a/b")), SLICE("/a/b")));
    assert_true(slice_eq(http_target_path(SLICE("?")), SLICE("")));
    assert_int_equal(http_target_path(slice_of(NULL, 0)).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_without_body),
        cmocka_unit_test(field_values_are_trimmed_and_otherwise_untouched),
        cmocka_unit_test(bodies_of_known_length),
        cmocka_unit_test(chunked_bodies),
        cmocka_unit_test(pipelined_requests),
        cmocka_unit_test(empty_lines_before_a_request),
        cmocka_unit_test(endless_empty_lines),
        cmocka_unit_test(an_offer_of_another_protocol_is_not_taken_up),
        cmocka_unit_test(answers_with_length),
        cmocka_unit_test(answers_delimited_by_closing),
        cmocka_unit_test(answers_without_body),
        cmocka_unit_test(interim_answers_are_skipped),
        cmocka_unit_test(too_many_interim_answers),
        cmocka_unit_test(the_end_of_the_stream),
        cmocka_unit_test(a_callback_stops_the_reader),
        cmocka_unit_test(ambiguous_framing),
        cmocka_unit_test(broken_lines),
        cmocka_unit_test(broken_fields),
        cmocka_unit_test(control_characters),
        cmocka_unit_test(bad_chunks),
        cmocka_unit_test(start_lines),
        cmocka_unit_test(a_lone_cr_is_refused_wherever_it_stands),
        cmocka_unit_test(refused_at_once),
        cmocka_unit_test(head_size_limit),
        cmocka_unit_test(field_count_limit),
        cmocka_unit_test(mutations_end_the_same_way_however_cut),
        cmocka_unit_test(noise),
        cmocka_unit_test(the_path_of_a_target),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
