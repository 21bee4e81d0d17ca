/* Loading: who wins, and that everything wrong is said at once. */

#include <string.h>

#include "fixture.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "settings/options.h"

static void the_stronger_source_wins(void **state)
{
    struct fixture *f = *state;

    must_load(f, NULL, NULL);
    assert_int_equal(f->settings->workers, 0);
    fixture_write(f, "sparekey.yaml", "sparekey_workers: 1\n");
    must_load(f, NULL, NULL);
    assert_int_equal(f->settings->workers, 1);
    fixture_write(f, ".env", "SPAREKEY_WORKERS=2\n");
    must_load(f, NULL, NULL);
    assert_int_equal(f->settings->workers, 2);
    fixture_write(f, ".env.local", "SPAREKEY_WORKERS=3\n");
    must_load(f, NULL, NULL);
    assert_int_equal(f->settings->workers, 3);
    must_load(f, NULL, LIST("SPAREKEY_WORKERS=4", "SPAREKEY_WORKERS=9"));
    assert_int_equal(f->settings->workers, 4); /* the one getenv finds */
    must_load(f, LIST("--workers", "5"), LIST("SPAREKEY_WORKERS=4"));
    assert_int_equal(f->settings->workers, 5);
    must_load(f, LIST("--workers", "5", "--workers=6"), NULL);
    assert_int_equal(f->settings->workers, 6);
}

static void an_empty_value_is_none(void **state)
{
    struct fixture *f = *state;

    fixture_write(f, ".env", "SPAREKEY_WORKERS=2\nOPENAI_API_KEY=" KEY_A "\n");
    must_load(f, NULL, LIST("SPAREKEY_WORKERS=", "OPENAI_API_KEY="));
    assert_int_equal(f->settings->workers, 2);
    assert_int_equal(f->settings->key_count, 1);
    must_load(f, LIST("--text-model="), NULL); /* on the command line it is meant */
    assert_null(f->settings->text_model);
}

static void an_overridden_value_may_be_wrong(void **state)
{
    struct fixture *f = *state;

    fixture_write(f, ".env", "SPAREKEY_WORKERS=many\n");
    must_load(f, NULL, LIST("SPAREKEY_WORKERS=4"));
    assert_int_equal(f->settings->workers, 4);
}

static void named_files_replace_the_usual(void **state)
{
    struct fixture *f = *state;

    fixture_write(f, ".env", "SPAREKEY_WORKERS=2\n");
    fixture_write(f, "sparekey.yaml", "sparekey_max_connections: 10\n");
    fixture_write(f, "other.env", "SPAREKEY_KEEPALIVE=7s\n");
    fixture_write(f, "other.yaml", "SPAREKEY_MAX_BODY: 2MiB\n");
    must_load(f, LIST("--env-file", "other.env", "--config=other.yaml"), NULL);
    assert_int_equal(f->settings->workers, 0);
    assert_int_equal(f->settings->max_connections, 16384);
    assert_int_equal(f->settings->keepalive_ms, 7000);
    assert_true(option_given(f->settings, OPTION_KEEPALIVE));
    assert_false(option_given(f->settings, OPTION_WORKERS));
    assert_int_equal(f->settings->max_body_bytes, 2 << 20);
    assert_string_equal(f->settings->config_file, "other.yaml");
    assert_int_equal(fixture_load(f, LIST("--env-file", "no.env", "--config=no.yaml"), NULL, false),
                     STATUS_INVALID);
    assert_errors(f, "no.env: cannot be read: No such file or directory\n"
                     "no.yaml: cannot be read: No such file or directory\n");
}

