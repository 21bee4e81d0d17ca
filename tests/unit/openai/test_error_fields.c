/* Error bodies in every shape seen (openai-protocol.md §2.1), and in shapes nobody should send. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "openai/verdict.h"

/* An error body; code and param are JSON values as written. */
#define ERR(message, type, param, code)                                                            \
    "{\"error\":{\"message\":\"" message "\",\"type\":\"" type "\",\"param\":" param               \
    ",\"code\":" code "}}"
#define PAGE "<!DOCTYPE html><html><head><title>error</title></head></html>"

struct fields_case {
    const char *body;
    const char *code, *type, *param, *message;
};

static void test_error_fields(void **state)
{
    static const struct fields_case bodies[] = {
        {ERR("m", "t", "\"p\"", "\"c\""), "c", "t", "p", "m"},
        {"{\"error\":{}}", "", "", "", ""},
        {"{\"error\":{\"message\":null,\"code\":null}}", "", "", "", ""},
        {"{\"error\":{\"code\":502}}", "502", "", "", ""},
        {"{\"error\":{\"code\":\"429\"}}", "429", "", "", ""},
        {"{\"error\":\"plain text\"}", "", "", "", "plain text"},
        {"{\"error\":null}", "", "", "", ""},
        {"{\"error\":7}", "", "", "", ""},
        {"[{\"error\":{\"code\":\"c\",\"message\":\"m\"}}]", "c", "", "", "m"},
        {"[[{\"error\":{\"code\":\"c\"}}]]", "", "", "", ""},
        {"\xEF\xBB\xBF \r\n{\"error\":{\"code\":\"c\"}}", "c", "", "", ""},
        {"{\"message\":\"m\",\"code\":\"c\",\"type\":\"error\"}", "c", "", "", "m"},
        {"{\"code\":\"flat\",\"error\":{\"code\":\"nested\"}}", "nested", "", "", ""},
        {"{\"error\":{\"code\":\"nested\"},\"code\":\"flat\"}", "nested", "", "", ""},
        {"{\"response\":{\"error\":{\"code\":\"c\",\"message\":\"m\"},\"code\":\"no\"}}", "c", "",
         "", "m"},
        {"{\"error\":{\"innererror\":{\"code\":\"no\"},\"x\":[\"code\",{\"code\":\"no\"}],\"code\":"
         "\"c\"}}",
         "c", "", "", ""},
        {"{\"error\":{\"code\":[\"no\"],\"type\":{\"code\":\"no\"}}}", "", "", "", ""},
        {"{\"error\":[{\"code\":\"no\"}]}", "", "", "", ""},
        {"{\"error\":{\"message\":\"caf\xE9 \\u00e9\",\"code\":\"c\"}}", "c", "", "",
         "caf\xE9 \xC3\xA9"},
        {"{\"error\":{\"code\":\"c\",\"message\":\"cut he", "c", "", "", ""},
        {"{\"error\":{\"code\":\"c\"", "c", "", "", ""},
        {"", "", "", "", ""},
        {"\"error\"", "", "", "", ""},
        {"{\"error\":{\"code\":\"a-code-so-long-that-it-cannot-be-one-of-those-we-know-of-at-all-"
         "ever\"}}",
         "", "", "", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct error_fields f;
        error_fields_read(SLICE("application/json"), slice_str(bodies[i].body), &f);
        assert_string_equal(f.code, bodies[i].code);
        assert_string_equal(f.type, bodies[i].type);
        assert_string_equal(f.param, bodies[i].param);
        assert_string_equal(f.message, bodies[i].message);
        assert_false(f.html);
    }
}

static bool is_page(const char *content_type, const char *body)
{
    struct error_fields f;
    error_fields_read(slice_str(content_type), slice_str(body), &f);
    return f.html;
}

static void test_web_pages(void **state)
{
    (void)state;
    assert_true(is_page("text/html; charset=UTF-8", PAGE));
    assert_true(is_page("Text/HTML", ""));
    assert_true(is_page("", "\n <html>"));
    assert_false(is_page("text/html", "{\"error\":{}}"));
    assert_false(is_page("application/json", ""));
    assert_false(is_page("", "plain"));
}

static void test_deep_nesting(void **state)
{
    static char body[20000];
    size_t len = sizeof "{\"error\":{\"code\":\"c\",\"x\":" - 1;

    (void)state;
    memset(body, '[', sizeof body - 1);
    memcpy(body, "{\"error\":{\"code\":\"c\",\"x\":", len);
    struct error_fields f;
    error_fields_read(slice_of(NULL, 0), slice_of(body, sizeof body - 1), &f);
    assert_string_equal(f.code, "c");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_fields),
        cmocka_unit_test(test_web_pages),
        cmocka_unit_test(test_deep_nesting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
