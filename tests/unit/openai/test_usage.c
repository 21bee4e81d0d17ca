#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "openai/usage.h"

static void finds_the_last_total(void **state)
{
    static const struct {
        const char *text;
        int64_t expected;
    } cases[] = {
        {"{\"usage\":{\"prompt_tokens\":14,\"total_tokens\":17}}", 17},
        {"{\"usage\":{\"total_tokens\" : 0 }}", 0},
        {"{\"total_tokens\":5}…{\"total_tokens\":123456}", 123456},
        {"{\"input_tokens\":9,\"total_tokens\":281,\"x_y_z\":1}", 281},
        {"{\"content\":\"\\\"total_tokens\\\":99\"}", USAGE_NONE}, /* inside a string */
        {"{\"total_tokens\":null}", USAGE_NONE},
        {"{\"total_tokens\":-4}", USAGE_NONE},
        {"{\"total_tokens\":1234567890123456}", USAGE_NONE},
        {"\"total_tokens\":17", USAGE_NONE}, /* perhaps 170 */
        {"\"total_tokens\"", USAGE_NONE},
        {"____", USAGE_NONE},
        {"", USAGE_NONE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(usage_total_tokens(slice_str(cases[i].text)), cases[i].expected);
}

/* However short the piece is cut, it gives the number or nothing, never another number. */
static void a_cut_piece_never_lies(void **state)
{
    static const char text[] = "{\"usage\":{\"prompt_tokens\":14,\"total_tokens\":1789}}";

    (void)state;
    for (size_t len = 0; len < sizeof text; len++) {
        int64_t total = usage_total_tokens(slice_of(text, len));
        assert_true(total == USAGE_NONE || total == 1789);
    }
    assert_int_equal(usage_total_tokens(slice_of(NULL, 0)), USAGE_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_last_total),
        cmocka_unit_test(a_cut_piece_never_lies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
