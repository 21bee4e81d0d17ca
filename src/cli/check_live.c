#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/check.h"
#include "cli/fetch.h"
#include "keyring/echo.h"
#include "openai/verdict.h"

/* One free request for each key, and what it found. */
struct live {
    const struct settings *settings;
    struct findings *findings;
    struct fetch *fetches;
    size_t count;
};

static void ask_about(const struct settings *s, const struct key_setting *key, struct fetch *fetch)
{
    fetch->service = check_service(s, key);
    fetch->auth_header = key->traits->auth_header;
    fetch->organization = key->traits->organization;
    fetch->project = key->traits->project;
    fetch->secret = secret_bytes(key->secret);
    fetch->only_errors = true;
    (void)snprintf(fetch->target, sizeof fetch->target, "%s/models", fetch->service->path);
}

/* ---- services ---------------------------------------------------------------------------- */

static const char *remedy_of(enum status status)
{
    switch (status) {
    case STATUS_DNS: return "check the host name of the base URL, and this machine's DNS";
    case STATUS_CONNECT:
        return "check the address and the firewall; behind a proxy, name it in HTTPS_PROXY";
    case STATUS_TLS:
        return "where the certificate is of your own authority, name it in SPAREKEY_CA_FILE; "
               "otherwise somebody stands in between";
    case STATUS_PROTOCOL: return "what answers there does not speak HTTP: check port and scheme";
    case STATUS_OK:
    case STATUS_NO_MEMORY:
    case STATUS_INVALID:
    case STATUS_LIMIT:
    case STATUS_RANGE:
    case STATUS_NOT_FOUND:
    case STATUS_IO:
    case STATUS_TIMEOUT:
    case STATUS_RESET:
    case STATUS_EOF:
    case STATUS_CANCELLED:
    case STATUS_IN_USE:
    case STATUS_REFUSED: break;
    }
    return "try again; if it stays so, look at the network in between";
}

static bool service_is_first(const struct live *l, size_t index)
{
    for (size_t i = index; i > 0; i--) {
        if (l->fetches[i - 1].service == l->fetches[index].service)
            return false;
    }
    return true;
}

/* The first failure of the way there speaks for the service, unless another key got through. */
static void check_reach(const struct live *l, const struct service_url *service)
{
    const struct fetch *failed = NULL;
    size_t failures = 0, asked = 0;

    for (size_t i = 0; i < l->count; i++) {
        const struct fetch *fetch = &l->fetches[i];
        if (fetch->service != service)
            continue;
        asked++;
        failures += fetch->status != STATUS_OK;
        if (fetch->status != STATUS_OK && !failed)
            failed = fetch;
    }
    if (failed)
        findings_add(l->findings, failures == asked ? SEVERITY_ERROR : SEVERITY_WARNING,
                     failed->status == STATUS_TLS ? "tls_failed" : "unreachable", service->text,
                     remedy_of(failed->status), "%zu of %zu requests got no answer: %s", failures,
                     asked, failed->reason);
}

/* The middle of the request against what the service says; its Date has whole seconds. */
static void check_clock(const struct live *l, const struct fetch *fetch)
{
    int64_t skew_ms = fetch->sent_wall_ms + fetch->took_ms / 2 - (fetch->date_wall_ms + 500);
    int64_t away_ms = skew_ms < 0 ? -skew_ms : skew_ms;

    if (away_ms > CHECK_SKEW_MS)
        findings_add(l->findings, SEVERITY_WARNING, "clock_skew", fetch->service->text,
                     "let the system's clock be set by NTP (timedatectl set-ntp true): waits given "
                     "as a date come out wrong",
                     "this machine's clock is %lld s %s that of the service",
                     (long long)(away_ms / 1000), skew_ms > 0 ? "ahead of" : "behind");
}

