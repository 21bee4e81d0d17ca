#include "openai/verdict.h"

/* The decision table of openai-protocol.md §2.2. verdict.c looks answers up in it.
 *
 * Every row says what must be true of an answer, and the verdict then. Of the rows that are true
 * the most telling one counts, in the order of §2.5, and among equals the first:
 *
 *     transport │ web page │ error.code, error.param │ error.type │ message text │ status alone
 *
 * So a row may stand anywhere; order matters only inside one of these tiers (say, "must be
 * verified to stream" before "must be verified"). The last rows match whatever is left.
 *
 * Two habits keep a caller from steering the pool with words. Codes and types are OpenAI's own, so
 * their rows may match at any status; message texts can quote the request, so their rows name the
 * statuses they are known from, and those for 400 and 404 the beginning of the sentence.
 *
 * How recovery is proven: PROBE_TIME where a fault passes by itself (service, network), PROBE_FREE
 * where authentication is the fault, PROBE_LIVE where `GET /models` would succeed all the same
 * (rate, quota, scopes, access to a model). */

#define SECONDS(n) ((n)*INT64_C(1000000000))
#define MINUTES(n) SECONDS(60 * (n))
#define HOURS(n)   MINUTES(60 * (n))

/* The request goes back to the caller with this answer; no key is touched. */
#define RETURNS(why)                                                                               \
    {                                                                                              \
        .reaction = REACT_RETURN, .scope = SCOPE_REQUEST, .failure = why, .wait_ns = -1            \
    }

/* The request goes elsewhere. More members of struct verdict may follow. */
#define MOVES(why, where, to, proof, base, cap, ...)                                               \
    {                                                                                              \
        .reaction = REACT_NEXT, .scope = where, .failure = why, .hop = to, .probe = proof,         \
        .wait_ns = -1, .base_ns = base, .cap_ns = cap, __VA_ARGS__                                 \
    }

/* The same key is asked again, at most `tries` times; no breaker opens. */
#define REPEATS(why, tries, base, cap, ...)                                                        \
    {                                                                                              \
        .reaction = REACT_SAME, .scope = SCOPE_REQUEST, .failure = why, .max_hops = tries,         \
        .wait_ns = -1, .base_ns = base, .cap_ns = cap, __VA_ARGS__                                 \
    }

/* Classes that several rows share. */
#define CALLER RETURNS(FAILURE_CALLER)
#define POLICY RETURNS(FAILURE_POLICY)
/* Revocation shows in seconds, most other changes of authority within 15 minutes (§0). */
#define AUTHORITY(why, where, to, proof)                                                           \
    MOVES(why, where, to, proof, MINUTES(15), HOURS(24), .blame_on_second = false)
#define REVOKED     AUTHORITY(FAILURE_REVOKED, SCOPE_KEY, HOP_ANY, PROBE_FREE)
#define DEACTIVATED AUTHORITY(FAILURE_DEACTIVATED, SCOPE_ORG, HOP_OTHER_ORG, PROBE_FREE)
#define MISMATCHED  AUTHORITY(FAILURE_MISMATCHED, SCOPE_KEY, HOP_ANY, PROBE_FREE)
#define IP_REFUSED  AUTHORITY(FAILURE_EGRESS_IP, SCOPE_PROJECT, HOP_OTHER_PROJECT, PROBE_FREE)
#define NO_SCOPE    AUTHORITY(FAILURE_SCOPE, SCOPE_KEY_FAMILY, HOP_ANY, PROBE_LIVE)
#define NO_MODEL                                                                                   \
    MOVES(FAILURE_MODEL, SCOPE_PROJECT_MODEL, HOP_OTHER_PROJECT, PROBE_LIVE, HOURS(1), HOURS(1),   \
          .one_per_project = true)
#define UNVERIFIED(where)                                                                          \
    MOVES(FAILURE_UNVERIFIED, where, HOP_OTHER_ORG, PROBE_LIVE, HOURS(1), HOURS(24),               \
          .blame_on_second = false)
#define RATE                                                                                       \
    MOVES(FAILURE_RATE, SCOPE_PROJECT_MODEL, HOP_OTHER_PROJECT, PROBE_LIVE, SECONDS(1),            \
          SECONDS(60), .blame_on_second = false)
