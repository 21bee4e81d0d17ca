#include "client/result.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "client/parsed.h"

/* A choice, an image, a vector or a model. */
struct item {
    const char *text, *finish, *url, *id;
    const void *bytes;
    size_t bytes_len;
    const float *vector;
    size_t vector_len;
};

/* Memory of a result's own, freed with it. */
struct piece {
    struct piece *next;
    _Alignas(max_align_t) unsigned char bytes[];
};

struct sparekey_result {
    struct buffer body;
    char *merged;         /* the document of a stream's events; NULL: it is the body */
    struct parsed tree;   /* of the document: what most pointers below lead into */
    struct piece *pieces; /* … and the others */
    struct item *items;
    size_t item_count;
    sparekey_tool_call *calls;
    size_t call_count;
    const char *calls_json;
    const char *model, *answer_id;
    sparekey_usage usage;
    int http_status;
    char content_type[128], request_id[72];
    unsigned attempt_count;
    sparekey_attempt attempts[SPAREKEY_ATTEMPTS_MAX];
};

typedef const struct parsed_node node;

static node *get(const sparekey_result *r, node *object, const char *name)
{
    return parsed_get(&r->tree, object, name);
}

static const char *string_at(const sparekey_result *r, node *object, const char *name)
{
    return parsed_string(get(r, object, name));
}

static node *root(const sparekey_result *r)
{
    return parsed_root(&r->tree);
}

/* Each element, with its index. */
#define EACH(r, array, element, index)                                                             \
    for (index = 0, element = parsed_first(&(r)->tree, array); element;                            \
         index++, element = parsed_next(&(r)->tree, element))

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

/* NULL: out of memory. */
static void *keep(sparekey_result *r, size_t size)
{
    struct piece *piece = malloc(sizeof *piece + size);

    if (!piece)
        return NULL;
    piece->next = r->pieces;
    r->pieces = piece;
    return piece->bytes;
}

/* Both texts, one behind the other, ended by a zero byte. */
static char *keep_text(sparekey_result *r, struct slice first, struct slice second)
{
    char *text = keep(r, first.len + second.len + 1);

    if (!text)
        return NULL;
    if (first.len)
        memcpy(text, first.ptr, first.len);
    if (second.len)
        memcpy(text + first.len, second.ptr, second.len);
    text[first.len + second.len] = '\0';
    return text;
}

/* ---- reading ----------------------------------------------------------------------------- */

static enum status make_items(sparekey_result *r, size_t count)
{
    r->items = keep(r, (count + 1) * sizeof *r->items);
    if (!r->items)
        return STATUS_NO_MEMORY;
    memset(r->items, 0, (count + 1) * sizeof *r->items);
    r->item_count = count;
    return STATUS_OK;
}

/* Room for so many calls, and their JSON as it came. */
static enum status make_calls(sparekey_result *r, size_t count)
{
    r->calls = keep(r, (count + 1) * sizeof *r->calls);
    return r->calls ? STATUS_OK : STATUS_NO_MEMORY;
}

static void add_call(sparekey_result *r, const char *id, const char *name, const char *arguments)
{
    r->calls[r->call_count++] =
        (sparekey_tool_call){or_empty(id), or_empty(name), or_empty(arguments)};
}

static enum status read_tool_calls(sparekey_result *r, node *array)
{
    node *call;
    size_t i;

    if (!parsed_count(array))
        return STATUS_OK;
    enum status status = make_calls(r, parsed_count(array));
    if (status != STATUS_OK)
        return status;
    EACH(r, array, call, i)
    {
        node *function = get(r, call, "function");
        add_call(r, string_at(r, call, "id"), string_at(r, function, "name"),
                 string_at(r, function, "arguments"));
    }
    r->calls_json = keep_text(r, array->raw, slice_of(NULL, 0));
    return r->calls_json ? STATUS_OK : STATUS_NO_MEMORY;
}

static enum status read_chat(sparekey_result *r)
{
    node *choices = get(r, root(r), "choices"), *choice;
    size_t i;
    enum status status = make_items(r, parsed_count(choices));

    if (status != STATUS_OK)
        return status;
    EACH(r, choices, choice, i)
    {
        node *message = get(r, choice, "message");
        r->items[i].text =
            message ? string_at(r, message, "content") : string_at(r, choice, "text");
        r->items[i].finish = string_at(r, choice, "finish_reason");
        if (i == 0)
            status = read_tool_calls(r, get(r, message, "tool_calls"));
    }
    return status;
}

