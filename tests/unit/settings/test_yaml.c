/* sparekey.yaml: keys with attributes, and each mistake by its whole message. */

#include "fixture.h"

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
    assert_string_equal(f->settings->keys[0].traits->organization, "org-1");
    assert_key(f, 1, "OPENAI_API_KEY_FALLBACK_1", "sparekey.yaml:1", KEY_B);
    assert_key(f, 2, "sparekey.yaml:4", "sparekey.yaml:4", KEY_C);
    const struct key_traits *azure = f->settings->keys[2].traits;
    assert_string_equal(azure->service->host, "RES.openai.azure.com");
    assert_string_equal(azure->service->path, "/openai/v1");
    assert_string_equal(azure->auth_header, "api-key");
    assert_int_equal(azure->weight, 5);
    assert_int_equal(azure->max_in_flight, 7);
    assert_string_equal(azure->models[0], "m1");
    assert_string_equal(azure->models[1], "m2");
    assert_null(azure->models[2]);
    assert_ptr_equal(f->settings->keys[3].traits->service, azure->service);
    assert_key(f, 4, "TEAM_KEY", "sparekey.yaml:16", "sk-team");
    assert_string_equal(f->settings->keys[4].traits->project, "proj_1");
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reads_yaml_keys),
        TEST(refuses_yaml),
        TEST(takes_empty_yaml),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
