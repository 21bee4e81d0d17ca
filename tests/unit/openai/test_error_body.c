/* Errors written in OpenAI's shape, and keys taken out of texts that are not ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/rng.h"
#include "openai/error_body.h"

static void check_written(struct slice message, const char *type, const char *code,
                          const char *expected)
{
    struct buffer out = {0};

    assert_int_equal(error_body_write(&out, message, slice_str(type), slice_str(code)), STATUS_OK);
    assert_int_equal(out.len, strlen(expected));
    assert_memory_equal(out.data, expected, out.len);
    buffer_clear(&out);
}

static void test_shape(void **state)
{
    (void)state;
    check_written(SLICE("No key."), "sparekey_error", "no_key",
                  "{\"error\":{\"message\":\"No key.\",\"type\":\"sparekey_error\",\"param\":null,"
                  "\"code\":\"no_key\"}}");
    check_written(SLICE(""), "t", "",
                  "{\"error\":{\"message\":\"\",\"type\":\"t\",\"param\":null,\"code\":null}}");
    check_written(
        SLICE("a\"b\\c\n\r\t\x01\x7f\0d"), "t", NULL,
        "{\"error\":{\"message\":\"a\\\"b\\\\c\\n\\r\\t\\u0001\\u007f\\u0000d\",\"type\":\"t\","
        "\"param\":null,\"code\":null}}");
}

struct utf8_case {
    struct slice in;
    const char *out;
};

#define R "\xEF\xBF\xBD"

static void test_utf8(void **state)
{
    static const struct utf8_case cases[] = {
        {SLICE("caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80"),
         "caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80"},
        {SLICE("caf\xE9!"), "caf" R "!"},
        {SLICE("\x80\xBF"), R R},
        {SLICE("\xC0\xAF"), R R},             /* overlong */
        {SLICE("\xE0\x80\x80"), R R R},       /* overlong */
        {SLICE("\xED\xA0\x80"), R R R},       /* surrogate */
        {SLICE("\xF4\x90\x80\x80"), R R R R}, /* beyond U+10FFFF */
        {SLICE("\xF5"), R},
        {SLICE("\xE2\x82"), R R}, /* cut */
        {SLICE("\xED\x9F\xBF\xEE\x80\x80\xF4\x8F\xBF\xBF"),
         "\xED\x9F\xBF\xEE\x80\x80\xF4\x8F\xBF\xBF"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buffer out = {0};
        assert_int_equal(json_write_string(&out, cases[i].in), STATUS_OK);
        assert_int_equal(out.len, strlen(cases[i].out) + 2);
        assert_memory_equal(out.data + 1, cases[i].out, out.len - 2);
        buffer_clear(&out);
    }
}

/* Whatever the message, another parser reads it back. */
static void test_any_bytes_give_json(void **state)
{
    struct rng rng = {11};

    (void)state;
    for (int round = 0; round < 5000; round++) {
        char bytes[64];
        size_t len = (size_t)rng_below(&rng, sizeof bytes);
        for (size_t i = 0; i < len; i++)
            bytes[i] = (char)(round % 2 ? rng_next(&rng) : rng_below(&rng, 128));
        struct buffer out = {0};
        assert_int_equal(error_body_write(&out, slice_of(bytes, len), SLICE("t"), SLICE("c")),
                         STATUS_OK);
        json_error_t error;
        json_t *root = json_loadb(out.data, out.len, JSON_ALLOW_NUL, &error);
        assert_non_null(root);
        json_t *message = json_object_get(json_object_get(root, "error"), "message");
        assert_true(json_is_string(message));
        if (round % 2 == 0) {
            assert_int_equal(json_string_length(message), len);
            assert_memory_equal(json_string_value(message), bytes, len);
        }
        json_decref(root);
        buffer_clear(&out);
    }
}

static void test_failure_leaves_the_buffer(void **state)
{
    size_t huge = 1u << 20;
    char *text = calloc(1, huge);
    struct buffer out = {0};

    (void)state;
    assert_non_null(text);
    assert_int_equal(buffer_append(&out, SLICE("before"), 100), STATUS_OK);
    assert_int_equal(error_body_write(&out, slice_of(text, huge), SLICE("t"), SLICE("c")),
                     STATUS_LIMIT);
    assert_int_equal(out.len, 6);
    assert_memory_equal(out.data, "before", 6);
    buffer_clear(&out);
    free(text);
}

struct redact_case {
    const char *in, *out;
};

static void test_redaction(void **state)
{
    static const struct redact_case cases[] = {
        {"Incorrect API key provided: sk-proj-abcDEF123_-xyz. You can find",
         "Incorrect API key provided: sk-proj-**************. You can find"},
        {"key: sk-proj-****************N0IA.", "key: sk-proj-********************."},
        {"sk-proj-...N0IA", "sk-proj-*******"},
        {"sk-abcdefghijklmnopqrstuvwxyz", "sk-**************************"},
        {"sk-svcacct-abc and sk-admin-xyz", "sk-svcacct-*** and sk-admin-***"},
        {"(sk-a1B2)", "(sk-****)"},
        {"\"sk-a1B2\"", "\"sk-****\""},
        {"Bearer sess-abc123;", "Bearer sess-******;"},
        {"ek_68af296e8e408191a1120ab6383263c2", "ek_********************************"},
        {"{\"m\":\"line\\nsk-secret\"}", "{\"m\":\"line\\nsk-******\"}"},
        {"xsk-proj-secret", "xsk-proj-******"}, /* no word has this prefix */
        {"a sk-one,sk-two", "a sk-***,sk-***"},
        /* Words. */
        {"the task-force met at a desk-side, risk-free",
         "the task-force met at a desk-side, risk-free"},
        {"obsess-ive week_day seek_er", "obsess-ive week_day seek_er"},
        {"sess_0123 is an id", "sess_0123 is an id"},
        {"SK-1000 is a keyboard", "SK-1000 is a keyboard"},
        {"begins with sk- or sk-.", "begins with sk- or sk-."},
        {"", ""},
        {"sk", "sk"},
        {"s", "s"},
        {"org-abc proj_abc", "org-abc proj_abc"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t len = strlen(cases[i].in);
        char *text = malloc(len ? len : 1); /* no terminator: it must not be looked for */
        assert_non_null(text);
        memcpy(text, cases[i].in, len);
        redact_keys(text, len);
        if (memcmp(text, cases[i].out, len) != 0)
            print_error("%s\n  gave %.*s\n", cases[i].in, (int)len, text);
        assert_int_equal(strlen(cases[i].out), len);
        assert_memory_equal(text, cases[i].out, len);
        redact_keys(text, len);
        assert_memory_equal(text, cases[i].out, len); /* once is enough */
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shape),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_any_bytes_give_json),
        cmocka_unit_test(test_failure_leaves_the_buffer),
        cmocka_unit_test(test_redaction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