static void check_services(const struct live *l)
{
    for (size_t i = 0; i < l->count; i++) {
        if (!service_is_first(l, i))
            continue;
        check_reach(l, l->fetches[i].service);
        for (size_t k = i; k < l->count; k++) {
            const struct fetch *fetch = &l->fetches[k];
            if (fetch->service != l->fetches[i].service || fetch->status != STATUS_OK ||
                fetch->date_wall_ms < 0)
                continue;
            check_clock(l, fetch);
            break;
        }
    }
}

/* ---- keys -------------------------------------------------------------------------------- */

static const char *remedy_for(enum failure failure)
{
    switch (failure) {
    case FAILURE_REVOKED:
        return "the key is wrong or was revoked: create a new one at "
               "platform.openai.com/api-keys";
    case FAILURE_DEACTIVATED: return "the account is closed: use a key of another one";
    case FAILURE_MISMATCHED:
        return "the organization or project set for it is not the key's: correct or remove it";
    case FAILURE_EGRESS_IP: return "allow this machine's address in the project's IP allowlist";
    case FAILURE_SCOPE:
        return "give the key the scope it lacks (here: models), or ignore this if it is restricted "
               "on purpose";
    case FAILURE_REGION:
        return "the service refuses this country or region: run the gateway elsewhere";
    case FAILURE_QUOTA: return "add credit or raise the limit at platform.openai.com/settings";
    case FAILURE_RATE:
    case FAILURE_SLOW_DOWN: return "nothing, if it is used a lot right now";
    case FAILURE_NONE:
    case FAILURE_CALLER:
    case FAILURE_POLICY:
    case FAILURE_DISABLED:
    case FAILURE_FORBIDDEN:
    case FAILURE_UNVERIFIED:
    case FAILURE_MODEL:
    case FAILURE_TIER:
    case FAILURE_TOO_LARGE:
    case FAILURE_CONFLICT:
    case FAILURE_OVERLOADED:
    case FAILURE_SERVER:
    case FAILURE_NETWORK:
    case FAILURE_TIMEOUT:
    case FAILURE_CUT:
    case FAILURE_GARBAGE:
    case FAILURE_ABANDONED:
    case FAILURE_COUNT: break;
    }
    return "try again; if it stays so, ask the service's support with the request id";
}

static enum severity severity_of(const struct verdict *verdict)
{
    if (verdict->failure == FAILURE_RATE || verdict->failure == FAILURE_SLOW_DOWN)
        return SEVERITY_NOTE;
    bool key_is_out = verdict->scope == SCOPE_KEY || verdict->scope == SCOPE_PROJECT ||
                      verdict->scope == SCOPE_ORG;
    return key_is_out ? SEVERITY_ERROR : SEVERITY_WARNING;
}

static void check_answer(const struct live *l, size_t index)
{
    const struct fetch *fetch = &l->fetches[index];
    struct answer answer = {.transport = TRANSPORT_OK,
                            .request_sent = true,
                            .status = fetch->code,
                            .content_type = slice_str(fetch->content_type),
                            .body = buffer_slice(&fetch->body),
                            .hints = &fetch->hints,
                            .family = FAMILY_MODELS,
                            .wall_ms = fetch->sent_wall_ms};
    struct verdict verdict;
    struct evidence evidence;
    char subject[CHECK_SUBJECT_MAX];

    if (answer.body.len > VERDICT_BODY_MAX)
        answer.body.len = VERDICT_BODY_MAX;
    verdict_of(&answer, &verdict, &evidence);
    if (verdict.reaction == REACT_SUCCESS)
        return;
    echo_mask_evidence(fetch->secret, &evidence);
    check_subject(&l->settings->keys[index], subject);
    enum severity severity = severity_of(&verdict);
    findings_add(l->findings, severity,
                 severity == SEVERITY_ERROR  ? "dead_key"
                 : severity == SEVERITY_NOTE ? "limited_key"
                                             : "doubtful_key",
                 subject, remedy_for(verdict.failure), "%s answers GET /models with %d: %s%s%s%s%s",
                 fetch->service->text, fetch->code, failure_name(verdict.failure),
                 evidence.code[0] ? ", " : "", evidence.code, evidence.request_id[0] ? ", " : "",
                 evidence.request_id);
}

