/* The chunked coding, cut at every place: what is read does not depend on where reads end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/rng.h"
#include "net/chunked.h"

enum { BODY_MAX = 1 << 20 };

struct outcome {
    enum status status;
    struct buffer body;
    size_t used; /* bytes of the stream, up to the end */
    bool done;
};

/* Reads a stream of which reads show `first` bytes, then `step` at a time. Each piece is a copy of
 * its own, so that a look beyond it is seen by ASan. */
static struct outcome read_cut(struct slice stream, size_t first, size_t step)
{
    struct outcome o = {.status = STATUS_OK};
    struct chunked chunked;
    size_t size = first;

    chunked_init(&chunked);
    while (stream.len && o.status == STATUS_OK && !chunked.done) {
        size_t len = size && size < stream.len ? size : stream.len;
        char *piece = malloc(len);
        assert_non_null(piece);
        memcpy(piece, stream.ptr, len);
        for (size_t at = 0; at < len && o.status == STATUS_OK && !chunked.done;) {
            size_t used = 0;
            struct slice body = {0};
            o.status = chunked_read(&chunked, piece + at, len - at, &used, &body);
            if (o.status != STATUS_OK)
                break;
            assert_true(used > 0 && used <= len - at);
            assert_true(!body.len ||
                        (body.ptr >= piece + at && body.ptr + body.len <= piece + len));
            assert_int_equal(buffer_append(&o.body, body, BODY_MAX), STATUS_OK);
            at += used;
            o.used += used;
        }
        free(piece);
        stream = slice_from(stream, len);
        size = step;
    }
    o.done = chunked.done;
    return o;
}

static void reads_as(struct slice stream, const char *body, size_t used)
{
    for (size_t first = 0; first <= stream.len; first++) {
        for (size_t step = 0; step <= 3; step++) {
            struct outcome o = read_cut(stream, first, step);
            assert_int_equal(o.status, STATUS_OK);
            assert_true(o.done);
            assert_int_equal(o.used, used);
            assert_true(slice_eq(buffer_slice(&o.body), slice_str(body)));
            buffer_clear(&o.body);
        }
    }
}

static void refuses(const char *text)
{
    struct slice stream = slice_str(text);

    for (size_t first = 0; first <= stream.len; first++) {
        for (size_t step = 0; step <= 3; step++) {
            struct outcome o = read_cut(stream, first, step);
            if (o.status != STATUS_PROTOCOL)
                fail_msg("%s: %s, cut after %zu and every %zu", text, status_text(o.status), first,
                         step);
            assert_false(o.done);
            buffer_clear(&o.body);
        }
    }
}

static void bodies(void **state)
{
    (void)state;
    static const struct {
        const char *stream, *body, *behind;
    } rows[] = {
        {"0\r\n\r\n", "", ""},
        {"3\r\nabc\r\n0\r\n\r\n", "abc", ""},
        {"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "abcde", "GET / HTTP/1.1\r\n"},
        {"00003\r\nabc\r\n000\r\n\r\n", "abc", ""},
        {"a\r\n0123456789\r\nB\r\n0\r\n\r\nABCDEF\r\n0\r\n\r\n", "01234567890\r\n\r\nABCDEF", ""},
        {"3;name=value;x\r\nabc\r\n0;last\r\n\r\n", "abc", "0\r\n\r\n"},
        {"3; \t\"quoted\"\r\nabc\r\n0\r\n\r\n", "abc", ""},
        {"3;\r\nabc\r\n0\r\n\r\n", "abc", ""},
        {"1\r\nx\r\n0\r\nExpires: never\r\nX-A:\r\n\r\n", "x", "more"},
    };
    char stream[256];

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t own = strlen(rows[i].stream), behind = strlen(rows[i].behind);
        memcpy(stream, rows[i].stream, own);
        memcpy(stream + own, rows[i].behind, behind);
        reads_as(slice_of(stream, own + behind), rows[i].body, own);
    }
}

/* A stream that breaks off is not done, wherever it does. */
static void a_stream_that_breaks_off(void **state)
{
    (void)state;
    struct slice stream = SLICE("3;a=b\r\nabc\r\n0\r\nA: b\r\n\r\n");

    for (size_t len = 0; len < stream.len; len++) {
        struct outcome o = read_cut(slice_of(stream.ptr, len), 0, 0);
        assert_int_equal(o.status, STATUS_OK);
        assert_int_equal(o.used, len);
        assert_false(o.done);
        buffer_clear(&o.body);
    }
}

