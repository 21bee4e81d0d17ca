#include "mock/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "mock/bucket.h"
#include "mock/errors.h"

enum { FIRST_SLOTS = 64, MS_MAX = 86400000, EVENTS_MAX = 100000, DEFAULT_WINDOW_MS = 60000 };

#define ANSWER_BYTES_MAX ((int64_t)64 << 20)

static const struct {
    int status;
    const char *type, *code;
    bool models;
    const char *message;
} states[] = {
#define X(state, name, status, type, code, models, message) {status, type, code, models, message},
    KEY_STATE_TABLE(X)
#undef X
};

static const char *const state_names[] = {
#define X(state, name, status, type, code, models, message) name,
    KEY_STATE_TABLE(X)
#undef X
        NULL};

static const char *const no_access_names[] = {"404", "403", NULL};

#define AT(member) offsetof(struct key_config, member)
#define UNITS      "a whole number of units a window, 0 for no limit"
#define SPAN       "a whole number of milliseconds, or [low, high]"

static const struct field key_fields[] = {
    {"organization", FIELD_TEXT, AT(organization), 0, NULL, "the id of an organisation"},
    {"project", FIELD_TEXT, AT(project), 0, NULL, "the id of a project"},
    {"state", FIELD_NAME, AT(state), 0, state_names,
     "good, revoked, deactivated, insufficient_quota, credit_balance_exhausted, "
     "organization_spend_limit_exceeded, organization_usage_limit_exceeded, "
     "project_spend_limit_exceeded, billing_hard_limit_reached, ip_not_allowed, "
     "mismatched_organization, mismatched_project, unsupported_region or unverified"},
    {"rpm", FIELD_INTEGER, AT(rpm), BUCKET_LIMIT_MAX, NULL, UNITS},
    {"tpm", FIELD_INTEGER, AT(tpm), BUCKET_LIMIT_MAX, NULL, UNITS},
    {"ipm", FIELD_INTEGER, AT(ipm), BUCKET_LIMIT_MAX, NULL, UNITS},
    {"org_rpm", FIELD_INTEGER, AT(org_rpm), BUCKET_LIMIT_MAX, NULL, UNITS},
    {"org_tpm", FIELD_INTEGER, AT(org_tpm), BUCKET_LIMIT_MAX, NULL, UNITS},
    {"org_ipm", FIELD_INTEGER, AT(org_ipm), BUCKET_LIMIT_MAX, NULL, UNITS},
    {"window_ms", FIELD_INTEGER, AT(window_ms), MS_MAX, NULL, "a whole number of milliseconds"},
    {"latency_ms", FIELD_SPAN, AT(latency_ms), MS_MAX, NULL, SPAN},
    {"stream_interval_ms", FIELD_SPAN, AT(stream_interval_ms), MS_MAX, NULL, SPAN},
    {"answer_bytes", FIELD_INTEGER, AT(answer_bytes), ANSWER_BYTES_MAX, NULL,
     "a whole number of bytes up to 67108864"},
    {"stream_events", FIELD_INTEGER, AT(stream_events), EVENTS_MAX, NULL,
     "a whole number of events up to 100000"},
    {"scopes", FIELD_STRINGS, AT(scopes), 0, NULL,
     "a list of endpoint families such as chat, models"},
    {"models", FIELD_STRINGS, AT(models), 0, NULL, "a list of models"},
    {"no_access", FIELD_STRINGS, AT(no_access), 0, NULL, "a list of models"},
    {"no_access_form", FIELD_NAME, AT(no_access_form), 0, no_access_names, "\"404\" or \"403\""},
    {"unverified", FIELD_STRINGS, AT(unverified), 0, NULL, "a list of models"},
    {"faults", FIELD_OTHER, 0, 0, NULL, "a list of faults"},
    {"key", FIELD_OTHER, 0, 0, NULL, "a key"},
};

enum { FIELD_COUNT = sizeof(key_fields) / sizeof(key_fields[0]) };

static void config_ref(struct key_config *config)
{
    json_incref(config->scopes);
    json_incref(config->models);
    json_incref(config->no_access);
    json_incref(config->unverified);
}

