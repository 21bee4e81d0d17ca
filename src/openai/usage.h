/* What an answer says it has cost: the "usage" object of openai-protocol.md §10. */
#ifndef SPAREKEY_OPENAI_USAGE_H
#define SPAREKEY_OPENAI_USAGE_H

#include <stdint.h>

#include "base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

#define USAGE_NONE INT64_C(-1)

/* The last "total_tokens" of a piece of an answer, or USAGE_NONE. Searched from the end, where it
 * stands in every API, and never parsed as a document: it corrects an estimate, nothing hangs on
 * it. A member name inside a string (behind a backslash) is not taken for one. When a stream is cut
 * in the middle of the number, that piece says nothing. */
int64_t usage_total_tokens(struct slice piece);

#ifdef __cplusplus
}
#endif
#endif
