/* Every row of the decision table (openai-protocol.md §2.2), with the expected verdict written out
 * by hand from the document: nothing here is read from the table under test but its names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "openai/verdict.h"

#define S   INT64_C(1000000000)
#define MIN (60 * S)
#define H   (60 * MIN)

/* An error body; code and param are JSON values as written. */
#define ERR(message, type, param, code)                                                            \
    "{\"error\":{\"message\":\"" message "\",\"type\":\"" type "\",\"param\":" param               \
    ",\"code\":" code "}}"
#define BAD(message, code) ERR(message, "invalid_request_error", "null", code)
#define PAGE               "<!DOCTYPE html><html><head><title>error</title></head></html>"

struct expected {
    const char *row; /* the row of the table this case is about */
    enum transport transport;
    int status;
    const char *body;

    enum reaction reaction;
    enum scope scope;
    enum failure failure;
    enum hop hop;
    enum probe probe;
    int64_t base_ns, cap_ns;
    unsigned max_hops;
    bool one_per_project, blame_on_second, maybe_ran;
};

static struct hints no_hints(void)
{
    struct hints hints;
    hints_init(&hints);
    return hints;
}

static struct verdict judge(struct answer answer, struct evidence *ret_evidence)
{
    struct hints hints = no_hints();
    struct verdict verdict;
    struct evidence evidence;

    if (!answer.hints)
        answer.hints = &hints;
    verdict_of(&answer, &verdict, &evidence);
    if (ret_evidence)
        *ret_evidence = evidence;
    return verdict;
}

static struct verdict judge_body(int status, const char *body)
{
    struct answer answer = {
        .status = status, .request_sent = true, .body = slice_str(body), .family = FAMILY_CHAT};
    return judge(answer, NULL);
}

/* What goes back to the caller and touches nothing. */
#define PASS    .reaction = REACT_RETURN, .scope = SCOPE_REQUEST, .failure = FAILURE_CALLER
#define REFUSED .reaction = REACT_RETURN, .scope = SCOPE_REQUEST, .failure = FAILURE_POLICY
#define NEXT    .reaction = REACT_NEXT
/* "DISABLE": 15 min doubling to 24 h. */
#define DISABLED .base_ns = 15 * MIN, .cap_ns = 24 * H
#define MODEL_GONE                                                                                 \
    NEXT, .scope = SCOPE_PROJECT_MODEL, .failure = FAILURE_MODEL, .hop = HOP_OTHER_PROJECT,        \
          .one_per_project = true, .probe = PROBE_LIVE, .base_ns = H, .cap_ns = H
#define NO_QUOTA                                                                                   \
    NEXT, .scope = SCOPE_ORG, .failure = FAILURE_QUOTA, .hop = HOP_OTHER_ORG, .probe = PROBE_LIVE, \
          .base_ns = 10 * MIN, .cap_ns = 60 * MIN
#define HARD_LIMIT                                                                                 \
    NEXT, .scope = SCOPE_ORG, .failure = FAILURE_QUOTA, .hop = HOP_OTHER_ORG, .probe = PROBE_LIVE, \
          .base_ns = H, .cap_ns = H
#define LIMITED                                                                                    \
    NEXT, .scope = SCOPE_PROJECT_MODEL, .failure = FAILURE_RATE, .hop = HOP_OTHER_PROJECT,         \
          .probe = PROBE_LIVE, .base_ns = S, .cap_ns = 60 * S
#define BUSY                                                                                       \
    NEXT, .scope = SCOPE_SERVICE_MODEL, .failure = FAILURE_OVERLOADED, .probe = PROBE_TIME,        \
          .max_hops = 5, .base_ns = S, .cap_ns = 5 * S
#define SERVICE_DOWN                                                                               \
    NEXT, .scope = SCOPE_SERVICE, .failure = FAILURE_SERVER, .probe = PROBE_TIME,                  \
          .blame_on_second = true, .base_ns = S, .cap_ns = 5 * S
#define NET(why)                                                                                   \
    NEXT, .scope = SCOPE_SERVICE, .failure = why, .probe = PROBE_TIME, .blame_on_second = true,    \
          .base_ns = S, .cap_ns = 5 * S
#define SLOW_EDGE                                                                                  \
    NEXT, .scope = SCOPE_SERVICE_MODEL, .failure = FAILURE_TIMEOUT, .probe = PROBE_TIME,           \
          .blame_on_second = true, .maybe_ran = true, .max_hops = 1, .base_ns = S, .cap_ns = 5 * S
#define WRONG_IP                                                                                   \
    NEXT, .scope = SCOPE_PROJECT, .failure = FAILURE_EGRESS_IP, .hop = HOP_OTHER_PROJECT,          \
          .probe = PROBE_FREE, DISABLED
#define WRONG_ACCOUNT                                                                              \
    NEXT, .scope = SCOPE_KEY, .failure = FAILURE_MISMATCHED, .probe = PROBE_FREE, DISABLED
#define RESTRICTED                                                                                 \
    NEXT, .scope = SCOPE_KEY_FAMILY, .failure = FAILURE_SCOPE, .probe = PROBE_LIVE, DISABLED
