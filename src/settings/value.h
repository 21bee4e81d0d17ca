/* Values of options: from text into struct settings, and back. */
#ifndef SPAREKEY_SETTINGS_VALUE_H
#define SPAREKEY_SETTINGS_VALUE_H

#include "settings/arena.h"
#include "settings/options.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EXPECTED_MAX 200

/* The forms, each for itself. STATUS_INVALID (not of this form), STATUS_RANGE (beyond 2^63). */
NODISCARD
enum status value_bool(struct slice text, bool *ret);
NODISCARD
enum status value_duration(struct slice text,
                           uint64_t *ret_ms); /* 1500, 500ms, 10s, 2m, 1.5h, 1d */
NODISCARD
enum status value_size(struct slice text, uint64_t *ret_bytes); /* 4096, 64K, 64MiB, 1g, 17B */

/* Reads `text` into the option's field; strings go into `arena`. For the types that are no secret.
 * STATUS_INVALID with what was expected in `ret_expected`; STATUS_NO_MEMORY. */
NODISCARD
enum status value_parse(const struct option *option, struct slice text, struct arena *arena,
                        struct settings *settings, char ret_expected[EXPECTED_MAX]);

/* What a value of this option looks like: "a whole number from 0 to 1024". */
void value_expected(const struct option *option, char out[EXPECTED_MAX]);

/* Appends the field's value in the form value_parse reads; nothing for an empty string. */
NODISCARD
enum status value_format(const struct option *option, const struct settings *settings,
                         struct buffer *out);

#ifdef __cplusplus
}
#endif
#endif