#define SLOW_DOWN                                                                                  \
    MOVES(FAILURE_SLOW_DOWN, SCOPE_PROJECT_MODEL, HOP_OTHER_PROJECT, PROBE_LIVE, SECONDS(15),      \
          SECONDS(60), .blame_on_second = false)
#define TOO_LARGE                                                                                  \
    MOVES(FAILURE_TOO_LARGE, SCOPE_REQUEST, HOP_OTHER_PROJECT, PROBE_TIME, 0, 0,                   \
          .one_per_project = true)
#define QUOTA(where, to)                                                                           \
    MOVES(FAILURE_QUOTA, where, to, PROBE_LIVE, MINUTES(10), MINUTES(60), .blame_on_second = false)
#define OVERLOADED                                                                                 \
    MOVES(FAILURE_OVERLOADED, SCOPE_SERVICE_MODEL, HOP_ANY, PROBE_TIME, SECONDS(1), SECONDS(5),    \
          .max_hops = 5)
#define BROKEN(why, where, ran)                                                                    \
    MOVES(why, where, HOP_ANY, PROBE_TIME, SECONDS(1), SECONDS(5), .blame_on_second = true,        \
          .maybe_ran = ran)
#define EDGE_TIMEOUT                                                                               \
    MOVES(FAILURE_TIMEOUT, SCOPE_SERVICE_MODEL, HOP_ANY, PROBE_TIME, SECONDS(1), SECONDS(5),       \
          .blame_on_second = true, .maybe_ran = true, .max_hops = 1)

