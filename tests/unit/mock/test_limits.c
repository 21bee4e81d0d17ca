#include "mock_test.h"

#include "mock/limits.h"
#include "openai/hints.h"

#define S INT64_C(1000000000)

static struct keyring ring;
static struct bucket_set buckets;

static int begin(void **state)
{
    (void)state;
    keyring_init(&ring);
    bucket_set_init(&buckets);
    return 0;
}

static int end(void **state)
{
    (void)state;
    keyring_fini(&ring);
    bucket_set_fini(&buckets);
    return 0;
}

static void put(const char *key, const char *text)
{
    struct problem problem;
    json_t *json = json_of(text);
    assert_true(keyring_put(&ring, slice_str(key), json, &problem));
    json_decref(json);
}

static const struct route *route_of(const char *path)
{
    size_t i = 0;
    while (route_at(i) && strcmp(route_at(i)->path, path) != 0)
        i++;
    return route_at(i);
}

static struct call call_of(const char *path, const char *model, int64_t tokens)
{
    struct call call = {.route = route_of(path), .prompt_tokens = tokens, .n = 1};
    slice_copy(slice_str(model), call.model, sizeof(call.model));
    return call;
}

/* Admits, and reads the headers as a client would. */
static bool admit(const char *key, const struct call *call, int64_t now_ns, struct hints *hints,
                  struct reply *reply)
{
    reply_init(reply);
    bool good = limits_admit(&buckets, keyring_find(&ring, slice_str(key)), call, now_ns, reply);
    struct slice rest = buffer_slice(&reply->fields), line;
    hints_init(hints);
    while (slice_next_item(&rest, '\n', &line)) {
        const char *colon = line.len ? memchr(line.ptr, ':', line.len) : NULL;
        if (!colon)
            continue;
        size_t name = (size_t)(colon - line.ptr);
        assert_true(hints_field(hints, slice_of(line.ptr, name),
                                slice_trim(slice_of(colon + 1, line.len - name - 2)), 0));
    }
    return good;
}

static void a_project_shares_and_headers_tell(void **state)
{
    struct call call = call_of("/responses", "m", 100);
    struct hints h;
    struct reply reply;

    (void)state;
    put("a", "{'project':'p','rpm':2,'tpm':1000}");
    put("b", "{'project':'p','rpm':2,'tpm':1000}");
    put("c", "{'project':'q','rpm':2}");
    assert_true(admit("a", &call, 0, &h, &reply));
    assert_int_equal(h.limits[LIMIT_REQUESTS].limit, 2);
    assert_int_equal(h.limits[LIMIT_REQUESTS].remaining, 1);
    assert_int_equal(h.limits[LIMIT_REQUESTS].reset_ns, 30 * S);
    assert_int_equal(h.limits[LIMIT_TOKENS].remaining, 900);
    assert_int_equal(h.limits[LIMIT_TOKENS].reset_ns, 6 * S);
    reply_clear(&reply);
    assert_true(admit("b", &call, 0, &h, &reply));
    assert_int_equal(h.limits[LIMIT_REQUESTS].remaining, 0);
    reply_clear(&reply);

    assert_false(admit("a", &call, 0, &h, &reply)); /* nothing is left of the project's */
    assert_int_equal(reply.status, 429);
    assert_int_equal(h.retry_after_ms_ns, 30 * S);
    assert_int_equal(h.retry_after_ns, 30 * S);
    assert_int_equal(h.limits[LIMIT_TOKENS].remaining, 800); /* a refusal takes nothing */
    json_t *json = json_loadb(reply.body.data, reply.body.len, 0, NULL);
    const char *message =
        json_string_value(json_object_get(json_object_get(json, "error"), "message"));
    assert_int_equal(message_wait_ns(slice_str(message)), 30 * S);
    json_decref(json);
    reply_clear(&reply);

    struct call other = call_of("/responses", "n", 1);
    assert_true(admit("a", &other, 0, &h, &reply)); /* another model, another bucket */
    reply_clear(&reply);
    assert_true(admit("c", &call, 0, &h, &reply)); /* another project */
    reply_clear(&reply);
    assert_true(admit("a", &call, 30 * S, &h, &reply)); /* as the headers promised */
    reply_clear(&reply);
}

static void an_organisation_limits_its_projects(void **state)
{
    struct call call = call_of("/responses", "m", 1);
    struct hints h;
    struct reply reply;

    (void)state;
    put("a", "{'organization':'o','project':'p','rpm':5,'org_rpm':2}");
    put("b", "{'organization':'o','project':'q','org_rpm':2}");
    assert_true(admit("a", &call, 0, &h, &reply));
    assert_int_equal(h.limits[LIMIT_REQUESTS].limit, 2);
    assert_int_equal(h.limits[LIMIT_PROJECT_REQUESTS].limit, 5);
    reply_clear(&reply);
    assert_true(admit("b", &call, 0, &h, &reply));
    reply_clear(&reply);
    assert_false(admit("a", &call, 0, &h, &reply));
    assert_int_equal(h.limits[LIMIT_PROJECT_REQUESTS].remaining, 4);
    reply_clear(&reply);
}

static void too_large_is_no_matter_of_time(void **state)
{
    struct call call = call_of("/responses", "m", 10);
    struct hints h;
    struct reply reply;

    (void)state;
    put("a", "{'tpm':1000}");
    call.max_output_tokens = 500;
    call.n = 2;
    assert_false(admit("a", &call, 0, &h, &reply));
    assert_int_equal(h.retry_after_ns, HINT_NONE);
    assert_true(slice_contains_nocase(buffer_slice(&reply.body), SLICE("Request too large")));
    assert_true(
        slice_contains_nocase(buffer_slice(&reply.body), SLICE("Limit 1000, Requested 1010")));
    reply_clear(&reply);
}

static void images_count_where_images_are_made(void **state)
{
    struct call image = call_of("/images/generations", "i", 1),
                text = call_of("/responses", "i", 1);
    struct hints h;
    struct reply reply;

    (void)state;
    put("a", "{'ipm':5}");
    image.n = 4;
    assert_true(admit("a", &image, 0, &h, &reply));
    assert_int_equal(h.limits[LIMIT_IMAGES].remaining, 1);
    reply_clear(&reply);
    assert_false(admit("a", &image, 0, &h, &reply));
    assert_true(
        slice_contains_nocase(buffer_slice(&reply.body), SLICE("\"type\":\"input-images\"")));
    reply_clear(&reply);
    assert_true(admit("a", &text, 0, &h, &reply));
    assert_int_equal(reply.fields.len, 0);
    reply_clear(&reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_project_shares_and_headers_tell, begin, end),
        cmocka_unit_test_setup_teardown(an_organisation_limits_its_projects, begin, end),
        cmocka_unit_test_setup_teardown(too_large_is_no_matter_of_time, begin, end),
        cmocka_unit_test_setup_teardown(images_count_where_images_are_made, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
