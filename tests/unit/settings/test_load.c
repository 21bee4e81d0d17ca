/* Loading: who wins, what is said, which keys come out, and that no secret shows anywhere. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define KEY_A "sk-proj-AAAAAAAAAAAAAAAAAAAAAAAA"
#define KEY_B "sk-proj-BBBBBBBBBBBBBBBBBBBBBBBB"
#define KEY_C "sk-proj-CCCCCCCCCCCCCCCCCCCCCCCC"

static void must_load(struct fixture *f, const char **arguments, const char **environment)
{
    if (fixture_load(f, arguments, environment, false) != STATUS_OK)
        fail_msg("%.*s", (int)f->report.errors.len, f->report.errors.data);
}

/* ---- precedence ------------------------------------------------------------------------------- */

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
    assert_int_equal(f->settings->max_body_bytes, 2 << 20);
    assert_string_equal(f->settings->config_file, "other.yaml");
    assert_int_equal(fixture_load(f, LIST("--env-file", "no.env", "--config=no.yaml"), NULL, false),
                     STATUS_INVALID);
    assert_errors(f, "no.env: cannot be read: No such file or directory\n"
                     "no.yaml: cannot be read: No such file or directory\n");
}

static void does_not_read_the_clients_variable(void **state)
{
    struct fixture *f = *state;

    must_load(f, NULL, LIST("OPENAI_BASE_URL=http://127.0.0.1:7539/v1", "OPENAI_ORG_ID=org-x"));
    assert_string_equal(f->settings->upstream.text, "https://api.openai.com/v1");
    assert_warnings(f, "");
}

/* ---- the command line ------------------------------------------------------------------------- */

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

/* ---- bad values and unknown names ------------------------------------------------------------- */

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
        "sparekey.yaml:3: SPAREKEY_STRATEGY: expected one of primary-first, round-robin, got "
        "\"best\"\n"
        "environment: SPAREKEY_LISTEN: expected ADDRESS:PORT, as 127.0.0.1:7539, [::1]:7539 or "
        "localhost:0 (the address must be a numeric one, or localhost), got \"everywhere\"\n"
        "command line: --workers: expected a whole number from 0 to 256, got \"-1\"\n"
        ".env.local:3: SPAREKEY_DRAIN_TIMEOUT: expected a duration from 0 to 1d, as 1500 "
        "(milliseconds), 500ms, 10s or 2m, got \"soon\"\n"
        "sparekey.yaml:1: SPAREKEY_MAX_BODY: expected a size from 1KiB to 1GiB, as 1048576, 64M or "
        "64MiB, got \"1\"\n");
}

static void never_quotes_a_misplaced_secret(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fixture_load(f, NULL,
                                  LIST("SPAREKEY_UPSTREAM_URL=https://user:pass@host/v1",
                                       "SPAREKEY_WORKERS=" KEY_A),
                                  false),
                     STATUS_INVALID);
    assert_errors(f, "environment: SPAREKEY_UPSTREAM_URL: expected an http:// or https:// URL, as "
                     "https://api.openai.com/v1 (credentials in the URL are refused), got a hidden "
                     "value\n"
                     "environment: SPAREKEY_WORKERS: expected a whole number from 0 to 256, got a "
                     "hidden value\n");
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

static void bounds_its_report(void **state)
{
    struct fixture *f = *state;
    char *text = calloc(1, 20000), *at = text;

    assert_non_null(text);
    for (int i = 0; i < 150; i++)
        at += snprintf(at, 100, "SPAREKEY_%d x\n", i);
    fixture_write(f, ".env", text);
    assert_int_equal(fixture_load(f, NULL, NULL, false), STATUS_INVALID);
    assert_non_null(memmem(f->report.errors.data, f->report.errors.len, ".env:100: ", 10));
    assert_null(memmem(f->report.errors.data, f->report.errors.len, ".env:101: ", 10));
    assert_non_null(
        memmem(f->report.errors.data, f->report.errors.len, "and 50 more errors\n", 19));
    free(text);
}

