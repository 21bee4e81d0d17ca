#include "client/parsed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct parsed tree;

static enum status read(const char *text)
{
    parsed_clear(&tree);
    return parsed_read(&tree, slice_str(text));
}

static const struct parsed_node *member(const char *name)
{
    return parsed_get(&tree, parsed_root(&tree), name);
}

static void what_is_looked_up(void **state)
{
    int64_t number = 0;

    (void)state;
    assert_int_equal(read(" {\"a\": \"x\\u00e9\\n\", \"b\": [1, {\"c\": -7}, []], \"n\": null, "
                          "\"d\": 1, \"d\": 2, \"e\": {}} "),
                     STATUS_OK);
    assert_string_equal(parsed_string(member("a")), "x\xC3\xA9\n");
    assert_null(parsed_string(member("b")));
    assert_null(parsed_string(member("nobody")));
    assert_int_equal(parsed_count(member("b")), 3);
    const struct parsed_node *second = parsed_next(&tree, parsed_first(&tree, member("b")));
    assert_true(parsed_integer(parsed_get(&tree, second, "c"), &number));
    assert_int_equal(number, -7);
    assert_true(slice_eq(second->raw, SLICE("{\"c\": -7}")));
    assert_true(slice_eq(member("b")->raw, SLICE("[1, {\"c\": -7}, []]")));
    assert_true(parsed_integer(member("d"), &number));
    assert_int_equal(number, 2); /* the last one of a name */
    assert_false(parsed_integer(member("n"), &number));
    assert_null(parsed_first(&tree, member("e")));
    assert_null(parsed_next(&tree, parsed_next(&tree, second)));
    parsed_clear(&tree);
}

static void what_is_no_document(void **state)
{
    static const char *const wrong[] = {"", "{", "[1,]", "{\"a\" 1}", "{} {}", "\"\xFF\"", "nul"};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(read(wrong[i]), STATUS_INVALID);
    parsed_clear(&tree);
}

/* As many texts as a document of this length can hold: all have room. */
static void the_densest_documents(void **state)
{
    (void)state;
    assert_int_equal(read("[1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7,8,9,0]"), STATUS_OK);
    assert_int_equal(parsed_count(parsed_root(&tree)), 20);
    assert_int_equal(read("[\"\",\"\",\"\",\"\",\"\"]"), STATUS_OK);
    assert_int_equal(read("{\"\":1,\"\":2,\"\":3}"), STATUS_OK);
    assert_int_equal(read("7"), STATUS_OK);
    assert_int_equal(read("\"\""), STATUS_OK);
    parsed_clear(&tree);
}

static void numbers_as_exact_as_a_float(void **state)
{
    static const struct {
        const char *text;
        float value;
    } numbers[] = {{"0", 0},
                   {"-0.0390625", -0.0390625f},
                   {"1e-3", 1e-3f},
                   {"2.5E+2", 250},
                   {"0.000123456789012345678901", 0.000123456789f},
                   {"123456789012345678901234", 1.2345679e23f},
                   {"-1.5", -1.5f},
                   {"3.4028234e38", 3.4028234e38f}};

    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        assert_int_equal(read(numbers[i].text), STATUS_OK);
        assert_true((float)parsed_number(parsed_root(&tree)) == numbers[i].value);
    }
    assert_int_equal(read("\"1\""), STATUS_OK);
    assert_true(parsed_number(parsed_root(&tree)) == 0);
    assert_true(parsed_number(NULL) == 0);
    parsed_clear(&tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_looked_up),
        cmocka_unit_test(what_is_no_document),
        cmocka_unit_test(the_densest_documents),
        cmocka_unit_test(numbers_as_exact_as_a_float),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
