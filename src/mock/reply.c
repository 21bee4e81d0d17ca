#include "mock/reply.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_FRAMES = 16, FIELD_VALUE_MAX = 1024 };

void reply_init(struct reply *reply)
{
    *reply = (struct reply){
        .status = 200,
        .content_type = "application/json",
        .first_content = REPLY_NO_FRAME,
        .terminal = REPLY_NO_FRAME,
    };
}

void reply_clear(struct reply *reply)
{
    buffer_clear(&reply->fields);
    buffer_clear(&reply->body);
    free(reply->frame_ends);
    reply_init(reply);
}

static void add(struct reply *reply, struct slice bytes)
{
    if (!reply->failed && buffer_append(&reply->body, bytes, REPLY_BODY_MAX) != STATUS_OK)
        reply->failed = true;
}

static int add_dumped(const char *data, size_t len, void *user)
{
    struct reply *reply = user;
    add(reply, slice_of(data, len));
    return reply->failed ? -1 : 0;
}

static void add_json(struct reply *reply, json_t *json)
{
    if (!json || json_dump_callback(json, add_dumped, reply, JSON_COMPACT | JSON_ENCODE_ANY) != 0)
        reply->failed = true;
    json_decref(json);
}

static void end_frame(struct reply *reply)
{
    add(reply, SLICE("\n\n"));
    if (!reply->failed && reply->frame_count == reply->frame_capacity) {
        size_t capacity = reply->frame_capacity ? reply->frame_capacity * 2 : FIRST_FRAMES;
        size_t *ends = capacity > REPLY_FRAMES_MAX
                           ? NULL
                           : realloc(reply->frame_ends, capacity * sizeof(*ends));
        if (!ends) {
            reply->failed = true;
            return;
        }
        reply->frame_ends = ends;
        reply->frame_capacity = capacity;
    }
    if (!reply->failed)
        reply->frame_ends[reply->frame_count++] = reply->body.len;
}

void reply_json(struct reply *reply, int status, json_t *json)
{
    reply->status = status;
    reply->content_type = "application/json";
    reply->form = STREAM_FORM_NONE;
    reply->frame_count = 0;
    reply->body.len = 0;
    add_json(reply, json);
}

void reply_data(struct reply *reply, json_t *json)
{
    add(reply, SLICE("data: "));
    add_json(reply, json);
    end_frame(reply);
}

void reply_event(struct reply *reply, const char *event, json_t *json)
{
    add(reply, SLICE("event: "));
    add(reply, slice_str(event));
    add(reply, SLICE("\ndata: "));
    add_json(reply, json);
    end_frame(reply);
}

void reply_done(struct reply *reply)
{
    add(reply, SLICE("data: [DONE]"));
    end_frame(reply);
}

void reply_bytes(struct reply *reply, const char *content_type, struct slice bytes)
{
    reply->content_type = content_type;
    reply->body.len = 0;
    add(reply, bytes);
}

json_t *error_json(const char *type, const char *code, const char *param, const char *message)
{
    return json_pack("{s:{s:s, s:s, s:s?, s:s?}}", "error", "message", message, "type", type,
                     "param", param, "code", code);
}

void reply_error(struct reply *reply, int status, const char *type, const char *code,
                 const char *param, const char *message)
{
    reply_json(reply, status, error_json(type, code, param, message));
}

void reply_field(struct reply *reply, const char *name, const char *format, ...)
{
    char value[FIELD_VALUE_MAX];
    va_list args;

    va_start(args, format);
    int len = vsnprintf(value, sizeof(value), format, args);
    va_end(args);
    /* A field that is cut would be a lie on the wire: better none. */
    if (len < 0 || (size_t)len >= sizeof(value) ||
        buffer_printf(&reply->fields, REPLY_FIELDS_MAX, "%s: %s\r\n", name, value) != STATUS_OK)
        reply->failed = true;
}

void reply_stream(struct reply *reply, enum stream_form form)
{
    reply->form = form;
    reply->content_type =
        form == STREAM_FORM_NONE ? "application/json" : "text/event-stream; charset=utf-8";
}

void reply_mark_content(struct reply *reply)
{
    if (reply->first_content == REPLY_NO_FRAME)
        reply->first_content = reply->frame_count;
}

void reply_mark_terminal(struct reply *reply)
{
    if (reply->terminal == REPLY_NO_FRAME)
        reply->terminal = reply->frame_count;
}

struct slice reply_frame(const struct reply *reply, size_t index)
{
    size_t from = index ? reply->frame_ends[index - 1] : 0;
    return slice_of(reply->body.data + from, reply->frame_ends[index] - from);
}

void reply_cut(struct reply *reply, size_t count)
{
    if (count >= reply->frame_count)
        return;
    reply->frame_count = count;
    reply->body.len = count ? reply->frame_ends[count - 1] : 0;
}

static void responses_error(struct reply *reply, const char *type, const char *code,
                            const char *message, bool nested)
{
    json_int_t sequence = (json_int_t)reply->frame_count;
    if (!nested) {
        reply_event(reply, "error",
                    json_pack("{s:s, s:s, s:s, s:n, s:I}", "type", "error", "code", code, "message",
                              message, "param", "sequence_number", sequence));
        return;
    }
    reply_event(reply, "error",
                json_pack("{s:s, s:I, s:{s:s, s:s, s:s, s:n}}", "type", "error", "sequence_number",
                          sequence, "error", "type", type, "code", code, "message", message,
                          "param"));
    reply_event(reply, "response.failed",
                json_pack("{s:s, s:I, s:{s:s, s:s, s:s, s:{s:s, s:s}, s:[]}}", "type",
                          "response.failed", "sequence_number", sequence + 1, "response", "id",
                          "resp_failed", "object", "response", "status", "failed", "error", "code",
                          code, "message", message, "output"));
}

void reply_stream_error(struct reply *reply, const char *type, const char *code,
                        const char *message, bool nested)
{
    switch (reply->form) {
    case STREAM_FORM_DATA:
        reply_data(reply, error_json(type, code, NULL, message));
        reply_done(reply);
        return;
    case STREAM_FORM_RESPONSES: responses_error(reply, type, code, message, nested); return;
    case STREAM_FORM_EVENTS:
        reply_event(reply, "error",
                    json_pack("{s:s, s:{s:s, s:s, s:s, s:n}}", "type", "error", "error", "type",
                              type, "code", code, "message", message, "param"));
        return;
    case STREAM_FORM_NONE: return;
    }
}
