/* The benchmark's own answer reader: chunk invariance, and nothing unsound taken for an answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../../bench/answer.h"
#include "base/buffer.h"

#define BODY_MAX 256

static void collect(void *user, struct slice piece)
{
    struct buffer *body = user;

    assert_true(piece.len > 0);
    assert_int_equal(buffer_append(body, piece, BODY_MAX), STATUS_OK);
}

/* Feeds the text cut at `split`; returns how many bytes were taken. */
static size_t feed_split(struct answer *a, struct slice text, size_t split, struct buffer *body)
{
    answer_init(a);
    size_t used = answer_feed(a, slice_of(text.ptr, split), collect, body);
    if (used == split)
        used += answer_feed(a, slice_from(text, split), collect, body);
    return used;
}

static const struct {
    const char *text, *body;
    unsigned status;
    bool close;
    size_t behind; /* bytes of a next answer at the end */
} sound[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", 200, false, 0},
    {"HTTP/1.1 429 Too Many Requests\r\ncontent-length:0\r\nConnection: close\r\n\r\n", "", 429,
     true, 0},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n00A\r\n, "
     "stranger\r\n0\r\n\r\n",
     "hello, stranger", 200, false, 0},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n!\r\n0\r\nX-Trailer: 1\r\n\r\nHTTP",
     "!", 200, false, 4},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n.", ".", 200, false,
     0},
};

static void test_sound_at_every_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(sound) / sizeof(sound[0]); i++) {
        struct slice text = slice_str(sound[i].text);
        for (size_t split = 0; split <= text.len; split++) {
            struct answer a;
            struct buffer body = {0};
            assert_int_equal(feed_split(&a, text, split, &body), text.len - sound[i].behind);
            assert_int_equal(a.state, ANSWER_DONE);
            assert_int_equal(a.status, sound[i].status);
            assert_int_equal(a.close, sound[i].close);
            assert_true(slice_eq(buffer_slice(&body), slice_str(sound[i].body)));
            buffer_clear(&body);
        }
    }
}

static const char *const unsound[] = {
    "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 2x0 OK\r\n",
    "HTTP/1.1 200 OK\r\nno colon\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: five\r\n",
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n", /* ends with the connection */
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n!?\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
};

static void test_unsound_at_every_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(unsound) / sizeof(unsound[0]); i++) {
        struct slice text = slice_str(unsound[i]);
        for (size_t split = 0; split <= text.len; split++) {
            struct answer a;
            struct buffer body = {0};
            feed_split(&a, text, split, &body);
            assert_int_equal(a.state, ANSWER_BAD);
            buffer_clear(&body);
        }
    }
}

static void test_line_limit(void **state)
{
    char line[ANSWER_LINE_MAX + 1];
    struct answer a;

    (void)state;
    memset(line, 'x', sizeof(line));
    answer_init(&a);
    answer_feed(&a, slice_of(line, ANSWER_LINE_MAX), collect, NULL);
    assert_int_equal(a.state, ANSWER_STATUS_LINE);
    answer_feed(&a, slice_of(line, 1), collect, NULL);
    assert_int_equal(a.state, ANSWER_BAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sound_at_every_split),
        cmocka_unit_test(test_unsound_at_every_split),
        cmocka_unit_test(test_line_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
