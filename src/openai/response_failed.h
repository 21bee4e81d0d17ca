/* Is this response, answered with status 200, a failure? */
#ifndef SPAREKEY_OPENAI_RESPONSE_FAILED_H
#define SPAREKEY_OPENAI_RESPONSE_FAILED_H

#include <stdbool.h>

#include "base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Whether the document is an object whose own "status" is "failed": so the Responses API tells a
 * failure to whoever asked for no stream (openai-protocol.md §2.2, note f). What failed stands in
 * its "error". */
bool response_failed(struct slice document);

#ifdef __cplusplus
}
#endif
#endif
