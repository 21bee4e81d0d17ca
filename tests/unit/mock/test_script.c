#include "mock_test.h"

#include "mock/script.h"

static struct keyring ring;

static enum status read_text(const char *text, char *reason, size_t size)
{
    struct buffer why = {0};

    keyring_init(&ring);
    enum status status = script_read(&ring, slice_str(text), "f.yaml", &why);
    slice_copy(buffer_slice(&why), reason, size);
    buffer_clear(&why);
    return status;
}

static void a_good_script(void **state)
{
    char reason[512];

    (void)state;
    assert_int_equal(read_text("# what a person writes\n"
                               "models: [m-1, \"m-2\"]\n"
                               "faults:\n"
                               "  - {fault: garbage, rate: 0.1}\n"
                               "keys:\n"
                               "  - key: sk-a\n"
                               "    organization: org-1\n"
                               "    rpm: 3\n"
                               "    latency_ms: [1, 5]\n"
                               "    no_access: [m-2]\n"
                               "    no_access_form: 403\n"
                               "  - key: sk-b\n"
                               "    state: insufficient_quota\n"
                               "    faults:\n"
                               "      - fault: html:502\n"
                               "        count: 2\n",
                               reason, sizeof(reason)),
                     STATUS_OK);
    assert_string_equal(reason, "");
    const struct mock_key *a = keyring_find(&ring, SLICE("sk-a"));
    const struct mock_key *b = keyring_find(&ring, SLICE("sk-b"));
    assert_non_null(a);
    assert_non_null(b);
    assert_string_equal(a->config.organization, "org-1");
    assert_int_equal(a->config.rpm, 3);
    assert_int_equal(a->config.latency_ms[1], 5);
    assert_int_equal(a->config.no_access_form, NO_ACCESS_403);
    assert_int_equal(b->config.state, KEY_INSUFFICIENT_QUOTA);
    assert_false(list_empty(&b->faults));
    assert_false(list_empty(&ring.faults));
    assert_int_equal(json_array_size(ring.models), 2);
    assert_null(keyring_get(&ring, SLICE("sk-unknown"))); /* no default: wrong */
    keyring_fini(&ring);
}

static void errors_say_where(void **state)
{
    static const struct {
        const char *text, *reason;
    } rows[] = {
        {"keys:\n  - key: sk-a\n    rpm: -1\n",
         "f.yaml:3: rpm: expected a whole number of units a window, 0 for no limit"},
        {"keys:\n  - key: sk-a\n    rpm: many\n",
         "f.yaml:3: rpm: expected a whole number of units a window, 0 for no limit"},
        {"keys:\n  - key: sk-a\n\n    rmp: 1\n", "f.yaml:4: rmp: unknown name"},
        {"keys:\n  - rpm: 1\n", "f.yaml:2: key: each of keys needs"},
        {"keys:\n  - key: a\n  - key: a\n", "f.yaml:3: key: this key stands here twice"},
        {"keys:\n  - key: a\n    rpm: 1\n    rpm: 2\n", "f.yaml:4: this name stands here twice"},
        {"keys: 5\n", "f.yaml:1: keys: expected a list of keys"},
        {"\nwhat: 5\n",
         "f.yaml:2: what: unknown name; expected one of: keys, models, default, faults"},
        {"faults:\n  - fault: garbage\n  - fault: nope\n",
         "f.yaml:3: fault: no fault is called \"nope\""},
        {"keys:\n  - key: a\n    faults:\n      - fault: html:9\n",
         "f.yaml:4: fault: expected a status from 200 to 599"},
        {"keys:\n  - key: a\n    faults: 3\n", "f.yaml:3: faults: expected a list of faults"},
        {"default:\n  state: dead\n", "f.yaml:2: state: expected good, revoked"},
        {"default: 5\n", "f.yaml:1: default: expected names and values"},
        {"models:\n  - 5\n", "f.yaml:1: models: expected a list of models"},
        {"keys: [", "f.yaml:2: "},
        {"- a\n", "f.yaml:1: expected names"},
        {"keys: &x []\nmodels: *x\n", "f.yaml:2: anchors and aliases"},
        {"a: 1\n---\nb: 1\n", "f.yaml:3: one document only"},
    };
    char reason[1024];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(read_text(rows[i].text, reason, sizeof(reason)), STATUS_INVALID);
        if (strncmp(reason, rows[i].reason, strlen(rows[i].reason)) != 0)
            fail_msg("%s\nsaid: %s\nnot:  %s", rows[i].text, reason, rows[i].reason);
        keyring_fini(&ring);
    }
}

static void a_default_makes_keys(void **state)
{
    char reason[512];

    (void)state;
    assert_int_equal(read_text("default: {rpm: 2, faults: [{fault: garbage, count: 1}]}\n", reason,
                               sizeof(reason)),
                     STATUS_OK);
    struct mock_key *a = keyring_get(&ring, SLICE("sk-1")), *b = keyring_get(&ring, SLICE("sk-2"));
    assert_non_null(a);
    assert_non_null(b);
    assert_int_equal(a->config.rpm, 2);
    assert_string_not_equal(a->config.organization, b->config.organization);
    assert_false(list_empty(&a->faults));
    assert_false(list_empty(&b->faults));
    keyring_fini(&ring);
}

static void an_empty_script_knows_no_key(void **state)
{
    char reason[512];

    (void)state;
    assert_int_equal(read_text("", reason, sizeof(reason)), STATUS_OK);
    assert_null(keyring_get(&ring, SLICE("sk-1")));
    keyring_fini(&ring);
}

static void a_missing_file_is_said(void **state)
{
    struct buffer why = {0};

    (void)state;
    keyring_init(&ring);
    assert_int_equal(script_load(&ring, "/nonexistent/f.yaml", &why), STATUS_IO);
    assert_true(
        slice_eq(buffer_slice(&why), SLICE("/nonexistent/f.yaml: No such file or directory")));
    buffer_clear(&why);
    keyring_fini(&ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_script),          cmocka_unit_test(errors_say_where),
        cmocka_unit_test(a_default_makes_keys),   cmocka_unit_test(an_empty_script_knows_no_key),
        cmocka_unit_test(a_missing_file_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
