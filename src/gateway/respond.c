#include "gateway/respond.h"

#include <stdarg.h>
#include <stdio.h>

#include "openai/error_body.h"

enum { MESSAGE_MAX = 512, BODY_MAX = 4096, FIELDS_MAX = 1024 };

void respond_error(struct server_conn *request, int status, const char *code, struct slice fields,
                   const char *format, ...)
{
    char message[MESSAGE_MAX], lines[FIELDS_MAX];
    struct buffer body = {0};
    va_list args;

    va_start(args, format);
    (void)vsnprintf(message, sizeof message, format, args);
    va_end(args);
    (void)snprintf(lines, sizeof lines, "content-type: application/json\r\n%.*s", (int)fields.len,
                   fields.len ? fields.ptr : "");
    /* Out of memory: the status still says what happened. */
    if (error_body_write(&body, slice_str(message), SLICE(RESPOND_ERROR_TYPE), slice_str(code)) !=
        STATUS_OK)
        body.len = 0;
    server_reply(request, status, slice_str(lines), buffer_slice(&body));
    buffer_clear(&body);
}

static const char *server_error_code(int status)
{
    switch (status) {
    case 408: return "request_timeout";
    case 431: return "header_fields_too_large";
    default: return "malformed_request";
    }
}

void respond_server_error(struct server *server, int status, const char *message,
                          struct buffer *out)
{
    (void)server;
    if (error_body_write(out, slice_str(message), SLICE(RESPOND_ERROR_TYPE),
                         slice_str(server_error_code(status))) != STATUS_OK)
        out->len = 0;
}

void respond_json(struct server_conn *request, int status, struct slice body)
{
    server_reply(request, status,
                 SLICE("content-type: application/json\r\ncache-control: no-store\r\n"), body);
}
