/* Settings once loaded: references, the wiped environment, and whether they may serve. */

#include "fixture.h"

#include <stdio.h>

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

static void assert_url(struct fixture *f, const char *listen, bool tls, const char *expected)
{
    char variable[64], url[LISTEN_URL_MAX];

    (void)snprintf(variable, sizeof variable, "SPAREKEY_LISTEN=%s", listen);
    must_load(f, NULL,
              tls ? LIST(variable, "SPAREKEY_TLS_CERT=c.pem", "SPAREKEY_TLS_KEY=k.pem")
                  : LIST(variable));
    settings_listen_url(f->settings, 80, url);
    assert_string_equal(url, expected);
}

static void tells_where_it_listens(void **state)
{
    struct fixture *f = *state;

    assert_url(f, "127.0.0.1:1", false, "http://127.0.0.1:80");
    assert_url(f, "127.0.0.1:1", true, "https://127.0.0.1:80");
    assert_url(f, "0.0.0.0:1", false, "http://127.0.0.1:80");
    assert_url(f, "[::]:1", false, "http://[::1]:80");
    assert_url(f, "[::1]:1", true, "https://[::1]:80");
}

static void a_certificate_needs_its_key(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fixture_load(f, NULL, LIST("SPAREKEY_TLS_CERT=c.pem"), false), STATUS_INVALID);
    assert_errors(f, "environment: SPAREKEY_TLS_CERT: needs SPAREKEY_TLS_KEY as well\n");
    assert_int_equal(fixture_load(f, NULL, LIST("SPAREKEY_TLS_KEY=k.pem"), false), STATUS_INVALID);
    assert_errors(f, "environment: SPAREKEY_TLS_KEY: needs SPAREKEY_TLS_CERT as well\n");
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

static void drops_its_keys_and_keeps_the_rest(void **state)
{
    static const char zeros[sizeof KEY_A];
    struct fixture *f = *state;

    fixture_write(f, "keys.txt", KEY_A "\n" KEY_B "\n");
    must_load(f, LIST("--keys-file", "keys.txt", "--workers", "3"), NULL);
    struct slice seen = secret_bytes(f->settings->keys[0].secret);
    settings_drop_keys(f->settings);
    assert_memory_equal(seen.ptr, zeros, seen.len); /* of a file: nobody else has it */
    assert_int_equal(f->settings->key_count, 0);
    assert_null(f->settings->keys);
    assert_int_equal(f->settings->workers, 3);
    settings_drop_keys(f->settings);
}

static void names_keys_for_messages(void **state)
{
    char long_name[200], out[KEY_NAME_MAX];

    (void)state;
    assert_string_equal(key_name_text("OPENAI_API_KEY", 0, out), "OPENAI_API_KEY");
    assert_string_equal(key_name_text("keys.txt", 17, out), "keys.txt:17");
    memset(long_name, 'n', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    assert_int_equal(strlen(key_name_text(long_name, 0, out)), KEY_NAME_MAX - 1);
    assert_string_equal(strchr(key_name_text(long_name, UINT32_MAX, out), ':'), ":4294967295");
}

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(tells_where_it_listens),
        TEST(a_certificate_needs_its_key),
        TEST(drops_its_secrets_with_the_last_reference),
        TEST(wipes_the_environment_and_remembers),
        TEST(drops_its_keys_and_keeps_the_rest),
        TEST(names_keys_for_messages),
        TEST(serves_the_public_only_with_tokens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