static void bad_chunks(void **state)
{
    (void)state;
    static const char *const streams[] = {
        "0x3\r\nabc\r\n0\r\n\r\n",
        "-1\r\na\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        " 3\r\nabc\r\n0\r\n\r\n",
        "3 \r\nabc\r\n0\r\n\r\n",
        "3\t\r\nabc\r\n0\r\n\r\n",
        "g\r\nabc\r\n0\r\n\r\n",
        "\r\nabc\r\n0\r\n\r\n",
        ";a=b\r\nabc\r\n0\r\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "3\rabc\r\n0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\r\nabc0\r\n\r\n",
        "3\r\nabc\rx0\r\n\r\n",
        "3\r\nab\r\n0\r\n\r\n",
        "3;a\nabc\r\n0\r\n\r\n",
        "3;a\rb\r\nabc\r\n0\r\n\r\n",
        "3;a\r\r\nabc\r\n0\r\n\r\n",
        "10000000000000000\r\nabc\r\n0\r\n\r\n",
        "FFFFFFFFFFFFFFFFF\r\nabc\r\n0\r\n\r\n",
        "FFFFFFFFFFFFFFFF\r\nabc\r\n0\r\n\r\n",
        "0\n\r\n",
        "0\r\n\n",
        "0\r\n\rX",
        "0\r\nA: b\n\r\n",
        "0\r\nA: b\rC: d\r\n\r\n",
        "0\r\nA b\r\n\r\n",
        "0\r\nA : b\r\n\r\n",
        "0\r\nA: b\r\n c\r\n\r\n",
        "0\r\n A: b\r\n\r\n",
        "8000000000000000\r\nabc\r\n0\r\n\r\n",
        "3\r\nabc\r\n\r\n",
        "3;a\x01\r\nabc\r\n0\r\n\r\n",
        "3;a\x7f\r\nabc\r\n0\r\n\r\n",
        "0\r\nA: \x01\r\n\r\n",
        "0\r\n: b\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++)
        refuses(streams[i]);
}

/* The largest size that is read as one, and the first that is not. */
static void sizes_end_below_2_to_63(void **state)
{
    (void)state;
    struct chunked chunked;
    struct slice body, largest = SLICE("7fffffffffffffff\r\nx");
    size_t used;

    chunked_init(&chunked);
    assert_int_equal(chunked_read(&chunked, largest.ptr, largest.len, &used, &body), STATUS_OK);
    assert_int_equal(body.len, 1);
    assert_true(chunked.left == (uint64_t)INT64_MAX - 1);
    refuses("8000000000000000\r\nx");
}

/* Bytes that are no body are limited; each byte of the body begins anew. */
static void framing_is_limited(void **state)
{
    (void)state;
    static const char *const starts[] = {"3;", "3\r\nabc\r\n0\r\nA: ", "0"};
    static const char fillers[] = {'x', 'x', '0'};
    static const size_t steps[] = {1, 1000, 0};
    char filler[4096];

    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        struct buffer b = {0};
        memset(filler, fillers[i], sizeof filler);
        assert_int_equal(buffer_append(&b, slice_str(starts[i]), BODY_MAX), STATUS_OK);
        while (b.len < HTTP_FRAMING_MAX + 1000)
            assert_int_equal(buffer_append(&b, slice_of(filler, sizeof filler), BODY_MAX),
                             STATUS_OK);
        for (size_t k = 0; k < sizeof steps / sizeof steps[0]; k++) {
            struct outcome o = read_cut(buffer_slice(&b), 0, steps[k]);
            assert_int_equal(o.status, STATUS_PROTOCOL);
            buffer_clear(&o.body);
        }
        buffer_clear(&b);
    }
}

static void many_small_chunks(void **state)
{
    (void)state;
    struct buffer b = {0};

    for (int i = 0; i < HTTP_FRAMING_MAX; i++)
        assert_int_equal(buffer_append(&b, SLICE("1\r\nx\r\n"), BODY_MAX), STATUS_OK);
    assert_int_equal(buffer_append(&b, SLICE("0\r\n\r\n"), BODY_MAX), STATUS_OK);
    for (size_t step = 1; step < 100000; step = step * 7 + 1) {
        struct outcome o = read_cut(buffer_slice(&b), 0, step);
        assert_true(o.status == STATUS_OK && o.done);
        assert_int_equal(o.body.len, HTTP_FRAMING_MAX);
        buffer_clear(&o.body);
    }
    buffer_clear(&b);
}

/* Whatever comes, every cut comes to the same end. */
static void mutations_end_the_same_way_however_cut(void **state)
{
    (void)state;
    static const char seed[] = "5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nT: x\r\n\r\nGET";
    static const char spice[] = "\r\n\0 :;0123456789abcdefxX\t\x7f\xff";
    struct rng rng = {.state = 20240612};
    char stream[sizeof seed];

    for (int round = 0; round < 20000; round++) {
        memcpy(stream, seed, sizeof seed);
        for (size_t i = rng_next(&rng) % 3 + 1; i; i--)
            stream[rng_next(&rng) % (sizeof seed - 1)] = spice[rng_next(&rng) % (sizeof spice - 1)];
        struct slice bytes = slice_of(stream, sizeof seed - 1);
        struct outcome whole = read_cut(bytes, 0, 0);
        struct outcome cut = read_cut(bytes, rng_next(&rng) % bytes.len, rng_next(&rng) % 5 + 1);
        assert_int_equal(cut.status, whole.status);
        assert_int_equal(cut.done, whole.done);
        assert_true(slice_eq(buffer_slice(&cut.body), buffer_slice(&whole.body)));
        buffer_clear(&whole.body);
        buffer_clear(&cut.body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies),
        cmocka_unit_test(a_stream_that_breaks_off),
        cmocka_unit_test(bad_chunks),
        cmocka_unit_test(sizes_end_below_2_to_63),
        cmocka_unit_test(framing_is_limited),
        cmocka_unit_test(many_small_chunks),
        cmocka_unit_test(mutations_end_the_same_way_however_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
