/* Is this JSON all there? */
#ifndef SPAREKEY_OPENAI_JSON_WHOLE_H
#define SPAREKEY_OPENAI_JSON_WHOLE_H

#include <stdbool.h>

#include "base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Whether `text` is one object or array from its first byte to its last, as far as brackets and
 * quotes tell: what was cut off anywhere is not, because the outermost bracket is the last to
 * close. White space around it is allowed,
 * and a byte order mark before it. It does not judge what stands between the brackets:
 * it is asked about every answer, and costs a quarter of a scan that does (json_scan). */
bool json_whole(struct slice text);

/* Whether a Content-Type is that of one JSON document: no application/jsonl, no json-seq. */
bool json_content_type(struct slice content_type);

#ifdef __cplusplus
}
#endif
#endif
