/* Distances between names, and what is near enough to be suggested. */
#include "fixture.h"

#include "settings/names.h"

static void measures(void **state)
{
    static const struct {
        const char *a, *b;
        size_t distance;
    } rows[] = {
        {"", "", 0},           {"a", "", 1},           {"", "abc", 3},
        {"serve", "serve", 0}, {"sevre", "serve", 1},  {"SERVE", "serve", 0},
        {"serv", "serve", 1},  {"servee", "serve", 1}, {"sarve", "serve", 1},
        {"ab", "ba", 1},       {"abcd", "badc", 2},    {"kitten", "sitting", 3},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct slice a = slice_str(rows[i].a), b = slice_str(rows[i].b);
        assert_int_equal(name_distance(a, b), rows[i].distance);
        assert_int_equal(name_distance(b, a), rows[i].distance);
    }
}

static void gives_up_on_long_names(void **state)
{
    char longest[NAME_DISTANCE_MAX_BYTES + 1];

    (void)state;
    memset(longest, 'x', sizeof longest);
    struct slice fits = slice_of(longest, NAME_DISTANCE_MAX_BYTES);
    struct slice too_long = slice_of(longest, sizeof longest);
    assert_int_equal(name_distance(fits, fits), 0);
    assert_true(name_distance(too_long, fits) == SIZE_MAX);
    assert_true(name_distance(fits, too_long) == SIZE_MAX);
}

static void suggests_the_nearest(void **state)
{
    struct name_search search = {.name = SLICE("confg")};

    (void)state;
    name_offer(&search, SLICE("serve"), "serve");
    assert_null(search.match);
    name_offer(&search, SLICE("config"), "config");
    name_offer(&search, SLICE("version"), "version");
    assert_string_equal(search.match, "config");

    struct name_search far = {.name = SLICE("zzz")};
    name_offer(&far, SLICE("aaa"), "aaa");
    assert_null(far.match);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measures),
        cmocka_unit_test(gives_up_on_long_names),
        cmocka_unit_test(suggests_the_nearest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