#define CLOSED                                                                                     \
    NEXT, .scope = SCOPE_ORG, .failure = FAILURE_DEACTIVATED, .hop = HOP_OTHER_ORG,                \
          .probe = PROBE_FREE, DISABLED
#define BAD_KEY NEXT, .scope = SCOPE_KEY, .failure = FAILURE_REVOKED, .probe = PROBE_FREE, DISABLED
#define NOT_VERIFIED(where)                                                                        \
    NEXT, .scope = where, .failure = FAILURE_UNVERIFIED, .hop = HOP_OTHER_ORG,                     \
          .probe = PROBE_LIVE, .base_ns = H, .cap_ns = 24 * H
#define NO_FLEX                                                                                    \
    .reaction = REACT_SAME, .scope = SCOPE_REQUEST, .failure = FAILURE_TIER, .max_hops = 2,        \
    .base_ns = S, .cap_ns = 8 * S

/* clang-format off */
static const struct expected cases[] = {
    {"dns", .transport = TRANSPORT_DNS, NET(FAILURE_NETWORK)},
    {"connect", .transport = TRANSPORT_CONNECT, NET(FAILURE_NETWORK)},
    {"tls", .transport = TRANSPORT_TLS, NET(FAILURE_NETWORK)},
    {"reset", .transport = TRANSPORT_RESET, NET(FAILURE_NETWORK), .maybe_ran = true},
    {"cut", .transport = TRANSPORT_CUT, .status = 200, NET(FAILURE_CUT), .maybe_ran = true},
    {"timeout", .transport = TRANSPORT_TIMEOUT, NET(FAILURE_TIMEOUT), .maybe_ran = true},
    {"garbage", .transport = TRANSPORT_GARBAGE, NET(FAILURE_GARBAGE), .maybe_ran = true},

    {"400_content_policy_violation", .status = 400, .body = BAD("No.", "\"content_policy_violation\""), REFUSED},
    {"400_invalid_prompt", .status = 400, .body = BAD("No.", "\"invalid_prompt\""), REFUSED},
    {"400_cyber_policy", .status = 400, .body = BAD("No.", "\"cyber_policy\""), REFUSED},
    {"400_bio_policy", .status = 400, .body = BAD("No.", "\"bio_policy\""), REFUSED},
    {"400_misalignment_policy", .status = 400, .body = BAD("No.", "\"misalignment_policy_violation\""), REFUSED},
    {"400_moderation_blocked", .status = 400, REFUSED,
     .body = "{\"error\":{\"code\":\"moderation_blocked\",\"message\":\"safety system\",\"param\":null,\"type\":"
             "\"image_generation_user_error\",\"moderation_details\":{\"moderation_stage\":\"input\",\"categories\":[\"x\"]}}}"},
    {"400_image_content_policy", .status = 400, .body = BAD("No.", "\"image_content_policy_violation\""), REFUSED},
    {"400_content_filter", .status = 400, REFUSED,
     .body = "{\"error\":{\"message\":\"filtered\",\"type\":null,\"param\":\"prompt\",\"code\":\"content_filter\",\"status\":400,"
             "\"innererror\":{\"code\":\"ResponsibleAIPolicyViolation\"}}}"},
    {"400_image_user_error", .status = 400, .body = ERR("No.", "image_generation_user_error", "null", "null"), REFUSED},

    {"400_context_length", .status = 400, .body = BAD("too long", "\"context_length_exceeded\""), PASS},
    {"400_unverified_stream", .status = 400, NOT_VERIFIED(SCOPE_ORG_MODEL_STREAM),
     .body = ERR("Your organization must be verified to stream this model.", "invalid_request_error", "\"stream\"", "\"unsupported_value\"")},
    {"400_previous_response", .status = 400, PASS,
     .body = ERR("Previous response with id 'resp_1' not found.", "invalid_request_error", "\"previous_response_id\"", "\"previous_response_not_found\"")},
    {"400_conversation_locked", .status = 400, .body = BAD("locked", "\"conversation_locked\""),
     .reaction = REACT_SAME, .scope = SCOPE_REQUEST, .failure = FAILURE_CONFLICT, .max_hops = 3, .base_ns = S, .cap_ns = 3 * S},
    {"400_encrypted_content", .status = 400, .body = BAD("foreign", "\"invalid_encrypted_content\""),
     NEXT, .scope = SCOPE_REQUEST, .failure = FAILURE_CALLER, .hop = HOP_OTHER_ORG, .max_hops = 2},
    {"400_billing_hard_limit", .status = 400, .body = BAD("Billing hard limit has been reached", "\"billing_hard_limit_reached\""), HARD_LIMIT},
    {"400_billing_hard_limit_text", .status = 400, .body = BAD("Billing hard limit has been reached", "null"), HARD_LIMIT},
    {"400_service_tier", .status = 400, .body = ERR("This tier is not allowed.", "invalid_request_error", "\"service_tier\"", "null"),
     NEXT, .scope = SCOPE_REQUEST, .failure = FAILURE_TIER, .hop = HOP_OTHER_PROJECT, .max_hops = 1},
    {"400_model_text", .status = 400, .body = BAD("The model `dall-e-3` does not exist.", "null"), MODEL_GONE},

    {"401_invalid_api_key", .status = 401, .body = BAD("Incorrect API key provided: sk-proj-****N0IA.", "\"invalid_api_key\""), BAD_KEY},
    {"401_no_key_sent", .status = 401, .body = BAD("You didn't provide an API key.", "null"),
     NEXT, .scope = SCOPE_REQUEST, .failure = FAILURE_MISMATCHED},
    {"401_account_deactivated", .status = 401, .body = BAD("Closed.", "\"account_deactivated\""), CLOSED},
    {"401_deactivated_text", .status = 401, .body = BAD("The OpenAI account associated with this API key has been deactivated.", "null"), CLOSED},
    {"401_mismatched_organization", .status = 401, .body = BAD("x", "\"mismatched_organization\""), WRONG_ACCOUNT},
    {"401_mismatched_project", .status = 401, .body = BAD("x", "\"mismatched_project\""), WRONG_ACCOUNT},
    {"401_no_such_organization", .status = 401, .body = BAD("No such organization: org-x.", "null"), WRONG_ACCOUNT},
    {"401_not_a_member", .status = 401, .body = BAD("You must be a member of an organization to use the API.", "null"), WRONG_ACCOUNT},
    {"401_missing_scopes", .status = 401, RESTRICTED,
     .body = BAD("You have insufficient permissions for this operation. Missing scopes: model.request.", "null")},
    {"401_insufficient_permissions", .status = 403, .body = BAD("You have insufficient permissions for this operation.", "null"), RESTRICTED},
    {"401_ip_not_authorized", .status = 401, .body = BAD("Your IP address 192.0.2.7 is not authorized.", "null"), WRONG_IP},
    {"401_ip_not_allowed", .status = 403, .body = BAD("IP 192.0.2.7 is not allowed for this project.", "null"), WRONG_IP},
    {"401_ip_allowlist", .status = 401, .body = BAD("Blocked by the IP allow-list.", "null"), WRONG_IP},
    {"401", .status = 401, .body = ERR("Unauthorized", "authentication_error", "null", "null"), BAD_KEY},

    {"403_region", .status = 403, .body = ERR("Country not supported", "request_forbidden", "null", "\"unsupported_country_region_territory\""),
     .reaction = REACT_RETURN, .scope = SCOPE_EGRESS, .failure = FAILURE_REGION, .base_ns = 30 * S, .cap_ns = 5 * MIN},
    {"403_no_access_text", .status = 403, .body = BAD("Project `proj_1` does not have access to model `gpt-x`", "null"), MODEL_GONE},
    {"403_unverified_stream_text", .status = 400, .body = BAD("Your organization must be verified to stream this model.", "null"),
     NOT_VERIFIED(SCOPE_ORG_MODEL_STREAM)},
    {"403_unverified", .status = 403, .body = BAD("Your organization must be verified to use the model `gpt-image-2`.", "null"), NOT_VERIFIED(SCOPE_ORG_MODEL)},
    {"403_unverified_text", .status = 403, .body = BAD("Sorry: the organization must be verified to use the model.", "null"), NOT_VERIFIED(SCOPE_ORG_MODEL)},
    {"403_html", .status = 403, .body = PAGE, .reaction = REACT_RETURN, .scope = SCOPE_SERVICE,
     .failure = FAILURE_FORBIDDEN, .base_ns = 30 * S, .cap_ns = 30 * S},
    {"403", .status = 403, .body = BAD("Permission denied", "null"), NEXT, .scope = SCOPE_KEY_FAMILY,
     .failure = FAILURE_FORBIDDEN, .max_hops = 1, .base_ns = 15 * MIN, .cap_ns = 15 * MIN},

    {"404_model_not_found", .status = 404, .body = BAD("The model `x` does not exist or you do not have access to it.", "\"model_not_found\""), MODEL_GONE},
    {"404_model_text", .status = 404, .body = BAD("The model `x` does not exist or you do not have access to it.", "null"), MODEL_GONE},
    {"404_deployment", .status = 404, .body = "{\"error\":{\"code\":\"DeploymentNotFound\",\"message\":\"No such deployment\"}}", MODEL_GONE},
    {"404_azure_resource", .status = 404, .body = "{\"error\":{\"code\":\"404\",\"message\":\"Resource not found\"}}", MODEL_GONE},
    {"404_not_found", .status = 404, .body = BAD("Response with id 'resp_1' not found.", "\"not_found\""), PASS},
    {"404_no_such_object", .status = 404, .body = BAD("No such File object: file-9", "null"), PASS},
    {"404_unknown_url", .status = 404, .body = BAD("x", "\"unknown_url\""), PASS},
    {"404_invalid_url", .status = 404, .body = BAD("Invalid URL (POST /v1/chat)", "null"), PASS},
    {"404_unknown_request_url", .status = 404, .body = BAD("Unknown request URL: GET /x.", "null"), PASS},

    {"405", .status = 405, .body = BAD("Not allowed", "null"), PASS},
    {"408", .status = 408, .body = "", .reaction = REACT_SAME, .scope = SCOPE_REQUEST, .failure = FAILURE_TIMEOUT,
     .max_hops = 1, .maybe_ran = true, .base_ns = S, .cap_ns = 8 * S},
    {"409", .status = 409, .body = BAD("being changed", "null"), .reaction = REACT_SAME, .scope = SCOPE_REQUEST,
     .failure = FAILURE_CONFLICT, .max_hops = 1, .base_ns = S, .cap_ns = 8 * S},
    {"413", .status = 413, .body = ERR("Maximum content size limit (26214400) exceeded", "server_error", "null", "null"), PASS},
    {"415", .status = 415, .body = BAD("content type", "null"), PASS},
    {"422", .status = 422, .body = BAD("x", "null"), PASS},

    {"429_insufficient_quota", .status = 429, .body = ERR("You exceeded your current quota.", "insufficient_quota", "null", "\"insufficient_quota\""), NO_QUOTA},
    {"429_credit_exhausted", .status = 429, .body = ERR("x", "insufficient_quota", "null", "\"credit_balance_exhausted\""), NO_QUOTA},
    {"429_org_spend_limit", .status = 429, .body = ERR("x", "insufficient_quota", "null", "\"organization_spend_limit_exceeded\""), NO_QUOTA},
    {"429_org_usage_limit", .status = 429, .body = ERR("x", "insufficient_quota", "null", "\"organization_usage_limit_exceeded\""), NO_QUOTA},
    {"429_project_spend_limit", .status = 429, .body = ERR("x", "insufficient_quota", "null", "\"project_spend_limit_exceeded\""),
     NEXT, .scope = SCOPE_PROJECT, .failure = FAILURE_QUOTA, .hop = HOP_OTHER_PROJECT, .probe = PROBE_LIVE, .base_ns = 10 * MIN, .cap_ns = 60 * MIN},
    {"429_quota_type", .status = 429, .body = ERR("x", "insufficient_quota", "null", "null"), NO_QUOTA},
    {"429_quota_text", .status = 429, .body = ERR("You exceeded your current quota, please check your plan.", "x", "null", "null"), NO_QUOTA},
    {"429_quota_word", .status = 429, .body = "{\"error\":\"insufficient_quota\"}", NO_QUOTA},
    {"429_billing_text", .status = 429, .body = ERR("Billing hard limit has been reached.", "x", "null", "null"), NO_QUOTA},
    {"429_too_large", .status = 429, NEXT, .scope = SCOPE_REQUEST, .failure = FAILURE_TOO_LARGE, .hop = HOP_OTHER_PROJECT, .one_per_project = true,
     .body = ERR("Request too large for m-1 in organization org-x on tokens per min (TPM): Limit 30000, Requested 41000.", "tokens", "null", "\"rate_limit_exceeded\"")},
    {"429_requests", .status = 429, .body = ERR("Rate limit reached", "requests", "null", "\"rate_limit_exceeded\""), LIMITED},
    {"429_tokens", .status = 429, LIMITED,
     .body = ERR("Rate limit reached on tokens per min (TPM): Limit 30000, Used 29446, Requested 821.", "tokens", "null", "\"rate_limit_exceeded\"")},
    {"429_images", .status = 429, .body = ERR("x", "images", "null", "\"rate_limit_exceeded\""), LIMITED},
    {"429_input_images", .status = 429, .body = ERR("x", "input-images", "null", "\"rate_limit_exceeded\""), LIMITED},
    {"429_rate_limit", .status = 429, .body = ERR("x", "other", "null", "\"rate_limit_exceeded\""), LIMITED},
    {"429_slow_down", .status = 429, .body = ERR("x", "rate_limit_error", "null", "\"slow_down\""),
     NEXT, .scope = SCOPE_PROJECT_MODEL, .failure = FAILURE_SLOW_DOWN, .hop = HOP_OTHER_PROJECT, .probe = PROBE_LIVE, .base_ns = 15 * S, .cap_ns = 60 * S},
    {"429_flex_code", .status = 429, .body = ERR("x", "x", "null", "\"resource_unavailable\""), NO_FLEX},
    {"429_flex", .status = 429, .body = ERR("Resource Unavailable", "x", "null", "null"), NO_FLEX},
    {"429_overloaded", .status = 429, .body = ERR("The engine is currently overloaded, please try again later", "server_error", "null", "null"), BUSY},
    {"429", .status = 429, .body = "", LIMITED},

    {"500_overloaded", .status = 500, .body = ERR("That model is currently overloaded with other requests.", "server_error", "null", "null"), BUSY},
    {"500", .status = 500, .body = ERR("The server had an error", "server_error", "null", "\"server_error\""),
     NEXT, .scope = SCOPE_SERVICE_MODEL, .failure = FAILURE_SERVER, .probe = PROBE_TIME, .blame_on_second = true, .base_ns = S, .cap_ns = 5 * S},
    {"502", .status = 502, .body = "{\"error\":{\"code\":502,\"type\":\"cf_bad_gateway\",\"message\":\"x\",\"param\":null}}", SERVICE_DOWN},
    {"503_overloaded", .status = 503, .body = ERR("x", "service_unavailable_error", "null", "\"server_is_overloaded\""), BUSY},
    {"503_type", .status = 503, .body = ERR("x", "service_unavailable_error", "null", "null"), BUSY},
    {"508_loop", .status = 508, .body = ERR("x", "sparekey_error", "null", "\"loop_detected\""), PASS},
    {"503_text", .status = 503, .body = ERR("The engine is overloaded", "x", "null", "null"), BUSY},
    {"503", .status = 503, .body = PAGE, NEXT, .scope = SCOPE_SERVICE, .failure = FAILURE_OVERLOADED, .probe = PROBE_TIME,
     .blame_on_second = true, .base_ns = S, .cap_ns = 5 * S},
    {"504", .status = 504, .body = PAGE, SLOW_EDGE},
    {"524", .status = 524, .body = PAGE, SLOW_EDGE},
    {"520", .status = 520, .body = PAGE, SERVICE_DOWN, .maybe_ran = true},
    {"521", .status = 521, .body = PAGE, SERVICE_DOWN},
    {"522", .status = 522, .body = PAGE, SERVICE_DOWN, .maybe_ran = true},
    {"523", .status = 523, .body = PAGE, SERVICE_DOWN},
    {"525", .status = 525, .body = PAGE, SERVICE_DOWN},
    {"526", .status = 526, .body = PAGE, SERVICE_DOWN},
    {"527", .status = 527, .body = PAGE, SERVICE_DOWN, .maybe_ran = true},
    {"530", .status = 530, .body = PAGE, SERVICE_DOWN},

    {"3xx", .status = 302, .body = PAGE, .reaction = REACT_RETURN, .scope = SCOPE_REQUEST, .failure = FAILURE_GARBAGE},
    {"4xx", .status = 418, .body = BAD("x", "\"something_new\""), PASS},
    {"5xx", .status = 599, .body = BAD("x", "\"something_new\""), SERVICE_DOWN},
    {"unknown", .status = 700, .body = "", NEXT, .scope = SCOPE_SERVICE, .failure = FAILURE_GARBAGE, .probe = PROBE_TIME,
     .blame_on_second = true, .maybe_ran = true, .base_ns = S, .cap_ns = 5 * S},

    /* The same meaning in other clothes: further forms of rows above. */
    {"4xx", .status = 400, .body = BAD("Invalid type", "\"invalid_type\""), PASS},
    {"4xx", .status = 400, .body = BAD("We could not parse the JSON body", "null"), PASS},
    {"4xx", .status = 400, .body = ERR("Unsupported value", "invalid_request_error", "\"stream\"", "\"unsupported_value\""), PASS},
    {"4xx", .status = 402, .body = "", PASS},
    {"4xx", .status = 404, .body = BAD("Not here", "null"), PASS},
    {"413", .status = 413, .body = PAGE, PASS},
    {"404_model_not_found", .status = 400, .body = BAD("retired", "\"model_not_found\""), MODEL_GONE},
    {"404_model_not_found", .status = 403, .body = BAD("Project `p` does not have access to model `m`", "\"model_not_found\""), MODEL_GONE},
    {"429_slow_down", .status = 503, .body = ERR("x", "server_error", "null", "\"slow_down\""),
     NEXT, .scope = SCOPE_PROJECT_MODEL, .failure = FAILURE_SLOW_DOWN, .hop = HOP_OTHER_PROJECT, .probe = PROBE_LIVE, .base_ns = 15 * S, .cap_ns = 60 * S},
    {"401", .status = 401, .body = "{\"error\":{\"code\":\"401\",\"message\":\"Access denied due to invalid subscription key\"}}", BAD_KEY},
    {"429", .status = 429, .body = "{\"error\":{\"code\":\"429\",\"message\":\"exceeded token rate limit. Please retry after 9 seconds.\"}}", LIMITED},
    {"429", .status = 429, .body = PAGE, LIMITED},
    {"502", .status = 502, .body = PAGE, SERVICE_DOWN},
    {"502", .status = 502, .body = "", SERVICE_DOWN},
};
/* clang-format on */

