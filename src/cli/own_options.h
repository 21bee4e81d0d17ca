/* The options of one command alone, by table, beside the settings that every command takes. */
#ifndef SPAREKEY_CLI_OWN_OPTIONS_H
#define SPAREKEY_CLI_OWN_OPTIONS_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One of the two is set. */
struct own_option {
    const char *name; /* with its dashes */
    const char *
        *text;  /* where its value goes: "--name VALUE" or "--name=VALUE", the last one counts */
    bool *flag; /* set to true: it stands alone */
};

/* Takes what `own` (ended by a NULL name) names out of `arguments` (NULL-terminated, before and
 * after); what is left is for settings_load. False, with the line on standard error: a value is
 * missing, or is one too many, or a name is a misspelling of one of these rather than of a setting. */
bool own_options_take(const struct own_option *own, char **arguments);

/* For a command without settings: complains about what own_options_take has left. */
void own_options_refuse(const struct own_option *own, const char *argument);

#ifdef __cplusplus
}
#endif
#endif
