/* Settings once they are loaded: their lifetime, and what follows from them. */
#include "settings/settings.h"

#include <stdio.h>
#include <stdlib.h>

#include "settings/address.h"
#include "settings/loading.h"
#include "settings/value.h"

struct settings *settings_ref(struct settings *settings)
{
    atomic_fetch_add_explicit(&loaded_of(settings)->references, 1, memory_order_relaxed);
    return settings;
}

bool option_given(const struct settings *settings, enum option_id id)
{
    const struct loaded *loaded = (const struct loaded *)(const void *)settings;

    return loaded->origins[id].rank != ORIGIN_DEFAULT;
}

void settings_drop_keys(struct settings *settings)
{
    for (size_t i = 0; i < settings->key_count; i++)
        secret_unref(settings->keys[i].secret);
    free(settings->keys);
    settings->keys = NULL;
    settings->key_count = 0;
}

static void free_loaded(struct loaded *loaded)
{
    struct settings *settings = &loaded->settings;

    settings_drop_keys(settings);
    for (size_t i = 0; i < settings->client_token_count; i++)
        secret_unref(settings->client_tokens[i]);
    for (size_t i = 0; i < loaded->environment_secret_count; i++)
        secret_unref(loaded->environment_secrets[i].secret);
    secret_unref(settings->admin_token);
    secret_unref(settings->alert_webhook);
    secret_unref(settings->proxy);
    secret_unref(settings->otlp_headers);
    free(settings->client_tokens);
    free(loaded->environment_secrets);
    arena_clear(&loaded->strings);
    free(loaded);
}

void settings_unref(struct settings *settings)
{
    if (!settings)
        return;
    struct loaded *loaded = loaded_of(settings);
    if (atomic_fetch_sub_explicit(&loaded->references, 1, memory_order_acq_rel) == 1)
        free_loaded(loaded);
}

const char *key_name_text(const char *name, uint32_t line, char out[KEY_NAME_MAX])
{
    enum { LINE_MAX = sizeof ":4294967295" };

    if (line)
        (void)snprintf(out, KEY_NAME_MAX, "%.*s:%u", KEY_NAME_MAX - LINE_MAX, name, line);
    else
        (void)slice_copy(slice_str(name), out, KEY_NAME_MAX);
    return out;
}

void settings_listen_url(const struct settings *settings, uint16_t port, char out[LISTEN_URL_MAX])
{
    const char *host = settings->listen.host;

    if (strcmp(host, "0.0.0.0") == 0)
        host = "127.0.0.1";
    else if (strcmp(host, "::") == 0)
        host = "::1";
    bool v6 = strchr(host, ':') != NULL;
    (void)snprintf(out, LISTEN_URL_MAX, "%s://%s%s%s:%u", settings->tls_cert ? "https" : "http",
                   v6 ? "[" : "", host, v6 ? "]" : "", port);
}

bool settings_servable(const struct settings *settings, struct buffer *out)
{
    enum { REASON_MAX = 1024 };

    if (settings->client_token_count || listen_is_loopback(&settings->listen))
        return true;
    /* Without memory for the reason the answer is still no. */
    (void)!buffer_printf(
        out, out->len + REASON_MAX,
        "SPAREKEY_LISTEN: address %s is public and no client tokens are set: anyone who reaches "
        "it could spend your keys. Set SPAREKEY_CLIENT_TOKENS (or SPAREKEY_CLIENT_TOKENS_FILE), "
        "or listen on 127.0.0.1",
        settings->listen.host);
    return false;
}

static enum status append_if_changed(const struct option *option, const struct settings *a,
                                     const struct settings *b, struct buffer *out)
{
    enum { NAMES_MAX = 1024 };
    struct buffer before = {0}, after = {0};

    enum status status = value_format(option, a, &before);
    if (status == STATUS_OK)
        status = value_format(option, b, &after);
    if (status == STATUS_OK && !slice_eq(buffer_slice(&before), buffer_slice(&after)))
        status = buffer_printf(out, NAMES_MAX, "%s%s", out->len ? ", " : "", option->name);
    buffer_clear(&before);
    buffer_clear(&after);
    return status;
}

enum status settings_fixed_changes(const struct settings *running, const struct settings *next,
                                   struct buffer *out)
{
    enum status status = STATUS_OK;

    for (int id = 0; id < OPTION_IDS && status == STATUS_OK; id++) {
        if (!(option_table[id].flags & (RELOADABLE | SECRET)))
            status = append_if_changed(&option_table[id], running, next, out);
    }
    return status;
}

static bool is_secret_variable(const struct loaded *loaded, struct slice name)
{
    int id = option_find(option_name_of_variable(name), false);

    if (id >= 0)
        return (option_table[id].flags & SECRET) != 0;
    for (size_t i = 0; loaded && i < loaded->environment_secret_count; i++) {
        if (slice_eq(slice_str(loaded->environment_secrets[i].name), name))
            return true;
    }
    return false;
}

void settings_wipe_environment(const struct settings *settings, char **environment)
{
    const struct loaded *loaded = (const struct loaded *)(const void *)settings;

    for (size_t i = 0; environment && environment[i]; i++) {
        char *equals = strchr(environment[i], '=');
        if (!equals)
            continue;
        if (is_secret_variable(loaded, slice_of(environment[i], (size_t)(equals - environment[i]))))
            explicit_bzero(equals + 1, strlen(equals + 1));
    }
}
