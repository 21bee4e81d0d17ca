#include "client/document.h"

#include "base/utf8.h"
#include "openai/peek.h"

/* Without memory jansson mostly complains about the text: whether that is right, our own scanner
 * tells, which needs none. */
static enum status why_not(struct slice text, const json_error_t *error)
{
    struct peek peek;

    if (json_error_code(error) == json_error_numeric_overflow || !utf8_valid(text))
        return STATUS_INVALID;
    peek_init(&peek);
    peek_feed(&peek, text.ptr, text.len);
    peek_finish(&peek);
    return peek.malformed ? STATUS_INVALID : STATUS_NO_MEMORY;
}

enum status document_read(struct slice text, json_t **ret)
{
    json_error_t error;
    json_t *document = json_loadb(text.len ? text.ptr : "", text.len, JSON_ALLOW_NUL, &error);

    if (!document)
        return why_not(text, &error);
    *ret = document;
    return STATUS_OK;
}
