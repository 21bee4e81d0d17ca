/* GET /api/openai/health, field by field. */
#include "answer_test.h"

#include <jansson.h>
#include <stdio.h>
#include <time.h>

#include "../settings/fixture.h"
#include "../support/verdicts.h"
#include "gateway/health.h"
#include "gateway/respond.h"

static struct keyring *ring;
static struct fixture *fixture;
static int64_t now_ns;
static struct health_query query;
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
    query = health_query_all();
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
    const struct answer_facts facts = {.model = SLICE("m")};
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
    struct buffer text = {0};
    bool ready;

    assert_int_equal(health_document(ring, &query, now_ns, &text, &ready), STATUS_OK);
    respond_json(request, ready ? 200 : 503, buffer_slice(&text));
    buffer_clear(&text);
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

static const char *text_at(size_t index, const char *name)
{
    const char *text = json_string_value(json_object_get(key_at(index), name));

    assert_non_null(text);
    return text;
}

/* The field is an ISO time so many milliseconds after this one; the clock may go on by as much as
 * the test has taken. */
static void assert_iso_in(const char *name, const json_t *key, int64_t least_ms, int64_t most_ms)
{
    const char *text = json_string_value(json_object_get(key, name));
    struct tm tm = {0};
    int64_t wall_ms = net_wall_ms();
    int ms;

    assert_non_null(text);
    assert_int_equal(strlen(text), sizeof "2026-01-02T03:04:05.678Z" - 1);
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    assert_non_null(rest);
    assert_int_equal(sscanf(rest, ".%3dZ", &ms), 1);
    int64_t from_now_ms = (int64_t)timegm(&tm) * 1000 + ms - wall_ms;
    assert_true(from_now_ms >= least_ms - 10000 && from_now_ms <= most_ms);
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
    assert_same(
        key_at(1),
        json_pack("{s:s, s:s, s:b, s:i, s:i, s:i, s:f, s:b, s:n, s:n, s:n, s:s, s:b, s:n, s:n, "
                  "s:n, s:n, s:n, s:n, s:i, s:[]}",
                  "keyId", "sk-proj...BBBB", "name", "OPENAI_API_KEY_FALLBACK_1", "isHealthy", 1,
                  "errorCount", 0, "successCount", 0, "totalRequests", 0, "successRate", 100.0,
                  "isRateLimited", 0, "lastUsed", "rateLimitResetAt", "recoveryTime", "circuit",
                  "closed", "disabled", 0, "reason", "since", "evidence", "readmittedBy",
                  "organization", "project", "inFlight", 0, "models"));
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
    assert_true(json_is_null(json_object_get(key_at(0), "reason")));
    assert_same(
        json_object_get(key_at(1), "evidence"),
        json_pack("{s:i, s:s, s:s}", "status", 418, "code", "a_code", "requestId", "req_7"));
    assert_iso_in("since", key_at(1), -5000, -5000);
    assert_iso_in("recoveryTime", key_at(1), 895000, 990000);
    assert_iso_in("lastUsed", key_at(1), -5000, -5000);
    assert_true(json_is_null(json_object_get(key_at(1), "rateLimitResetAt")));
    assert_string_equal(text_at(1, "readmittedBy"), "free probe");
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
    assert_iso_in("rateLimitResetAt", key_at(2), 40000, 44000);
    assert_iso_in("recoveryTime", key_at(2), 40000, 44000);
}

/* What a request names is shown by that name, with what stops it and until when. */
static void a_limited_model_is_named(void **state)
{
    const struct verdict for_long = with_wait(limited, 40 * S);

    (void)state;
    answers(KEY_C, &for_long, 1);
    ask(OK);
    const json_t *models = json_object_get(key_at(2), "models");
    assert_int_equal(json_array_size(models), 1);
    const json_t *model = json_array_get(models, 0);
    assert_string_equal(json_string_value(json_object_get(model, "model")), "m");
    assert_string_equal(json_string_value(json_object_get(model, "circuit")), "open");
    assert_string_equal(json_string_value(json_object_get(model, "reason")), "rate_limited");
    assert_iso_in("cooldownUntil", model, 40000, 44000);
    assert_same(json_object_get(model, "headroom"), json_pack("{s:n, s:n}", "requests", "tokens"));
    assert_int_equal(json_array_size(json_object_get(key_at(0), "models")), 0);
}

static void headroom_is_what_is_left(void **state)
{
    struct limit_report limits;
    const struct answer_facts facts = {.limits = &limits, .model = SLICE("m")};
    const struct plan_request request = {
        .stateless = true, .model = SLICE("m"), .deadline_ns = 10000 * S};
    struct plan plan;
    struct plan_step step;
    struct key_entry *entry;

    (void)state;
    for (unsigned i = 0; i < REPORT_DIMENSIONS; i++)
        limits.readings[i] = (struct limit_reading){-1, -1, -1};
    limits.readings[REPORT_REQUESTS] = (struct limit_reading){100, 40, 60 * S};
    limits.readings[REPORT_TOKENS] = (struct limit_reading){1000, 900, 6 * S};
    keyring_begin(ring, &plan, &request, now_ns, &step, &entry);
    keyring_succeed(ring, &plan, &facts, now_ns);
    key_entry_unref(entry);
    ask(OK);
    const json_t *model = json_array_get(json_object_get(key_at(0), "models"), 0);
    assert_same(model, json_pack("{s:s, s:{s:f, s:f}, s:i, s:i, s:i, s:i, s:s, s:n, s:n}", "model",
                                 "m", "headroom", "requests", 0.4, "tokens", 0.9, "requestsLeft",
                                 40, "requestsLimit", 100, "tokensLeft", 900, "tokensLimit", 1000,
                                 "circuit", "closed", "reason", "cooldownUntil"));
}

