#include "client/merge.h"

#include <stdlib.h>

#include "client/document.h"

void merge_init(struct merge *m, enum stream_protocol protocol)
{
    *m = (struct merge){.protocol = protocol};
}

static void clear_choice(struct merge_choice *choice)
{
    for (size_t i = 0; i < choice->call_count; i++) {
        buffer_clear(&choice->calls[i].id);
        buffer_clear(&choice->calls[i].name);
        buffer_clear(&choice->calls[i].arguments);
    }
    free(choice->calls);
    buffer_clear(&choice->text);
}

void merge_fini(struct merge *m)
{
    for (size_t i = 0; i < m->choice_count; i++)
        clear_choice(&m->choices[i]);
    free(m->choices);
    json_decref(m->event);
    json_decref(m->whole);
    json_decref(m->usage);
    merge_init(m, STREAM_NONE);
}

static bool has_document(const struct merge *m)
{
    return m->protocol == STREAM_CHAT || m->protocol == STREAM_COMPLETIONS ||
           m->protocol == STREAM_RESPONSES;
}

static struct slice text_of(const json_t *value)
{
    return json_is_string(value) ? slice_of(json_string_value(value), json_string_length(value))
                                 : slice_of(NULL, 0);
}

/* Makes an array long enough for this index; new elements are zero. */
static enum status reach(void *array, size_t *count, size_t index, size_t max, size_t size)
{
    void *old, *grown;

    if (index < *count)
        return STATUS_OK;
    if (index >= max)
        return STATUS_LIMIT;
    memcpy(&old, array, sizeof old); /* `array` points to a pointer of any type */
    grown = realloc(old, (index + 1) * size);
    if (!grown)
        return STATUS_NO_MEMORY;
    memset((char *)grown + *count * size, 0, (index + 1 - *count) * size);
    memcpy(array, &grown, sizeof grown);
    *count = index + 1;
    return STATUS_OK;
}

static size_t index_of(const json_t *object)
{
    json_int_t index = json_integer_value(json_object_get(object, "index"));

    return index > 0 ? (size_t)index : 0;
}

static enum status add_tool_call(struct merge_choice *choice, const json_t *delta)
{
    const json_t *function = json_object_get(delta, "function");
    size_t index = index_of(delta);
    enum status status = reach(&choice->calls, &choice->call_count, index, MERGE_TOOL_CALLS_MAX,
                               sizeof *choice->calls);

    if (status != STATUS_OK)
        return status;
    struct merge_tool_call *call = &choice->calls[index];
    status = buffer_append(&call->id, text_of(json_object_get(delta, "id")), MERGE_TEXT_MAX);
    if (status == STATUS_OK)
        status =
            buffer_append(&call->name, text_of(json_object_get(function, "name")), MERGE_TEXT_MAX);
    if (status == STATUS_OK)
        status = buffer_append(&call->arguments, text_of(json_object_get(function, "arguments")),
                               MERGE_TEXT_MAX);
    return status;
}

static enum status add_choice(struct merge *m, const json_t *chunk, struct slice *ret_text)
{
    const json_t *delta = json_object_get(chunk, "delta");
    struct slice text =
        text_of(delta ? json_object_get(delta, "content") : json_object_get(chunk, "text"));
    struct slice finish = text_of(json_object_get(chunk, "finish_reason"));
    size_t index = index_of(chunk), i;
    json_t *call;

    enum status status =
        reach(&m->choices, &m->choice_count, index, MERGE_CHOICES_MAX, sizeof *m->choices);
    if (status != STATUS_OK)
        return status;
    struct merge_choice *choice = &m->choices[index];
    if (index == 0)
        *ret_text = text;
    if (finish.len)
        (void)slice_copy(finish, choice->finish, sizeof choice->finish);
    status = buffer_append(&choice->text, text, MERGE_TEXT_MAX);
    json_array_foreach(json_object_get(delta, "tool_calls"), i, call)
    {
        if (status == STATUS_OK)
            status = add_tool_call(choice, call);
    }
    return status;
}

static void keep(json_t **kept, json_t *value)
{
    json_decref(*kept);
    *kept = json_incref(value);
}

static enum status add_chunk(struct merge *m, struct slice *ret_text)
{
    json_t *usage = json_object_get(m->event, "usage"), *chunk;
    struct slice model = text_of(json_object_get(m->event, "model"));
    struct slice id = text_of(json_object_get(m->event, "id"));
    enum status status = STATUS_OK;
    size_t i;

    if (json_is_object(usage))
        keep(&m->usage, usage);
    if (model.len)
        (void)slice_copy(model, m->model, sizeof m->model);
    if (id.len)
        (void)slice_copy(id, m->id, sizeof m->id);
    json_array_foreach(json_object_get(m->event, "choices"), i, chunk)
    {
        if (status == STATUS_OK)
            status = add_choice(m, chunk, ret_text);
    }
    return status;
}

static void add_response_event(struct merge *m, struct slice *ret_text)
{
    struct slice type = text_of(json_object_get(m->event, "type"));
    json_t *response = json_object_get(m->event, "response");

    if (slice_eq(type, SLICE("response.output_text.delta")))
        *ret_text = text_of(json_object_get(m->event, "delta"));
    if (json_is_object(response))
        keep(&m->whole, response);
}

enum status merge_event(struct merge *m, struct slice data, struct slice *ret_text)
{
    *ret_text = slice_of(NULL, 0);
    if (!has_document(m))
        return STATUS_OK;
    json_decref(m->event);
    m->event = NULL;
    enum status status = document_read(data, &m->event);
    if (status != STATUS_OK)
        return status == STATUS_INVALID ? STATUS_OK : status;
    if (m->protocol == STREAM_RESPONSES)
        add_response_event(m, ret_text);
    else
        return add_chunk(m, ret_text);
    return STATUS_OK;
}

/* ---- the document ------------------------------------------------------------------------ */

static json_t *string_of(const struct buffer *b)
{
    return json_stringn(b->len ? b->data : "", b->len);
}

static json_t *tool_calls_of(const struct merge_choice *choice)
{
    json_t *array = json_array();

    for (size_t i = 0; array && i < choice->call_count; i++) {
        const struct merge_tool_call *call = &choice->calls[i];
        json_t *made = json_pack("{s:o, s:s, s:{s:o, s:o}}", "id", string_of(&call->id), "type",
                                 "function", "function", "name", string_of(&call->name),
                                 "arguments", string_of(&call->arguments));
        if (json_array_append_new(array, made) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *choice_of(const struct merge_choice *choice, size_t index)
{
    json_t *message =
        json_pack("{s:s, s:o}", "role", "assistant", "content", string_of(&choice->text));

    if (message && choice->call_count &&
        json_object_set_new(message, "tool_calls", tool_calls_of(choice)) != 0) {
        json_decref(message);
        return NULL;
    }
    return json_pack("{s:i, s:o, s:s}", "index", (int)index, "message", message, "finish_reason",
                     choice->finish);
}

static json_t *choices_of(const struct merge *m)
{
    json_t *array = json_array();

    for (size_t i = 0; array && i < m->choice_count; i++) {
        if (json_array_append_new(array, choice_of(&m->choices[i], i)) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

json_t *merge_document(struct merge *m)
{
    if (m->protocol == STREAM_RESPONSES)
        return json_incref(m->whole);
    if (!has_document(m))
        return NULL;
    json_t *document =
        json_pack("{s:s, s:s, s:o}", "id", m->id, "model", m->model, "choices", choices_of(m));
    if (document && m->usage && json_object_set(document, "usage", m->usage) != 0) {
        json_decref(document);
        return NULL;
    }
    return document;
}