static void config_unref(struct key_config *config)
{
    json_decref(config->scopes);
    json_decref(config->models);
    json_decref(config->no_access);
    json_decref(config->unverified);
}

static void free_key(struct mock_key *key)
{
    list_remove(&key->node);
    faults_clear(&key->faults);
    config_unref(&key->config);
    free(key);
}

void keyring_init(struct keyring *ring)
{
    *ring = (struct keyring){.fallback_set = true, .fallback = {.window_ms = DEFAULT_WINDOW_MS}};
    list_init(&ring->keys);
    list_init(&ring->faults);
}

void keyring_fini(struct keyring *ring)
{
    while (!list_empty(&ring->keys))
        free_key(container_of(ring->keys.next, struct mock_key, node));
    free((void *)ring->slots);
    faults_clear(&ring->faults);
    config_unref(&ring->fallback);
    json_decref(ring->fallback_faults);
    json_decref(ring->models);
    *ring = (struct keyring){0};
}

static uint64_t hash_of(struct slice key)
{
    /* Unkeyed: whoever can reach the mock owns it. */
    return hash_bytes(&(struct hash_seed){0}, key);
}

struct mock_key *keyring_find(const struct keyring *ring, struct slice key)
{
    uint64_t hash = hash_of(key);
    struct mock_key *at = ring->slot_count ? ring->slots[hash % ring->slot_count] : NULL;
    while (at && !(at->hash == hash && slice_eq(slice_str(at->key), key)))
        at = at->next;
    return at;
}

static bool grow(struct keyring *ring)
{
    size_t count = ring->slot_count ? ring->slot_count * 2 : FIRST_SLOTS;
    struct mock_key **slots = calloc(count, sizeof(*slots));
    if (!slots)
        return false;
    for (struct list *l = ring->keys.next; l != &ring->keys; l = l->next) {
        struct mock_key *key = container_of(l, struct mock_key, node);
        key->next = slots[key->hash % count];
        slots[key->hash % count] = key;
    }
    free((void *)ring->slots);
    ring->slots = slots;
    ring->slot_count = count;
    return true;
}

/* Each unnamed key counts as its own organisation and project. */
static void name_owners(struct mock_key *key)
{
    unsigned mark = (unsigned)(key->hash & 0xFFFFFFFFu);
    if (key->config.organization[0] == '\0')
        snprintf(key->config.organization, sizeof(key->config.organization), "org-%08x", mark);
    if (key->config.project[0] == '\0')
        snprintf(key->config.project, sizeof(key->config.project), "proj_%08x", mark);
}

static struct mock_key *add_key(struct keyring *ring, struct slice text,
                                const struct key_config *config)
{
    if (ring->count >= KEYS_MAX || text.len == 0 || text.len > KEY_TEXT_MAX)
        return NULL;
    if (ring->count >= ring->slot_count && !grow(ring))
        return NULL;
    struct mock_key *key = calloc(1, sizeof(*key) + text.len + 1);
    if (!key)
        return NULL;
    slice_copy(text, key->key, text.len + 1);
    key->hash = hash_of(slice_str(key->key));
    key->config = *config;
    config_ref(&key->config);
    name_owners(key);
    list_init(&key->faults);
    list_append(&ring->keys, &key->node);
    key->next = ring->slots[key->hash % ring->slot_count];
    ring->slots[key->hash % ring->slot_count] = key;
    ring->count++;
    return key;
}

struct mock_key *keyring_get(struct keyring *ring, struct slice text)
{
    struct problem problem;
    struct mock_key *key = keyring_find(ring, text);

    if (key || !ring->fallback_set)
        return key;
    key = add_key(ring, text, &ring->fallback);
    /* The list was read once already, so only memory can be missing: then the key has no faults. */
    if (key && ring->fallback_faults &&
        !faults_read(ring->fallback_faults, &key->faults, &ring->next_fault_id, &problem))
        faults_clear(&key->faults);
    return key;
}

/* Reads into `*config`, a copy with its own references, and `*faults`, empty. */
static bool read_config(struct keyring *ring, const json_t *json, struct key_config *config,
                        struct list *faults, struct problem *problem)
{
    const json_t *list = json_object_get(json, "faults");

