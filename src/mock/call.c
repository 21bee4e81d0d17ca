#include "mock/call.h"

#include <stdio.h>
#include <string.h>

#include "mock/shapes.h"

static const struct route routes[] = {
    {"POST", "/chat/completions", "chat", "model.request", true, false, shape_chat},
    {"POST", "/completions", "completions", "model.request", true, false, shape_completions},
    {"POST", "/responses", "responses", "api.responses.write", true, false, shape_responses},
    {"POST", "/embeddings", "embeddings", "model.request", true, false, shape_embeddings},
    {"POST", "/moderations", "moderations", "model.request", true, false, shape_moderations},
    {"POST", "/images/generations", "images", "model.request", true, false, shape_images},
    {"POST", "/images/edits", "images", "model.request", true, true, shape_image_edits},
    {"POST", "/audio/speech", "audio", "model.request", true, false, shape_speech},
    {"POST", "/audio/transcriptions", "audio", "model.request", true, true, shape_transcriptions},
    {"POST", "/audio/translations", "audio", "model.request", true, true, shape_transcriptions},
    {"GET", "/models", "models", "api.model.read", false, false, shape_models},
    {"GET", "/models/", "models", "api.model.read", false, false, shape_model},
};

const struct route *route_at(size_t i)
{
    return i < sizeof(routes) / sizeof(routes[0]) ? &routes[i] : NULL;
}

static bool path_matches(const struct route *route, struct slice path, char *id)
{
    struct slice pattern = slice_str(route->path);
    if (!slice_ends(pattern, SLICE("/")))
        return slice_eq(path, pattern);
    struct slice rest = slice_from(path, pattern.len);
    if (!slice_starts(path, pattern) || rest.len == 0 || rest.len > CALL_NAME_MAX)
        return false;
    slice_copy(rest, id, CALL_NAME_MAX + 1);
    return true;
}

static void no_route(struct slice method, struct slice path, bool known_path, struct reply *reply)
{
    char message[512];
    if (known_path) {
        snprintf(message, sizeof(message),
                 "Not allowed to %.*s on %.*s. (HINT: Perhaps you meant to use another method.)",
                 (int)(method.len < 16 ? method.len : 16), method.ptr,
                 (int)(path.len < 256 ? path.len : 256), path.ptr);
        reply_error(reply, 405, "invalid_request_error", "method_not_supported", NULL, message);
        return;
    }
    snprintf(message, sizeof(message), "Invalid URL (%.*s %.*s)",
             (int)(method.len < 16 ? method.len : 16), method.ptr,
             (int)(path.len < 256 ? path.len : 256), path.ptr);
    reply_error(reply, 404, "invalid_request_error", "unknown_url", NULL, message);
}

const struct route *route_find(struct slice method, struct slice path, char id[CALL_NAME_MAX + 1],
                               struct reply *reply)
{
    struct slice under;
    bool known_path = false;

    id[0] = '\0';
    if (slice_starts(path, SLICE("/v1/"))) {
        under = slice_from(path, 3);
        for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
            if (!path_matches(&routes[i], under, id))
                continue;
            if (slice_eq(method, slice_str(routes[i].method)))
                return &routes[i];
            known_path = true;
        }
    }
    no_route(method, path, known_path, reply);
    return NULL;
}

/* --- multipart/form-data (RFC 7578): just enough to find the fields --- */

static struct slice find_bytes(struct slice in, struct slice what)
{
    const char *at = in.len ? memmem(in.ptr, in.len, what.ptr, what.len) : NULL;
    return at ? slice_of(at, in.len - (size_t)(at - in.ptr)) : slice_of(NULL, 0);
}

/* The value of `name="…"` in a Content-Disposition line; `name` with its equals sign and quote. */
static struct slice quoted(struct slice head, struct slice name)
{
    struct slice at = find_bytes(head, name);
    if (!at.ptr)
        return at;
    at = slice_from(at, name.len);
    const char *end = at.len ? memchr(at.ptr, '"', at.len) : NULL;
    return end ? slice_of(at.ptr, (size_t)(end - at.ptr)) : slice_of(NULL, 0);
}

