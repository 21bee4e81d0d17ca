#include "client/sources.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/fault.h"
#include "settings/options.h"

enum { NAME_MAX_BYTES = 64 };

void sources_clear(struct sources *s)
{
    for (size_t i = 0; i < s->own; i++) {
        explicit_bzero(s->variables[i], strlen(s->variables[i]));
        free(s->variables[i]);
    }
    free(s->variables);
    *s = (struct sources){.variables = NULL};
}

static size_t count_of(const char *const *list)
{
    size_t count = 0;

    while (list && list[count])
        count++;
    return count;
}

/* "NAME=value" */
static int add(struct sources *s, const char *name, const char *value, sparekey_error *error)
{
    size_t size = strlen(name) + 1 + strlen(value) + 1;
    char *text = malloc(size);

    if (!text)
        return fault_set(error, SPAREKEY_ERROR_MEMORY, "out of memory");
    (void)snprintf(text, size, "%s=%s", name, value);
    s->variables[s->own++] = text;
    return SPAREKEY_OK;
}

static int add_keys(struct sources *s, const sparekey_client_options *o, sparekey_error *error)
{
    char name[NAME_MAX_BYTES];
    int code = SPAREKEY_OK;

    for (size_t i = 0; i < o->key_count && code == SPAREKEY_OK; i++) {
        if (i == 0)
            (void)snprintf(name, sizeof name, "OPENAI_API_KEY");
        else
            (void)snprintf(name, sizeof name, "OPENAI_API_KEY_FALLBACK_%zu", i);
        if (!o->keys || !o->keys[i] || !*o->keys[i])
            code = fault_set(error, SPAREKEY_ERROR_ARGUMENT, "options.keys: key %zu is %s", i,
                             o->keys && o->keys[i] ? "empty" : "NULL");
        else
            code = add(s, name, o->keys[i], error);
    }
    return code;
}

/* Values are not shown: one may be a key. */
static int add_setting(struct sources *s, const char *setting, sparekey_error *error)
{
    const char *equals = strchr(setting, '=');
    char name[NAME_MAX_BYTES];
    struct slice given = slice_of(setting, equals ? (size_t)(equals - setting) : 0);

    if (!equals || given.len >= sizeof name)
        return fault_argument(error, "options.settings",
                              "a line is not of the form \"NAME=value\"");
    (void)slice_copy(given, name, sizeof name);
    if (option_find(given, false) < 0) {
        const char *meant = option_near(given);
        return fault_set(error, SPAREKEY_ERROR_ARGUMENT, "options.settings: unknown name%s%s%s",
                         meant ? "; did you mean " : "", meant ? meant : "", meant ? "?" : "");
    }
    return add(s, name, equals + 1, error);
}

static int add_settings(struct sources *s, const sparekey_client_options *o, sparekey_error *error)
{
    int code = SPAREKEY_OK;

    if (o->base_url)
        code = add(s, "SPAREKEY_UPSTREAM_URL", o->base_url, error);
    for (size_t i = 0; code == SPAREKEY_OK && o->settings && o->settings[i]; i++)
        code = add_setting(s, o->settings[i], error);
    return code;
}

int sources_make(struct sources *s, const sparekey_client_options *o, bool environment,
                 sparekey_error *error)
{
    const char *const *process = environment ? (const char *const *)environ : NULL;
    size_t theirs = count_of(process);
    size_t room = o->key_count + 1 + count_of(o->settings) + theirs + 1;

    *s = (struct sources){.variables = calloc(room, sizeof *s->variables)};
    if (!s->variables)
        return fault_set(error, SPAREKEY_ERROR_MEMORY, "out of memory");
    int code = add_keys(s, o, error);
    if (code == SPAREKEY_OK)
        code = add_settings(s, o, error);
    if (code != SPAREKEY_OK) {
        sources_clear(s);
        return code;
    }
    if (theirs)
        memcpy(s->variables + s->own, environ, theirs * sizeof *s->variables);
    s->settings.environment = s->variables;
    s->settings.base_url = environment;
    s->settings.directory = environment ? "." : NULL;
    return SPAREKEY_OK;
}