    if (!json_is_object(json))
        return problem_set(problem, json, "", "expected names and values");
    if (!fields_read(key_fields, FIELD_COUNT, json, config, problem))
        return false;
    if (config->window_ms < 1)
        return problem_set(problem, json, "window_ms", "expected at least 1");
    if (list && !json_is_array(list))
        return problem_set(problem, json, "faults", "expected a list of faults");
    return !list || faults_read(list, faults, &ring->next_fault_id, problem);
}

bool keyring_put(struct keyring *ring, struct slice text, const json_t *json,
                 struct problem *problem)
{
    struct key_config start = {.window_ms = DEFAULT_WINDOW_MS}, config;
    struct mock_key *key = keyring_find(ring, text);
    struct list faults;

    list_init(&faults);
    config = key ? key->config : start;
    config_ref(&config);
    if (!read_config(ring, json, &config, &faults, problem))
        goto fail;
    if (!key)
        key = add_key(ring, text, &start);
    if (!key) {
        problem_set(problem, json, "key", "expected 1 to %d bytes, and at most %d keys",
                    KEY_TEXT_MAX, KEYS_MAX);
        goto fail;
    }
    config_unref(&key->config);
    key->config = config;
    name_owners(key);
    if (json_object_get(json, "faults")) {
        faults_clear(&key->faults);
        while (!list_empty(&faults)) {
            struct list *node = faults.next;
            list_remove(node);
            list_append(&key->faults, node);
        }
    }
    return true;
fail:
    config_unref(&config);
    faults_clear(&faults);
    return false;
}

bool keyring_set_default(struct keyring *ring, const json_t *json, struct problem *problem)
{
    struct key_config config = {.window_ms = DEFAULT_WINDOW_MS};
    struct list faults;

    list_init(&faults);
    if (!read_config(ring, json, &config, &faults, problem)) {
        config_unref(&config);
        return false;
    }
    faults_clear(&faults); /* read only to know that they are good */
    config_unref(&ring->fallback);
    ring->fallback = config;
    ring->fallback_set = true;
    json_decref(ring->fallback_faults);
    ring->fallback_faults = json_deep_copy(json_object_get(json, "faults"));
    return true;
}

bool keyring_set_models(struct keyring *ring, json_t *json, struct problem *problem)
{
    static const struct field field[] = {{"models", FIELD_STRINGS, 0, 0, NULL, "a list of models"}};
    json_t *one = json_pack("{s:O}", "models", json);
    bool good = fields_read(field, 1, one, &ring->models, problem);
    json_decref(one);
    if (!good)
        problem->container = NULL;
    return good;
}

void tally_status(struct tally *tally, int status)
{
    size_t i = 0;
    while (i < tally->status_count && tally->statuses[i].status != status)
        i++;
    if (i == KEY_STATUSES_MAX) {
        i--;
    } else if (i == tally->status_count) {
        /* The last place gathers what found none. */
        tally->statuses[i].status = i == KEY_STATUSES_MAX - 1 ? -1 : status;
        tally->status_count++;
    }
    tally->statuses[i].count++;
}

json_t *tally_json(const struct tally *tally)
{
    char name[16];
    json_t *statuses = json_object();
    for (size_t i = 0; i < tally->status_count; i++) {
        snprintf(name, sizeof(name), "%d", tally->statuses[i].status);
        json_object_set_new(statuses, name, json_integer((json_int_t)tally->statuses[i].count));
    }
    return json_pack("{s:I, s:I, s:I, s:o}", "requests", (json_int_t)tally->requests, "client_left",
                     (json_int_t)tally->client_left, "faulted", (json_int_t)tally->faulted,
                     "statuses", statuses);
}

json_t *key_json(const struct mock_key *key)
{
    json_t *json = fields_write(key_fields, FIELD_COUNT, &key->config);
    json_object_set_new(json, "key", json_string(key->key));
    json_object_set_new(json, "faults", faults_json(&key->faults));
    return json;
}