static bool row_exists(const char *name)
{
    for (unsigned i = 0; verdict_row(i); i++) {
        if (strcmp(verdict_row(i)->name, name) == 0)
            return true;
    }
    return false;
}

static void check_case(const struct expected *e)
{
    struct answer answer = {.transport = e->transport,
                            .request_sent = true,
                            .status = e->status,
                            .body = slice_str(e->body),
                            .family = FAMILY_CHAT};
    struct verdict v = judge(answer, NULL);

    if (v.reaction != e->reaction || v.scope != e->scope || v.failure != e->failure ||
        v.hop != e->hop || v.probe != e->probe || v.max_hops != e->max_hops ||
        v.base_ns != e->base_ns || v.cap_ns != e->cap_ns)
        print_error("%s: %d %s\n  got reaction %d scope %s failure %s\n", e->row, e->status,
                    e->body ? e->body : "", (int)v.reaction, scope_name(v.scope),
                    failure_name(v.failure));
    assert_int_equal(v.reaction, e->reaction);
    assert_int_equal(v.scope, e->scope);
    assert_int_equal(v.failure, e->failure);
    assert_int_equal(v.hop, e->hop);
    assert_int_equal(v.probe, e->probe);
    assert_int_equal(v.max_hops, e->max_hops);
    assert_int_equal(v.one_per_project, e->one_per_project);
    assert_int_equal(v.blame_on_second, e->blame_on_second);
    assert_int_equal(v.maybe_ran, e->maybe_ran);
    assert_true(v.base_ns == e->base_ns);
    assert_true(v.cap_ns == e->cap_ns);
    if (!strstr(e->body ? e->body : "", "retry after"))
        assert_true(v.wait_ns == -1);
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_true(row_exists(cases[i].row));
        check_case(&cases[i]);
    }
}

