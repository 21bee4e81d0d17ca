/* Tokens, and files of secrets line by line. */

#include "fixture.h"

#include <stdlib.h>

static void refuses_bad_lines_of_a_keys_file(void **state)
{
    struct fixture *f = *state;
    char *text = calloc(1, 300000);

    assert_non_null(text);
    memcpy(text, "sk-1\n", 5);
    memset(text + 5, 'x', 200000); /* longer than the reader's buffer */
    memcpy(text + 200005, "\nsk-2\nsk 3\n", 11);
    fixture_write(f, "keys.txt", text);
    assert_int_equal(fixture_load(f, LIST("--keys-file=keys.txt"), NULL, false), STATUS_INVALID);
    assert_errors(f, "keys.txt:2: the line is longer than any key\n"
                     "keys.txt:4: expected an API key of at most 4096 visible ASCII characters: it "
                     "has a space inside\n");
    assert_int_equal(fixture_load(f, LIST("--keys-file=none.txt"), NULL, false), STATUS_INVALID);
    assert_errors(f, "command line: --keys-file: cannot read \"none.txt\": No such file or "
                     "directory\n");
    assert_int_equal(fixture_load(f, LIST("--keys-file=."), NULL, false), STATUS_INVALID);
    assert_errors(f, "command line: --keys-file: cannot read \".\": Is a directory\n");
    free(text);
}

static void reads_tokens(void **state)
{
    struct fixture *f = *state;

    fixture_write(f, "tokens.txt", "# of the team\ntoken-3\ntoken-1\n");
    must_load(f, NULL,
              LIST("SPAREKEY_CLIENT_TOKENS= token-1, token-2  token-2,", "SPAREKEY_ADMIN_TOKEN=adm",
                   "SPAREKEY_CLIENT_TOKENS_FILE=tokens.txt"));
    assert_int_equal(f->settings->client_token_count, 3);
    assert_true(secret_equals(f->settings->client_tokens[0], SLICE("token-1")));
    assert_true(secret_equals(f->settings->client_tokens[1], SLICE("token-2")));
    assert_true(secret_equals(f->settings->client_tokens[2], SLICE("token-3")));
    assert_true(secret_equals(f->settings->admin_token, SLICE("adm")));
    assert_int_equal(fixture_load(f, NULL, LIST("SPAREKEY_CLIENT_TOKENS=t\x01"), false),
                     STATUS_INVALID);
    assert_errors(f, "environment: SPAREKEY_CLIENT_TOKENS: expected tokens of visible ASCII "
                     "characters: it has a control character\n");
    assert_int_equal(
        fixture_load(f, NULL, LIST("OPENAI_API_KEY=" KEY_A, "SPAREKEY_CLIENT_TOKENS= ,, "), false),
        STATUS_INVALID);
    assert_errors(f,
                  "environment: SPAREKEY_CLIENT_TOKENS: expected at least one token, got none\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(refuses_bad_lines_of_a_keys_file),
        TEST(reads_tokens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