/* ---- organisations ----------------------------------------------------------------------- */

static const char *organization_of(const struct fetch *fetch)
{
    return fetch->status == STATUS_OK && fetch->code < 300 ? fetch->hints.organization : "";
}

static int compare_owner(const void *left, const void *right)
{
    const struct fetch *a = *(const struct fetch *const *)left;
    const struct fetch *b = *(const struct fetch *const *)right;

    return strcmp(organization_of(a), organization_of(b));
}

static void tell_shared(const struct live *l, const struct fetch *const *first, size_t count)
{
    char subject[CHECK_SUBJECT_MAX], names[200] = "", name[KEY_NAME_MAX];
    size_t len = 0, told = 0;

    for (; told < count && told < 3; told++) {
        const struct key_setting *key = &l->settings->keys[first[told] - l->fetches];
        int more = snprintf(names + len, sizeof names - len, "%s%.60s", told ? ", " : "",
                            key_name_text(key->traits->name, key->line, name));
        len += (size_t)more < sizeof names - len ? (size_t)more : 0;
    }
    (void)snprintf(subject, sizeof subject, "organization %s", organization_of(*first));
    findings_add(l->findings, SEVERITY_WARNING, "same_organization", subject,
                 "take fallback keys of other organizations: limits, credit and bills are the "
                 "organization's, and its keys run out together",
                 "%zu keys are of this organization: %s%s", count, names,
                 told < count ? ", …" : "");
}

/* Sorted by owner, those that share one stand together. */
static enum status check_owners(const struct live *l)
{
    const struct fetch **sorted = calloc(l->count, sizeof *sorted);

    if (!sorted)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < l->count; i++)
        sorted[i] = &l->fetches[i];
    qsort(sorted, l->count, sizeof *sorted, compare_owner);
    for (size_t i = 0, end; i < l->count; i = end) {
        for (end = i + 1; end < l->count && compare_owner(&sorted[i], &sorted[end]) == 0; end++)
            ;
        if (end - i > 1 && organization_of(sorted[i])[0])
            tell_shared(l, &sorted[i], end - i);
    }
    free(sorted);
    return STATUS_OK;
}

/* ---- all of it --------------------------------------------------------------------------- */

static enum status look(struct live *l, struct buffer *reason)
{
    for (size_t i = 0; i < l->count; i++)
        ask_about(l->settings, &l->settings->keys[i], &l->fetches[i]);
    enum status status = fetch_run(l->fetches, l->count, l->settings, -1, reason);
    if (status != STATUS_OK)
        return status;
    check_services(l);
    for (size_t i = 0; i < l->count; i++) {
        if (l->fetches[i].status == STATUS_OK)
            check_answer(l, i);
    }
    return check_owners(l);
}

bool check_live(const struct settings *settings, struct findings *findings, struct buffer *reason)
{
    size_t count =
        settings->key_count < CHECK_LIVE_KEYS_MAX ? settings->key_count : CHECK_LIVE_KEYS_MAX;
    struct live l = {settings, findings, calloc(count + 1, sizeof *l.fetches), count};
    enum status status = l.fetches ? STATUS_OK : STATUS_NO_MEMORY;

    if (status == STATUS_OK && count > 0)
        status = look(&l, reason);
    if (status == STATUS_OK && count < settings->key_count)
        findings_add(findings, SEVERITY_NOTE, "not_asked", "settings",
                     "check them in parts, with files of fewer keys",
                     "only the first %zu of %zu keys were asked about", count, settings->key_count);
    for (size_t i = 0; l.fetches && i < count; i++)
        buffer_clear(&l.fetches[i].body);
    free(l.fetches);
    if (status != STATUS_OK && reason->len == 0)
        (void)!buffer_printf(reason, 256, "%s", status_text(status));
    return status == STATUS_OK;
}
