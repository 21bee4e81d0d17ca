#include "client/sources.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static sparekey_error error;

static int make(struct sources *s, const sparekey_client_options *o, bool environment)
{
    error = (sparekey_error)SPAREKEY_ERROR_INIT;
    return sources_make(s, o, environment, &error);
}

static void what_is_said_becomes_variables(void **state)
{
    static const char *const keys[] = {"one", "two", "three"};
    static const char *const settings[] = {"SPAREKEY_MAX_WAIT=1s", NULL};
    sparekey_client_options o = sparekey_client_options_init();
    struct sources s;

    (void)state;
    o.keys = keys;
    o.key_count = 3;
    o.base_url = "http://x/v1";
    o.settings = settings;
    assert_int_equal(make(&s, &o, false), SPAREKEY_OK);
    assert_string_equal(s.variables[0], "OPENAI_API_KEY=one");
    assert_string_equal(s.variables[2], "OPENAI_API_KEY_FALLBACK_2=three");
    assert_string_equal(s.variables[3], "SPAREKEY_UPSTREAM_URL=http://x/v1");
    assert_string_equal(s.variables[4], "SPAREKEY_MAX_WAIT=1s");
    assert_null(s.variables[5]);
    assert_null(s.settings.directory);
    assert_false(s.settings.base_url);
    sources_clear(&s);
}

static void the_environment_comes_behind(void **state)
{
    static const char *const keys[] = {"mine"};
    sparekey_client_options o = sparekey_client_options_init();
    struct sources s;
    bool found = false;

    (void)state;
    assert_int_equal(setenv("OPENAI_API_KEY", "theirs", 1), 0);
    o.keys = keys;
    o.key_count = 1;
    assert_int_equal(make(&s, &o, true), SPAREKEY_OK);
    assert_string_equal(s.variables[0], "OPENAI_API_KEY=mine");
    for (char **at = s.variables + 1; *at; at++)
        found = found || strcmp(*at, "OPENAI_API_KEY=theirs") == 0;
    assert_true(found);
    assert_true(s.settings.base_url);
    assert_string_equal(s.settings.directory, ".");
    sources_clear(&s);
}

static void what_is_wrong_is_named(void **state)
{
    static const char *const keys[] = {"one", NULL};
    static const char *const unknown[] = {"SPAREKEY_MAX_WAITS=1s", NULL};
    static const char *const no_value[] = {"SPAREKEY_MAX_WAIT", NULL};
    sparekey_client_options o = sparekey_client_options_init();
    struct sources s;

    (void)state;
    o.keys = keys;
    o.key_count = 2;
    assert_int_equal(make(&s, &o, false), SPAREKEY_ERROR_ARGUMENT);
    assert_string_equal(error.message, "options.keys: key 1 is NULL");
    o.key_count = 1;
    o.settings = unknown;
    assert_int_equal(make(&s, &o, false), SPAREKEY_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "did you mean SPAREKEY_MAX_WAIT"));
    o.settings = no_value;
    assert_int_equal(make(&s, &o, false), SPAREKEY_ERROR_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_said_becomes_variables),
        cmocka_unit_test(the_environment_comes_behind),
        cmocka_unit_test(what_is_wrong_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