static enum status add_output_text(const sparekey_result *r, struct buffer *text, node *item)
{
    enum status status = STATUS_OK;
    node *part;
    size_t i;

    EACH(r, get(r, item, "content"), part, i)
    {
        struct slice piece = slice_str(string_at(r, part, "text"));
        if (status == STATUS_OK && strcmp(or_empty(string_at(r, part, "type")), "output_text") == 0)
            status = buffer_append(text, piece, SIZE_MAX);
    }
    return status;
}

static bool is_function_call(const sparekey_result *r, node *item)
{
    return strcmp(or_empty(string_at(r, item, "type")), "function_call") == 0;
}

/* The items of a response's output that are calls. */
static enum status read_function_calls(sparekey_result *r, node *output)
{
    struct buffer json = {0};
    node *item;
    size_t i;
    enum status status = make_calls(r, parsed_count(output));

    EACH(r, output, item, i)
    {
        if (status != STATUS_OK || !is_function_call(r, item))
            continue;
        status = buffer_append(&json, json.len ? SLICE(",") : SLICE("["), SIZE_MAX);
        if (status == STATUS_OK)
            status = buffer_append(&json, item->raw, SIZE_MAX);
        add_call(r, string_at(r, item, "call_id"), string_at(r, item, "name"),
                 string_at(r, item, "arguments"));
    }
    if (status == STATUS_OK && json.len) {
        r->calls_json = keep_text(r, buffer_slice(&json), SLICE("]"));
        status = r->calls_json ? STATUS_OK : STATUS_NO_MEMORY;
    }
    buffer_clear(&json);
    return status;
}

static enum status read_response(sparekey_result *r)
{
    node *output = get(r, root(r), "output"), *item;
    struct buffer text = {0};
    size_t i;
    enum status status = make_items(r, 1);

    EACH(r, output, item, i)
    {
        if (status == STATUS_OK)
            status = add_output_text(r, &text, item);
    }
    if (status == STATUS_OK) {
        r->items[0].text = keep_text(r, buffer_slice(&text), slice_of(NULL, 0));
        r->items[0].finish = string_at(r, root(r), "status");
        status = r->items[0].text ? read_function_calls(r, output) : STATUS_NO_MEMORY;
    }
    buffer_clear(&text);
    return status;
}

/* STATUS_INVALID where the text is no Base64. */
static enum status decode(sparekey_result *r, const char *text, const void **ret, size_t *ret_len)
{
    void *bytes = keep(r, base64_room(strlen(text)));

    if (!bytes)
        return STATUS_NO_MEMORY;
    enum status status = base64_decode(slice_str(text), bytes, ret_len);
    if (status == STATUS_OK)
        *ret = bytes;
    return status;
}

/* "data:image/png;base64,…" */
static const char *data_url(sparekey_result *r, const char *base64)
{
    const char *type = string_at(r, root(r), "output_format");
    char kind[64];
    int len = snprintf(kind, sizeof kind, "data:image/%.16s;base64,", type ? type : "png");

    return keep_text(r, slice_of(kind, (size_t)len), slice_str(base64));
}

static enum status read_image(sparekey_result *r, struct item *image, node *data, bool wants_url)
{
    const char *base64 = string_at(r, data, "b64_json");
    enum status status = STATUS_OK;

    image->url = string_at(r, data, "url");
    image->text = string_at(r, data, "revised_prompt");
    if (base64)
        status = decode(r, base64, &image->bytes, &image->bytes_len);
    if (status == STATUS_OK && base64 && !image->url && wants_url) {
        image->url = data_url(r, base64);
        status = image->url ? STATUS_OK : STATUS_NO_MEMORY;
    }
    return status;
}

static enum status read_images(sparekey_result *r, bool wants_url)
{
    node *data = get(r, root(r), "data"), *image;
    size_t i;
    enum status status = make_items(r, parsed_count(data));

    EACH(r, data, image, i)
    {
        if (status == STATUS_OK)
            status = read_image(r, &r->items[i], image, wants_url);
    }
    return status;
}

/* Numbers as JSON has them, or the little-endian floats that Base64 packs; ours are the same. */
static enum status read_vector(sparekey_result *r, struct item *item, node *value)
{
    node *number;
    size_t i;

