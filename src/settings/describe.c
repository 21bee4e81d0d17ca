/* What people read of the settings: `sparekey config`, the options of --help, the sample files.
 * All three walk the table. */
#include "settings/settings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "settings/loading.h"
#include "settings/value.h"

enum { TEXT_MAX_BYTES = 1 << 30 }; /* a million keys are 100 MB of description */

/* A buffer and the first failure to write to it. */
struct writer {
    struct buffer *out;
    enum status status;
};

static void put(struct writer *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(struct writer *w, const char *format, ...)
{
    char *text = NULL;
    va_list args;

    if (w->status != STATUS_OK)
        return;
    va_start(args, format);
    int len = vasprintf(&text, format, args);
    va_end(args);
    if (len < 0) {
        w->status = STATUS_NO_MEMORY;
        return;
    }
    w->status = buffer_append(w->out, slice_of(text, (size_t)len), TEXT_MAX_BYTES);
    free(text);
}

/* Breaks `text` at spaces into lines of at most `width`, each begun with `indent`. */
static void put_wrapped(struct writer *w, const char *indent, const char *text, size_t width)
{
    struct slice rest = slice_str(text);

    while (rest.len) {
        size_t len = rest.len;
        if (len > width) {
            len = width;
            while (len > 1 && rest.ptr[len] != ' ')
                len--;
        }
        put(w, "%s%.*s\n", indent, (int)len, rest.ptr);
        rest = slice_trim(slice_from(rest, len));
    }
}

/* ---- sparekey config -------------------------------------------------------------------------- */

static const char *mask_of(const struct secret *secret, char mask[SECRET_MASK_MAX])
{
    secret_mask(secret_bytes(secret), mask);
    return mask;
}

static size_t count_named(const struct settings *settings, enum option_id id)
{
    size_t count = 0;

    for (size_t i = 0; i < settings->key_count; i++)
        count += option_find(slice_str(settings->keys[i].traits->name), false) == (int)id;
    return count;
}

/* Secrets show how many there are; the keys' masks follow in their own list. */
static enum status format_secret(enum option_id id, const struct settings *settings,
                                 struct buffer *out)
{
    if (id == OPTION_ALERT_WEBHOOK)
        return settings->alert_webhook
                   ? buffer_printf(out, TEXT_MAX_BYTES, "%s/...", settings->alert_host.text)
                   : STATUS_OK;
    if (id == OPTION_HTTPS_PROXY)
        return settings->proxy ? buffer_printf(out, TEXT_MAX_BYTES, "%s", settings->proxy_host.text)
                               : STATUS_OK;
    size_t count = id == OPTION_CLIENT_TOKENS  ? settings->client_token_count
                   : id == OPTION_ADMIN_TOKEN  ? settings->admin_token != NULL
                   : id == OPTION_OTLP_HEADERS ? settings->otlp_headers != NULL
                                               : count_named(settings, id);
    const char *noun = id == OPTION_PRIMARY_KEY || id == OPTION_FALLBACK_KEY ? "key" : "token";

    if (count == 0)
        return STATUS_OK;
    return buffer_printf(out, TEXT_MAX_BYTES, "(%zu %s%s)", count, noun, count > 1 ? "s" : "");
}

static void describe_option(struct writer *w, const struct loaded *loaded, enum option_id id)
{
    const struct option *option = &option_table[id];
    char place[ORIGIN_TEXT_MAX];
    struct buffer value = {0};

    enum status status = option->flags & SECRET ? format_secret(id, &loaded->settings, &value)
                                                : value_format(option, &loaded->settings, &value);
    if (status != STATUS_OK)
        w->status = status;
    else if (value.len)
        put(w, "%-30s %-32.*s %s\n", option->name, (int)value.len, value.data,
            origin_text(&loaded->origins[id], place));
    else
        put(w, "%-30s %-32s %s\n", option->name, "-", origin_text(&loaded->origins[id], place));
    buffer_clear(&value);
}

static void describe_key(struct writer *w, size_t number, const struct key_setting *key)
{
    const struct key_traits *traits = key->traits;
    char mask[SECRET_MASK_MAX], name[KEY_NAME_MAX];

    put(w, "%4zu  %-28s %-16s %s", number, key_name_text(traits->name, key->line, name),
        mask_of(key->secret, mask), traits->source);
    if (traits->service)
        put(w, "  base_url=%s", traits->service->text);
    if (traits->organization)
        put(w, "  organization=%s", traits->organization);
    if (traits->project)
        put(w, "  project=%s", traits->project);
    if (traits->auth_header)
        put(w, "  auth_header=%s", traits->auth_header);
    if (traits->weight != 1)
        put(w, "  weight=%u", traits->weight);
    if (traits->max_in_flight)
        put(w, "  max_in_flight=%u", traits->max_in_flight);
    for (size_t i = 0; traits->models && traits->models[i]; i++)
        put(w, "%s%s", i ? "," : "  models=", traits->models[i]);
    put(w, "\n");
}

enum status settings_describe(const struct settings *settings, struct buffer *out)
{
    const struct loaded *loaded = (const struct loaded *)(const void *)settings;
    struct writer w = {out, STATUS_OK};

    for (enum option_id id = 0; id < OPTION_IDS; id++)
        describe_option(&w, loaded, id);
    put(&w, "\n%zu key%s, in the order of their use%s\n", settings->key_count,
        settings->key_count == 1 ? "" : "s", settings->key_count ? ":" : "");
    for (size_t i = 0; i < settings->key_count && w.status == STATUS_OK; i++)
        describe_key(&w, i + 1, &settings->keys[i]);
    return w.status;
}

/* ---- --help ----------------------------------------------------------------------------------- */

static const char *placeholder(const struct option *option)
{
    switch (option->type) {
    case OPTION_BOOL: return "BOOL";
    case OPTION_COUNT: return "NUMBER";
    case OPTION_DURATION: return "DURATION";
    case OPTION_SIZE: return "SIZE";
    case OPTION_CHOICE: return "WORD";
    case OPTION_LEVELS: return "LEVELS";
    case OPTION_TEXT: return "NAME";
    case OPTION_PATH: return "FILE";
    case OPTION_WEBHOOK:
    case OPTION_PROXY:
    case OPTION_URL: return "URL";
    case OPTION_ADDRESS: return "ADDRESS:PORT";
    case OPTION_KEY:
    case OPTION_KEY_SERIES: return "KEY";
    case OPTION_TOKEN:
    case OPTION_TOKENS: return "TOKEN";
    }
    return "VALUE";
}

static void help_option(struct writer *w, const struct option *option)
{
    char flag[OPTION_FLAG_MAX], expected[EXPECTED_MAX];

    option_flag(option, flag);
    if (option->flags & SECRET)
        put(w, "  %s  (never on the command line)\n", option->name);
    else
        put(w, "  %s %s, %s\n", flag, placeholder(option), option->name);
    put_wrapped(w, "        ", option->help, 84);
    if (option->flags & SECRET)
        return;
    value_expected(option, expected);
    put_wrapped(w, "        ", expected, 84);
    if (option->standard)
        put(w, "        default: %s\n", option->standard);
}

enum status settings_help(struct buffer *out)
{
    struct writer w = {out, STATUS_OK};

    put(&w, "Settings are taken from, strongest first: the command line, the environment,\n"
            ".env.local, .env, sparekey.yaml.\n");
    for (int group = 0; group < OPTION_GROUPS; group++) {
        put(&w, "\n%s:\n", option_group_titles[group]);
        for (int id = 0; id < OPTION_IDS; id++) {
            if ((int)option_table[id].group == group)
                help_option(&w, &option_table[id]);
        }
    }
    return w.status;
}

/* ---- samples ---------------------------------------------------------------------------------- */

static void sample_value(struct writer *w, enum sample_form form, const struct option *option)
{
    const char *value = option->standard ? option->standard : "";

    if (form == SAMPLE_ENV) {
        put(w, "#%s=%s\n", option->name, value);
        return;
    }
    put(w, "#");
    for (const char *c = option->name; *c; c++)
        put(w, "%c", *c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
    put(w, ":%s%s\n", *value ? " " : "", value);
}

static void sample_option(struct writer *w, enum sample_form form, const struct option *option)
{
    char expected[EXPECTED_MAX];

    put(w, "\n");
    put_wrapped(w, "# ", option->help, 96);
    value_expected(option, expected);
    put_wrapped(w, "# ", expected, 96);
    put(w, "# %s\n", option->flags & RELOADABLE ? "SIGHUP reloads it." : "Read at start only.");
    sample_value(w, form, option);
}

static const char sample_head_env[] =
    "# Sparekey: a sample of .env.local. Every line is at its default; take away the # to change "
    "one.\n# Keep this file out of version control: it is the place of your keys.\n";
static const char sample_head_yaml[] =
    "# Sparekey: a sample of sparekey.yaml. Every line is at its default; take away the # to "
    "change one.\n";
static const char sample_keys_yaml[] =
    "\n# Keys with attributes. key_env takes the key from a variable; everything else may be left "
    "out.\n"
    "# keys:\n"
    "#   - key_env: TEAM_A_KEY\n"
    "#     name: team-a\n"
    "#     base_url: https://api.openai.com/v1\n"
    "#     organization: org-a\n"
    "#     project: proj_a\n"
    "#     weight: 1\n"
    "#     models: [gpt-5.4-mini, gpt-image-2]\n"
    "#     max_in_flight: 0        # 0 = no cap\n"
    "#     auth_header: api-key    # sent instead of Authorization: Bearer\n";

enum status settings_sample(enum sample_form form, struct buffer *out)
{
    struct writer w = {out, STATUS_OK};

    put(&w, "%s", form == SAMPLE_ENV ? sample_head_env : sample_head_yaml);
    for (int id = 0; id < OPTION_IDS; id++)
        sample_option(&w, form, &option_table[id]);
    if (form == SAMPLE_YAML)
        put(&w, "%s", sample_keys_yaml);
    return w.status;
}