/* A new row brings its case, and names stay unique. */
static void test_every_row_has_a_case(void **state)
{
    (void)state;
    for (unsigned i = 0; verdict_row(i); i++) {
        bool found = false;
        for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
            found = found || strcmp(cases[c].row, verdict_row(i)->name) == 0;
        if (!found)
            print_error("no case for row %s\n", verdict_row(i)->name);
        assert_true(found);
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(verdict_row(j)->name, verdict_row(i)->name);
        assert_true(verdict_row(i)->verdict.wait_ns == -1);
    }
}

static void test_success(void **state)
{
    static const int statuses[] = {101, 200, 201, 204, 206};

    (void)state;
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        struct verdict v = judge_body(statuses[i], "{\"error\":null}");
        assert_int_equal(v.reaction, REACT_SUCCESS);
        assert_int_equal(v.scope, SCOPE_REQUEST);
        assert_int_equal(v.failure, FAILURE_NONE);
    }
}

/* Nothing went out, so nothing can have run, whatever the failure. */
static void test_nothing_sent(void **state)
{
    (void)state;
    for (enum transport t = TRANSPORT_DNS; t < TRANSPORT_COUNT; t++) {
        struct answer answer = {.transport = t, .request_sent = false};
        struct evidence evidence;
        struct verdict v = judge(answer, &evidence);
        assert_false(v.maybe_ran);
        assert_int_equal(v.reaction, REACT_NEXT);
        assert_int_equal(v.scope, SCOPE_SERVICE);
        assert_int_equal(evidence.status, 0);
        assert_string_equal(evidence.code, transport_name(t));
    }
}

