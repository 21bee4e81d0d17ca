#include <stdio.h>
#include <string.h>

#include "cli/check.h"

void check_subject(const struct key_setting *key, char out[CHECK_SUBJECT_MAX])
{
    char mask[SECRET_MASK_MAX], name[KEY_NAME_MAX];

    secret_mask(secret_bytes(key->secret), mask);
    (void)snprintf(out, CHECK_SUBJECT_MAX, "%s (%s)",
                   key_name_text(key->traits->name, key->line, name), mask);
}

const struct service_url *check_service(const struct settings *settings,
                                        const struct key_setting *key)
{
    return key->traits->service ? key->traits->service : &settings->upstream;
}

/* ---- what loading said ------------------------------------------------------------------- */

/* By a part of the message; the first that is in it. */
static const struct {
    const char *part, *code, *remedy;
} sayings[] = {
    {"the same key as", "duplicate_key",
     "remove one of the two: one key has one limit, however often it is named"},
    {"spaces around the key", "key_whitespace", "remove the spaces; the key is used without them"},
    {"has a space inside", "key_whitespace",
     "a key has no spaces: copy it again, one key per variable or line"},
    {"admin key", "admin_key",
     "admin keys (sk-admin-…) manage an organization and answer no requests: create a project key, "
     "and keep the admin key elsewhere"},
    {"expected an API key", "broken_key", "copy the key again from platform.openai.com"},
    {"unknown name", "unknown_setting", "correct the name, or remove it: it has no effect"},
    {"unknown key", "unknown_setting", "correct the name, or remove it: it has no effect"},
    {"cannot read", "unreadable_file", "correct the path, or the rights of the file"},
    {"cannot be read", "unreadable_file", "correct the path, or the rights of the file"},
    {"", "setting", "sparekey help config lists every setting and what it takes"},
};

/* Of "origin: NAME: message" the length of what stands before the message; the name may be missing. */
static size_t place_len(struct slice line)
{
    const char *first = memmem(line.ptr, line.len, ": ", 2);

    if (!first)
        return 0;
    struct slice rest = slice_from(line, (size_t)(first - line.ptr) + 2);
    const char *second = rest.len ? memmem(rest.ptr, rest.len, ": ", 2) : NULL;
    bool is_name = second && !memchr(rest.ptr, ' ', (size_t)(second - rest.ptr));
    return (size_t)((is_name ? second : first) - line.ptr);
}

static void add_saying(struct findings *f, enum severity severity, struct slice line)
{
    size_t place = place_len(line), i = 0;
    struct slice message = place ? slice_from(line, place + 2) : line;
    char subject[CHECK_SUBJECT_MAX];

    (void)slice_copy(place ? slice_of(line.ptr, place) : SLICE("settings"), subject,
                     sizeof subject);
    while (!slice_contains_nocase(line, slice_str(sayings[i].part)))
        i++;
    findings_add(f, severity, sayings[i].code, subject, sayings[i].remedy, "%.*s", (int)message.len,
                 message.len ? message.ptr : "");
}

void check_report(const struct settings_report *report, struct findings *f)
{
    struct slice errors = buffer_slice(&report->errors), warnings = buffer_slice(&report->warnings);
    struct slice line;

    while (slice_next_item(&errors, '\n', &line)) {
        if (line.len)
            add_saying(f, SEVERITY_ERROR, line);
    }
    while (slice_next_item(&warnings, '\n', &line)) {
        if (line.len)
            add_saying(f, SEVERITY_WARNING, line);
    }
}

/* ---- the keys ---------------------------------------------------------------------------- */

static bool is_quote(char c)
{
    return c == '"' || c == '\'' || c == '`';
}

