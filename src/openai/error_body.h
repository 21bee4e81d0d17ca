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
NODISCARD enum status error_body_write(struct buffer *out, struct slice message, struct slice type,
                                       struct slice code);

/* Overwrites key fragments ("sk-…" and the like, also already starred ones) inside upstream text
 * with '*', in place and of the same length, so that lengths and framing stay true. */
void redact_keys(char *text, size_t len);

#ifdef __cplusplus
}
#endif
#endif
