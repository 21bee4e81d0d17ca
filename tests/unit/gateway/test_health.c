/* GET /api/openai/health, field by field. */
#include "answer_test.h"

#include <jansson.h>

#include "../settings/fixture.h"
#include "../support/verdicts.h"
#include "gateway/health.h"
#include "gateway/respond.h"

static struct keyring *ring;
static struct fixture *fixture;
static int64_t now_ns;
static json_t *told; /* the last document */

static void gone(struct server_conn *request)
{
    (void)request;
}

static const struct server_ops ops = {
    .head = wire_head, .body = wire_body, .complete = wire_complete, .gone = gone};

/* Three keys, round-robin, so that a test can tell whose turn it is. */
static int set_up(void **state)
{
    if (fixture_set_up(state) != 0 || wire_set_up_with(&ops) != 0)
        return -1;
    fixture = *state;
    now_ns = 100 * S;
    must_load(fixture, NULL,
              LIST("OPENAI_API_KEY=" KEY_A, "OPENAI_API_KEY_FALLBACK_1=" KEY_B,
                   "OPENAI_API_KEY_FALLBACK_2=" KEY_C, "SPAREKEY_STRATEGY=round-robin",
                   "SPAREKEY_PROOF_WAIT=0"));
    return keyring_new(fixture->settings, now_ns, NULL, NULL, &ring) == STATUS_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    json_decref(told);
    told = NULL;
    keyring_free(ring);
    return wire_tear_down() == 0 ? fixture_tear_down(state) : -1;
}

/* Requests until the key has answered so many of them in this way; the others succeed. */
static void answers(const char *secret, const struct verdict *verdict, unsigned times)
{
    const struct evidence evidence = {.status = 418, .code = "a_code", .request_id = "req_7"};
    const struct answer_facts facts = {0};
    const struct plan_request request = {
        .stateless = true, .model = SLICE("m"), .deadline_ns = 10000 * S};

    while (times) {
        struct plan plan;
        struct plan_step step;
        struct key_entry *entry;
        keyring_begin(ring, &plan, &request, now_ns, &step, &entry);
        assert_int_equal(step.action, PLAN_SEND);
        bool meant = slice_eq(secret_bytes(entry->secret), slice_str(secret));
        times -= meant;
        (void)keyring_hear(ring, &plan, meant ? verdict : &served, &evidence, &facts, now_ns);
        keyring_end(ring, &plan, now_ns);
        key_entry_unref(entry);
    }
}

static void answer(struct server_conn *request)
{
    bool ready;
    char *text = health_document(ring, now_ns, &ready);

    assert_non_null(text);
    respond_json(request, ready ? 200 : 503, slice_str(text));
    free(text);
}

static void ask(const char *line)
{
    json_decref(told);
    (void)wire_answer(answer, line);
    told = json_loads(wire.body, 0, NULL);
    assert_non_null(told);
}

#define OK   "HTTP/1.1 200 OK\r\n"
#define NONE "HTTP/1.1 503 Service Unavailable\r\n"

/* The document has exactly these members, in any order. */
static void assert_same(const json_t *got, json_t *expected)
{
    assert_non_null(expected);
    if (!json_equal(got, expected)) {
        char *a = json_dumps(got, JSON_SORT_KEYS), *b = json_dumps(expected, JSON_SORT_KEYS);
        fail_msg("got\n%s\nexpected\n%s", a, b);
    }
    json_decref(expected);
}

static const json_t *key_at(size_t index)
{
    return json_array_get(json_object_get(told, "keys"), index);
}

static void assert_overall(bool success_, const char *overall)
{
    assert_int_equal(json_object_size(told), 4);
    assert_int_equal(json_is_true(json_object_get(told, "success")), success_);
    assert_string_equal(json_string_value(json_object_get(told, "overallStatus")), overall);
}

static void assert_summary(int total, int healthy, int rate_limited, int unhealthy, double rate)
{
    assert_same(json_object_get(told, "summary"),
                json_pack("{s:i, s:i, s:i, s:i, s:f}", "totalKeys", total, "healthyKeys", healthy,
                          "rateLimitedKeys", rate_limited, "unhealthyKeys", unhealthy,
                          "overallSuccessRate", rate));
}

static void before_the_first_request(void **state)
{
    (void)state;
    ask(OK);
    assert_overall(true, "healthy");
    assert_summary(3, 3, 0, 0, 100.0);
    assert_int_equal(json_array_size(json_object_get(told, "keys")), 3);
    assert_same(key_at(1),
                json_pack("{s:s, s:s, s:b, s:i, s:i, s:i, s:f, s:b, s:s, s:i}", "keyId",
                          "sk-proj...BBBB", "name", "OPENAI_API_KEY_FALLBACK_1", "isHealthy", 1,
                          "errorCount", 0, "successCount", 0, "totalRequests", 0, "successRate",
                          100.0, "isRateLimited", 0, "circuit", "closed", "inFlight", 0));
}

