#include "mock_test.h"

#include "mock/fields.h"

static const char *const colours[] = {"red", "404", NULL};

struct thing {
    char text[FIELD_TEXT_MAX + 1];
    int64_t integer, rate_ppm, either, span[2], colour;
    bool yes;
    json_t *strings;
};

#define AT(member) offsetof(struct thing, member)

static const struct field fields[] = {
    {"text", FIELD_TEXT, AT(text), 0, NULL, "a text"},
    {"integer", FIELD_INTEGER, AT(integer), 100, NULL, "an integer"},
    {"rate", FIELD_RATE, AT(rate_ppm), 0, NULL, "a rate"},
    {"yes", FIELD_BOOL, AT(yes), 0, NULL, "a bool"},
    {"either", FIELD_TRILEAN, AT(either), 0, NULL, "a bool"},
    {"span", FIELD_SPAN, AT(span), 50, NULL, "a span"},
    {"strings", FIELD_STRINGS, AT(strings), 0, NULL, "strings"},
    {"colour", FIELD_NAME, AT(colour), 0, colours, "a colour"},
    {"other", FIELD_OTHER, 0, 0, NULL, "anything"},
};

enum { COUNT = sizeof(fields) / sizeof(fields[0]) };

static bool read_text(const char *text, struct thing *thing, struct problem *problem)
{
    json_t *json = json_of(text);
    bool good = fields_read(fields, COUNT, json, thing, problem);
    json_decref(json);
    return good;
}

static void each_kind_is_read_and_written(void **state)
{
    struct thing thing = {.either = -1};
    struct problem problem;

    (void)state;
    assert_true(read_text("{'text':'a','integer':100,'rate':0.25,'yes':true,'either':false,'span':"
                          "[3,9],'strings':['x','y'],'colour':404,'other':{}}",
                          &thing, &problem));
    assert_string_equal(thing.text, "a");
    assert_int_equal(thing.integer, 100);
    assert_int_equal(thing.rate_ppm, 250000);
    assert_true(thing.yes);
    assert_int_equal(thing.either, 0);
    assert_int_equal(thing.span[0] * 100 + thing.span[1], 309);
    assert_int_equal(thing.colour, 1);
    json_t *told = fields_write(fields, COUNT, &thing);
    json_t *want = json_of("{'text':'a','integer':100,'rate':0.25,'yes':true,'either':false,'span':"
                           "[3,9],'strings':['x','y'],'colour':'404'}");
    assert_true(json_equal(told, want));
    json_decref(told);
    json_decref(want);
    json_decref(thing.strings);
}

static void what_is_absent_is_left(void **state)
{
    struct thing thing = {.integer = 7, .either = -1, .span = {1, 2}};
    struct problem problem;

    (void)state;
    assert_true(read_text("{'span':5}", &thing, &problem));
    assert_int_equal(thing.integer, 7);
    assert_int_equal(thing.either, -1);
    assert_int_equal(thing.span[0], 5);
    assert_int_equal(thing.span[1], 5);
    json_t *told = fields_write(fields, COUNT, &thing);
    assert_true(json_is_null(json_object_get(told, "either")));
    assert_true(json_is_null(json_object_get(told, "strings")));
    json_decref(told);
}

static void what_is_wrong_is_named(void **state)
{
    static const char *const rows[][2] = {
        {"{'text':5}", "text"},
        {"{'text':'a\\nb'}", "text"},
        {"{'integer':101}", "integer"},
        {"{'integer':-1}", "integer"},
        {"{'integer':1.5}", "integer"},
        {"{'rate':1.01}", "rate"},
        {"{'rate':'1'}", "rate"},
        {"{'yes':1}", "yes"},
        {"{'either':null}", "either"},
        {"{'span':[9,3]}", "span"},
        {"{'span':[1]}", "span"},
        {"{'span':[1,51]}", "span"},
        {"{'strings':'x'}", "strings"},
        {"{'strings':[1]}", "strings"},
        {"{'colour':'blue'}", "colour"},
        {"{'colour':null}", "colour"},
        {"{'odd':1}", "odd"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct thing thing = {0};
        struct problem problem = {0};
        assert_false(read_text(rows[i][0], &thing, &problem));
        assert_string_equal(problem.member, rows[i][1]);
        assert_non_null(strstr(problem.message, "expected "));
        json_decref(thing.strings);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_is_read_and_written),
        cmocka_unit_test(what_is_absent_is_left),
        cmocka_unit_test(what_is_wrong_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