json_t *keyring_json(const struct keyring *ring)
{
    json_t *keys = json_array();
    for (const struct list *l = ring->keys.next; l != &ring->keys; l = l->next)
        json_array_append_new(keys, key_json(container_of(l, struct mock_key, node)));
    json_t *fallback =
        ring->fallback_set ? fields_write(key_fields, FIELD_COUNT, &ring->fallback) : json_null();
    return json_pack("{s:o, s:o, s:o, s:O?}", "keys", keys, "default", fallback, "faults",
                     faults_json(&ring->faults), "models", ring->models);
}

/* --- admission --- */

static bool lists(const json_t *list, const char *text)
{
    size_t i;
    json_t *item;
    json_array_foreach((json_t *)(uintptr_t)list, i, item)
    {
        if (strcmp(json_string_value(item), text) == 0)
            return true;
    }
    return false;
}

/* The message of the state table with its %-marks filled in. */
static void state_message(const struct mock_key *key, const char *model, const char *format,
                          char *out, size_t size)
{
    size_t len = 0;
    for (const char *p = format; *p && len + 1 < size; p++) {
        const char *insert = NULL;
        if (*p == '%')
            insert = *++p == 'o' ? key->config.organization
                     : *p == 'p' ? key->config.project
                     : *p == 'm' ? model
                                 : "";
        if (insert)
            len += slice_copy(slice_str(insert), out + len, size - len);
        else
            out[len++] = *p;
    }
    out[len] = '\0';
}

static bool refuse_state(const struct mock_key *key, const char *model, enum key_state state,
                         struct reply *reply)
{
    char message[512];
    if (state == KEY_REVOKED) {
        error_invalid_key(key->key, reply);
        return false;
    }
    state_message(key, model, states[state].message, message, sizeof(message));
    reply_error(reply, states[state].status, states[state].type, states[state].code, NULL, message);
    return false;
}

static bool refuse_scope(const struct route *route, struct reply *reply)
{
    char message[256];
    snprintf(message, sizeof(message),
             "You have insufficient permissions for this operation. Missing scopes: %s. Check that "
             "you have the correct role in your organization and project.",
             route->scope);
    reply_error(reply, 401, "invalid_request_error", NULL, NULL, message);
    return false;
}

static bool refuse_model(const struct mock_key *key, const char *model, enum no_access form,
                         struct reply *reply)
{
    char message[512];
    if (form == NO_ACCESS_403) {
        snprintf(message, sizeof(message), "Project `%s` does not have access to model `%s`",
                 key->config.project, model);
        reply_error(reply, 403, "invalid_request_error", "model_not_found", NULL, message);
        return false;
    }
    snprintf(message, sizeof(message),
             "The model `%s` does not exist or you do not have access to it.", model);
    reply_error(reply, 404, "invalid_request_error", "model_not_found", NULL, message);
    return false;
}

static bool refuse_unverified(const struct mock_key *key, const struct call *call,
                              struct reply *reply)
{
    if (!call->stream)
        return refuse_state(key, call->model, KEY_UNVERIFIED, reply);
    reply_error(reply, 400, "invalid_request_error", "unsupported_value", "stream",
                "Your organization must be verified to stream this model. Please go to: "
                "https://platform.openai.com/settings/organization/general and click on Verify "
                "Organization.");
    return false;
}

bool key_admits(const struct keyring *ring, const struct mock_key *key, const struct call *call,
                struct reply *reply)
{
    const struct key_config *config = &key->config;
    enum key_state state = (enum key_state)config->state;
    bool is_models = strcmp(call->route->family, "models") == 0;
    const char *model = is_models ? call->id : call->model;

    if (state != KEY_GOOD && !(is_models && states[state].models))
        return refuse_state(key, model, state, reply);
    if (config->scopes && !lists(config->scopes, call->route->family))
        return refuse_scope(call->route, reply);
    if (model[0] == '\0')
        return true;
    if (ring->models && !lists(ring->models, model))
        return refuse_model(key, model, NO_ACCESS_404, reply);
    if ((config->models && !lists(config->models, model)) || lists(config->no_access, model))
        return refuse_model(key, model, (enum no_access)config->no_access_form, reply);
    if (!is_models && lists(config->unverified, model))
        return refuse_unverified(key, call, reply);
    return true;
}
