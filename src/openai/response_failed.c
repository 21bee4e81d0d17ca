#include "openai/response_failed.h"

#include <string.h>

#include "openai/json_scan.h"

struct reader {
    bool at_status; /* behind the key "status" of the outermost object */
    bool failed;
};

static void on_token(void *ctx, const struct json_token *token)
{
    struct reader *r = ctx;

    if (token->depth != 1)
        return;
    if (token->event == SCAN_KEY)
        r->at_status = !token->cut && slice_eq(token->text, SLICE("status"));
    else if (token->event == SCAN_STRING && r->at_status)
        r->failed = !token->cut && slice_eq(token->text, SLICE("failed"));
}

bool response_failed(struct slice document)
{
    struct slice word = SLICE("\"failed\"");
    struct reader reader = {false, false};
    char text[sizeof "status"];
    struct json_sink sink = {on_token, &reader, text, sizeof text};
    struct json_scan scan;

    /* Hardly any document is worth the scan. */
    if (!document.len || !memmem(document.ptr, document.len, word.ptr, word.len))
        return false;
    json_scan_init(&scan);
    json_scan_feed(&scan, &sink, document.ptr, document.len);
    return json_scan_finish(&scan, &sink) && reader.failed;
}