static void test_truncated_stream(void **state)
{
    struct answer answer = {.status = 200, .request_sent = true, .truncated_stream = true};
    struct evidence evidence;
    struct verdict v = judge(answer, &evidence);

    (void)state;
    assert_int_equal(v.reaction, REACT_NEXT);
    assert_int_equal(v.failure, FAILURE_CUT);
    assert_true(v.maybe_ran);
    assert_true(v.blame_on_second);
    assert_string_equal(evidence.code, "cut");

    answer.transport = TRANSPORT_TIMEOUT; /* what stopped it is known better */
    assert_int_equal(judge(answer, &evidence).failure, FAILURE_TIMEOUT);
    assert_string_equal(evidence.code, "timeout");
}

/* The head of an error answer arrived; its body did not. */
static void test_cut_error_answer(void **state)
{
    struct answer answer = {.transport = TRANSPORT_CUT,
                            .status = 401,
                            .request_sent = true,
                            .body = SLICE("{\"error\":{\"code\":\"invalid_api_key\",\"mess")};
    struct evidence evidence;
    struct verdict v = judge(answer, &evidence);

    (void)state;
    assert_int_equal(v.failure, FAILURE_REVOKED);
    assert_int_equal(evidence.status, 401);
    assert_string_equal(evidence.code, "invalid_api_key");
}

