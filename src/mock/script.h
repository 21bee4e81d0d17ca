/* The script: one YAML file that says what the mock is.
 *
 *   models: [m-1, m-2]          # those that exist; left out: every one
 *   default: {state: revoked}   # unknown keys; left out: they are wrong keys
 *   faults: [{fault: reset_before_head, rate: 0.01}]
 *   keys:
 *     - key: sk-a
 *       organization: org-1
 *       rpm: 3
 */
#ifndef SPAREKEY_MOCK_SCRIPT_H
#define SPAREKEY_MOCK_SCRIPT_H

#include "mock/keys.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SCRIPT_BYTES_MAX ((size_t)16 << 20)

/* Reads `text` into `ring`. On failure `reason` gets "file:line: name: what was expected" (the
 * file's name as given) and the ring holds what stood before the bad line. STATUS_INVALID, STATUS_NO_MEMORY. */
NODISCARD
enum status script_read(struct keyring *ring, struct slice text, const char *file_name,
                        struct buffer *reason);

/* The same from a file. STATUS_IO as well. */
NODISCARD
enum status script_load(struct keyring *ring, const char *file_name, struct buffer *reason);

/* Reads a document of that form, parsed. */
bool script_apply(struct keyring *ring, json_t *document, struct problem *problem);

#ifdef __cplusplus
}
#endif
#endif
