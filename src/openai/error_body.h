/* Errors in OpenAI's JSON shape: made here when they are ours, redacted here when they are not. */
#ifndef SPAREKEY_OPENAI_ERROR_BODY_H
#define SPAREKEY_OPENAI_ERROR_BODY_H

#include "base/buffer.h"
#include "base/slice.h"
#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Appends {"error":{"message":…,"type":…,"param":null,"code":…}} with JSON escaping; invalid UTF-8
 * becomes U+FFFD. An empty code is null. */
NODISCARD
enum status error_body_write(struct buffer *out, struct slice message, struct slice type,
                             struct slice code);

/* The inner object alone: {"message":…,"type":…,"param":null,"code":…}. For whoever writes the
 * frame around it; on failure a part of it may be left in `out`. */
NODISCARD
enum status error_object_write(struct buffer *out, struct slice message, struct slice type,
                               struct slice code);

/* Appends `text` as a JSON string, quotes included, under the same rules. */
NODISCARD
enum status json_write_string(struct buffer *out, struct slice text);

/* The same without a limit, for what is no error: prompts. */
NODISCARD
enum status json_write_long(struct buffer *out, struct slice text);

/* Overwrites key fragments ("sk-…" and the like, also already starred ones) inside upstream text
 * with '*', in place and of the same length, so that lengths and framing stay true. */
void redact_keys(char *text, size_t len);

#ifdef __cplusplus
}
#endif
#endif