/* ---- keys ------------------------------------------------------------------------------------- */

static void assert_key(const struct fixture *f, size_t index, const char *name, const char *source,
                       const char *secret)
{
    assert_true(index < f->settings->key_count);
    const struct key_setting *key = &f->settings->keys[index];

    assert_string_equal(key->name, name);
    assert_string_equal(key->source, source);
    assert_true(slice_eq(secret_bytes(key->secret), slice_str(secret)));
}

static void orders_keys_by_number(void **state)
{
    struct fixture *f = *state;

    fixture_write(f, ".env.local", "OPENAI_API_KEY_FALLBACK_2=sk-2\nOPENAI_API_KEY=sk-0\n");
    must_load(f, NULL,
              LIST("OPENAI_API_KEY_FALLBACK_100=sk-100", "OPENAI_API_KEY_FALLBACK_10=sk-10",
                   "OPENAI_API_KEY_FALLBACK_3=", "OPENAI_API_KEY_FALLBACK_9=sk-9"));
    assert_warnings(f, "");
    assert_int_equal(f->settings->key_count, 5);
    assert_key(f, 0, "OPENAI_API_KEY", ".env.local:2", "sk-0");
    assert_key(f, 1, "OPENAI_API_KEY_FALLBACK_2", ".env.local:1", "sk-2");
    assert_key(f, 2, "OPENAI_API_KEY_FALLBACK_9", "environment", "sk-9");
    assert_key(f, 3, "OPENAI_API_KEY_FALLBACK_10", "environment", "sk-10");
    assert_key(f, 4, "OPENAI_API_KEY_FALLBACK_100", "environment", "sk-100");
    assert_int_equal(f->settings->keys[0].weight, 1);
    assert_null(f->settings->keys[0].service);
}

static void merges_key_variables_of_all_sources(void **state)
{
    struct fixture *f = *state;

    fixture_write(f, ".env", "OPENAI_API_KEY=sk-weak\nOPENAI_API_KEY_FALLBACK_1=sk-1-weak\n");
    fixture_write(f, ".env.local", "OPENAI_API_KEY=sk-middle\n");
    must_load(f, NULL, LIST("OPENAI_API_KEY=sk-strong"));
    assert_int_equal(f->settings->key_count, 2);
    assert_key(f, 0, "OPENAI_API_KEY", "environment", "sk-strong");
    assert_key(f, 1, "OPENAI_API_KEY_FALLBACK_1", ".env:2", "sk-1-weak");
}

static void warns_about_odd_keys(void **state)
{
    struct fixture *f = *state;

    must_load(f, NULL,
              LIST("OPENAI_API_KEY=" KEY_A, "OPENAI_API_KEY_FALLBACK_1= " KEY_B "\n",
                   "OPENAI_API_KEY_FALLBACK_2=" KEY_A, "OPENAI_API_KEY_FALLBACK_03=" KEY_C,
                   "OPENAI_API_KEY_FALLBACK_X=" KEY_C, "OPENAI_API_KEY_FALLBACK_4=sk-admin-x",
                   "OPENAI_API_KEY_FALLBACK_5=  "));
    assert_warnings(
        f,
        "environment: OPENAI_API_KEY_FALLBACK_X: not used: the name must end in a number, as "
        "OPENAI_API_KEY_FALLBACK_1\n"
        "environment: OPENAI_API_KEY_FALLBACK_03: counting begins at 1 and has no leading zeros; "
        "used as number 3\n"
        "environment: OPENAI_API_KEY_FALLBACK_1: spaces around the key were left out\n"
        "environment: OPENAI_API_KEY_FALLBACK_2: the same key as OPENAI_API_KEY (sk-proj...AAAA); "
        "dropped\n"
        "environment: OPENAI_API_KEY_FALLBACK_4: an admin key cannot serve requests; dropped\n");
    assert_int_equal(f->settings->key_count, 3);
    assert_key(f, 1, "OPENAI_API_KEY_FALLBACK_1", "environment", KEY_B);
    assert_key(f, 2, "OPENAI_API_KEY_FALLBACK_03", "environment", KEY_C);
}