    if (parsed_string(value)) {
        const void *bytes = NULL;
        size_t len = 0;
        enum status status = decode(r, parsed_string(value), &bytes, &len);
        if (status == STATUS_OK && len % sizeof(float) != 0)
            return STATUS_INVALID;
        item->vector = bytes;
        item->vector_len = len / sizeof(float);
        return status;
    }
    float *vector = keep(r, (parsed_count(value) + 1) * sizeof *vector);
    if (!vector)
        return STATUS_NO_MEMORY;
    EACH(r, value, number, i)
    vector[i] = (float)parsed_number(number);
    item->vector = vector;
    item->vector_len = parsed_count(value);
    return STATUS_OK;
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "vectors come as little-endian floats");

static enum status read_embeddings(sparekey_result *r)
{
    node *data = get(r, root(r), "data"), *value;
    size_t i, count = parsed_count(data);
    enum status status = make_items(r, count);

    EACH(r, data, value, i)
    {
        int64_t index = (int64_t)i;
        (void)parsed_integer(get(r, value, "index"), &index);
        if (status == STATUS_OK && (index < 0 || (size_t)index >= count))
            status = STATUS_INVALID;
        if (status == STATUS_OK)
            status = read_vector(r, &r->items[index], get(r, value, "embedding"));
    }
    return status;
}

static enum status read_models(sparekey_result *r)
{
    node *data = get(r, root(r), "data"), *model;
    size_t i;
    enum status status = make_items(r, parsed_count(data));

    EACH(r, data, model, i)
    {
        if (status == STATUS_OK)
            r->items[i].id = string_at(r, model, "id");
    }
    return status;
}

static int64_t number_at(const sparekey_result *r, node *object, const char *name,
                         const char *other)
{
    node *value = get(r, object, name);
    int64_t number = -1;

    (void)parsed_integer(value ? value : get(r, object, other), &number);
    return number;
}

static void read_usage(sparekey_result *r)
{
    node *usage = get(r, root(r), "usage");

    r->usage = (sparekey_usage){
        .input_tokens = number_at(r, usage, "input_tokens", "prompt_tokens"),
        .output_tokens = number_at(r, usage, "output_tokens", "completion_tokens"),
        .total_tokens = number_at(r, usage, "total_tokens", "total_tokens"),
    };
    r->model = or_empty(string_at(r, root(r), "model"));
    r->answer_id = or_empty(string_at(r, root(r), "id"));
}

static enum status read_items(sparekey_result *r, const struct result_source *source)
{
    switch (source->kind) {
    case RESULT_RAW: return STATUS_OK;
    case RESULT_CHAT: return read_chat(r);
    case RESULT_RESPONSE: return read_response(r);
    case RESULT_IMAGES: return read_images(r, source->wants_image_url);
    case RESULT_EMBEDDINGS: return read_embeddings(r);
    case RESULT_MODELS: return read_models(r);
    }
    return STATUS_INVALID;
}

/* The document that the items are read from; not of a raw answer, whose body is all there is. */
static enum status load_document(sparekey_result *r, const struct result_source *source)
{
    struct slice text = buffer_slice(source->body);

    if (source->kind == RESULT_RAW)
        return STATUS_OK;
    if (source->document) {
        r->merged = json_dumps(source->document, JSON_COMPACT);
        if (!r->merged)
            return STATUS_NO_MEMORY;
        text = slice_str(r->merged);
    }
    enum status status = parsed_read(&r->tree, text);
    return status == STATUS_OK && root(r)->kind != PARSED_OBJECT ? STATUS_INVALID : status;
}

/* The body ends in a zero byte that its length does not count. */
static enum status take_body(sparekey_result *r, struct buffer *body)
{
    enum status status = buffer_append(body, slice_of("", 1), SIZE_MAX);

    if (status != STATUS_OK)
        return status;
    body->len--;
    r->body = *body;
    *body = (struct buffer){0};
    return STATUS_OK;
}

enum status result_new(struct result_source *source, sparekey_result **ret_result)
{
    sparekey_result *r = calloc(1, sizeof *r);
    enum status status = STATUS_NO_MEMORY;