static void add_part(json_t *form, struct slice head, struct slice content)
{
    char name[CALL_NAME_MAX + 1];
    struct slice file = quoted(head, SLICE(" filename=\""));
    struct slice field = quoted(head, SLICE(" name=\""));

    if (field.len == 0 || field.len > CALL_NAME_MAX || json_object_size(form) >= CALL_FIELDS_MAX)
        return;
    slice_copy(field, name, sizeof(name));
    json_t *value = file.ptr ? json_pack("{s:s%, s:I}", "filename", file.ptr, file.len, "bytes",
                                         (json_int_t)content.len)
                             : json_stringn(content.ptr ? content.ptr : "", content.len);
    if (value)
        json_object_set_new(form, name, value);
}

static json_t *read_form(struct slice content_type, struct slice body)
{
    char mark[80] = "--";
    struct slice boundary = find_bytes(content_type, SLICE("boundary="));
    json_t *form = json_object();

    boundary = slice_from(boundary, strlen("boundary="));
    if (boundary.len && boundary.ptr[0] == '"')
        boundary = quoted(boundary, SLICE("\""));
    const char *end = boundary.len ? memchr(boundary.ptr, ';', boundary.len) : NULL;
    if (end)
        boundary.len = (size_t)(end - boundary.ptr);
    if (boundary.len == 0 || boundary.len > 70 || !form) /* RFC 2046 §5.1.1 */
        goto bad;
    slice_copy(boundary, mark + 2, sizeof(mark) - 2);

    struct slice rest = find_bytes(body, slice_str(mark));
    while (rest.ptr) {
        rest = slice_from(rest, strlen(mark));
        if (!slice_starts(rest, SLICE("\r\n")))
            break;
        struct slice next = find_bytes(rest, slice_str(mark));
        struct slice content = find_bytes(rest, SLICE("\r\n\r\n"));
        if (!next.ptr || !content.ptr || content.ptr + 4 > next.ptr - 2)
            goto bad;
        add_part(form, slice_of(rest.ptr, (size_t)(content.ptr - rest.ptr)),
                 slice_of(content.ptr + 4, (size_t)(next.ptr - 2 - (content.ptr + 4))));
        rest = next;
    }
    if (json_object_size(form))
        return form;
bad:
    json_decref(form);
    return NULL;
}

/* --- the fields every endpoint shares --- */

/* Cut to what still fits: an echo needs no more. */
static void append_text(struct buffer *text, const json_t *value)
{
    struct slice more = slice_of(json_string_value(value), json_string_length(value));
    if (!json_is_string(value) || buffer_append(text, more, CALL_TEXT_MAX) != STATUS_OK)
        return;
}

/* A string, or an array of parts {type, text}. */
static void append_content(struct buffer *text, const json_t *content)
{
    size_t i;
    json_t *part;

    append_text(text, content);
    json_array_foreach(content, i, part)
    {
        append_text(text, part);
        append_text(text, json_object_get(part, "text"));
    }
}

/* The last message of role "user" in chat's `messages` or responses' `input`. */
static bool append_last_user(struct buffer *text, const json_t *messages)
{
    for (size_t i = json_array_size(messages); i-- > 0;) {
        const json_t *message = json_array_get(messages, i);
        const char *role = json_string_value(json_object_get(message, "role"));
        if (role && strcmp(role, "user") == 0) {
            append_content(text, json_object_get(message, "content"));
            return true;
        }
    }
    return false;
}

static void find_text(struct call *call)
{
    static const char *const members[] = {"input", "prompt"};

    if (append_last_user(&call->text, json_object_get(call->body, "messages")))
        return;
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        const json_t *value = json_object_get(call->body, members[i]);
        if (!append_last_user(&call->text, value))
            append_content(&call->text, value);
    }
}

static int64_t find_max_output(const json_t *body)
{
    static const char *const members[] = {"max_completion_tokens", "max_tokens",
                                          "max_output_tokens"};
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        const json_t *value = json_object_get(body, members[i]);
        if (json_is_integer(value) && json_integer_value(value) > 0)
            return json_integer_value(value) < INT32_MAX ? json_integer_value(value) : INT32_MAX;
    }
    return 0;
}

