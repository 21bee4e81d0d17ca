/* Embeddings, moderations, models. */
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/rng.h"
#include "mock/media.h"
#include "mock/shapes.h"

enum {
    EMBEDDING_DIMENSIONS = 16, /* when the request names none: small answers, quick tests */
    EMBEDDING_DIMENSIONS_MAX = 4096,
    EMBEDDING_INPUTS_MAX = 2048, /* openai-protocol.md §7 */
};

static int dimensions_of(const struct call *call)
{
    json_int_t wanted = json_integer_value(json_object_get(call->body, "dimensions"));
    return wanted >= 1 && wanted <= EMBEDDING_DIMENSIONS_MAX ? (int)wanted : EMBEDDING_DIMENSIONS;
}

/* Sixteenths of a thousandth in -1 … 1 that a float32 holds exactly, so that both encodings carry
 * the same numbers. */
static float next_component(struct rng *rng)
{
    return ((float)rng_below(rng, 2049) - 1024.0f) / 1024.0f;
}

static json_t *vector_json(struct rng rng, int dimensions)
{
    json_t *vector = json_array();
    for (int i = 0; i < dimensions; i++)
        json_array_append_new(vector, json_real((double)next_component(&rng)));
    return vector;
}

static json_t *vector_base64(struct rng rng, int dimensions)
{
    struct buffer raw = {0}, text = {0};
    enum status status = STATUS_OK;

    for (int i = 0; status == STATUS_OK && i < dimensions; i++) {
        float value = next_component(&rng);
        unsigned char bytes[4]; /* little-endian on every host */
        uint32_t bits;
        memcpy(&bits, &value, sizeof(bits));
        for (int b = 0; b < 4; b++)
            bytes[b] = (unsigned char)(bits >> (8 * b));
        status = buffer_append(&raw, slice_of((const char *)bytes, 4), MEDIA_MAX);
    }
    if (status == STATUS_OK)
        status = media_base64(&text, buffer_slice(&raw), MEDIA_MAX);
    json_t *json = status == STATUS_OK ? json_stringn(text.data, text.len) : NULL;
    buffer_clear(&raw);
    buffer_clear(&text);
    return json;
}

static json_t *embedding(const struct call *call, size_t index, const json_t *input)
{
    const char *format = json_string_value(json_object_get(call->body, "encoding_format"));
    /* Token arrays are inputs too; what they spell is what their JSON says. */
    char *text = json_is_string(input) ? NULL : json_dumps(input, JSON_COMPACT | JSON_ENCODE_ANY);
    struct slice bytes =
        text ? slice_str(text) : slice_of(json_string_value(input), json_string_length(input));
    struct rng rng = {hash_bytes(&(struct hash_seed){0}, bytes)};
    int dimensions = dimensions_of(call);
    json_t *vector = format && strcmp(format, "base64") == 0 ? vector_base64(rng, dimensions)
                                                             : vector_json(rng, dimensions);
    free(text);
    return json_pack("{s:s, s:I, s:o}", "object", "embedding", "index", (json_int_t)index,
                     "embedding", vector);
}

void shape_embeddings(const struct call *call, struct reply *reply)
{
    const json_t *input = json_object_get(call->body, "input");
    /* A string, an array of strings, an array of token arrays: many; an array of numbers: one. */
    bool many = json_is_array(input) && !json_is_integer(json_array_get(input, 0));
    size_t count = many ? json_array_size(input) : 1;
    json_t *data = json_array();

    if (count == 0 || count > EMBEDDING_INPUTS_MAX) {
        json_decref(data);
        reply_error(reply, 400, "invalid_request_error", "invalid_value", "input",
                    "'input' must hold between 1 and 2048 inputs.");
        return;
    }
    for (size_t i = 0; i < count; i++)
        json_array_append_new(data, embedding(call, i, many ? json_array_get(input, i) : input));
    reply_json(reply, 200,
               json_pack("{s:s, s:s, s:o, s:{s:I, s:I}}", "object", "list", "model", call->model,
                         "data", data, "usage", "prompt_tokens", (json_int_t)call->prompt_tokens,
                         "total_tokens", (json_int_t)call->prompt_tokens));
}

static json_t *moderation(bool flagged)
{
    static const char *const categories[] = {"harassment",
                                             "harassment/threatening",
                                             "hate",
                                             "hate/threatening",
                                             "illicit",
                                             "illicit/violent",
                                             "self-harm",
                                             "self-harm/instructions",
                                             "self-harm/intent",
                                             "sexual",
                                             "sexual/minors",
                                             "violence",
                                             "violence/graphic"};
    json_t *flags = json_object(), *scores = json_object(), *types = json_object();

    for (size_t i = 0; i < sizeof(categories) / sizeof(categories[0]); i++) {
        bool hit = flagged && strcmp(categories[i], "violence") == 0;
        json_object_set_new(flags, categories[i], json_boolean(hit));
        json_object_set_new(scores, categories[i], json_real(hit ? 0.98 : 0.001));
        json_object_set_new(types, categories[i], json_pack("[s]", "text"));
    }
    return json_pack("{s:b, s:o, s:o, s:o}", "flagged", (int)flagged, "categories", flags,
                     "category_scores", scores, "category_applied_input_types", types);
}

void shape_moderations(const struct call *call, struct reply *reply)
{
    char id[48];
    const json_t *input = json_object_get(call->body, "input");
    size_t count = json_is_array(input) ? json_array_size(input) : 1;
    json_t *results = json_array();

    for (size_t i = 0; i < count; i++) {
        const json_t *one = json_is_array(input) ? json_array_get(input, i) : input;
        const char *text = json_string_value(one);
        json_array_append_new(results, moderation(text && strstr(text, "violence")));
    }
    snprintf(id, sizeof(id), "modr-%016llx", (unsigned long long)call->serial);
    reply_json(reply, 200,
               json_pack("{s:s, s:s, s:o}", "id", id, "model", call->model, "results", results));
}

static const char *const built_in_models[] = {
    "gpt-5.4",           "gpt-5.4-mini",           "gpt-image-2",           "gpt-4o-mini-tts",
    "gpt-4o-transcribe", "text-embedding-3-small", "omni-moderation-latest"};

static json_t *model_json(const char *name)
{
    return json_pack("{s:s, s:s, s:i, s:s, s:n}", "id", name, "object", "model", "created",
                     1780000000, "owned_by", "system", "shutdown_date");
}

void shape_models(const struct call *call, struct reply *reply)
{
    json_t *data = json_array();
    size_t i;
    json_t *name;

    json_array_foreach(call->models, i, name)
        json_array_append_new(data, model_json(json_string_value(name)));
    for (i = 0; !call->models && i < sizeof(built_in_models) / sizeof(built_in_models[0]); i++)
        json_array_append_new(data, model_json(built_in_models[i]));
    reply_json(reply, 200, json_pack("{s:s, s:o}", "object", "list", "data", data));
}

/* Whether the model exists for this key was decided before. */
void shape_model(const struct call *call, struct reply *reply)
{
    reply_json(reply, 200, model_json(call->id));
}