/* §2.4: an unclear 500 or 502 of a call about objects is not simply sent again. */
static void test_stateful_families(void **state)
{
    static const int statuses[] = {409, 500, 502, 599};

    (void)state;
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        struct answer answer = {.status = statuses[i], .request_sent = true};
        answer.family = FAMILY_FILES;
        assert_true(judge(answer, NULL).maybe_ran);
        answer.family = FAMILY_EMBEDDINGS;
        assert_false(judge(answer, NULL).maybe_ran);
    }
    struct answer overloaded = {.status = 503, .request_sent = true, .family = FAMILY_FILES};
    assert_false(judge(overloaded, NULL).maybe_ran);
}

struct in_stream {
    const char *data;
    int status;
    enum reaction reaction;
    enum scope scope;
    enum failure failure;
};

static void test_errors_in_streams(void **state)
{
    static const struct in_stream events[] = {
        /* Chat, nested Responses, flat Responses, and the failed response. */
        {ERR("x", "server_error", "null", "\"server_is_overloaded\""), 503, REACT_NEXT,
         SCOPE_SERVICE_MODEL, FAILURE_OVERLOADED},
        {"{\"type\":\"error\",\"error\":{\"type\":\"tokens\",\"code\":\"rate_limit_exceeded\","
         "\"message\":\"m\",\"param\":null}}",
         429, REACT_NEXT, SCOPE_PROJECT_MODEL, FAILURE_RATE},
        {"{\"type\":\"error\",\"code\":\"insufficient_quota\",\"message\":\"m\",\"param\":null,"
         "\"sequence_number\":3}",
         429, REACT_NEXT, SCOPE_ORG, FAILURE_QUOTA},
        {"{\"type\":\"response.failed\",\"response\":{\"id\":\"resp_1\",\"status\":\"failed\","
         "\"error\":{\"code\":\"server_error\",\"message\":\"m\"}}}",
         500, REACT_NEXT, SCOPE_SERVICE_MODEL, FAILURE_SERVER},
        {"{\"type\":\"error\",\"code\":\"invalid_prompt\",\"message\":\"m\"}", 400, REACT_RETURN,
         SCOPE_REQUEST, FAILURE_POLICY},
        {"{\"error\":{\"code\":\"slow_down\"}}", 429, REACT_NEXT, SCOPE_PROJECT_MODEL,
         FAILURE_SLOW_DOWN},
        {"{\"error\":{\"code\":\"context_length_exceeded\"}}", 400, REACT_RETURN, SCOPE_REQUEST,
         FAILURE_CALLER},
        {"{\"error\":{\"code\":\"invalid_image_url\"}}", 400, REACT_RETURN, SCOPE_REQUEST,
         FAILURE_CALLER},
        {"{\"error\":{\"code\":\"vector_store_timeout\"}}", 500, REACT_NEXT, SCOPE_SERVICE_MODEL,
         FAILURE_SERVER},
        {"{\"error\":{\"code\":\"model_not_found\"}}", 404, REACT_NEXT, SCOPE_PROJECT_MODEL,
         FAILURE_MODEL},
        {"{\"error\":{\"code\":503,\"message\":\"m\"}}", 503, REACT_NEXT, SCOPE_SERVICE,
         FAILURE_OVERLOADED},
        {"{\"error\":{\"type\":\"invalid_request_error\"}}", 400, REACT_RETURN, SCOPE_REQUEST,
         FAILURE_CALLER},
        {"{\"error\":{\"type\":\"requests\"}}", 429, REACT_NEXT, SCOPE_PROJECT_MODEL, FAILURE_RATE},
        {"{\"error\":{\"message\":\"Rate limit reached\"}}", 429, REACT_NEXT, SCOPE_PROJECT_MODEL,
         FAILURE_RATE},
        {"{\"error\":\"The engine is currently overloaded\"}", 503, REACT_NEXT, SCOPE_SERVICE_MODEL,
         FAILURE_OVERLOADED},
        {"{\"error\":{\"code\":\"new_one\"}}", 500, REACT_NEXT, SCOPE_SERVICE_MODEL,
         FAILURE_SERVER},
        {"garbage", 500, REACT_NEXT, SCOPE_SERVICE_MODEL, FAILURE_SERVER},
        {"", 500, REACT_NEXT, SCOPE_SERVICE_MODEL, FAILURE_SERVER},
    };

    (void)state;
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        struct answer answer = {.status = 200,
                                .request_sent = true,
                                .in_stream = true,
                                .content_type = SLICE("text/event-stream"),
                                .body = slice_str(events[i].data)};
        struct evidence evidence;
        struct verdict v = judge(answer, &evidence);
        assert_int_equal(evidence.status, events[i].status);
        assert_int_equal(v.reaction, events[i].reaction);
        assert_int_equal(v.scope, events[i].scope);
        assert_int_equal(v.failure, events[i].failure);
    }
}