static bool is_true(const json_t *value)
{
    const char *text = json_string_value(value); /* in a form */
    return json_is_true(value) || (text && strcmp(text, "true") == 0);
}

static bool wants_stream(const json_t *body)
{
    const char *format = json_string_value(json_object_get(body, "stream_format"));
    return is_true(json_object_get(body, "stream")) || (format && strcmp(format, "sse") == 0);
}

static bool bad(struct reply *reply, const char *code, const char *param, const char *message)
{
    reply_error(reply, 400, "invalid_request_error", code, param, message);
    return false;
}

static bool read_model(struct call *call, struct reply *reply)
{
    const json_t *model = json_object_get(call->body, "model");
    size_t len = json_string_length(model);

    /* The spec makes the model of a moderation optional. */
    if (!model && strcmp(call->route->family, "moderations") == 0) {
        slice_copy(SLICE("omni-moderation-latest"), call->model, sizeof(call->model));
        return true;
    }
    if (!json_is_string(model) || len == 0)
        return bad(reply, model ? "invalid_type" : "missing_required_parameter", "model",
                   "you must provide a model parameter");
    if (len > CALL_NAME_MAX || strchr(json_string_value(model), '\n'))
        return bad(reply, "string_above_max_length", "model", "Invalid 'model': too long.");
    slice_copy(slice_of(json_string_value(model), len), call->model, sizeof(call->model));
    return true;
}

static bool read_n(struct call *call, struct reply *reply)
{
    const json_t *n = json_object_get(call->body, "n");

    call->n = 1;
    if (!n || json_is_null(n) || call->route->form)
        return true;
    if (!json_is_integer(n) || json_integer_value(n) < 1 || json_integer_value(n) > CALL_N_MAX)
        return bad(reply, json_is_integer(n) ? "invalid_value" : "invalid_type", "n",
                   "Invalid 'n': expected an integer from 1 to 128.");
    call->n = (int)json_integer_value(n);
    return true;
}

/* The one parameter each endpoint cannot do without. */
static bool has_required(const struct call *call, struct reply *reply)
{
    static const struct {
        const char *path, *param;
    } required[] = {
        {"/chat/completions", "messages"}, {"/completions", "prompt"},
        {"/embeddings", "input"},          {"/moderations", "input"},
        {"/audio/speech", "input"},        {"/images/generations", "prompt"},
        {"/audio/transcriptions", "file"},
    };
    char message[128];

    for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++) {
        if (strcmp(required[i].path, call->route->path) != 0 ||
            json_object_get(call->body, required[i].param))
            continue;
        snprintf(message, sizeof(message), "Missing required parameter: '%s'.", required[i].param);
        return bad(reply, "missing_required_parameter", required[i].param, message);
    }
    return true;
}

bool call_read(struct call *call, struct slice content_type, struct slice body, struct reply *reply)
{
    if (!call->route->limited)
        return true;
    if (call->route->form && slice_contains_nocase(content_type, SLICE("multipart/form-data"))) {
        call->body = read_form(content_type, body);
        if (!call->body)
            return bad(reply, NULL, NULL, "Could not parse multipart form");
    } else {
        json_error_t error;
        call->body = json_loadb(body.ptr ? body.ptr : "", body.len, 0, &error);
        if (!json_is_object(call->body))
            return bad(
                reply, NULL, NULL,
                "We could not parse the JSON body of your request. (HINT: This likely means "
                "you aren't using your HTTP library correctly. The OpenAI API expects a JSON "
                "payload, but what was sent was not valid JSON.)");
    }
    if (!read_model(call, reply) || !read_n(call, reply) || !has_required(call, reply))
        return false;
    call->stream = wants_stream(call->body);
    find_text(call);
    call->prompt_tokens = token_estimate(call->text.len);
    call->max_output_tokens = find_max_output(call->body);
    return true;
}

void call_clear(struct call *call)
{
    json_decref(call->body);
    buffer_clear(&call->text);
    *call = (struct call){0};
}