static void refuses_impossible_keys(void **state)
{
    struct fixture *f = *state;
    char *large = calloc(1, SECRET_MAX_BYTES + 64);

    assert_non_null(large);
    (void)snprintf(large, 64, "OPENAI_API_KEY_FALLBACK_3=");
    memset(large + strlen(large), 'x', SECRET_MAX_BYTES + 1);
    assert_int_equal(
        fixture_load(f, NULL,
                     LIST("OPENAI_API_KEY=sk-SEC\001RET", "OPENAI_API_KEY_FALLBACK_1=sk-S\xc3\xa9",
                          "OPENAI_API_KEY_FALLBACK_2=sk-SEC RET", large),
                     false),
        STATUS_INVALID);
#define EXPECTED ": expected an API key of at most 4096 visible ASCII characters: it "
    assert_errors(f, "environment: OPENAI_API_KEY" EXPECTED "has a control character\n"
                     "environment: OPENAI_API_KEY_FALLBACK_1" EXPECTED
                     "has a character that is not ASCII\n"
                     "environment: OPENAI_API_KEY_FALLBACK_2" EXPECTED "has a space inside\n"
                     "environment: OPENAI_API_KEY_FALLBACK_3" EXPECTED "is longer than any key\n");
#undef EXPECTED
    free(large);
}

/* ---- YAML ------------------------------------------------------------------------------------- */

static void reads_yaml_keys(void **state)
{
    struct fixture *f = *state;

    fixture_write(f, "sparekey.yaml",
                  "OPENAI_API_KEY_FALLBACK_1: " KEY_B "\n"
                  "sparekey_client_tokens: [token-1, token-2]\n"
                  "keys:\n"
                  "  - key: " KEY_C "\n"
                  "    base_url: https://RES.openai.azure.com/openai/v1/\n"
                  "    auth_header: api-key\n"
                  "    weight: 5\n"
                  "    max_in_flight: 7\n"
                  "    models: [m1, 'm2']\n"
                  "  - key: " KEY_B "\n" /* not a duplicate: another service */
                  "    base_url: https://RES.openai.azure.com/openai/v1\n"
                  "  - key: " KEY_B "\n"          /* one */
                  "  - key_env: OPENAI_API_KEY\n" /* describes the primary */
                  "    organization: org-1\n"
                  "    name: first\n"
                  "  - {key_env: TEAM_KEY, project: proj_1}\n");
    must_load(f, NULL, LIST("OPENAI_API_KEY=" KEY_A, "TEAM_KEY=sk-team"));
    assert_warnings(f, "sparekey.yaml:12: sparekey.yaml:12: the same key as "
                       "OPENAI_API_KEY_FALLBACK_1 (sk-proj...BBBB); dropped\n");
    assert_int_equal(f->settings->key_count, 5);
    assert_key(f, 0, "first", "environment", KEY_A);
    assert_string_equal(f->settings->keys[0].organization, "org-1");
    assert_key(f, 1, "OPENAI_API_KEY_FALLBACK_1", "sparekey.yaml:1", KEY_B);
    assert_key(f, 2, "sparekey.yaml:4", "sparekey.yaml:4", KEY_C);
    const struct key_setting *azure = &f->settings->keys[2];
    assert_string_equal(azure->service->host, "RES.openai.azure.com");
    assert_string_equal(azure->service->path, "/openai/v1");
    assert_string_equal(azure->auth_header, "api-key");
    assert_int_equal(azure->weight, 5);
    assert_int_equal(azure->max_in_flight, 7);
    assert_string_equal(azure->models[0], "m1");
    assert_string_equal(azure->models[1], "m2");
    assert_null(azure->models[2]);
    assert_ptr_equal(f->settings->keys[3].service, azure->service);
    assert_key(f, 4, "TEAM_KEY", "sparekey.yaml:16", "sk-team");
    assert_string_equal(f->settings->keys[4].project, "proj_1");
    assert_int_equal(f->settings->client_token_count, 2);
}

