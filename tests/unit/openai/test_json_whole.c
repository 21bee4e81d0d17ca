#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "openai/json_whole.h"

static const char *const documents[] = {
    "{}",
    "[]",
    " \r\n{\"a\":1}\n\t ",
    "{\"id\":\"chatcmpl-A1\",\"choices\":[{\"index\":0,\"message\":{\"content\":\"a}b]c\"}}]}",
    "{\"quote\":\"\\\"\",\"slash\":\"\\\\\",\"both\":\"\\\\\\\"}\"}",
    "[[[[\"]\"]]],{\"\":{}}]",
    "{\"empty\":\"\"}",
    "\xEF\xBB\xBF {\"marked\":[NaN]}",
};

static void whole_documents_are_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof documents / sizeof *documents; i++)
        assert_true(json_whole(slice_str(documents[i])));
}

/* Wherever a document is cut, it is not whole: up to its last bracket. */
static void cut_documents_are_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) {
        struct slice whole = slice_str(documents[i]);
        while (whole.len && whole.ptr[whole.len - 1] != '}' && whole.ptr[whole.len - 1] != ']')
            whole.len--;
        for (size_t len = 0; len < whole.len; len++)
            assert_false(json_whole(slice_of(whole.ptr, len)));
    }
}

static void other_things_are_not(void **state)
{
    static const char *const others[] = {
        "",       " ",      "null",  "\"text\"",  "{}{}",           "{} x", "}{",
        "<html>", "{\"a\"", "[1,2,", "{\"a\":\"", "{\"a\":\"\\\"}", "]",
    };

    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(json_whole(slice_str(others[i])));
    assert_false(json_whole(slice_of(NULL, 0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_documents_are_whole),
        cmocka_unit_test(cut_documents_are_not),
        cmocka_unit_test(other_things_are_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
