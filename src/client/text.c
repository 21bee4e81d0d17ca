/* Texts: prompts, conversations, responses. */
#include "client/compose.h"
#include "client/fault.h"
#include "client/perform.h"

enum { N_MAX = 128 };
#define TOKENS_MAX ((int64_t)1 << 31)

static struct request post(enum result_kind kind)
{
    return (struct request){
        .kind = kind, .method = "POST", .content_type = "application/json", .is_json = true};
}

static int set_path(struct request *request, struct slice path, sparekey_error *error)
{
    enum status status = buffer_append(&request->path, path, SIZE_MAX);

    return status == STATUS_OK ? SPAREKEY_OK
                               : fault_status(error, status, SPAREKEY_ERROR_MEMORY, "the path");
}

/* ---- chat -------------------------------------------------------------------------------- */

/* "auto" and its like are strings, a certain function is an object. */
static void put_tool_choice(struct composer *c, const char *choice)
{
    if (choice && *choice == '{')
        compose_json(c, "tool_choice", "options.tool_choice", choice, JSON_OF_OBJECT);
    else
        compose_text(c, "tool_choice", "options.tool_choice", choice);
}

static void put_message(struct composer *c, const sparekey_message *m)
{
    compose_raw(c, c->first ? SLICE("{") : SLICE(",{"));
    c->first = true;
    compose_text(c, "role", "messages.role", m->role);
    compose_text(c, "content", "messages.content", m->content);
    compose_json(c, "content", "messages.parts", m->parts, JSON_OF_ARRAY);
    compose_json(c, "tool_calls", "messages.tool_calls", m->tool_calls, JSON_OF_ARRAY);
    compose_text(c, "tool_call_id", "messages.tool_call_id", m->tool_call_id);
    compose_text(c, "name", "messages.name", m->name);
    compose_raw(c, SLICE("}"));
    c->first = false;
}

/* Inside a message no member of `extra` stands in for ours. */
static void put_messages(struct composer *c, const char *system, const sparekey_message *messages,
                         size_t count)
{
    const sparekey_message first = {.role = "system", .content = system};
    json_t *extra = c->extra;

    if (!compose_member(c, "messages"))
        return;
    compose_raw(c, SLICE("["));
    c->extra = NULL;
    c->first = true;
    if (system)
        put_message(c, &first);
    for (size_t i = 0; i < count; i++)
        put_message(c, &messages[i]);
    compose_raw(c, SLICE("]"));
    c->extra = extra;
    c->first = false;
}

static int check_message(sparekey_error *error, const sparekey_message *m)
{
    int code = check_text(error, "messages.role", m->role);

    if (code == SPAREKEY_OK)
        code =
            check_choice(error, "messages.role", m->role, "system|developer|user|assistant|tool");
    if (code != SPAREKEY_OK)
        return code;
    if (m->content && m->parts)
        return fault_argument(error, "messages.parts", "set together with content");
    if (!m->content && !m->parts && !m->tool_calls)
        return fault_argument(error, "messages.content", "is NULL, and there are no parts");
    if (m->reserved[0] || m->reserved[1])
        return fault_argument(error, "messages.reserved", "not NULL: zero the struct first");
    return SPAREKEY_OK;
}

static int compose_chat(struct request *request, const sparekey_client *client,
                        const sparekey_message *messages, size_t count,
                        const sparekey_text_options *o, bool stream, sparekey_error *error)
{
    struct composer c;

    compose_begin(&c, &request->body, o->extra, error);
    compose_text(&c, "model", "options.model", o->model ? o->model : client->settings.text_model);
    put_messages(&c, o->system, messages, count);
    compose_decimal(&c, "temperature", "options.temperature", o->temperature, 2);
    compose_decimal(&c, "top_p", "options.top_p", o->top_p, 1);
    compose_integer(&c, "max_completion_tokens", "options.max_tokens", o->max_tokens, 1,
                    TOKENS_MAX);
    compose_integer(&c, "n", "options.n", o->n, 1, N_MAX);
    compose_json(&c, "tools", "options.tools", o->tools, JSON_OF_ARRAY);
    put_tool_choice(&c, o->tool_choice);
    compose_json(&c, "response_format", "options.response_format", o->response_format,
                 JSON_OF_OBJECT);
    if (stream) {
        compose_bool(&c, "stream", true);
        compose_json(&c, "stream_options", "stream_options", "{\"include_usage\":true}",
                     JSON_OF_OBJECT);
    }
    return compose_end(&c);
}

