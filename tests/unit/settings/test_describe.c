/* No secret shows in what is printed of the settings. (That all of the table does: test_options.c.) */

#include "fixture.h"

static void assert_hidden(const struct buffer *text, const char *secret)
{
    if (text->len && memmem(text->data, text->len, secret, strlen(secret)))
        fail_msg("\"%s\" shows in: %.*s", secret, (int)text->len, text->data);
}

static void shows_no_secret(void **state)
{
    /* Everything of a key but its first 7 and last 4; short ones as a whole. */
    static const char *const secrets[] = {"-AAAAAAAA", "-BBBBBBBB", "-CCCCCCCC", "tiny-1",
                                          "tok-en"};
    struct fixture *f = *state;
    struct buffer text = {0};

    fixture_write(f, "sparekey.yaml", "keys:\n - key: " KEY_B "\n - key: tiny-1\n - key: tiny-1\n");
    fixture_write(f, "keys.txt", KEY_C "\n" KEY_C "\n");
    must_load(f, NULL,
              LIST("OPENAI_API_KEY=" KEY_A, "OPENAI_API_KEY_FALLBACK_1=" KEY_A " ",
                   "SPAREKEY_KEYS_FILE=keys.txt", "SPAREKEY_CLIENT_TOKENS=tok-en-1,tok-en-2",
                   "SPAREKEY_ADMIN_TOKEN=tok-en-3"));
    assert_int_equal(f->settings->key_count, 4);
    assert_int_equal(settings_describe(f->settings, &text), STATUS_OK);
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++) {
        assert_hidden(&text, secrets[i]);
        assert_hidden(&f->report.warnings, secrets[i]);
        assert_hidden(&f->report.errors, secrets[i]);
    }
    assert_non_null(memmem(text.data, text.len, "sk-proj...CCCC", 14));
    assert_non_null(memmem(text.data, text.len, "(2 tokens)", 10));
    buffer_clear(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(shows_no_secret),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
