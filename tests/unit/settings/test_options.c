/* Everything that is said about options comes from the table, and all of the table is said. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "settings/loading.h"
#include "settings/options.h"
#include "settings/value.h"

static char *text_of(struct buffer *b)
{
    char *text = calloc(1, b->len + 1);

    assert_non_null(text);
    memcpy(text, b->data, b->len);
    buffer_clear(b);
    return text;
}

static void flags_are_short_names(void **state)
{
    static const struct {
        enum option_id id;
        const char *flag;
    } rows[] = {
        {OPTION_LISTEN, "--listen"},
        {OPTION_DRAIN_TIMEOUT, "--drain-timeout"},
        {OPTION_FALLBACK_ENABLED, "--fallback-enabled"},
        {OPTION_ROTATION_ENABLED, "--key-rotation-enabled"},
        {OPTION_HEALTH_INTERVAL, "--health-check-interval"},
        {OPTION_CONFIG, "--config"},
        {OPTION_ENV_FILE, "--env-file"},
    };
    char flag[OPTION_FLAG_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        option_flag(&option_table[rows[i].id], flag);
        assert_string_equal(flag, rows[i].flag);
    }
    for (int id = 0; id < OPTION_IDS; id++) { /* and no two are the same */
        option_flag(&option_table[id], flag);
        assert_int_equal(option_find_flag(slice_str(flag)), id);
        assert_int_equal(option_find(slice_str(option_table[id].name), false), id);
    }
}

static void finds_members_of_the_series(void **state)
{
    (void)state;
    assert_int_equal(option_find(SLICE("OPENAI_API_KEY_FALLBACK_77"), false), OPTION_FALLBACK_KEY);
    assert_int_equal(option_find(SLICE("openai_api_key_fallback_77"), true), OPTION_FALLBACK_KEY);
    assert_int_equal(option_find(SLICE("openai_api_key"), false), -1);
    assert_int_equal(option_find(SLICE("OPENAI_API_KEY_FALLBACK_"), false), -1);
    assert_int_equal(option_find(SLICE("OPENAI_API_KEY_FALLBACK"), false), -1);
    assert_int_equal(option_find(SLICE(""), false), -1);
}

static void suggests_names(void **state)
{
    char flag[OPTION_FLAG_MAX];

    (void)state;
    assert_string_equal(option_near(SLICE("SPAREKEY_LISEN")), "SPAREKEY_LISTEN");
    assert_string_equal(option_near(SLICE("listen")), "SPAREKEY_LISTEN");
    assert_null(option_near(SLICE("COMPLETELY_DIFFERENT")));
    assert_string_equal(option_near_flag(SLICE("--lisen"), flag), "--listen");
    assert_null(option_near_flag(SLICE("--completely-different"), flag));
}

static void reaches_help(void **state)
{
    struct buffer out = {0};
    char flag[OPTION_FLAG_MAX + 1];

    (void)state;
    assert_int_equal(settings_help(&out), STATUS_OK);
    char *text = text_of(&out);
    for (int id = 0; id < OPTION_IDS; id++) {
        const struct option *option = &option_table[id];
        assert_non_null(strstr(text, option->name));
        option_flag(option, flag);
        size_t len = strlen(flag);
        flag[len] = ' '; /* "--client-tokens" is no part of "--client-tokens-file" */
        flag[len + 1] = '\0';
        if (option->flags & SECRET)
            assert_null(strstr(text, flag));
        else
            assert_non_null(strstr(text, flag));
    }
    free(text);
}

static void reaches_the_description(void **state)
{
    struct fixture *f = *state;
    struct buffer out = {0};

    assert_int_equal(fixture_load(f, NULL, NULL, false), STATUS_OK);
    assert_int_equal(settings_describe(f->settings, &out), STATUS_OK);
    char *text = text_of(&out);
    for (int id = 0; id < OPTION_IDS; id++) {
        const struct option *option = &option_table[id];
        char *line = strstr(text, option->name);
        assert_non_null(line);
        char *end = strchr(line, '\n');
        assert_non_null(end);
        *end = '\0';
        if (option->standard)
            assert_non_null(strstr(line, option->standard));
        assert_non_null(strstr(line, "default"));
        *end = '\n';
    }
    assert_non_null(strstr(text, "\n0 keys"));
    free(text);
}

