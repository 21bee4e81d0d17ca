/* Results: what an answer holds, read once when it is complete. */
#ifndef SPAREKEY_CLIENT_RESULT_H
#define SPAREKEY_CLIENT_RESULT_H

#include <jansson.h>
#include <stdbool.h>

#include "base/buffer.h"
#include "sparekey/sparekey.h"

#ifdef __cplusplus
extern "C" {
#endif

enum result_kind {
    RESULT_RAW, /* any endpoint: only the body */
    RESULT_CHAT,
    RESULT_RESPONSE,
    RESULT_IMAGES,
    RESULT_EMBEDDINGS,
    RESULT_MODELS,
};

struct result_source {
    enum result_kind kind;
    int http_status;
    const char *content_type;
    struct buffer *body; /* moves into the result on success */
    json_t *document; /* what a stream's events have made; a reference that is taken over. NULL: it
                            is read from the body */
    bool wants_image_url;
};

/* STATUS_INVALID: the body is not the JSON it should be. STATUS_NO_MEMORY. */
NODISCARD
enum status result_new(struct result_source *source, sparekey_result **ret_result);

/* How it came about: the attempts are those of `trail`. */
void result_note(sparekey_result *result, const sparekey_error *trail, const char *request_id);

#ifdef __cplusplus
}
#endif
#endif