/* What stands in the place of a file must not be passed over as if nothing stood there. */
static void what_is_no_file_is_told(void **state)
{
    static const char *const names[] = {".env", ".env.local", "sparekey.yaml"};
    struct fixture *f = *state;
    char path[128], expected[128];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", f->directory, names[i]);
        assert_int_equal(mkdir(path, 0700), 0);
        errno = ENOENT; /* of an earlier call; it is not about this one */
        assert_int_equal(fixture_load(f, NULL, NULL, false), STATUS_INVALID);
        (void)snprintf(expected, sizeof expected, "%s: cannot be read: Is a directory\n", names[i]);
        assert_errors(f, expected);
        assert_int_equal(rmdir(path), 0);
        assert_int_equal(mkfifo(path, 0600), 0);
        assert_int_equal(fixture_load(f, NULL, NULL, false), STATUS_INVALID);
        (void)snprintf(expected, sizeof expected, "%s: cannot be read: it is not a regular file\n",
                       names[i]);
        assert_errors(f, expected);
        fixture_remove_files(f);
        must_load(f, NULL, NULL);
    }
}

static void a_ca_file_must_be_there(void **state)
{
    struct fixture *f = *state;

    fixture_write(f, "ca.pem", "");
    must_load(f, LIST("--ca-file=ca.pem"), NULL);
    fixture_write(f, "sparekey.yaml", "\nsparekey_ca_file: none.pem\n");
    assert_int_equal(fixture_load(f, NULL, NULL, false), STATUS_INVALID);
    assert_errors(f, "sparekey.yaml:2: SPAREKEY_CA_FILE: cannot read \"none.pem\": No such file or "
                     "directory\n");
    assert_int_equal(fixture_load(f, LIST("--ca-file", "."), NULL, false), STATUS_INVALID);
    assert_errors(f, "command line: --ca-file: cannot read \".\": Is a directory\n");
}

static void does_not_read_the_clients_variable(void **state)
{
    struct fixture *f = *state;

    must_load(f, NULL, LIST("OPENAI_BASE_URL=http://127.0.0.1:7539/v1", "OPENAI_ORG_ID=org-x"));
    assert_string_equal(f->settings->upstream.text, "https://api.openai.com/v1");
    assert_warnings(f, "");
}

static void says_all_errors_at_once(void **state)
{
    struct fixture *f = *state;

    fixture_write(f, "sparekey.yaml", "sparekey_max_body: 1\n\nsparekey_strategy: best\n");
    fixture_write(f, ".env", "# c\nOPENAI_FALLBACK_ENABLED=perhaps\n");
    fixture_write(f, ".env.local", "\n\nexport SPAREKEY_DRAIN_TIMEOUT = 'soon' # x\n");
    assert_int_equal(
        fixture_load(f, LIST("--workers=-1"), LIST("SPAREKEY_LISTEN=everywhere"), false),
        STATUS_INVALID);
    assert_errors(
        f,
        ".env:2: OPENAI_FALLBACK_ENABLED: expected true or false, got \"perhaps\"\n"
        "sparekey.yaml:3: SPAREKEY_STRATEGY: expected one of primary-first, round-robin, weighted, "
        "least-loaded, headroom, got "
        "\"best\"\n"
        "environment: SPAREKEY_LISTEN: expected ADDRESS:PORT, as 127.0.0.1:7539, [::1]:7539 or "
        "localhost:0 (the address must be a numeric one, or localhost), got \"everywhere\"\n"
        "command line: --workers: expected a whole number from 0 to 256, got \"-1\"\n"
        ".env.local:3: SPAREKEY_DRAIN_TIMEOUT: expected a duration from 0 to 1d, as 1500 "
        "(milliseconds), 500ms, 10s or 2m, got \"soon\"\n"
        "sparekey.yaml:1: SPAREKEY_MAX_BODY: expected a size from 1KiB to 1GiB, as 1048576, 64M or "
        "64MiB, got \"1\"\n");
}

static void warns_about_unknown_names(void **state)
{
    struct fixture *f = *state;

    fixture_write(f, ".env", "SPAREKEY_LISEN=1\nOTHER=2\n");
    must_load(f, NULL,
              LIST("OPENAI_KEY_ROTATION=1", "OPENAI_FALLBACK_ENABLE=true", "OPENAI_API_KEY_1=x",
                   "OPENAI_ORG_ID=x", "SPAREKEY_NOTHING_LIKE_IT=1"));
    assert_warnings(f, "environment: SPAREKEY_NOTHING_LIKE_IT: unknown name\n"
                       "environment: OPENAI_API_KEY_1: unknown name; did you mean OPENAI_API_KEY?\n"
                       "environment: OPENAI_FALLBACK_ENABLE: unknown name; did you mean "
                       "OPENAI_FALLBACK_ENABLED?\n"
                       "environment: OPENAI_KEY_ROTATION: unknown name\n"
                       ".env:1: SPAREKEY_LISEN: unknown name; did you mean SPAREKEY_LISTEN?\n");
}

