#include "mock_test.h"

#include "mock/keys.h"

static struct keyring ring;

static int begin(void **state)
{
    (void)state;
    keyring_init(&ring);
    return 0;
}

static int end(void **state)
{
    (void)state;
    keyring_fini(&ring);
    return 0;
}

static bool put(const char *key, const char *text)
{
    struct problem problem;
    json_t *json = json_of(text);
    bool good = keyring_put(&ring, slice_str(key), json, &problem);
    json_decref(json);
    return good;
}

/* 200, or the status and code of the refusal. */
static int admit(const char *key, const char *path, const char *model, bool stream, char code[64])
{
    struct call call = {.stream = stream};
    struct reply reply;
    bool models = strncmp(path, "/models", 7) == 0;

    reply_init(&reply);
    for (size_t i = 0; route_at(i); i++) {
        if (strcmp(route_at(i)->path, path) == 0)
            call.route = route_at(i);
    }
    assert_non_null(call.route);
    slice_copy(slice_str(model), models ? call.id : call.model, CALL_NAME_MAX + 1);
    code[0] = '\0';
    if (!key_admits(&ring, keyring_get(&ring, slice_str(key)), &call, &reply)) {
        json_t *json = json_loadb(reply.body.data, reply.body.len, 0, NULL);
        const char *said =
            json_string_value(json_object_get(json_object_get(json, "error"), "code"));
        slice_copy(slice_str(said), code, 64);
        json_decref(json);
    }
    int status = reply.status;
    reply_clear(&reply);
    return status;
}

static void states_and_what_they_refuse(void **state)
{
    static const struct {
        const char *config, *path, *model;
        bool stream;
        int status;
        const char *code;
    } rows[] = {
        {"{}", "/responses", "m", false, 200, ""},
        {"{'state':'revoked'}", "/responses", "m", false, 401, "invalid_api_key"},
        {"{'state':'revoked'}", "/models", "", false, 401, "invalid_api_key"},
        {"{'state':'deactivated'}", "/models", "", false, 401, "account_deactivated"},
        {"{'state':'insufficient_quota'}", "/responses", "m", false, 429, "insufficient_quota"},
        {"{'state':'insufficient_quota'}", "/models", "", false, 200, ""},
        {"{'state':'project_spend_limit_exceeded'}", "/responses", "m", false, 429,
         "project_spend_limit_exceeded"},
        {"{'state':'billing_hard_limit_reached'}", "/responses", "m", false, 400,
         "billing_hard_limit_reached"},
        {"{'state':'unsupported_region'}", "/models", "", false, 403,
         "unsupported_country_region_territory"},
        {"{'scopes':['chat']}", "/chat/completions", "m", false, 200, ""},
        {"{'scopes':['chat']}", "/responses", "m", false, 401, ""},
        {"{'scopes':['chat']}", "/models", "", false, 401, ""},
        {"{'models':['m']}", "/responses", "m", false, 200, ""},
        {"{'models':['m']}", "/responses", "n", false, 404, "model_not_found"},
        {"{'no_access':['n']}", "/responses", "n", false, 404, "model_not_found"},
        {"{'no_access':['n'],'no_access_form':'403'}", "/responses", "n", false, 403,
         "model_not_found"},
        {"{'no_access':['n']}", "/models/", "n", false, 404, "model_not_found"},
        {"{'unverified':['m']}", "/responses", "m", false, 403, ""},
        {"{'unverified':['m']}", "/responses", "m", true, 400, "unsupported_value"},
        {"{'unverified':['m']}", "/models/", "m", false, 200, ""},
    };
    char code[64];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        begin(state);
        assert_true(put("sk-a", rows[i].config));
        assert_int_equal(admit("sk-a", rows[i].path, rows[i].model, rows[i].stream, code),
                         rows[i].status);
        assert_string_equal(code, rows[i].code);
        end(state);
    }
}

static void models_that_do_not_exist(void **state)
{
    struct problem problem;
    char code[64];
    json_t *models = json_of("['m']");

    (void)state;
    assert_true(keyring_set_models(&ring, models, &problem));
    json_decref(models);
    assert_int_equal(admit("sk-x", "/responses", "m", false, code), 200);
    assert_int_equal(admit("sk-x", "/responses", "n", false, code), 404);
    assert_int_equal(admit("sk-x", "/models/", "n", false, code), 404);
}

static void settings_merge_and_a_bad_one_changes_nothing(void **state)
{
    (void)state;
    assert_true(put("sk-a", "{'rpm':3,'models':['m'],'faults':[{'fault':'garbage'}]}"));
    assert_true(put("sk-a", "{'tpm':100}"));
    struct mock_key *key = keyring_find(&ring, SLICE("sk-a"));
    assert_int_equal(key->config.rpm, 3);
    assert_int_equal(key->config.tpm, 100);
    assert_false(list_empty(&key->faults));

    assert_false(put("sk-a", "{'rpm':9,'models':['x'],'faults':[],'state':'odd'}"));
    assert_false(put("sk-a", "{'rpm':9,'faults':[{'fault':'odd'}]}"));
    assert_false(put("sk-a", "{'window_ms':0}"));
    assert_int_equal(key->config.rpm, 3);
    assert_string_equal(json_string_value(json_array_get(key->config.models, 0)), "m");
    assert_false(list_empty(&key->faults));

    assert_true(put("sk-a", "{'models':null,'faults':[]}"));
    assert_null(key->config.models);
    assert_true(list_empty(&key->faults));
}

static void header_splitting_is_no_name(void **state)
{
    (void)state;
    assert_false(put("sk-a", "{'organization':'a\\r\\nx: y'}"));
}

static void each_stranger_is_its_own_organisation(void **state)
{
    (void)state;
    const struct mock_key *a = keyring_get(&ring, SLICE("sk-1")),
                          *b = keyring_get(&ring, SLICE("sk-2"));
    assert_ptr_equal(a, keyring_get(&ring, SLICE("sk-1")));
    assert_string_not_equal(a->config.organization, b->config.organization);
    assert_string_not_equal(a->config.project, b->config.project);
    for (int i = 0; i < 1000; i++) {
        char name[16];
        int len = snprintf(name, sizeof(name), "k%d", i);
        assert_non_null(keyring_get(&ring, slice_of(name, (size_t)len)));
    }
    assert_int_equal(ring.count, 1002);
    assert_ptr_equal(a, keyring_find(&ring, SLICE("sk-1")));
}

static void tallies_stay_small(void **state)
{
    struct tally tally = {0};
    uint64_t sum = 0;

    (void)state;
    for (int i = 0; i < 100; i++)
        tally_status(&tally, 200 + i);
    tally_status(&tally, 200);
    assert_int_equal(tally.status_count, KEY_STATUSES_MAX);
    assert_int_equal(tally.statuses[0].count, 2);
    assert_int_equal(tally.statuses[KEY_STATUSES_MAX - 1].status, -1);
    for (size_t i = 0; i < tally.status_count; i++)
        sum += tally.statuses[i].count;
    assert_int_equal(sum, 101);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_and_what_they_refuse),
        cmocka_unit_test_setup_teardown(models_that_do_not_exist, begin, end),
        cmocka_unit_test_setup_teardown(settings_merge_and_a_bad_one_changes_nothing, begin, end),
        cmocka_unit_test_setup_teardown(header_splitting_is_no_name, begin, end),
        cmocka_unit_test_setup_teardown(each_stranger_is_its_own_organisation, begin, end),
        cmocka_unit_test(tallies_stay_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