static void an_operator_takes_a_key_out_and_back(void **state)
{
    struct key_status key;

    (void)state;
    assert_int_equal(
        keyring_order(ring, "OPENAI_API_KEY_FALLBACK_1", KEY_ORDER_DISABLE, now_ns, &key),
        KEY_MATCH_ONE);
    ask(OK);
    assert_overall(true, "degraded");
    assert_summary(3, 2, 0, 1, 100.0);
    assert_same(json_object_get(key_at(1), "reason"),
                json_pack("{s:s, s:s, s:s}", "class", "disabled", "scope", "key", "text",
                          "disabled by operator"));
    assert_string_equal(text_at(1, "readmittedBy"), "operator");
    assert_true(json_is_true(json_object_get(key_at(1), "disabled")));
    assert_true(json_is_null(json_object_get(key_at(1), "recoveryTime")));
    assert_int_equal(keyring_order(ring, "1", KEY_ORDER_ENABLE, now_ns, &key), KEY_MATCH_ONE);
    ask(OK);
    assert_overall(true, "healthy");
}

/* The summary is that of all keys, whatever part is shown. */
static void a_part_is_shown_when_asked_for(void **state)
{
    (void)state;
    answers(KEY_B, &revoked, 1);
    query.paged = true;
    query.offset = 1;
    query.limit = 1;
    ask(OK);
    assert_summary(3, 2, 0, 1, 50.0);
    assert_int_equal(json_array_size(json_object_get(told, "keys")), 1);
    assert_string_equal(text_at(0, "name"), "OPENAI_API_KEY_FALLBACK_1");
    query = health_query_all();
    query.paged = true;
    query.condition = KEY_HEALTHY;
    ask(OK);
    assert_same(json_object_get(told, "page"),
                json_pack("{s:i, s:i, s:i, s:i}", "offset", 0, "limit", HEALTH_KEYS_MAX, "shown", 2,
                          "matched", 2));
    assert_string_equal(text_at(1, "name"), "OPENAI_API_KEY_FALLBACK_2");
}

static void no_key_is_left(void **state)
{
    const struct verdict for_long = with_wait(limited, 40 * S);

    (void)state;
    answers(KEY_A, &revoked, 1);
    answers(KEY_B, &revoked, 1);
    answers(KEY_C, &for_long, 1);
    ask(OK); /* it serves other models */
    assert_overall(true, "degraded");
    now_ns += 50 * S;
    answers(KEY_C, &no_quota, 1);
    ask(NONE);
    assert_overall(false, "unhealthy");
    const json_t *summary = json_object_get(told, "summary");
    assert_int_equal(json_integer_value(json_object_get(summary, "healthyKeys")), 0);
    assert_int_equal(json_integer_value(json_object_get(summary, "unhealthyKeys")), 3);
}

/* Their time has come and no request has: whoever asks before sending one must hear that one may. */
static void time_alone_makes_ready(void **state)
{
    (void)state;
    answers(KEY_A, &no_quota, 1);
    answers(KEY_B, &no_quota, 1);
    answers(KEY_C, &no_quota, 1);
    ask(NONE);
    now_ns += 3600 * S;
    ask(OK);
    assert_overall(true, "degraded");
    assert_string_equal(text_at(0, "circuit"), "half-open");
    assert_string_equal(text_at(0, "readmittedBy"), "a live request");
}

/* Every key at its limit for one model: the gateway serves all the others. */
static void a_limit_of_one_model_is_no_outage(void **state)
{
    const struct verdict for_long = with_wait(limited, 40 * S);

    (void)state;
    answers(KEY_A, &for_long, 1);
    answers(KEY_B, &for_long, 1);
    answers(KEY_C, &for_long, 1);
    ask(OK);
    assert_overall(true, "healthy");
    const json_t *summary = json_object_get(told, "summary");
    assert_int_equal(json_integer_value(json_object_get(summary, "healthyKeys")), 0);
    assert_int_equal(json_integer_value(json_object_get(summary, "rateLimitedKeys")), 3);
}

/* What stopped a disabled key before is told, but when that ends is not when it comes back. */
static void a_disabled_key_that_was_limited(void **state)
{
    const struct verdict for_long = with_wait(limited, 40 * S);
    struct key_status key;

    (void)state;
    answers(KEY_A, &for_long, 1);
    now_ns += 3 * S;
    assert_int_equal(keyring_order(ring, "0", KEY_ORDER_DISABLE, now_ns, &key), KEY_MATCH_ONE);
    now_ns += 2 * S;
    ask(OK);
    assert_true(json_is_null(json_object_get(key_at(0), "rateLimitResetAt")));
    assert_true(json_is_null(json_object_get(key_at(0), "recoveryTime")));
    assert_true(json_is_false(json_object_get(key_at(0), "isRateLimited")));
    assert_iso_in("since", key_at(0), -2000, -2000);
    assert_string_equal(text_at(0, "circuit"), "open");
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
    assert_true(json_is_null(json_object_get(key_at(index), "organization")));
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
        test(a_limited_model_is_named),
        test(headroom_is_what_is_left),
        test(an_operator_takes_a_key_out_and_back),
        test(a_part_is_shown_when_asked_for),
        test(no_key_is_left),
        test(time_alone_makes_ready),
        test(a_limit_of_one_model_is_no_outage),
        test(a_disabled_key_that_was_limited),
        test(accounts_are_shown_once_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