/* "#NAME=value" becomes "NAME=value"; comments begin with "# ". */
static void uncomment(char *text)
{
    char *to = text;

    for (const char *from = text; *from; from++) {
        bool at_start = to == text || to[-1] == '\n';
        if (!(at_start && *from == '#' && from[1] != ' '))
            *to++ = *from;
    }
    *to = '\0';
}

static void assert_defaults(const struct fixture *f, enum origin_rank rank)
{
    const struct loaded *loaded = (const struct loaded *)(const void *)f->settings;

    for (int id = 0; id < OPTION_IDS; id++) {
        const struct option *option = &option_table[id];
        struct buffer value = {0};
        if (option->flags & SECRET)
            continue;
        assert_int_equal(value_format(option, f->settings, &value), STATUS_OK);
        if (!slice_eq(buffer_slice(&value), slice_str(option->standard)))
            fail_msg("%s is %.*s", option->name, (int)value.len, value.data);
        buffer_clear(&value);
        assert_int_equal(loaded->origins[id].rank, option->standard ? rank : ORIGIN_DEFAULT);
    }
    assert_int_equal(f->settings->key_count, 0);
    assert_int_equal(f->settings->client_token_count, 0);
    assert_null(f->settings->admin_token);
}

static void sample_gives_the_defaults(struct fixture *f, enum sample_form form, const char *file,
                                      enum origin_rank rank)
{
    struct buffer out = {0};

    assert_int_equal(settings_sample(form, &out), STATUS_OK);
    char *text = text_of(&out);
    for (int id = 0; id < OPTION_IDS; id++) {
        const char *name = option_table[id].name;
        assert_non_null(form == SAMPLE_ENV ? strstr(text, name) : strcasestr(text, name));
    }
    fixture_write(f, file, text); /* as it is: all comments */
    assert_int_equal(fixture_load(f, NULL, NULL, false), STATUS_OK);
    assert_defaults(f, ORIGIN_DEFAULT);
    uncomment(text);
    fixture_write(f, file, text); /* with every line in force */
    if (fixture_load(f, NULL, NULL, false) != STATUS_OK)
        fail_msg("%.*s", (int)f->report.errors.len, f->report.errors.data);
    assert_warnings(f, "");
    assert_defaults(f, rank);
    free(text);
}

static void samples_give_the_defaults(void **state)
{
    struct fixture *f = *state;

    sample_gives_the_defaults(f, SAMPLE_ENV, ".env.local", ORIGIN_DOTENV_LOCAL);
    fixture_remove_files(f);
    sample_gives_the_defaults(f, SAMPLE_YAML, "sparekey.yaml", ORIGIN_YAML);
}

/* The sample's list of keys, uncommented too, is one that loads. */
static void sample_keys_load(void **state)
{
    struct fixture *f = *state;
    struct buffer out = {0};

    assert_int_equal(settings_sample(SAMPLE_YAML, &out), STATUS_OK);
    char *text = text_of(&out), *keys = strstr(text, "# keys:");
    assert_non_null(keys);
    char *to = keys;
    for (const char *from = keys; *from; from++) {
        if ((to == keys || to[-1] == '\n') && from[0] == '#' && from[1] == ' ')
            from += 2;
        *to++ = *from;
    }
    *to = '\0';
    fixture_write(f, "sparekey.yaml", keys);
    if (fixture_load(f, NULL, LIST("TEAM_A_KEY=sk-team-a-0123456789"), false) != STATUS_OK)
        fail_msg("%.*s", (int)f->report.errors.len, f->report.errors.data);
    assert_int_equal(f->settings->key_count, 1);
    const struct key_traits *key = f->settings->keys[0].traits;
    assert_string_equal(key->name, "team-a");
    assert_string_equal(key->organization, "org-a");
    assert_string_equal(key->project, "proj_a");
    assert_string_equal(key->auth_header, "api-key");
    assert_string_equal(key->models[1], "gpt-image-2");
    assert_null(key->models[2]);
    assert_null(key->service); /* the URL is the default upstream */
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_are_short_names),
        cmocka_unit_test(finds_members_of_the_series),
        cmocka_unit_test(suggests_names),
        cmocka_unit_test(reaches_help),
        cmocka_unit_test_setup_teardown(reaches_the_description, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(samples_give_the_defaults, fixture_set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(sample_keys_load, fixture_set_up, fixture_tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