    if (r) {
        status = load_document(r, source);
        read_usage(r);
        r->http_status = source->http_status;
        (void)slice_copy(slice_str(source->content_type), r->content_type, sizeof r->content_type);
    }
    if (status == STATUS_OK)
        status = read_items(r, source);
    if (status == STATUS_OK)
        status = take_body(r, source->body);
    if (status == STATUS_OK)
        *ret_result = r;
    else
        sparekey_result_free(r);
    json_decref(source->document);
    source->document = NULL;
    return status;
}

void result_note(sparekey_result *r, const sparekey_error *trail, const char *request_id)
{
    r->attempt_count = trail->attempt_count;
    memcpy(r->attempts, trail->attempts, sizeof r->attempts);
    (void)slice_copy(slice_str(request_id), r->request_id, sizeof r->request_id);
}

void sparekey_result_free(sparekey_result *r)
{
    if (!r)
        return;
    parsed_clear(&r->tree);
    free(r->merged);
    buffer_clear(&r->body);
    while (r->pieces) {
        struct piece *piece = r->pieces;
        r->pieces = piece->next;
        free(piece);
    }
    free(r);
}

/* ---- asking ------------------------------------------------------------------------------ */

static const struct item *item_at(const sparekey_result *r, size_t index)
{
    static const struct item none = {.text = NULL};

    return r && index < r->item_count ? &r->items[index] : &none;
}

size_t sparekey_result_count(const sparekey_result *r)
{
    return r ? r->item_count : 0;
}

const char *sparekey_result_text(const sparekey_result *r)
{
    return sparekey_result_choice(r, 0);
}

const char *sparekey_result_choice(const sparekey_result *r, size_t index)
{
    return or_empty(item_at(r, index)->text);
}

const char *sparekey_result_finish_reason(const sparekey_result *r, size_t index)
{
    return or_empty(item_at(r, index)->finish);
}

size_t sparekey_result_tool_call_count(const sparekey_result *r)
{
    return r ? r->call_count : 0;
}

int sparekey_result_tool_call(const sparekey_result *r, size_t index, sparekey_tool_call *ret_call)
{
    if (!r || !ret_call || index >= r->call_count)
        return SPAREKEY_ERROR_ARGUMENT;
    *ret_call = r->calls[index];
    return SPAREKEY_OK;
}

const char *sparekey_result_tool_calls(const sparekey_result *r)
{
    return r ? r->calls_json : NULL;
}

const char *sparekey_result_image_url(const sparekey_result *r, size_t index)
{
    return item_at(r, index)->url;
}

const void *sparekey_result_image_bytes(const sparekey_result *r, size_t index, size_t *ret_len)
{
    const struct item *item = item_at(r, index);

    if (ret_len)
        *ret_len = item->bytes_len;
    return item->bytes;
}

const float *sparekey_result_embedding(const sparekey_result *r, size_t index, size_t *ret_count)
{
    const struct item *item = item_at(r, index);

    if (ret_count)
        *ret_count = item->vector_len;
    return item->vector;
}

const char *sparekey_result_model_id(const sparekey_result *r, size_t index)
{
    return item_at(r, index)->id;
}

const char *sparekey_result_body(const sparekey_result *r, size_t *ret_len)
{
    if (ret_len)
        *ret_len = r ? r->body.len : 0;
    return r ? r->body.data : "";
}

sparekey_usage sparekey_result_usage(const sparekey_result *r)
{
    static const sparekey_usage unknown = {-1, -1, -1};

    return r ? r->usage : unknown;
}

int sparekey_result_http_status(const sparekey_result *r)
{
    return r ? r->http_status : 0;
}

const char *sparekey_result_content_type(const sparekey_result *r)
{
    return r ? r->content_type : "";
}

const char *sparekey_result_request_id(const sparekey_result *r)
{
    return r ? r->request_id : "";
}

const char *sparekey_result_model(const sparekey_result *r)
{
    return r ? r->model : "";
}

unsigned sparekey_result_attempt_count(const sparekey_result *r)
{
    return r ? r->attempt_count : 0;
}

const sparekey_attempt *sparekey_result_attempt(const sparekey_result *r, size_t index)
{
    unsigned told = r ? r->attempt_count : 0;

    if (told > SPAREKEY_ATTEMPTS_MAX)
        told = SPAREKEY_ATTEMPTS_MAX;
    return index < told ? &r->attempts[index] : NULL;
}

const char *sparekey_result_id(const sparekey_result *r)
{
    return r ? r->answer_id : "";
}