/* clang-format off */
static const struct verdict_row rows[] = {
    /* Below HTTP. What never left this host cannot have run; the rest may have. */
    {.name = "dns", .transport = TRANSPORT_DNS,
     .verdict = BROKEN(FAILURE_NETWORK, SCOPE_SERVICE, false)},
    {.name = "connect", .transport = TRANSPORT_CONNECT,
     .verdict = BROKEN(FAILURE_NETWORK, SCOPE_SERVICE, false)},
    {.name = "tls", .transport = TRANSPORT_TLS,
     .verdict = BROKEN(FAILURE_NETWORK, SCOPE_SERVICE, false)},
    {.name = "reset", .transport = TRANSPORT_RESET,
     .verdict = BROKEN(FAILURE_NETWORK, SCOPE_SERVICE, true)},
    {.name = "cut", .transport = TRANSPORT_CUT,
     .verdict = BROKEN(FAILURE_CUT, SCOPE_SERVICE, true)},
    {.name = "timeout", .transport = TRANSPORT_TIMEOUT,
     .verdict = BROKEN(FAILURE_TIMEOUT, SCOPE_SERVICE, true)},
    {.name = "garbage", .transport = TRANSPORT_GARBAGE,
     .verdict = BROKEN(FAILURE_GARBAGE, SCOPE_SERVICE, true)},

    /* Policy: one key has seen it, no other may. At whatever status it comes. */
    {.name = "400_content_policy_violation", .code = "content_policy_violation", .verdict = POLICY},
    {.name = "400_invalid_prompt", .code = "invalid_prompt", .verdict = POLICY},
    {.name = "400_cyber_policy", .code = "cyber_policy", .verdict = POLICY},
    {.name = "400_bio_policy", .code = "bio_policy", .verdict = POLICY},
    {.name = "400_misalignment_policy", .code = "misalignment_policy_violation", .verdict = POLICY},
    {.name = "400_moderation_blocked", .code = "moderation_blocked", .verdict = POLICY},
    {.name = "400_image_content_policy", .code = "image_content_policy_violation",
     .verdict = POLICY},
    {.name = "400_content_filter", .code = "content_filter", .verdict = POLICY}, /* Azure */
    {.name = "400_image_user_error", .type = "image_generation_user_error", .verdict = POLICY},

    /* 400 */
    {.name = "400_context_length", .code = "context_length_exceeded", .verdict = CALLER},
    {.name = "400_unverified_stream", .status = 400, .code = "unsupported_value", .param = "stream",
     .message = "must be verified to stream",
     .verdict = UNVERIFIED(SCOPE_ORG_MODEL_STREAM)},
    /* A create call: an id this project does not know is not looked for elsewhere (§1.1, 3). */
    {.name = "400_previous_response", .code = "previous_response_not_found", .verdict = CALLER},
    {.name = "400_conversation_locked", .code = "conversation_locked",
     .verdict = REPEATS(FAILURE_CONFLICT, 3, SECONDS(1), SECONDS(3), .maybe_ran = false)},
    /* The item names no owner, but refusing costs nothing and its organisation may be in the pool. */
    {.name = "400_encrypted_content", .code = "invalid_encrypted_content",
     .verdict = MOVES(FAILURE_CALLER, SCOPE_REQUEST, HOP_OTHER_ORG, PROBE_TIME, 0, 0,
      .max_hops = 2)},
    {.name = "400_billing_hard_limit", .code = "billing_hard_limit_reached",
     .verdict = MOVES(FAILURE_QUOTA, SCOPE_ORG, HOP_OTHER_ORG, PROBE_LIVE, HOURS(1), HOURS(1),
      .blame_on_second = false)},
    {.name = "400_billing_hard_limit_text", .status = 400, .message = "^billing hard limit",
     .verdict = MOVES(FAILURE_QUOTA, SCOPE_ORG, HOP_OTHER_ORG, PROBE_LIVE, HOURS(1), HOURS(1),
      .blame_on_second = false)},
    {.name = "400_service_tier", .status = 400, .param = "service_tier",
     .verdict = MOVES(FAILURE_TIER, SCOPE_REQUEST, HOP_OTHER_PROJECT, PROBE_TIME, 0, 0,
      .max_hops = 1)},
    {.name = "400_model_text", .status = 400, .message = "^the model *does not exist",
     .verdict = NO_MODEL},

    /* 401: about the key, or about what it belongs to. */
    {.name = "401_invalid_api_key", .code = "invalid_api_key", .verdict = REVOKED},
    {.name = "401_no_key_sent", .status = 401, .message = "didn't provide an api key",
     .verdict = MOVES(FAILURE_MISMATCHED, SCOPE_REQUEST, HOP_ANY, PROBE_TIME, 0, 0, .max_hops = 0)},
    {.name = "401_account_deactivated", .code = "account_deactivated", .verdict = DEACTIVATED},
    {.name = "401_deactivated_text", .status = 401, .status_to = 403, .message = "deactivated",
     .verdict = DEACTIVATED},
    {.name = "401_mismatched_organization", .code = "mismatched_organization",
     .verdict = MISMATCHED},
    {.name = "401_mismatched_project", .code = "mismatched_project", .verdict = MISMATCHED},
    {.name = "401_no_such_organization", .status = 401, .message = "no such organization",
     .verdict = MISMATCHED},
    {.name = "401_not_a_member", .status = 401, .message = "must be a member of an organization",
     .verdict = MISMATCHED},
    {.name = "401_missing_scopes", .status = 401, .status_to = 403, .message = "missing scopes",
     .verdict = NO_SCOPE},
    {.name = "401_insufficient_permissions", .status = 401, .status_to = 403,
     .message = "insufficient permissions",
     .verdict = NO_SCOPE},
    /* Its code and text are not documented: all that names an address and a refusal. */
    {.name = "401_ip_not_authorized", .status = 401, .status_to = 403,
     .message = "ip *not authorized",
     .verdict = IP_REFUSED},
    {.name = "401_ip_not_allowed", .status = 401, .status_to = 403, .message = "ip *not allowed",
     .verdict = IP_REFUSED},
    {.name = "401_ip_allowlist", .status = 401, .status_to = 403, .message = "ip allow*list",
     .verdict = IP_REFUSED},
    {.name = "401", .status = 401, .verdict = REVOKED},

    /* 403: about where we are, or what the key may do. */
    {.name = "403_region", .code = "unsupported_country_region_territory",
     .verdict = {.reaction = REACT_RETURN, .scope = SCOPE_EGRESS, .failure = FAILURE_REGION,
      .wait_ns = -1, .base_ns = SECONDS(30), .cap_ns = MINUTES(5)}},
    {.name = "403_no_access_text", .status = 403, .status_to = 404,
     .message = "does not have access to model",
     .verdict = NO_MODEL},
    {.name = "403_unverified_stream_text", .status = 400, .status_to = 404,
     .message = "^your organization must be verified to stream",
     .verdict = UNVERIFIED(SCOPE_ORG_MODEL_STREAM)},
    {.name = "403_unverified", .status = 400, .status_to = 404,
     .message = "^your organization must be verified",
     .verdict = UNVERIFIED(SCOPE_ORG_MODEL)},
    {.name = "403_unverified_text", .status = 403, .message = "organization must be verified",
     .verdict = UNVERIFIED(SCOPE_ORG_MODEL)},
    /* A firewall at the edge has judged this host's traffic; every further request confirms it. */
    {.name = "403_html", .status = 403, .when = WHEN_HTML,
     .verdict = {.reaction = REACT_RETURN, .scope = SCOPE_SERVICE, .failure = FAILURE_FORBIDDEN,
      .wait_ns = -1, .base_ns = SECONDS(30), .cap_ns = SECONDS(30)}},
    {.name = "403", .status = 403,
     .verdict = MOVES(FAILURE_FORBIDDEN, SCOPE_KEY_FAMILY, HOP_ANY, PROBE_TIME, MINUTES(15),
      MINUTES(15), .max_hops = 1)},

    /* 404: a model, an object, or a path. */
    {.name = "404_model_not_found", .code = "model_not_found", .verdict = NO_MODEL},
    {.name = "404_model_text", .status = 404, .message = "^the model *does not exist",
     .verdict = NO_MODEL},
    {.name = "404_deployment", .code = "DeploymentNotFound", .verdict = NO_MODEL}, /* Azure */
    {.name = "404_azure_resource", .status = 404, .code = "404", .message = "resource not found",
     .verdict = NO_MODEL},
    {.name = "404_not_found", .status = 404, .code = "not_found", .verdict = CALLER},
    {.name = "404_no_such_object", .status = 404, .message = "no such ", .verdict = CALLER},
    {.name = "404_unknown_url", .code = "unknown_url", .verdict = CALLER},
    {.name = "404_invalid_url", .status = 404, .message = "^invalid url", .verdict = CALLER},
    {.name = "404_unknown_request_url", .status = 404, .message = "^unknown request url",
     .verdict = CALLER},

    /* Other faults of the request, or of the moment. */
    {.name = "405", .status = 405, .verdict = CALLER},
    {.name = "408", .status = 408,
     .verdict = REPEATS(FAILURE_TIMEOUT, 1, SECONDS(1), SECONDS(8), .maybe_ran = true)},
    {.name = "409", .status = 409, .unsafe_if_stateful = true,
     .verdict = REPEATS(FAILURE_CONFLICT, 1, SECONDS(1), SECONDS(8), .maybe_ran = false)},
    {.name = "413", .status = 413, .verdict = CALLER},
    {.name = "415", .status = 415, .verdict = CALLER},
    {.name = "422", .status = 422, .verdict = CALLER},

    /* 429 is at least six different things. First what is no limit at all. */
    {.name = "429_insufficient_quota", .code = "insufficient_quota",
     .verdict = QUOTA(SCOPE_ORG, HOP_OTHER_ORG)},
    {.name = "429_credit_exhausted", .code = "credit_balance_exhausted",
     .verdict = QUOTA(SCOPE_ORG, HOP_OTHER_ORG)},
    {.name = "429_org_spend_limit", .code = "organization_spend_limit_exceeded",
     .verdict = QUOTA(SCOPE_ORG, HOP_OTHER_ORG)},
    {.name = "429_org_usage_limit", .code = "organization_usage_limit_exceeded",
     .verdict = QUOTA(SCOPE_ORG, HOP_OTHER_ORG)},
    {.name = "429_project_spend_limit", .code = "project_spend_limit_exceeded",
     .verdict = QUOTA(SCOPE_PROJECT, HOP_OTHER_PROJECT)},
    {.name = "429_quota_type", .type = "insufficient_quota",
     .verdict = QUOTA(SCOPE_ORG, HOP_OTHER_ORG)},
    {.name = "429_quota_text", .status = 429, .message = "exceeded your current quota",
     .verdict = QUOTA(SCOPE_ORG, HOP_OTHER_ORG)},
    {.name = "429_quota_word", .status = 429, .message = "insufficient_quota",
     .verdict = QUOTA(SCOPE_ORG, HOP_OTHER_ORG)},
    {.name = "429_billing_text", .status = 429, .message = "billing hard limit",
     .verdict = QUOTA(SCOPE_ORG, HOP_OTHER_ORG)},
    /* Too large for the bucket even when full: the bucket is fine for everybody else. */
    {.name = "429_too_large", .status = 429, .when = WHEN_OVER_BUCKET, .verdict = TOO_LARGE},
    {.name = "429_requests", .code = "rate_limit_exceeded", .type = "requests", .verdict = RATE},
    {.name = "429_tokens", .code = "rate_limit_exceeded", .type = "tokens", .verdict = RATE},
    {.name = "429_images", .code = "rate_limit_exceeded", .type = "images", .verdict = RATE},
    {.name = "429_input_images", .code = "rate_limit_exceeded", .type = "input-images",
     .verdict = RATE},
    {.name = "429_rate_limit", .code = "rate_limit_exceeded", .verdict = RATE},
    {.name = "429_slow_down", .code = "slow_down",
     .verdict = SLOW_DOWN}, /* 503 in its older form */
    /* No flex capacity now, and not billed. The tier is the caller's choice: ask again, or say so. */
    {.name = "429_flex_code", .status = 429, .code = "resource_unavailable",
     .verdict = REPEATS(FAILURE_TIER, 2, SECONDS(1), SECONDS(8), .maybe_ran = false)},
    {.name = "429_flex", .status = 429, .message = "resource unavailable",
     .verdict = REPEATS(FAILURE_TIER, 2, SECONDS(1), SECONDS(8), .maybe_ran = false)},
    {.name = "429_overloaded", .status = 429, .message = "currently overloaded",
     .verdict = OVERLOADED},
    {.name = "429", .status = 429, .verdict = RATE},

    /* 5xx: the service, not the keys. */
    {.name = "500_overloaded", .status = 500, .message = "currently overloaded",
     .verdict = OVERLOADED},
    {.name = "500", .status = 500, .unsafe_if_stateful = true,
     .verdict = BROKEN(FAILURE_SERVER, SCOPE_SERVICE_MODEL, false)},
    {.name = "502", .status = 502, .unsafe_if_stateful = true,
     .verdict = BROKEN(FAILURE_SERVER, SCOPE_SERVICE, false)},
    {.name = "508_loop", .status = 508, .code = "loop_detected", .verdict = CALLER}, /* our own */
    {.name = "503_overloaded", .code = "server_is_overloaded", .verdict = OVERLOADED},
    {.name = "503_type", .status = 503, .type = "service_unavailable_error", .verdict = OVERLOADED},
    {.name = "503_text", .status = 503, .message = "overloaded", .verdict = OVERLOADED},
    {.name = "503", .status = 503, .verdict = BROKEN(FAILURE_OVERLOADED, SCOPE_SERVICE, false)},
    {.name = "504", .status = 504, .verdict = EDGE_TIMEOUT},
    {.name = "524", .status = 524, .verdict = EDGE_TIMEOUT},
    /* Cloudflare's own: did the origin get the request? No, very likely not, or nobody knows. */
    {.name = "520", .status = 520, .verdict = BROKEN(FAILURE_SERVER, SCOPE_SERVICE, true)},
    {.name = "521", .status = 521, .verdict = BROKEN(FAILURE_SERVER, SCOPE_SERVICE, false)},
    {.name = "522", .status = 522, .verdict = BROKEN(FAILURE_SERVER, SCOPE_SERVICE, true)},
    {.name = "523", .status = 523, .verdict = BROKEN(FAILURE_SERVER, SCOPE_SERVICE, false)},
    {.name = "525", .status = 525, .verdict = BROKEN(FAILURE_SERVER, SCOPE_SERVICE, false)},
    {.name = "526", .status = 526, .verdict = BROKEN(FAILURE_SERVER, SCOPE_SERVICE, false)},
    {.name = "527", .status = 527, .verdict = BROKEN(FAILURE_SERVER, SCOPE_SERVICE, true)},
    {.name = "530", .status = 530, .verdict = BROKEN(FAILURE_SERVER, SCOPE_SERVICE, false)},

    /* Whatever is left. */
    {.name = "3xx", .status = 300, .status_to = 399, .verdict = RETURNS(FAILURE_GARBAGE)},
    {.name = "4xx", .status = 400, .status_to = 499, .verdict = CALLER},
    {.name = "5xx", .status = 500, .status_to = 599, .unsafe_if_stateful = true,
     .verdict = BROKEN(FAILURE_SERVER, SCOPE_SERVICE, false)},
    {.name = "unknown", .verdict = BROKEN(FAILURE_GARBAGE, SCOPE_SERVICE, true)},
};
/* clang-format on */

const struct verdict_row *verdict_row(unsigned i)
{
    return i < sizeof rows / sizeof *rows ? &rows[i] : NULL;
}
