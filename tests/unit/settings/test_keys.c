/* Which keys come out, in which order, and what is said about the odd ones. */

#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "settings/loading.h"

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
    assert_int_equal(f->settings->keys[0].traits->weight, 1);
    assert_null(f->settings->keys[0].traits->service);
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

/* What the load before noted beside the secrets misleads nobody. */
static void finds_doubles_in_every_load(void **state)
{
    struct fixture *f = *state;
    struct settings *before = NULL;
    static const char *const files[] = {"sk-1\nsk-2\nsk-3\n", "sk-3\nsk-2\nsk-1\nsk-3\nsk-1\n",
                                        "sk-2\nsk-3\nsk-1\nsk-2\n", "sk-1\nsk-1\n"};
    static const char *const warnings[] = {
        "",
        "keys.txt:4: keys.txt:4: the same key as keys.txt:1 (...); dropped\n"
        "keys.txt:5: keys.txt:5: the same key as keys.txt:3 (...); dropped\n",
        "keys.txt:4: keys.txt:4: the same key as keys.txt:1 (...); dropped\n",
        "keys.txt:2: keys.txt:2: the same key as keys.txt:1 (...); dropped\n"};

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        fixture_write(f, "keys.txt", files[i]);
        must_load(f, LIST("--keys-file", "keys.txt"), NULL);
        assert_warnings(f, warnings[i]);
        assert_int_equal(f->settings->key_count, i < 3 ? 3 : 1);
        settings_unref(before);
        before = settings_ref(f->settings); /* its secrets stay, with their notes */
    }
    settings_unref(before);
}

static void a_secret_is_a_key_at_each_service(void **state)
{
    struct fixture *f = *state;

    fixture_write(f, "sparekey.yaml",
                  "keys:\n"
                  "  - {key: sk-1, base_url: 'http://one/v1'}\n"
                  "  - {key: sk-1, base_url: 'http://two/v1'}\n"
                  "  - {key: sk-1}\n"
                  "  - {key: sk-1, base_url: 'http://one/v1'}\n");
    fixture_write(f, "keys.txt", "sk-1\n");
    must_load(f, LIST("--keys-file", "keys.txt"), NULL);
    assert_warnings(
        f, "sparekey.yaml:5: sparekey.yaml:5: the same key as sparekey.yaml:2 (...); dropped\n"
           "keys.txt:1: keys.txt:1: the same key as sparekey.yaml:4 (...); dropped\n");
    assert_int_equal(f->settings->key_count, 3);
}

/* Around the words by which a line is looked at. */
static void refuses_an_odd_character_anywhere(void **state)
{
    static const char odd[] = {' ', '\t', '\001', '\037', '\177', '\200', '\377'};

    (void)state;
    for (size_t len = 1; len <= 17; len++) {
        for (size_t at = 0; at < len * sizeof odd; at++) {
            char key[32] = "~~~~~~~~!!!!!!!!~~";
            key[len] = '\0';
            assert_null(secret_problem(slice_str(key)));
            key[at / sizeof odd] = odd[at % sizeof odd];
            assert_non_null(secret_problem(slice_str(key)));
        }
    }
}

static void refuses_what_is_no_file_of_keys(void **state)
{
    struct fixture *f = *state;
    char path[128], text[256];

    assert_int_equal(fixture_load(f, LIST("--keys-file", "/dev/zero"), NULL, false),
                     STATUS_INVALID);
    assert_errors(f, "command line: --keys-file: cannot read \"/dev/zero\": it is not a regular "
                     "file\n");
    (void)snprintf(path, sizeof path, "%s/fifo", f->directory);
    assert_int_equal(mkfifo(path, 0600), 0);
    (void)snprintf(text, sizeof text,
                   "command line: --keys-file: cannot read \"%s\": it is not a regular file\n",
                   path);
    /* Nobody writes to it: opening it as one opens a file would wait for ever. */
    assert_int_equal(fixture_load(f, LIST("--keys-file", path), NULL, false), STATUS_INVALID);
    assert_errors(f, text);
    must_load(f, LIST("--keys-file", "/dev/null"), NULL);
    assert_int_equal(f->settings->key_count, 0);
    (void)unlink(path);
}

/* A line end in a value would begin a header field of its own. */
static void refuses_values_that_break_lines(void **state)
{
    struct fixture *f = *state;

    fixture_write(f, "sparekey.yaml",
                  "keys:\n"
                  "  - key: " KEY_A "\n"
                  "    organization: \"org\\r\\nX-Evil: 1\"\n"
                  "    project: \"p q\"\n"
                  "    name: \"a\\nb\"\n"
                  "    models: [\"m\\u001b[1m\"]\n");
    assert_int_equal(fixture_load(f, NULL, NULL, false), STATUS_INVALID);
    assert_errors(f, "sparekey.yaml:3: organization: expected visible ASCII characters, got "
                     "\"org..X-Evil: 1\"\n"
                     "sparekey.yaml:4: project: expected visible ASCII characters, got \"p q\"\n"
                     "sparekey.yaml:6: models: expected a text without control characters, got "
                     "\"m.[1m\"\n"
                     "sparekey.yaml:5: name: expected a text without control characters, got "
                     "\"a.b\"\n");
}

/* `count` keys, each with a base URL of its own. */
static void write_services(struct fixture *f, int count)
{
    struct buffer text = {0};

    assert_int_equal(buffer_printf(&text, 1 << 20, "keys:\n"), STATUS_OK);
    for (int i = 0; i < count; i++)
        assert_int_equal(buffer_printf(&text, 1 << 20,
                                       "  - key: sk-%d\n    base_url: http://127.0.0.1/r%d\n", i,
                                       i),
                         STATUS_OK);
    assert_int_equal(buffer_append(&text, slice_of("", 1), 1 << 20), STATUS_OK);
    fixture_write(f, "sparekey.yaml", text.data);
    buffer_clear(&text);
}

static void limits_base_urls(void **state)
{
    struct fixture *f = *state;

    write_services(f, SETTINGS_SERVICES_MAX - 1);
    must_load(f, NULL, NULL);
    write_services(f, SETTINGS_SERVICES_MAX);
    assert_int_equal(fixture_load(f, NULL, NULL, false), STATUS_INVALID);
    assert_errors(f, "sparekey.yaml:513: base_url: more than 256 different base URLs, the most "
                     "that one gateway serves\n");
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
    (void)snprintf(path, sizeof path, "sk-proj-%0156d", MILLION - 1);
    assert_key(f, MILLION - 1, "many.txt:1000000", f->settings->keys_file, path);
    if (!SANITIZED && taken > 3.0)
        fail_msg("a million keys took %.1f s of processor time", taken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(orders_keys_by_number),
        TEST(merges_key_variables_of_all_sources),
        TEST(warns_about_odd_keys),
        TEST(refuses_impossible_keys),
        TEST(reads_a_keys_file),
        TEST(finds_doubles_in_every_load),
        TEST(a_secret_is_a_key_at_each_service),
        TEST(refuses_an_odd_character_anywhere),
        TEST(refuses_what_is_no_file_of_keys),
        TEST(refuses_values_that_break_lines),
        TEST(limits_base_urls),
        TEST(loads_a_million_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
