/* The keys the mock knows: whose they are, what they may do, how they misbehave. */
#ifndef SPAREKEY_MOCK_KEYS_H
#define SPAREKEY_MOCK_KEYS_H

#include "base/list.h"
#include "mock/call.h"
#include "mock/fault.h"

#ifdef __cplusplus
extern "C" {
#endif

#define KEYS_MAX         100000 /* those of the script and those met on the way */
#define KEY_TEXT_MAX     512    /* bytes of one key */
#define KEY_STATUSES_MAX 24 /* different statuses counted for one key; others count as status -1 */

/* state, name, status, type, code, whether GET /models works all the same, message.
 * %k is the masked key, %o the organisation, %p the project, %m the model. */
#define KEY_STATE_TABLE(X)                                                                         \
    X(KEY_GOOD, "good", 200, "", NULL, true, "")                                                   \
    X(KEY_REVOKED, "revoked", 401, "invalid_request_error", "invalid_api_key", false,              \
      "Incorrect API key provided: %k. You can find your API key at "                              \
      "https://platform.openai.com/account/api-keys.")                                             \
    X(KEY_DEACTIVATED, "deactivated", 401, "invalid_request_error", "account_deactivated", false,  \
      "The OpenAI account associated with this API key has been deactivated. Please check your "   \
      "email for more information.")                                                               \
    X(KEY_INSUFFICIENT_QUOTA, "insufficient_quota", 429, "insufficient_quota",                     \
      "insufficient_quota", true,                                                                  \
      "You exceeded your current quota, please check your plan and billing details. For more "     \
      "information on this error, read the docs.")                                                 \
    X(KEY_CREDIT_BALANCE, "credit_balance_exhausted", 429, "insufficient_quota",                   \
      "credit_balance_exhausted", true, "Your credit balance is exhausted. Please add credits.")   \
    X(KEY_ORG_SPEND, "organization_spend_limit_exceeded", 429, "insufficient_quota",               \
      "organization_spend_limit_exceeded", true,                                                   \
      "Organization %o has reached its monthly spend limit.")                                      \
    X(KEY_ORG_USAGE, "organization_usage_limit_exceeded", 429, "insufficient_quota",               \
      "organization_usage_limit_exceeded", true,                                                   \
      "Organization %o has reached the usage limit of its tier.")                                  \
    X(KEY_PROJECT_SPEND, "project_spend_limit_exceeded", 429, "insufficient_quota",                \
      "project_spend_limit_exceeded", true, "Project %p has reached its monthly spend limit.")     \
    X(KEY_BILLING_HARD_LIMIT, "billing_hard_limit_reached", 400, "invalid_request_error",          \
      "billing_hard_limit_reached", true, "Billing hard limit has been reached.")                  \
    X(KEY_IP, "ip_not_allowed", 401, "invalid_request_error", "ip_not_authorized", false,          \
      "Your IP address is not authorized to use this API key.")                                    \
    X(KEY_MISMATCHED_ORG, "mismatched_organization", 401, "invalid_request_error",                 \
      "mismatched_organization", false,                                                            \
      "OpenAI-Organization header should match organization for API key.")                         \
    X(KEY_MISMATCHED_PROJECT, "mismatched_project", 401, "invalid_request_error",                  \
      "mismatched_project", false, "OpenAI-Project header should match project for API key.")      \
    X(KEY_REGION, "unsupported_region", 403, "request_forbidden",                                  \
      "unsupported_country_region_territory", false,                                               \
      "Country, region, or territory not supported")                                               \
    X(KEY_UNVERIFIED, "unverified", 403, "invalid_request_error", NULL, true,                      \
      "Your organization must be verified to use the model `%m`. Please go to: "                   \
      "https://platform.openai.com/settings/organization/general and click on Verify "             \
      "Organization.")

enum key_state {
#define X(state, name, status, type, code, models, message) state,
    KEY_STATE_TABLE(X)
#undef X
        KEY_STATES
};

enum no_access { NO_ACCESS_404, NO_ACCESS_403 };

struct key_config {
    char organization[FIELD_TEXT_MAX + 1], project[FIELD_TEXT_MAX + 1];
    int64_t state;                       /* enum key_state */
    int64_t rpm, tpm, ipm;               /* of (project, model); 0: unlimited */
    int64_t org_rpm, org_tpm, org_ipm;   /* of (organisation, model) */
    int64_t window_ms;                   /* what "a minute" is, for impatient tests */
    int64_t latency_ms[2];               /* before the head */
    int64_t stream_interval_ms[2];       /* between the events of a stream */
    int64_t answer_bytes, stream_events; /* padding, see struct call */
    json_t *scopes;                      /* endpoint families allowed; NULL: all */
    json_t *models;                      /* models allowed; NULL: all there are */
    json_t *no_access;                   /* models refused, in the form of … */
    int64_t no_access_form;              /* enum no_access */
    json_t *unverified; /* models for verified organisations only, when streamed: 400, else 403 */
};

/* Counters that stay small however many requests come. */
struct tally {
    uint64_t requests, client_left, faulted;
    struct {
        int status; /* 0: no answer; -1: those that found no place */
        uint64_t count;
    } statuses[KEY_STATUSES_MAX];
    size_t status_count;
};

void tally_status(struct tally *tally, int status);
json_t *tally_json(const struct tally *tally);

struct mock_key {
    struct mock_key *next; /* in its chain */
    struct list node;      /* in keyring.keys */
    uint64_t hash;
    struct key_config config;
    struct list faults;
    struct tally tally;
    char key[]; /* zero-terminated */
};

struct keyring {
    struct mock_key **slots;
    size_t slot_count, count;
    struct list keys;           /* in order of arrival */
    struct key_config fallback; /* for keys nobody named */
    bool fallback_set;          /* false: an unknown key is wrong */
    json_t *fallback_faults;    /* an array as in the script, read anew for each */
    struct list faults;         /* for every key */
    uint64_t next_fault_id;
    json_t *models;       /* that exist; NULL: every one */
    struct tally unknown; /* requests with no key, or one nobody knows */
};

void keyring_init(struct keyring *ring);
void keyring_fini(struct keyring *ring);

/* NULL: not there. */
struct mock_key *keyring_find(const struct keyring *ring, struct slice key);

/* Finds, or makes from the fallback; NULL: unknown keys are refused, or KEYS_MAX is reached. */
struct mock_key *keyring_get(struct keyring *ring, struct slice key);

/* Merges {organization, rpm, …, faults} into a key, made when new. `faults` replaces the key's
 * list. A member "key" is skipped. False: nothing changed, `problem` says why. */
bool keyring_put(struct keyring *ring, struct slice key, const json_t *json,
                 struct problem *problem);

/* What unknown keys are; replaces the former. */
bool keyring_set_default(struct keyring *ring, const json_t *json, struct problem *problem);

/* The models that exist. */
bool keyring_set_models(struct keyring *ring, json_t *json, struct problem *problem);

/* One key's settings. */
json_t *key_json(const struct mock_key *key);

/* Everything for GET /state. */
json_t *keyring_json(const struct keyring *ring);

/* Whether this key may make this call; false: `reply` is the refusal. */
bool key_admits(const struct keyring *ring, const struct mock_key *key, const struct call *call,
                struct reply *reply);

#ifdef __cplusplus
}
#endif
#endif