/* Messages that have been checked. */
static int chat(sparekey_client *client, const sparekey_message *messages, size_t count,
                const sparekey_text_options *options, sparekey_result **ret_result,
                sparekey_error *error)
{
    sparekey_text_options o = sparekey_text_options_init();
    sparekey_call_options call;
    struct request request = post(RESULT_CHAT);
    int code = check_options(error, &o, sizeof o, options);

    if (code == SPAREKEY_OK)
        code = perform_check(client, o.call, ret_result, &call, error);
    if (code != SPAREKEY_OK)
        return code;
    code = set_path(&request, SLICE("/chat/completions"), error);
    if (code == SPAREKEY_OK)
        code = compose_chat(&request, client, messages, count, &o, perform_streams(&call), error);
    return perform(client, &request, code, &call, ret_result, error);
}

int sparekey_generate_text(sparekey_client *client, const char *prompt,
                           const sparekey_text_options *options, sparekey_result **ret_result,
                           sparekey_error *error)
{
    const sparekey_message message = {.role = "user", .content = prompt};
    int code = check_text(error, "prompt", prompt);

    return code == SPAREKEY_OK ? chat(client, &message, 1, options, ret_result, error) : code;
}

int sparekey_create_chat_completion(sparekey_client *client, const sparekey_message *messages,
                                    size_t count, const sparekey_text_options *options,
                                    sparekey_result **ret_result, sparekey_error *error)
{
    int code = messages && count ? SPAREKEY_OK
                                 : fault_argument(error, "messages", messages ? "none" : "is NULL");

    for (size_t i = 0; i < count && code == SPAREKEY_OK; i++)
        code = check_message(error, &messages[i]);
    return code == SPAREKEY_OK ? chat(client, messages, count, options, ret_result, error) : code;
}

/* ---- responses --------------------------------------------------------------------------- */

static int compose_response(struct request *request, const sparekey_client *client,
                            const char *input, const sparekey_response_options *o, bool stream,
                            sparekey_error *error)
{
    struct composer c;

    compose_begin(&c, &request->body, o->extra, error);
    compose_text(&c, "model", "options.model", o->model ? o->model : client->settings.text_model);
    compose_text(&c, "input", "input", input);
    compose_json(&c, "input", "options.items", o->items, JSON_OF_ARRAY);
    compose_text(&c, "instructions", "options.instructions", o->instructions);
    compose_text(&c, "previous_response_id", "options.previous_response_id",
                 o->previous_response_id);
    compose_json(&c, "tools", "options.tools", o->tools, JSON_OF_ARRAY);
    compose_decimal(&c, "temperature", "options.temperature", o->temperature, 2);
    compose_integer(&c, "max_output_tokens", "options.max_output_tokens", o->max_output_tokens, 1,
                    TOKENS_MAX);
    if (o->store != SPAREKEY_UNSET)
        compose_bool(&c, "store", o->store != 0);
    if (stream)
        compose_bool(&c, "stream", true);
    return compose_end(&c);
}

static int check_input(sparekey_error *error, const char *input, const sparekey_response_options *o)
{
    if (input && o->items)
        return fault_argument(error, "options.items", "set together with input");
    return o->items ? SPAREKEY_OK : check_text(error, "input", input);
}

int sparekey_create_response(sparekey_client *client, const char *input,
                             const sparekey_response_options *options, sparekey_result **ret_result,
                             sparekey_error *error)
{
    sparekey_response_options o = sparekey_response_options_init();
    sparekey_call_options call;
    struct request request = post(RESULT_RESPONSE);
    int code = check_options(error, &o, sizeof o, options);

    if (code == SPAREKEY_OK)
        code = check_input(error, input, &o);
    if (code == SPAREKEY_OK)
        code = perform_check(client, o.call, ret_result, &call, error);
    if (code != SPAREKEY_OK)
        return code;
    code = set_path(&request, SLICE("/responses"), error);
    if (code == SPAREKEY_OK)
        code = compose_response(&request, client, input, &o, perform_streams(&call), error);
    return perform(client, &request, code, &call, ret_result, error);
}
