/* The tokens of a document are the same however its bytes are cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "openai/json_scan.h"

enum { TEXT_SIZE = 8 };

/* The tokens written down: depth, a letter for the event, the text, "~" when it was cut. */
struct trace {
    char out[1024];
    size_t len;
};

static void on_token(void *ctx, const struct json_token *token)
{
    static const char letters[] = {[SCAN_OBJECT] = 'o', [SCAN_ARRAY] = 'a',  [SCAN_CLOSE] = 'c',
                                   [SCAN_KEY] = 'k',    [SCAN_STRING] = 's', [SCAN_SCALAR] = 'v'};
    struct trace *t = ctx;
    int n = snprintf(t->out + t->len, sizeof t->out - t->len, "%u%c%.*s%s ", token->depth,
                     letters[token->event], (int)token->text.len,
                     token->text.ptr ? token->text.ptr : "", token->cut ? "~" : "");

    assert_in_range(n, 1, (int)(sizeof t->out - t->len) - 1);
    t->len += (size_t)n;
}

struct expected {
    const char *document;
    const char *tokens;
    bool whole;
};

static void check_cut(const struct expected *e, size_t at)
{
    struct trace trace = {.len = 0};
    char text[TEXT_SIZE];
    struct json_sink sink = {on_token, &trace, text, sizeof text};
    struct json_scan scan;
    size_t len = strlen(e->document), step = at ? at : 1; /* at 0: byte by byte */

    json_scan_init(&scan);
    for (size_t from = 0; from < len;) {
        size_t n = len - from < step ? len - from : step;
        char *exact = malloc(n);
        assert_non_null(exact);
        memcpy(exact, e->document + from, n);
        json_scan_feed(&scan, &sink, exact, n);
        free(exact);
        from += n;
        step = at ? len : 1;
    }
    assert_int_equal(json_scan_finish(&scan, &sink), e->whole);
    assert_string_equal(trace.out, e->tokens);
}

static void test_tokens(void **state)
{
    static const struct expected cases[] = {
        {"{}", "0o 0c ", true},
        {"[]", "0a 0c ", true},
        {" [ { } , [ ] ] ", "0a 1o 1c 1a 1c 0c ", true},
        {"{\"a\":1,\"b\":\"x\"}", "0o 1ka 1v1 1kb 1sx 0c ", true},
        {"{\"a\":{\"b\":[null,true]}}", "0o 1ka 1o 2kb 2a 3vnull 3vtrue 2c 1c 0c ", true},
        {"\"\"", "0s ", true},
        {"-0.5e3", "0v-0.5e3 ", true},
        {"12 ", "0v12 ", true},
        /* As much as fits, exactly and beyond; a long number is taken on trust. */
        {"\"12345678\"", "0s12345678 ", true},
        {"\"123456789\"", "0s12345678~ ", true},
        {"{\"123456789\":1234567890}", "0o 1k12345678~ 1v12345678~ 0c ", true},
        {"\"1234567\\u00e9\"", "0s1234567\xC3~ ", true},
        {"\"\\n\\t\\/\\\"\"", "0s\n\t/\" ", true},
        {"\"\\u0041\\ud83d\\ude00\"", "0sA\xF0\x9F\x98\x80 ", true},
        {"\"\\ude00x\"", "0s\xEF\xBF\xBDx ", true},
        {"\"\\ud83d\\n\"", "0s\xEF\xBF\xBD\n ", true},
        /* Faults: what came before them stands. */
        {"[1,2", "0a 1v1 ", false},
        {"[1 2]", "0a 1v1 ", false},
        {"{\"a\":1,}", "0o 1ka 1v1 ", false},
        {"{\"a\"}", "0o 1ka ", false},
        {"[1]]", "0a 1v1 0c ", false},
        {"1 1", "0v1 ", false},
        {"nul", "", false},
        {"[truex]", "0a ", false},
        {"\"open", "", false},
        {"", "", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t at = 0; at <= strlen(cases[i].document); at++)
            check_cut(&cases[i], at);
    }
}

/* A token's end points into the bytes just fed: the scanner of streams relies on it. */
struct ends {
    const char *base;
    size_t at[8];
    size_t count;
};

static void note_end(void *ctx, const struct json_token *token)
{
    struct ends *e = ctx;
    e->at[e->count++] = (size_t)(token->end - e->base);
}

static void test_token_ends(void **state)
{
    static const char document[] = "{\"key\" : \"value\" , \"n\": 12}";
    static const size_t expected[] = {1, 6, 16, 22, 26, 27};
    struct ends ends = {.base = document};
    char text[TEXT_SIZE];
    struct json_sink sink = {note_end, &ends, text, sizeof text};
    struct json_scan scan;

    (void)state;
    json_scan_init(&scan);
    json_scan_feed(&scan, &sink, document, sizeof document - 1);
    assert_int_equal(ends.count, sizeof expected / sizeof *expected);
    for (size_t i = 0; i < ends.count; i++)
        assert_int_equal(ends.at[i], expected[i]);
}

static void test_bad_stays_bad(void **state)
{
    struct trace trace = {.len = 0};
    char text[TEXT_SIZE];
    struct json_sink sink = {on_token, &trace, text, sizeof text};
    struct json_scan scan;

    (void)state;
    json_scan_init(&scan);
    json_scan_feed(&scan, &sink, "}", 1);
    assert_true(json_scan_bad(&scan));
    json_scan_feed(&scan, &sink, "{\"a\":1}", 7);
    assert_true(json_scan_bad(&scan));
    assert_int_equal(trace.len, 0);
    assert_false(json_scan_finish(&scan, &sink));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_token_ends),
        cmocka_unit_test(test_bad_stays_bad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
