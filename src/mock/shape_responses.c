/* The Responses API: one object, or its life as events.
 *
 *   created, in_progress, output_item.added, content_part.added, output_text.delta*,
 *   output_text.done, content_part.done, output_item.done, completed
 *
 * sequence_number is the index of the event, so that a gap means loss.
 */
#include <stdio.h>
#include <string.h>

#include "mock/shapes.h"

enum { ID_MAX = 48 };

static void make_id(const struct call *call, const char *prefix, char out[ID_MAX])
{
    snprintf(out, ID_MAX, "%s_%016llx", prefix, (unsigned long long)call->serial);
}

static json_t *part_json(struct slice text)
{
    return json_pack("{s:s, s:s%, s:[], s:[]}", "type", "output_text", "text",
                     text.ptr ? text.ptr : "", text.len, "annotations", "logprobs");
}

static json_t *item_json(const struct call *call, const char *status, json_t *part)
{
    char id[ID_MAX];
    make_id(call, "msg", id);
    json_t *content = json_array();
    if (part)
        json_array_append_new(content, part);
    return json_pack("{s:s, s:s, s:s, s:s, s:o}", "type", "message", "id", id, "status", status,
                     "role", "assistant", "content", content);
}

static json_t *usage_json(const struct call *call, int64_t output)
{
    return json_pack("{s:I, s:{s:i}, s:I, s:{s:i}, s:I}", "input_tokens",
                     (json_int_t)call->prompt_tokens, "input_tokens_details", "cached_tokens", 0,
                     "output_tokens", (json_int_t)output, "output_tokens_details",
                     "reasoning_tokens", 0, "total_tokens",
                     (json_int_t)(call->prompt_tokens + output));
}

/* A member of the request, given back in the answer; `otherwise` when it is absent. */
static json_t *mirrored(const struct call *call, const char *member, json_t *otherwise)
{
    json_t *value = json_object_get(call->body, member);
    if (!value)
        return otherwise;
    json_decref(otherwise);
    return json_incref(value);
}

/* Takes `output` and `usage` (may be NULL). */
static json_t *response_json(const struct call *call, const char *status, json_t *output,
                             json_t *usage)
{
    char id[ID_MAX];
    make_id(call, "resp", id);
    bool completed = strcmp(status, "completed") == 0;
    json_t *json =
        json_pack("{s:s, s:s, s:I, s:s, s:b, s:n, s:n, s:s, s:o, s:b, s:s, s:i, s:i, s:s}", "id",
                  id, "object", "response", "created_at", (json_int_t)call->created, "status",
                  status, "background", 0, "error", "incomplete_details", "model", call->model,
                  "output", output, "parallel_tool_calls", 1, "tool_choice", "auto", "temperature",
                  1, "top_p", 1, "truncation", "disabled");
    json_object_set_new(json, "completed_at",
                        completed ? json_integer(call->created) : json_null());
    json_object_set_new(json, "usage", usage ? usage : json_null());
    json_object_set_new(json, "instructions", mirrored(call, "instructions", json_null()));
    json_object_set_new(json, "metadata", mirrored(call, "metadata", json_object()));
    json_object_set_new(json, "previous_response_id",
                        mirrored(call, "previous_response_id", json_null()));
    json_object_set_new(json, "store", mirrored(call, "store", json_true()));
    json_object_set_new(json, "tools", mirrored(call, "tools", json_array()));
    return json;
}

/* Takes the object of the event's own members, puts type and sequence number before them, sends. */
static void event(struct reply *reply, const char *type, json_t *json)
{
    json_t *whole =
        json_pack("{s:s, s:I}", "type", type, "sequence_number", (json_int_t)reply->frame_count);
    if (whole && json_object_update(whole, json) != 0) {
        json_decref(whole);
        whole = NULL;
    }
    json_decref(json);
    reply_event(reply, type, whole);
}

static void place(json_t *json, const struct call *call)
{
    char id[ID_MAX];
    make_id(call, "msg", id);
    json_object_set_new(json, "item_id", json_string(id));
    json_object_set_new(json, "output_index", json_integer(0));
    json_object_set_new(json, "content_index", json_integer(0));
}

static void content_event(struct reply *reply, const struct call *call, const char *type,
                          const char *member, json_t *value)
{
    json_t *json = json_pack("{s:o}", member, value);
    if (json)
        place(json, call);
    event(reply, type, json);
}

static void item_event(struct reply *reply, const char *type, json_t *item)
{
    event(reply, type, json_pack("{s:i, s:o}", "output_index", 0, "item", item));
}

static void life_event(struct reply *reply, const char *type, json_t *response)
{
    event(reply, type, json_pack("{s:o}", "response", response));
}

static json_t *text_json(struct slice text)
{
    return json_stringn(text.ptr ? text.ptr : "", text.len);
}

static void stream(const struct call *call, struct slice text, struct reply *reply)
{
    struct slice rest = text, piece;

    reply_stream(reply, STREAM_FORM_RESPONSES);
    life_event(reply, "response.created", response_json(call, "in_progress", json_array(), NULL));
    life_event(reply, "response.in_progress",
               response_json(call, "in_progress", json_array(), NULL));
    reply_mark_content(reply);
    item_event(reply, "response.output_item.added", item_json(call, "in_progress", NULL));
    content_event(reply, call, "response.content_part.added", "part", part_json(slice_of(NULL, 0)));
    while (!reply->failed && echo_piece(&rest, &piece))
        content_event(reply, call, "response.output_text.delta", "delta", text_json(piece));
    content_event(reply, call, "response.output_text.done", "text", text_json(text));
    content_event(reply, call, "response.content_part.done", "part", part_json(text));
    item_event(reply, "response.output_item.done", item_json(call, "completed", part_json(text)));
    reply_mark_terminal(reply);
    json_t *output = json_pack("[o]", item_json(call, "completed", part_json(text)));
    life_event(
        reply, "response.completed",
        response_json(call, "completed", output, usage_json(call, token_estimate(text.len))));
}

void shape_responses(const struct call *call, struct reply *reply)
{
    struct buffer text = {0};

    if (!echo_text(call, 0, &text)) {
        reply->failed = true;
    } else if (call->stream) {
        stream(call, buffer_slice(&text), reply);
    } else {
        json_t *output =
            json_pack("[o]", item_json(call, "completed", part_json(buffer_slice(&text))));
        reply_json(
            reply, 200,
            response_json(call, "completed", output, usage_json(call, token_estimate(text.len))));
    }
    buffer_clear(&text);
}

void shape_responses_failed(const struct call *call, const char *code, struct reply *reply)
{
    json_t *json = response_json(call, "failed", json_array(), NULL);
    json_object_set_new(json, "error",
                        json_pack("{s:s, s:s}", "code", code, "message",
                                  "The model failed to generate a response."));
    if (!call->stream) {
        reply_json(reply, 200, json);
        return;
    }
    reply_stream(reply, STREAM_FORM_RESPONSES);
    life_event(reply, "response.created", response_json(call, "in_progress", json_array(), NULL));
    reply_mark_terminal(reply);
    life_event(reply, "response.failed", json);
}
