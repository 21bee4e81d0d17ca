/* Where a client's settings come from: what its maker says, in front of the environment or alone. */
#ifndef SPAREKEY_CLIENT_SOURCES_H
#define SPAREKEY_CLIENT_SOURCES_H

#include "settings/settings.h"
#include "sparekey/sparekey.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sources {
    struct settings_sources settings;
    char **variables; /* ours, then the environment's; NULL-terminated */
    size_t own;       /* of them ours: freed, and wiped because keys are among them */
};

/* `environment`: the process's and the files of its working directory, too. SPAREKEY_ERROR_ARGUMENT,
 * …_SETTINGS, …_MEMORY; then nothing is to be cleared. */
int sources_make(struct sources *sources, const sparekey_client_options *options, bool environment,
                 sparekey_error *error);
void sources_clear(struct sources *sources);

#ifdef __cplusplus
}
#endif
#endif
