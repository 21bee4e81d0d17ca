/* Levels of the log: what is understood, and that it is written the way it is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log_levels.h"

static struct log_levels parsed(const char *text)
{
    struct log_levels levels;

    if (log_levels_parse(slice_str(text), &levels) != STATUS_OK)
        fail_msg("not understood: %s", text);
    return levels;
}

static void one_word_is_for_all(void **state)
{
    (void)state;
    struct log_levels levels = parsed("WARN");
    for (int i = 0; i < LOG_COMPONENTS; i++)
        assert_int_equal(levels.of[i], LOG_SEVERITY_WARN);
}

static void components_have_their_own(void **state)
{
    (void)state;
    struct log_levels levels = parsed("net=debug, error ,keys=info");
    assert_int_equal(levels.of[LOG_NET], LOG_SEVERITY_DEBUG);
    assert_int_equal(levels.of[LOG_KEYS], LOG_SEVERITY_INFO);
    assert_int_equal(levels.of[LOG_REQUESTS], LOG_SEVERITY_ERROR);
    levels = parsed("net=debug"); /* the others as by default */
    assert_int_equal(levels.of[LOG_GATEWAY], LOG_SEVERITY_INFO);
}

static void the_rest_is_refused(void **state)
{
    static const char *const wrong[] = {
        "",          "loud",       "net",       "net=",      "=debug", "net=loud",
        "moon=info", "info,,warn", "info warn", "net:debug", ","};
    struct log_levels levels = {.base = 77};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        if (log_levels_parse(slice_str(wrong[i]), &levels) != STATUS_INVALID)
            fail_msg("taken: %s", wrong[i]);
        assert_int_equal(levels.base, 77);
    }
}

static void is_written_as_it_is_read(void **state)
{
    static const char *const texts[] = {"error", "info", "warn,keys=debug,net=error"};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct log_levels levels = parsed(texts[i]);
        struct buffer out = {0};
        assert_int_equal(log_levels_format(&levels, &out), STATUS_OK);
        assert_true(slice_eq(buffer_slice(&out), slice_str(texts[i])));
        buffer_clear(&out);
    }
}

static void every_name_is_told_to_who_gets_it_wrong(void **state)
{
    (void)state;
    for (int i = 0; i < LOG_COMPONENTS; i++)
        assert_true(slice_contains_nocase(SLICE(LOG_LEVELS_EXPECTED),
                                          slice_str(log_component_name((enum log_component)i))));
    for (int i = 0; i < LOG_SEVERITIES; i++)
        assert_true(slice_contains_nocase(SLICE(LOG_LEVELS_EXPECTED),
                                          slice_str(log_severity_name((enum log_severity)i))));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_word_is_for_all),
        cmocka_unit_test(components_have_their_own),
        cmocka_unit_test(the_rest_is_refused),
        cmocka_unit_test(is_written_as_it_is_read),
        cmocka_unit_test(every_name_is_told_to_who_gets_it_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