static void judges_only_our_own_lines_of_env_files(void **state)
{
    struct fixture *f = *state;

    fixture_write(f, ".env", "THEIRS='open\nsome thing\nSPAREKEY_WORKERS 3\n");
    assert_int_equal(fixture_load(f, NULL, NULL, false), STATUS_INVALID);
    assert_errors(f, ".env:3: SPAREKEY_WORKERS: expected NAME=value\n");
    assert_warnings(f, ".env:1: THEIRS: line not used: the quote is not closed\n"
                       ".env:2: some: line not used: expected NAME=value\n");
}

/* A key pasted on a line of its own stands where a name should, and is not shown. */
static void a_key_in_the_place_of_a_name_is_hidden(void **state)
{
    struct fixture *f = *state;

    fixture_write(f, ".env",
                  "sk-proj-SECRETSECRET\n0123456789abcdef0123456789abcdef\n"
                  "abcdefghijklmnopqrstuvwxyzabcdefghij\n");
    assert_int_equal(fixture_load(f, NULL, LIST("OPENAI_API_KEY=" KEY_A), false), STATUS_OK);
    assert_warnings(f, ".env:1: line not used: expected NAME=value\n"
                       ".env:2: line not used: expected NAME=value\n"
                       ".env:3: line not used: expected NAME=value\n");
}

static void a_failed_load_keeps_no_secret(void **state)
{
    struct fixture *f = *state;
    struct secret *probe, *again;

    assert_int_equal(vault_put(f->vault, SLICE(KEY_A), &probe), STATUS_OK);
    struct slice seen = secret_bytes(probe);
    assert_int_equal(fixture_load(f, LIST("--workers=x"), LIST("OPENAI_API_KEY=" KEY_A), false),
                     STATUS_INVALID);
    secret_unref(probe);
    assert_int_equal(seen.ptr[0], 0); /* ours was the last reference */
    assert_int_equal(vault_put(f->vault, SLICE(KEY_A), &again), STATUS_OK);
    secret_unref(again);
}

/* … but the library does, where nothing of ours is said. */
static void the_library_reads_the_clients_variable(void **state)
{
    struct fixture *f = *state;

    f->base_url = true;
    must_load(f, NULL, LIST("OPENAI_BASE_URL=http://there:1/v1"));
    assert_string_equal(f->settings->upstream.host, "there");
    must_load(f, NULL,
              LIST("OPENAI_BASE_URL=http://there:1/v1", "SPAREKEY_UPSTREAM_URL=http://here/v1"));
    assert_string_equal(f->settings->upstream.host, "here");
    must_load(f, NULL, LIST("OPENAI_BASE_URL="));
    assert_string_equal(f->settings->upstream.host, "api.openai.com");
    assert_int_equal(fixture_load(f, NULL, LIST("OPENAI_BASE_URL=there"), false), STATUS_INVALID);
    assert_non_null(memmem(f->report.errors.data, f->report.errors.len, "OPENAI_BASE_URL: ", 17));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_stronger_source_wins),
        TEST(an_empty_value_is_none),
        TEST(an_overridden_value_may_be_wrong),
        TEST(named_files_replace_the_usual),
        TEST(what_is_no_file_is_told),
        TEST(a_ca_file_must_be_there),
        TEST(does_not_read_the_clients_variable),
        TEST(the_library_reads_the_clients_variable),
        TEST(says_all_errors_at_once),
        TEST(warns_about_unknown_names),
        TEST(judges_only_our_own_lines_of_env_files),
        TEST(a_key_in_the_place_of_a_name_is_hidden),
        TEST(a_key_in_the_place_of_a_name_is_hidden),
        TEST(a_failed_load_keeps_no_secret),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
