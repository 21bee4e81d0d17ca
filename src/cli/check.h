/* The parts of sparekey check. Each looks at one side and adds what it finds; none changes anything. */
#ifndef SPAREKEY_CLI_CHECK_H
#define SPAREKEY_CLI_CHECK_H

#include "cli/findings.h"
#include "settings/settings.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CHECK_LIVE_KEYS_MAX 10000 /* asked by --live; a free request each */
#define CHECK_SKEW_MS       30000 /* clocks further apart than this are worth a word */
#define CHECK_KEY_MIN       20    /* bytes; shorter ones are no OpenAI keys */

/* What loading the settings had to say: duplicates, spaces, admin keys, unknown names, errors. */
void check_report(const struct settings_report *report, struct findings *findings);

/* The keys as written: quotes, placeholders, keys of another kind. */
void check_keys(const struct settings *settings, struct findings *findings);

/* Whether there are enough of them: none at all, only one, or fallback is off. */
void check_key_count(const struct settings *settings, struct findings *findings);

/* This machine: rights of files with secrets, the state file, the address, proxies. `environment` is
 * NULL-terminated. */
void check_place(const struct settings *settings, char **environment, struct findings *findings);

/* The services: whether they are reached and trusted, what they say about each key, whose it is, and
 * what time it is there. False: it could not be asked, with the reason in `reason`. */
bool check_live(const struct settings *settings, struct findings *findings, struct buffer *reason);

/* "OPENAI_API_KEY (sk-proj...N0IA)" */
#define CHECK_SUBJECT_MAX 160
void check_subject(const struct key_setting *key, char out[CHECK_SUBJECT_MAX]);

/* The base URL the key is for. */
const struct service_url *check_service(const struct settings *settings,
                                        const struct key_setting *key);

#ifdef __cplusplus
}
#endif
#endif