static void test_waits(void **state)
{
    struct hints hints = no_hints();
    struct answer answer = {.status = 429,
                            .hints = &hints,
                            .body = slice_str(ERR("Please try again in 534ms.", "tokens", "null",
                                                  "\"rate_limit_exceeded\""))};

    (void)state;
    assert_true(judge(answer, NULL).wait_ns == 534000000);
    hints.limits[LIMIT_TOKENS].remaining = 0;
    hints.limits[LIMIT_TOKENS].reset_ns = 58 * S;
    assert_true(judge(answer, NULL).wait_ns == 534000000);
    hints.retry_after_ns = 2 * S;
    assert_true(judge(answer, NULL).wait_ns == 2 * S);
    hints.retry_after_ms_ns = 700000000;
    assert_true(judge(answer, NULL).wait_ns == 700000000);

    /* The reset of an exhausted bucket is about rates, not about a server's fault. */
    hints = no_hints();
    hints.limits[LIMIT_TOKENS].remaining = 0;
    hints.limits[LIMIT_TOKENS].reset_ns = 58 * S;
    answer.body = slice_of(NULL, 0);
    assert_true(judge(answer, NULL).wait_ns == 58 * S);
    answer.status = 500;
    assert_true(judge(answer, NULL).wait_ns == -1);
    hints.retry_after_ns = 3 * S;
    assert_true(judge(answer, NULL).wait_ns == 3 * S);
}

