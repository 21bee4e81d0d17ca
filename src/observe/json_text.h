/* Text of strangers inside JSON and on terminals: what is no UTF-8 never reaches a JSON reader, and
 * control bytes never reach a terminal, where they could move its cursor. Sans-IO. */
#ifndef SPAREKEY_OBSERVE_JSON_TEXT_H
#define SPAREKEY_OBSERVE_JSON_TEXT_H

#include <stdbool.h>

#include "base/slice.h"
#include "base/text.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes of the UTF-8 character at the front of a text that is not empty (RFC 3629 §4); 0 when it is
 * none. */
size_t utf8_len(struct slice text);

/* Whether these `len` bytes are a control character, C1 among them. */
bool utf8_is_control(const char *at, size_t len);

#define JSON_CHARACTER_MAX 8

/* Writes the first character of a text that is not empty as a JSON string holds it; returns the
 * bytes written. `*ret_used` bytes of the text were it. */
size_t json_character(struct slice text, char out[JSON_CHARACTER_MAX], size_t *ret_used);

/* Puts `text` with its quotes. */
void json_put_string(struct text *t, struct slice text);

/* "2026-01-01T00:00:00.000Z" of Unix time in milliseconds. */
#define JSON_TIME_MAX 32
const char *json_time(int64_t wall_ms, char out[JSON_TIME_MAX]);

#ifdef __cplusplus
}
#endif
#endif