/* 1 of 3 is 33.33 per cent: two decimals, and never more than there were. */
static void rates_have_two_decimals(void **state)
{
    (void)state;
    answers(KEY_A, &served, 1);
    answers(KEY_A, &caller_fault, 2);
    ask(OK);
    json_int_t requests = 0, successes = 0;
    for (size_t i = 0; i < 3; i++) {
        requests += json_integer_value(json_object_get(key_at(i), "totalRequests"));
        successes += json_integer_value(json_object_get(key_at(i), "successCount"));
    }
    double rate = json_real_value(json_object_get(key_at(0), "successRate"));
    double all =
        json_real_value(json_object_get(json_object_get(told, "summary"), "overallSuccessRate"));
    assert_int_equal(json_integer_value(json_object_get(key_at(0), "totalRequests")), 3);
    assert_true(rate == 33.33);
    assert_true(all == (double)(successes * 10000 / requests) / 100.0);
}

static void a_revoked_key(void **state)
{
    (void)state;
    answers(KEY_B, &revoked, 1);
    now_ns += 5 * S;
    ask(OK);
    assert_overall(true, "degraded");
    json_t *reason = json_object_get(key_at(1), "reason");
    assert_int_equal(json_integer_value(json_object_get(reason, "openForMs")), 5000);
    json_int_t opens_in_ms = json_integer_value(json_object_get(reason, "opensInMs"));
    assert_in_range(opens_in_ms, 895000, 990000); /* 900 s and at most a tenth more, 5 s ago */
    assert_same(reason,
                json_pack("{s:s, s:s, s:i, s:I, s:{s:i, s:s, s:s}}", "class", "revoked", "scope",
                          "key", "openForMs", 5000, "opensInMs", opens_in_ms, "evidence", "status",
                          418, "code", "a_code", "requestId", "req_7"));
    assert_true(json_is_false(json_object_get(key_at(1), "isHealthy")));
    assert_true(json_is_false(json_object_get(key_at(1), "isRateLimited")));
    assert_string_equal(json_string_value(json_object_get(key_at(1), "circuit")), "open");
    assert_int_equal(json_integer_value(json_object_get(key_at(1), "errorCount")), 1);
    assert_null(json_object_get(key_at(0), "reason"));
}

/* A limit passes by itself: that is not "degraded". */
static void a_limited_key(void **state)
{
    const struct verdict for_long = with_wait(limited, 40 * S);

    (void)state;
    answers(KEY_C, &for_long, 1);
    ask(OK);
    assert_overall(true, "healthy");
    const json_t *summary = json_object_get(told, "summary");
    assert_int_equal(json_integer_value(json_object_get(summary, "healthyKeys")), 2);
    assert_int_equal(json_integer_value(json_object_get(summary, "rateLimitedKeys")), 1);
    assert_int_equal(json_integer_value(json_object_get(summary, "unhealthyKeys")), 0);
    assert_true(json_is_true(json_object_get(key_at(2), "isRateLimited")));
    assert_true(json_is_false(json_object_get(key_at(2), "isHealthy")));
}

static void no_key_is_left(void **state)
{
    const struct verdict for_long = with_wait(limited, 40 * S);

    (void)state;
    answers(KEY_A, &revoked, 1);
    answers(KEY_B, &revoked, 1);
    answers(KEY_C, &for_long, 1);
    ask(NONE);
    assert_overall(false, "unhealthy");
    const json_t *summary = json_object_get(told, "summary");
    assert_int_equal(json_integer_value(json_object_get(summary, "healthyKeys")), 0);
    assert_int_equal(json_integer_value(json_object_get(summary, "rateLimitedKeys")), 1);
    assert_int_equal(json_integer_value(json_object_get(summary, "unhealthyKeys")), 2);
}

static void accounts_are_shown_once_known(void **state)
{
    (void)state;
    const struct answer_facts facts = {.organization = SLICE("org-1"), .project = SLICE("proj_1")};
    const struct plan_request request = {.model = SLICE("m"), .deadline_ns = 10000 * S};
    struct plan plan;
    struct plan_step step;
    struct key_entry *entry;

    keyring_begin(ring, &plan, &request, now_ns, &step, &entry);
    assert_int_equal(step.action, PLAN_SEND);
    char name[KEY_NAME_MAX];
    size_t index = 0;
    (void)key_entry_name(entry, name);
    ask(OK);
    while (strcmp(json_string_value(json_object_get(key_at(index), "name")), name) != 0)
        index++;
    assert_int_equal(json_integer_value(json_object_get(key_at(index), "inFlight")), 1);
    assert_null(json_object_get(key_at(index), "organization"));
    keyring_succeed(ring, &plan, &facts, now_ns);
    key_entry_unref(entry);
    ask(OK);
    assert_string_equal(json_string_value(json_object_get(key_at(index), "organization")), "org-1");
    assert_string_equal(json_string_value(json_object_get(key_at(index), "project")), "proj_1");
    assert_int_equal(json_integer_value(json_object_get(key_at(index), "inFlight")), 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(before_the_first_request),
        test(rates_have_two_decimals),
        test(a_revoked_key),
        test(a_limited_key),
        test(no_key_is_left),
        test(accounts_are_shown_once_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