static void refuses_yaml(void **state)
{
    static const char *const rows[][2] = {
        {"sparekey_lisen: x\n",
         "sparekey.yaml:1: unknown name \"sparekey_lisen\"; did you mean SPAREKEY_LISTEN?\n"},
        {"\nlisten: x\n",
         "sparekey.yaml:2: unknown name \"listen\"; did you mean SPAREKEY_LISTEN?\n"},
        {"- a\n", "sparekey.yaml:1: expected lines of the form name: value\n"},
        {"a: b\n  c: [\n",
         "sparekey.yaml:2: not valid YAML: mapping values are not allowed in this "
         "context\n"},
        {"sparekey_workers: [1]\n", "sparekey.yaml:1: SPAREKEY_WORKERS: expected a single value\n"},
        {"sparekey_client_tokens: [[1]]\n",
         "sparekey.yaml:1: SPAREKEY_CLIENT_TOKENS: expected a list of plain values\n"},
        {"sparekey_workers: 1\nSPAREKEY_WORKERS: 2\n",
         "sparekey.yaml:2: SPAREKEY_WORKERS: given twice\n"},
        {"keys: x\n", "sparekey.yaml:1: keys: expected a list of keys\n"},
        {"keys:\n - " KEY_A "\n", "sparekey.yaml:2: keys: expected a mapping with key or key_env, "
                                  "as \"- key_env: TEAM_A_KEY\"\n"},
        {"keys:\n - name: x\n", "sparekey.yaml:2: keys: expected either key or key_env\n"},
        {"keys:\n - key: a\n   key_env: b\n",
         "sparekey.yaml:2: keys: expected only one of key and key_env\n"},
        {"keys:\n - key: a\n   wieght: 2\n",
         "sparekey.yaml:3: unknown name \"wieght\"; did you mean weight?\n"},
        {"keys:\n - key: a\n   weight: 0\n",
         "sparekey.yaml:3: weight: expected a whole number from 1 to 1000000, got \"0\"\n"},
        {"keys:\n - key: a\n   base_url: host\n",
         "sparekey.yaml:3: base_url: expected an http:// or https:// URL, as "
         "https://api.openai.com/v1 (it must begin with http:// or https://), got \"host\"\n"},
        {"keys:\n - key: a\n   auth_header: 'a b'\n",
         "sparekey.yaml:3: auth_header: expected the name of a header, as api-key, got \"a b\"\n"},
        {"keys:\n - key: a\n   key: b\n", "sparekey.yaml:3: key: given twice\n"},
        {"keys:\n - key_env: UNSET\n", "sparekey.yaml:2: key_env: expected the name of a variable "
                                       "that is set, got \"UNSET\"\n"},
        {"keys:\n - key: 'a b'\n", "sparekey.yaml:2: key: expected an API key of at most 4096 "
                                   "visible ASCII characters: it has a space inside\n"},
        {"keys:\n - key: [a]\n", "sparekey.yaml:2: key: expected a single value\n"
                                 "sparekey.yaml:2: keys: expected either key or key_env\n"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        fixture_write(f, "sparekey.yaml", rows[i][0]);
        assert_int_equal(fixture_load(f, NULL, NULL, false), STATUS_INVALID);
        assert_errors(f, rows[i][1]);
    }
}

static void takes_empty_yaml(void **state)
{
    static const char *const rows[] = {
        "",        "# only a comment\n",
        "---\n",   "~\n",
        "keys:\n", "keys: []\nsparekey_workers:\nsparekey_ca_file: ~\n"};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        fixture_write(f, "sparekey.yaml", rows[i]);
        must_load(f, NULL, NULL);
        assert_int_equal(f->settings->key_count, 0);
        assert_null(f->settings->ca_file);
    }
}

