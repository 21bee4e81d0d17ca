/* The peek gives the same answer however a body is cut, and the right one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "openai/peek.h"

struct expected {
    const char *body;
    const char *model;
    bool stream, store_false, store_true, background, references, stream_sse, malformed,
        include_usage;
    uint64_t max_output_tokens, n;
};

static void check(const struct peek *peek, const struct expected *e)
{
    assert_int_equal(peek->malformed, e->malformed);
    if (e->malformed)
        return; /* what was read before the fault is not promised */
    assert_string_equal(peek->model, e->model ? e->model : "");
    assert_int_equal(peek_model(peek).len, strlen(e->model ? e->model : ""));
    assert_int_equal(peek->stream, e->stream);
    assert_int_equal(peek->store_false, e->store_false);
    assert_int_equal(peek->store_true, e->store_true);
    assert_int_equal(peek->background, e->background);
    assert_int_equal(peek->references, e->references);
    assert_int_equal(peek->stream_sse, e->stream_sse);
    assert_int_equal(peek->include_usage, e->include_usage);
    assert_int_equal(peek->max_output_tokens, e->max_output_tokens);
    assert_int_equal(peek->n, e->n);
}

/* The bytes lie in a block of their exact size, so that the sanitizer sees a read past the end. */
static void feed(struct peek *peek, const char *data, size_t len)
{
    char *copy = malloc(len ? len : 1);

    assert_non_null(copy);
    memcpy(copy, data, len);
    peek_feed(peek, copy, len);
    free(copy);
}

static void check_every_split(const struct expected *e)
{
    size_t len = strlen(e->body);
    struct peek peek;

    for (size_t cut = 0; cut <= len; cut++) {
        peek_init(&peek);
        feed(&peek, e->body, cut);
        feed(&peek, e->body + cut, len - cut);
        peek_finish(&peek);
        check(&peek, e);
    }
    peek_init(&peek);
    for (size_t i = 0; i < len; i++)
        feed(&peek, e->body + i, 1);
    peek_finish(&peek);
    check(&peek, e);
}

