/* What serve and exec share: settings read and reported, keys present, a log, a gateway. */
#ifndef SPAREKEY_CLI_SERVING_H
#define SPAREKEY_CLI_SERVING_H

#include "cli/process.h"
#include "gateway/gateway.h"
#include "observe/log.h"
#include "settings/settings.h"

#ifdef __cplusplus
extern "C" {
#endif

struct serving {
    struct vault *vault;
    struct settings *settings; /* in force; the keys are in the gateway's hands alone */
    struct settings *started;  /* at the start: what only a restart changes is still theirs */
    size_t key_count;          /* in force */
    struct log *log;
    struct gateway *gateway;
    struct settings_sources sources;
    struct process_limits limits_before; /* this process was given */
};

/* Reads the settings of the process (command line, `environment`, working directory), prints what
 * is wrong or odd with them on standard error, and wipes the secrets from the environment. An exit
 * code: EXIT_OK to go on. `ret_rest` as in settings_load. `environment` is used again by
 * serving_reload. serving_fini is due in any case. */
int serving_load(struct serving *s, char **arguments, char **environment, char ***ret_rest);

/* For a gateway of one command's own: its standard error is also somebody else's, so it says only what
 * a person has to see to, unless the settings say how much; and who is served speaks plain HTTP,
 * whatever the settings say of a listener for others. After serving_load. */
void serving_be_private(struct serving *s);

/* Starts the gateway; an exit code, the reason printed. */
int serving_start(struct serving *s);

/* Reads the settings anew and swaps them in; a broken file is reported and changes nothing. */
void serving_reload(struct serving *s);

void serving_fini(struct serving *s);

#ifdef __cplusplus
}
#endif
#endif
