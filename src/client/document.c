#include "client/document.h"

#include "base/utf8.h"
#include "openai/peek.h"

bool document_is_valid(struct slice text)
{
    struct peek peek;

    peek_init(&peek);
    peek_feed(&peek, text.ptr, text.len);
    peek_finish(&peek);
    return !peek.malformed && utf8_valid(text);
}

enum status document_read(struct slice text, json_t **ret)
{
    json_error_t error = {.text = ""}; /* its last byte is the code, which jansson sets late */
    json_t *document = json_loadb(text.len ? text.ptr : "", text.len, JSON_ALLOW_NUL, &error);

    if (document) {
        *ret = document;
        return STATUS_OK;
    }
    /* Without memory jansson mostly complains about the text: our own scanner needs none. */
    if (json_error_code(&error) == json_error_numeric_overflow)
        return STATUS_INVALID;
    return document_is_valid(text) ? STATUS_NO_MEMORY : STATUS_INVALID;
}