/* "sk-xxxxxxxx", "****": nothing but filling behind the prefix. */
static bool is_filling(struct slice key)
{
    if (slice_starts(key, SLICE("sk-")))
        key = slice_from(key, 3);
    if (slice_starts(key, SLICE("proj-")))
        key = slice_from(key, 5);
    for (size_t i = 0; i < key.len; i++) {
        if (!strchr("xX*.-_", key.ptr[i]))
            return false;
    }
    return true;
}

/* What samples and tutorials write in the place of a key. The words are too long to stand in one of
 * ten thousand true keys by chance. */
static bool is_placeholder(struct slice key)
{
    static const char *const parts[] = {"your-",    "your_",       "yourkey", "yourapi", "...",
                                        "changeme", "change-me",   "<",       "${",      "example",
                                        "replace",  "placeholder", "insert-", "api-key", "api_key"};

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (slice_contains_nocase(key, slice_str(parts[i])))
            return true;
    }
    return is_filling(key);
}

/* Of other services, though they begin like those of OpenAI. */
static bool is_foreign(struct slice key)
{
    static const struct slice prefixes[] = {{"sk-ant-", 7}, {"sk-or-", 6}};

    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        if (slice_starts(key, prefixes[i]))
            return true;
    }
    return !slice_starts(key, SLICE("sk-"));
}

static void check_key(const struct settings *settings, const struct key_setting *key,
                      struct findings *f)
{
    struct slice bytes = secret_bytes(key->secret);
    bool openai = strcmp(check_service(settings, key)->host, "api.openai.com") == 0;
    char subject[CHECK_SUBJECT_MAX];

    check_subject(key, subject);
    if (is_quote(bytes.ptr[0]) || is_quote(bytes.ptr[bytes.len - 1]))
        findings_add(f, SEVERITY_ERROR, "key_quotes", subject,
                     "remove the quotes: they are taken for a part of the key",
                     "the key begins or ends with a quote");
    else if (is_placeholder(bytes))
        findings_add(f, SEVERITY_ERROR, "placeholder_key", subject,
                     "put a key of platform.openai.com there, or remove the line",
                     "this is the placeholder of a sample, not a key");
    else if (slice_starts(bytes, SLICE("ek_")))
        findings_add(
            f, SEVERITY_ERROR, "ephemeral_key", subject,
            "create a project key: this one is for one browser session and ends in minutes",
            "an ephemeral client secret is no API key");
    else if (openai && is_foreign(bytes))
        findings_add(f, SEVERITY_WARNING, "foreign_key", subject,
                     "check which service it is for; in sparekey.yaml a key can name its base_url",
                     "this is no key of api.openai.com: those begin with sk-, and not with the "
                     "sk-ant- or sk-or- of other services");
    else if (openai && bytes.len < CHECK_KEY_MIN)
        findings_add(f, SEVERITY_WARNING, "short_key", subject, "copy the key again, whole",
                     "shorter than any OpenAI key");
}

void check_keys(const struct settings *settings, struct findings *f)
{
    for (size_t i = 0; i < settings->key_count; i++)
        check_key(settings, &settings->keys[i], f);
}

void check_key_count(const struct settings *settings, struct findings *f)
{
    if (settings->key_count == 0)
        findings_add(f, SEVERITY_ERROR, "no_key", "settings",
                     "set OPENAI_API_KEY, and OPENAI_API_KEY_FALLBACK_1, _2, … for the others, in "
                     "the environment or in .env.local",
                     "there is no API key");
    if (settings->key_count == 1)
        findings_add(f, SEVERITY_NOTE, "one_key", "settings",
                     "add OPENAI_API_KEY_FALLBACK_1, of another organization if you can",
                     "there is one key only, and nothing to fall back on");
    else if (settings->key_count > 1 && !settings->fallback_enabled)
        findings_add(f, SEVERITY_WARNING, "fallback_off", "OPENAI_FALLBACK_ENABLED",
                     "remove the setting, or set it to true",
                     "fallback is switched off: %zu of %zu keys are never used",
                     settings->key_count - 1, settings->key_count);
}
