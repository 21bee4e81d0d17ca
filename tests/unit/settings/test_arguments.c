/* The command line: where options end, and what is refused. */

#include "fixture.h"

static void options_end_where_the_command_begins(void **state)
{
    struct fixture *f = *state;
    const char **with_dashes = LIST("--listen", "localhost:0", "--", "cmd", "--workers=x");
    const char **without = LIST("--fallback-enabled", "cmd", "--workers=x");
    const char **only = LIST("--fallback-enabled", "off");

    assert_int_equal(fixture_load(f, with_dashes, NULL, true), STATUS_OK);
    assert_ptr_equal(f->rest, with_dashes + 3);
    assert_string_equal(f->settings->listen.host, "127.0.0.1");
    assert_int_equal(fixture_load(f, without, NULL, true), STATUS_OK);
    assert_ptr_equal(f->rest, without + 1);
    assert_true(f->settings->fallback_enabled);
    assert_int_equal(fixture_load(f, only, NULL, true), STATUS_OK);
    assert_null(f->rest);
    assert_false(f->settings->fallback_enabled);
}

/* As --help writes it: "--fallback-enabled BOOL". */
static void a_switch_takes_its_word(void **state)
{
    struct fixture *f = *state;

    must_load(f, LIST("--fallback-enabled", "False", "--key-rotation-enabled", "--workers", "2"),
              NULL);
    assert_false(f->settings->fallback_enabled);
    assert_true(f->settings->rotation_enabled);
    assert_int_equal(f->settings->workers, 2);
    must_load(f, LIST("--workers", "2", "--key-rotation-enabled", "no"), NULL);
    assert_false(f->settings->rotation_enabled);
    must_load(f, LIST("--key-rotation-enabled=0", "--fallback-enabled", "1"), NULL);
    assert_false(f->settings->rotation_enabled);
    assert_true(f->settings->fallback_enabled);
}

struct refusal {
    const char *arguments[3];
    const char *error;
};

static void refuses_arguments(void **state)
{
    static const struct refusal rows[] = {
        {{"--lisen", "x"},
         "command line: unknown option \"--lisen\"; did you mean --listen?\n"
         "command line: unexpected argument \"x\"\n"},
        {{"--frobnicate=" KEY_A}, "command line: unknown option \"--frobnicate\"\n"},
        {{"--fallback-enabled", "maybe"},
         "command line: --fallback-enabled: expected true or false, got \"maybe\"\n"},
        {{"--workers"}, "command line: --workers: a value must follow\n"},
        {{"--workers", "many"},
         "command line: --workers: expected a whole number from 0 to 256, got \"many\"\n"},
        {{"--admin-token=" KEY_A},
         "command line: --admin-token: refused: every user of this machine can read arguments; put "
         "it into SPAREKEY_ADMIN_TOKEN in the environment or in .env.local\n"},
        {{"--api-key", KEY_A},
         "command line: --api-key: refused: every user of this machine can read arguments; put it "
         "into OPENAI_API_KEY in the environment or in .env.local\n"},
        {{KEY_A}, "command line: unexpected argument a hidden value\n"},
        {{"-x"}, "command line: unknown option \"-x\"\n"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct refusal row = rows[i];
        assert_int_equal(fixture_load(f, row.arguments, NULL, false), STATUS_INVALID);
        assert_null(f->settings);
        assert_errors(f, row.error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(options_end_where_the_command_begins),
        TEST(a_switch_takes_its_word),
        TEST(refuses_arguments),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