static void test_evidence(void **state)
{
    struct hints hints = no_hints();
    struct answer answer = {.status = 429,
                            .hints = &hints,
                            .wall_ms = 1790000000123,
                            .body = slice_str(BAD("m", "\"rate_limit_exceeded\""))};
    struct evidence evidence;

    (void)state;
    slice_copy(SLICE("req_123"), hints.request_id, sizeof hints.request_id);
    judge(answer, &evidence);
    assert_int_equal(evidence.status, 429);
    assert_string_equal(evidence.code, "rate_limit_exceeded");
    assert_string_equal(evidence.request_id, "req_123");
    assert_true(evidence.wall_ms == 1790000000123);
}

/* A caller can make OpenAI quote words of the request; those must not stop anybody's keys. */
static void test_quoted_words_stop_nothing(void **state)
{
    static const char *const bodies[] = {
        BAD("Invalid value: 'account has been deactivated'.", "\"invalid_value\""),
        BAD("Invalid value: 'exceeded your current quota'.", "null"),
        BAD("Invalid value: 'Billing hard limit'.", "null"),
        BAD("Invalid value: 'The model x does not exist'.", "null"),
        BAD("Invalid value: 'Missing scopes'.", "null"),
        BAD("Invalid value: 'your organization must be verified'.", "null"),
        BAD("Invalid value: 'currently overloaded'.", "null"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct verdict v = judge_body(400, bodies[i]);
        assert_int_equal(v.reaction, REACT_RETURN);
        assert_int_equal(v.scope, SCOPE_REQUEST);
    }
}

static void test_too_large_needs_the_numbers(void **state)
{
    (void)state;
    /* Used up, but it would fit an empty bucket. */
    assert_int_equal(judge_body(429, ERR("Limit 30000, Used 29000, Requested 30000", "tokens",
                                         "null", "\"rate_limit_exceeded\""))
                         .failure,
                     FAILURE_RATE);
    assert_int_equal(judge_body(429, ERR("Limit 30,000, Requested 30,001", "tokens", "null",
                                         "\"rate_limit_exceeded\""))
                         .failure,
                     FAILURE_TOO_LARGE);
    assert_int_equal(
        judge_body(429, ERR("Request too large for m-1", "tokens", "null", "null")).failure,
        FAILURE_TOO_LARGE);
    assert_int_equal(
        judge_body(429, ERR("Limit 99999999999999999999999, Requested 1", "x", "null", "null"))
            .failure,
        FAILURE_RATE);
}

/* Any bytes at any status give some verdict, within the enums, reading nothing outside. */
static void test_random_answers(void **state)
{
    static const char *const words[] = {"{",
                                        "}",
                                        "[",
                                        "]",
                                        "\"error\"",
                                        "\"code\"",
                                        "\"message\"",
                                        ":",
                                        ",",
                                        "\"",
                                        "null",
                                        "429",
                                        "\\u12",
                                        "overloaded",
                                        "Limit 5, Requested 6",
                                        "try again in ",
                                        "ms",
                                        "<html>"};
    struct rng rng = {99};

    (void)state;
    for (int round = 0; round < 20000; round++) {
        char bytes[512];
        size_t len = 0;
        for (uint64_t i = rng_below(&rng, 20); i; i--) {
            const char *word = words[rng_below(&rng, sizeof words / sizeof *words)];
            memcpy(bytes + len, word, strlen(word));
            len += strlen(word);
            bytes[len] = (char)rng_next(&rng);
            len += rng_below(&rng, 8) == 0;
        }
        char *exact = malloc(len ? len : 1);
        assert_non_null(exact);
        memcpy(exact, bytes, len);
        struct answer answer = {.transport = (enum transport)rng_below(&rng, TRANSPORT_COUNT + 1),
                                .status = (int)rng_below(&rng, 700),
                                .in_stream = rng_below(&rng, 4) == 0,
                                .request_sent = true,
                                .body = slice_of(exact, len)};
        struct verdict v = judge(answer, NULL);
        free(exact);
        assert_in_range(v.scope, 0, SCOPE_COUNT - 1);
        assert_in_range(v.failure, 0, FAILURE_COUNT - 1);
        assert_in_range(v.reaction, REACT_SUCCESS, REACT_SAME);
        assert_true(v.wait_ns >= -1 && v.wait_ns <= HINT_WAIT_MAX_NS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_every_row_has_a_case),
        cmocka_unit_test(test_success),
        cmocka_unit_test(test_nothing_sent),
        cmocka_unit_test(test_truncated_stream),
        cmocka_unit_test(test_cut_error_answer),
        cmocka_unit_test(test_stateful_families),
        cmocka_unit_test(test_errors_in_streams),
        cmocka_unit_test(test_waits),
        cmocka_unit_test(test_evidence),
        cmocka_unit_test(test_quoted_words_stop_nothing),
        cmocka_unit_test(test_too_large_needs_the_numbers),
        cmocka_unit_test(test_random_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
