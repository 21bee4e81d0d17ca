/* JSON documents, read by jansson. */
#ifndef SPAREKEY_CLIENT_DOCUMENT_H
#define SPAREKEY_CLIENT_DOCUMENT_H

#include <jansson.h>
#include <stdbool.h>

#include "base/slice.h"
#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Whether it is one; allocates nothing. */
bool document_is_valid(struct slice text);

/* Reads all of `text`; `*ret` is a new reference. STATUS_INVALID: it is no document.
 * STATUS_NO_MEMORY, told apart from that. */
NODISCARD
enum status document_read(struct slice text, json_t **ret);

#ifdef __cplusplus
}
#endif
#endif