/* ---- files of secrets ------------------------------------------------------------------------- */

static void reads_a_keys_file(void **state)
{
    struct fixture *f = *state;

    fixture_write(f, "keys.txt",
                  "\xEF\xBB\xBF# keys\r\n\r\n  sk-1  \r\nsk-2 # two\n\nsk-1\n" KEY_A "\nsk-3");
    must_load(f, LIST("--keys-file", "keys.txt"), LIST("OPENAI_API_KEY=" KEY_A));
    assert_warnings(f, "keys.txt:6: keys.txt:6: the same key as keys.txt:3 (...); dropped\n"
                       "keys.txt:7: keys.txt:7: the same key as OPENAI_API_KEY (sk-proj...AAAA); "
                       "dropped\n");
    assert_int_equal(f->settings->key_count, 4);
    assert_key(f, 1, "keys.txt:3", "keys.txt", "sk-1");
    assert_key(f, 2, "keys.txt:4", "keys.txt", "sk-2");
    assert_key(f, 3, "keys.txt:8", "keys.txt", "sk-3");
}

static void refuses_bad_lines_of_a_keys_file(void **state)
{
    struct fixture *f = *state;
    char *text = calloc(1, 300000);

    assert_non_null(text);
    strcpy(text, "sk-1\n");
    memset(text + 5, 'x', 200000); /* longer than the reader's buffer */
    strcpy(text + 200005, "\nsk-2\nsk 3\n");
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
}

/* Of this process's own work: other programs on the machine must not fail the test. */
static double cpu_seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

static void loads_a_million_keys(void **state)
{
    enum { MILLION = 1000000 };
    struct fixture *f = *state;
    char path[256];

    (void)snprintf(path, sizeof path, "%s/many.txt", f->directory);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < MILLION; i++) /* a project key has 164 bytes */
        (void)fprintf(file, "sk-proj-%0156d\n", i);
    assert_int_equal(fclose(file), 0);

    double before = cpu_seconds();
    must_load(f, LIST("--keys-file", path), NULL);
    double taken = cpu_seconds() - before;
    assert_int_equal(f->settings->key_count, MILLION);
    assert_string_equal(f->settings->keys[MILLION - 1].name, "many.txt:1000000");
    if (!SANITIZED && taken > 3.0)
        fail_msg("a million keys took %.1f s of processor time", taken);
}

/* ---- secrets stay secret ---------------------------------------------------------------------- */

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