static void test_bodies(void **state)
{
    static const struct expected cases[] = {
        {.body = "{}"},
        {.body = " \r\n\t{ } \n"},
        {.body =
             "{\"model\":\"gpt-5.4-mini\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],"
             "\"max_completion_tokens\":50,\"stream\":false}",
         .model = "gpt-5.4-mini",
         .max_output_tokens = 50},
        {.body = "{\"stream\":true,\"n\":3,\"model\":\"m\",\"store\":false,\"background\":true}",
         .model = "m",
         .stream = true,
         .n = 3,
         .store_false = true,
         .background = true},
        {.body = "{\"stream_format\":\"sse\",\"max_tokens\":7,\"store\":true}",
         .store_true = true,
         .stream_sse = true,
         .max_output_tokens = 7},
        {.body = "{\"max_output_tokens\":4096 }", .max_output_tokens = 4096},
        {.body = "{\"stream_options\":{\"x\":[true],\"include_usage\":true}}",
         .include_usage = true},
        {.body = "{\"stream_options\":{\"include_usage\":true,\"x\":false}}",
         .include_usage = true},
        {.body = "{\"stream_options\":{\"include_usage\":true},\"stream_options\":null}"},
        {.body = "{\"stream_options\":{\"include_usage\":true,\"include_usage\":false}}"},
        {.body = "{\"stream_options\":{\"a\":{\"include_usage\":true}},\"include_usage\":true}"},
        {.body =
             "{\"stream_options\":{\"include_usage\":null},\"prompt\":{\"include_usage\":true}}"},
        /* Only the top level counts. */
        {.body = "{\"a\":{\"model\":\"no\",\"stream\":true,\"previous_response_id\":\"x\"},"
                 "\"b\":[{\"model\":\"no\"}],\"model\":\"yes\"}",
         .model = "yes"},
        {.body = "{\"model\":\"yes\",\"session\":{\"model\":\"no\"}}", .model = "yes"},
        {.body = "[{\"model\":\"no\"},\"model\",\"no\"]"},
        /* The last duplicate wins, also when it is of the wrong kind. */
        {.body = "{\"model\":\"a\",\"model\":\"b\"}", .model = "b"},
        {.body = "{\"model\":\"a\",\"model\":null}"},
        {.body = "{\"model\":\"a\",\"model\":[\"b\"]}"},
        {.body = "{\"stream\":true,\"stream\":false}"},
        {.body = "{\"stream\":\"true\"}"},
        {.body = "{\"n\":2,\"n\":\"3\"}"},
        {.body = "{\"n\":1.5,\"max_tokens\":-4}"},
        {.body = "{\"n\":99999999999999999999999}"},
        /* Escapes, in names too. */
        {.body = "{\"mod\\u0065l\":\"a\\\"\\\\\\/\\u00e9\\u20AC\\ud83d\\ude00z\"}",
         .model = "a\"\\/\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80z"},
        {.body = "{\"model\":\"\\ud83dx\\ude00\\ud83d\\ud83d\\ude00\\ud83d\"}",
         .model = "\xEF\xBF\xBDx\xEF\xBF\xBD\xEF\xBF\xBD\xF0\x9F\x98\x80\xEF\xBF\xBD"},
        {.body = "{\"x\":\"\\\\\",\"model\":\"m\"}", .model = "m"},
        {.body = "{\"x\":\"a \\\"model\\\":\\\"no\\\" \",\"model\":\"m\"}", .model = "m"},
        /* References. */
        {.body = "{\"previous_response_id\":\"resp_1\"}", .references = true},
        {.body = "{\"previous_response_id\":null}"},
        {.body = "{\"previous_response_id\":\"resp_1\",\"previous_response_id\":null}"},
        {.body = "{\"conversation\":\"conv_1\",\"previous_response_id\":null}", .references = true},
        {.body = "{\"conversation\":{\"id\":\"conv_1\"}}", .references = true},
        {.body = "{\"prompt\":\"a red kite\"}"},
        {.body = "{\"prompt\":[\"id\",\"x\"]}"},
        {.body = "{\"prompt\":{\"version\":\"2\",\"id\":\"pmpt_1\"}}", .references = true},
        {.body = "{\"prompt\":{\"id\":null,\"variables\":{\"id\":\"x\"}}}"},
        {.body = "{\"prompt\":{\"id\":\"pmpt_1\"},\"prompt\":\"text\"}"},
        {.body = "{\"input_file_id\":\"file-1\"}", .references = true},
        /* Numbers, literals and nesting of every kind. */
        {.body = "{\"a\":[0,-1,1.5e+10,2E-3,true,false,null,[],{},[[{}]]],\"model\":\"m\"}",
         .model = "m"},
        {.body = "12"},
        {.body = "\"text\""},
        /* Not JSON. */
        {.body = "", .malformed = true},
        {.body = "   ", .malformed = true},
        {.body = "model=gpt", .malformed = true},
        {.body = "{\"model\":\"m\"", .malformed = true},
        {.body = "{\"model\":\"m", .malformed = true},
        {.body = "{\"model\":\"m\"}}", .malformed = true},
        {.body = "{\"model\":\"m\"} x", .malformed = true},
        {.body = "{} {}", .malformed = true},
        {.body = "{\"model\" \"m\"}", .malformed = true},
        {.body = "{\"model\":\"m\",}", .malformed = true},
        {.body = "[1,]", .malformed = true},
        {.body = "[1 2]", .malformed = true},
        {.body = "{\"a\":1 \"b\":2}", .malformed = true},
        {.body = "{]", .malformed = true},
        {.body = "[}", .malformed = true},
        {.body = "{a:1}", .malformed = true},
        {.body = "{\"a\":01}", .malformed = true},
        {.body = "{\"a\":1.}", .malformed = true},
        {.body = "{\"a\":.5}", .malformed = true},
        {.body = "{\"a\":1e}", .malformed = true},
        {.body = "{\"a\":-}", .malformed = true},
        {.body = "{\"a\":tru}", .malformed = true},
        {.body = "{\"a\":NaN}", .malformed = true},
        {.body = "{\"a\":\"\\x\"}", .malformed = true},
        {.body = "{\"a\":\"\\u12g4\"}", .malformed = true},
        {.body = "{\"a\":\"line\nbreak\"}", .malformed = true},
        {.body = "\xEF\xBB\xBF{}", .malformed = true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_every_split(&cases[i]);
}

static void test_model_of_greatest_length(void **state)
{
    char body[PEEK_VALUE_MAX + 64], model[PEEK_VALUE_MAX + 2];

    (void)state;
    memset(model, 'x', sizeof model);
    for (size_t len = PEEK_VALUE_MAX - 1; len <= PEEK_VALUE_MAX + 1; len++) {
        model[len] = '\0';
        int n = snprintf(body, sizeof body, "{\"model\":\"%s\",\"stream\":true}", model);
        assert_in_range(n, 1, sizeof body - 1);
        struct expected e = {
            .body = body, .model = len <= PEEK_VALUE_MAX ? model : NULL, .stream = true};
        check_every_split(&e);
        model[len] = 'x';
    }
}

static void test_depth(void **state)
{
    char body[2 * PEEK_DEPTH_MAX + 4];

    (void)state;
    for (size_t depth = PEEK_DEPTH_MAX - 1; depth <= PEEK_DEPTH_MAX + 1; depth++) {
        memset(body, '[', depth);
        memset(body + depth, ']', depth);
        struct peek peek;
        peek_init(&peek);
        feed(&peek, body, 2 * depth);
        peek_finish(&peek);
        assert_int_equal(peek.malformed, depth > PEEK_DEPTH_MAX);
    }
}

/* Objects and arrays in turn over more levels than one word of bits. */
static void test_kinds_of_brackets_at_depth(void **state)
{
    char body[4096];
    size_t len = 0;
    struct peek peek;

    (void)state;
    for (int i = 0; i < 100; i++) {
        memcpy(body + len, "[{\"a\":", 6);
        len += 6;
    }
    body[len++] = '1';
    for (int i = 0; i < 100; i++) {
        body[len++] = '}';
        body[len++] = ']';
    }
    peek_init(&peek);
    feed(&peek, body, len);
    peek_finish(&peek);
    assert_false(peek.malformed);

    body[len - 2] = ']'; /* the outermost object closed as an array */
    peek_init(&peek);
    feed(&peek, body, len);
    peek_finish(&peek);
    assert_true(peek.malformed);
}

/* Strings whose end falls on every offset of the wide loop. */
static void test_string_lengths(void **state)
{
    char body[256];

    (void)state;
    for (int len = 0; len < 80; len++) {
        char filler[81];
        memset(filler, 'A', (size_t)len);
        filler[len] = '\0';
        int n = snprintf(body, sizeof body, "{\"image\":\"%s\",\"model\":\"m\"}", filler);
        assert_in_range(n, 1, sizeof body - 1);
        struct expected e = {.body = body, .model = "m"};
        check_every_split(&e);
    }
}

static void test_large_string_is_passed_over(void **state)
{
    static const char head[] = "{\"image\":\"", tail[] = "\",\"model\":\"m\"}";
    size_t image = 20u << 20, len = sizeof head - 1 + image + sizeof tail - 1;
    char *body = malloc(len);
    struct peek peek;

    (void)state;
    assert_non_null(body);
    memcpy(body, head, sizeof head - 1);
    memset(body + sizeof head - 1, 'A', image);
    memcpy(body + sizeof head - 1 + image, tail, sizeof tail - 1);
    peek_init(&peek);
    for (size_t at = 0; at < len; at += 65536)
        peek_feed(&peek, body + at, len - at < 65536 ? len - at : 65536);
    peek_finish(&peek);
    free(body);
    assert_false(peek.malformed);
    assert_string_equal(peek.model, "m");
}

/* Random bytes, and random JSON-like bytes: no crash, and any cut gives the same result. */
static void test_random_bytes(void **state)
{
    static const char alphabet[] = "{}[]:,\"\\u0d8 \ntruefalsn1-.emodl";
    struct rng rng = {2026};

    (void)state;
    for (int round = 0; round < 20000; round++) {
        char body[96];
        size_t len = (size_t)rng_below(&rng, sizeof body);
        for (size_t i = 0; i < len; i++)
            body[i] =
                round % 2 ? (char)rng_next(&rng) : alphabet[rng_below(&rng, sizeof alphabet - 1)];
        if (round % 4 == 0 && len > 10)
            memcpy(body, "{\"model\":\"", 10);
        struct peek whole, cut;
        size_t at = (size_t)rng_below(&rng, len + 1);
        peek_init(&whole);
        feed(&whole, body, len);
        peek_finish(&whole);
        peek_init(&cut);
        feed(&cut, body, at);
        feed(&cut, body + at, len - at);
        peek_finish(&cut);
        assert_int_equal(whole.malformed, cut.malformed);
        assert_memory_equal(whole.model, cut.model, sizeof whole.model);
        assert_int_equal(whole.references, cut.references);
        assert_int_equal(whole.stream, cut.stream);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies),         cmocka_unit_test(test_model_of_greatest_length),
        cmocka_unit_test(test_depth),          cmocka_unit_test(test_kinds_of_brackets_at_depth),
        cmocka_unit_test(test_string_lengths), cmocka_unit_test(test_large_string_is_passed_over),
        cmocka_unit_test(test_random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
