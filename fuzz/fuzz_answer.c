/* Answers of the library: any bytes as a document of any kind, and as a stream cut where the second
 * byte says. The first byte chooses the kind. */
#include "fuzz.h"

#include "client/event_reader.h"
#include "client/merge.h"
#include "client/result.h"

static size_t length_of(const char *text)
{
    return text ? strlen(text) : 0;
}

/* Everything that can be asked of a result is there. */
static size_t ask(const sparekey_result *r)
{
    size_t sum = length_of(sparekey_result_tool_calls(r)), len;
    sparekey_tool_call call;

    for (size_t i = 0; i <= sparekey_result_count(r); i++) {
        sum += length_of(sparekey_result_choice(r, i)) + length_of(sparekey_result_image_url(r, i));
        sum += length_of(sparekey_result_finish_reason(r, i)) +
               length_of(sparekey_result_model_id(r, i));
        const unsigned char *bytes = sparekey_result_image_bytes(r, i, &len);
        sum += len ? bytes[len - 1] : 0;
        const float *vector = sparekey_result_embedding(r, i, &len);
        sum += len && vector[len - 1] > 0;
    }
    for (size_t i = 0; sparekey_result_tool_call(r, i, &call) == SPAREKEY_OK; i++)
        sum += strlen(call.id) + strlen(call.name) + strlen(call.arguments);
    return sum + strlen(sparekey_result_model(r)) + strlen(sparekey_result_id(r));
}

static void read_document(enum result_kind kind, struct slice text, json_t *document)
{
    struct buffer body = {0};
    sparekey_result *result = NULL;
    struct result_source source = {.kind = kind,
                                   .http_status = 200,
                                   .content_type = "",
                                   .body = &body,
                                   .document = document,
                                   .wants_image_url = true};

    if (buffer_append(&body, text, SIZE_MAX) != STATUS_OK)
        return;
    if (result_new(&source, &result) == STATUS_OK) {
        FUZZ_CHECK(sparekey_result_body(result, NULL)[text.len] == '\0');
        FUZZ_CHECK(ask(result) < SIZE_MAX);
        sparekey_result_free(result);
    }
    buffer_clear(&body);
}

static bool merge_one(void *context, const char *name, const char *data, size_t len)
{
    struct slice text;

    FUZZ_CHECK(strlen(name) < EVENT_NAME_MAX && data[len] == '\0');
    return merge_event(context, slice_of(data, len), &text) == STATUS_OK;
}

static void read_stream(enum result_kind kind, struct slice bytes, size_t cut)
{
    struct event_reader reader;
    struct merge merge;

    event_reader_init(&reader);
    merge_init(&merge, kind == RESULT_RESPONSE ? STREAM_RESPONSES : STREAM_CHAT);
    if (event_reader_feed(&reader, slice_of(bytes.ptr, cut), merge_one, &merge) == STATUS_OK &&
        event_reader_feed(&reader, slice_from(bytes, cut), merge_one, &merge) == STATUS_OK)
        read_document(kind, bytes, merge_document(&merge));
    event_reader_fini(&reader);
    merge_fini(&merge);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    enum result_kind kind = (enum result_kind)(data[0] % (RESULT_MODELS + 1));
    struct slice bytes = slice_of((const char *)data + 2, size - 2);
    read_document(kind, bytes, NULL);
    read_stream(kind, bytes, bytes.len * data[1] / 255);
    return 0;
}