static void drops_its_secrets_with_the_last_reference(void **state)
{
    static const char zeros[sizeof KEY_A];
    struct fixture *f = *state;

    must_load(f, NULL, LIST("OPENAI_API_KEY=" KEY_A));
    struct slice seen = secret_bytes(f->settings->keys[0].secret);
    struct settings *second = settings_ref(f->settings);
    settings_unref(f->settings);
    f->settings = NULL;
    assert_memory_equal(seen.ptr, KEY_A, seen.len);
    settings_unref(second);
    assert_memory_equal(seen.ptr, zeros, seen.len);
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

static void wipes_the_environment_and_remembers(void **state)
{
    struct fixture *f = *state;
    char key[] = "OPENAI_API_KEY=" KEY_A, fallback[] = "OPENAI_API_KEY_FALLBACK_7=" KEY_B;
    char tokens[] = "SPAREKEY_CLIENT_TOKENS=t1,t2", team[] = "TEAM_KEY=" KEY_C;
    char other[] = "HOME=/root", workers[] = "SPAREKEY_WORKERS=3";
    char *environment[] = {key, fallback, tokens, team, other, workers, NULL};

    fixture_write(f, "sparekey.yaml", "keys:\n - key_env: TEAM_KEY\n");
    must_load(f, NULL, (const char **)environment);
    settings_wipe_environment(f->settings, environment);
    assert_string_equal(key, "OPENAI_API_KEY=");
    assert_int_equal(key[sizeof key - 2], 0); /* all of it */
    assert_string_equal(fallback, "OPENAI_API_KEY_FALLBACK_7=");
    assert_string_equal(tokens, "SPAREKEY_CLIENT_TOKENS=");
    assert_string_equal(team, "TEAM_KEY=");
    assert_string_equal(other, "HOME=/root");
    assert_string_equal(workers, "SPAREKEY_WORKERS=3");

    struct settings *first = f->settings;
    for (int reload = 0; reload < 3; reload++) {
        f->previous = f->settings;
        must_load(f, NULL, (const char **)environment);
        if (reload > 0)
            settings_unref((struct settings *)(uintptr_t)f->previous);
        assert_int_equal(f->settings->key_count, 3);
        assert_key(f, 0, "OPENAI_API_KEY", "environment", KEY_A);
        assert_key(f, 1, "OPENAI_API_KEY_FALLBACK_7", "environment", KEY_B);
        assert_key(f, 2, "TEAM_KEY", "sparekey.yaml:2", KEY_C);
        assert_int_equal(f->settings->client_token_count, 2);
    }
    f->previous = NULL;
    settings_unref(first);
    settings_wipe_environment(NULL, NULL);
}

/* ---- whether to serve ------------------------------------------------------------------------- */

static void serves_the_public_only_with_tokens(void **state)
{
    struct fixture *f = *state;
    struct buffer reason = {0};

    must_load(f, LIST("--listen=127.0.0.1:1"), NULL);
    assert_true(settings_servable(f->settings, &reason));
    must_load(f, LIST("--listen=[::1]:1"), NULL);
    assert_true(settings_servable(f->settings, &reason));
    must_load(f, LIST("--listen=0.0.0.0:1"), LIST("SPAREKEY_CLIENT_TOKENS=t"));
    assert_true(settings_servable(f->settings, &reason));
    assert_int_equal(reason.len, 0);
    must_load(f, LIST("--listen=0.0.0.0:1"), LIST("SPAREKEY_ADMIN_TOKEN=t"));
    assert_false(settings_servable(f->settings, &reason));
    assert_non_null(memmem(reason.data, reason.len, "0.0.0.0 is public", 17));
    assert_non_null(memmem(reason.data, reason.len, "Set SPAREKEY_CLIENT_TOKENS", 26));
    buffer_clear(&reason);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_stronger_source_wins),
        TEST(an_empty_value_is_none),
        TEST(an_overridden_value_may_be_wrong),
        TEST(named_files_replace_the_usual),
        TEST(does_not_read_the_clients_variable),
        TEST(options_end_where_the_command_begins),
        TEST(refuses_arguments),
        TEST(says_all_errors_at_once),
        TEST(never_quotes_a_misplaced_secret),
        TEST(warns_about_unknown_names),
        TEST(judges_only_our_own_lines_of_env_files),
        TEST(bounds_its_report),
        TEST(orders_keys_by_number),
        TEST(merges_key_variables_of_all_sources),
        TEST(warns_about_odd_keys),
        TEST(refuses_impossible_keys),
        TEST(reads_yaml_keys),
        TEST(refuses_yaml),
        TEST(takes_empty_yaml),
        TEST(reads_a_keys_file),
        TEST(refuses_bad_lines_of_a_keys_file),
        TEST(reads_tokens),
        TEST(loads_a_million_keys),
        TEST(shows_no_secret),
        TEST(drops_its_secrets_with_the_last_reference),
        TEST(a_failed_load_keeps_no_secret),
        TEST(wipes_the_environment_and_remembers),
        TEST(serves_the_public_only_with_tokens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
