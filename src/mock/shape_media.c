/* Images and sound. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "mock/media.h"
#include "mock/shapes.h"

enum {
    IMAGES_N_MAX = 10,
    PARTIAL_IMAGES_MAX = 3,
    SPEECH_SAMPLES = 2400, /* a tenth of a second */
    SPEECH_FRAMES = 4,     /* about the same, in MP3 */
    SPEECH_PIECE = 1200,   /* bytes of one streamed delta */
};

static const char *string_or(const struct call *call, const char *member, const char *otherwise)
{
    const char *value = json_string_value(json_object_get(call->body, member));
    return value ? value : otherwise;
}

static uint64_t text_hash(const struct call *call, uint64_t more)
{
    return hash_mix(hash_bytes(&(struct hash_seed){0}, buffer_slice(&call->text)), more);
}

static json_t *base64_json(struct slice bytes)
{
    struct buffer text = {0};
    json_t *json = NULL;
    if (media_base64(&text, bytes, MEDIA_MAX * 2) == STATUS_OK)
        json = json_stringn(text.data ? text.data : "", text.len);
    buffer_clear(&text);
    return json;
}

static json_t *png_json(uint64_t seed)
{
    struct buffer png = {0};
    json_t *json = media_png(&png, seed) == STATUS_OK ? base64_json(buffer_slice(&png)) : NULL;
    buffer_clear(&png);
    return json;
}

static json_t *image_usage(const struct call *call, int images)
{
    json_int_t input = call->prompt_tokens, output = 272 * (json_int_t)images;
    return json_pack("{s:I, s:{s:I, s:i}, s:I, s:I}", "input_tokens", input, "input_tokens_details",
                     "text_tokens", input, "image_tokens", 0, "output_tokens", output,
                     "total_tokens", input + output);
}

static void image_event(const struct call *call, struct reply *reply, const char *type,
                        uint64_t seed, int partial)
{
    json_t *json = json_pack("{s:s, s:o, s:I, s:s, s:s, s:s, s:s}", "type", type, "b64_json",
                             png_json(seed), "created_at", (json_int_t)call->created, "size",
                             string_or(call, "size", "1024x1024"), "quality",
                             string_or(call, "quality", "low"), "background", "opaque",
                             "output_format", "png");
    if (json && partial >= 0)
        json_object_set_new(json, "partial_image_index", json_integer(partial));
    else if (json)
        json_object_set_new(json, "usage", image_usage(call, 1));
    reply_event(reply, type, json);
}

static void stream_images(const struct call *call, int images, const char *partial,
                          const char *completed, struct reply *reply)
{
    json_int_t partials = json_integer_value(json_object_get(call->body, "partial_images"));

    reply_stream(reply, STREAM_FORM_EVENTS);
    reply_mark_content(reply);
    for (int p = 0; p < partials && p < PARTIAL_IMAGES_MAX; p++)
        image_event(call, reply, partial, text_hash(call, 100 + (uint64_t)p), p);
    reply_mark_terminal(reply);
    for (int i = 0; i < images; i++)
        image_event(call, reply, completed, text_hash(call, (uint64_t)i), -1);
}

static void images(const struct call *call, const char *partial, const char *completed,
                   struct reply *reply)
{
    int count = call->n < IMAGES_N_MAX ? call->n : IMAGES_N_MAX;

    if (call->stream) {
        stream_images(call, count, partial, completed, reply);
        return;
    }
    json_t *data = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(
            data, json_pack("{s:o}", "b64_json", png_json(text_hash(call, (uint64_t)i))));
    reply_json(reply, 200,
               json_pack("{s:I, s:s, s:s, s:s, s:s, s:o, s:o}", "created",
                         (json_int_t)call->created, "background", "opaque", "output_format", "png",
                         "size", string_or(call, "size", "1024x1024"), "quality",
                         string_or(call, "quality", "low"), "data", data, "usage",
                         image_usage(call, count)));
}

void shape_images(const struct call *call, struct reply *reply)
{
    images(call, "image_generation.partial_image", "image_generation.completed", reply);
}

void shape_image_edits(const struct call *call, struct reply *reply)
{
    images(call, "image_edit.partial_image", "image_edit.completed", reply);
}

/* --- sound --- */

static const struct {
    const char *format, *content_type;
} sounds[] = {
    {"mp3", "audio/mpeg"},  {"wav", "audio/wav"}, {"pcm", "audio/pcm"},
    {"opus", "audio/opus"}, {"aac", "audio/aac"}, {"flac", "audio/flac"},
};

/* mp3, wav and pcm are what they say; the others carry a WAV under their content type, because
 * nobody between here and the caller looks inside. */
static enum status sound_bytes(const struct call *call, const char *format, struct buffer *out)
{
    uint64_t seed = text_hash(call, 0);
    if (strcmp(format, "mp3") == 0)
        return media_mp3(out, SPEECH_FRAMES + (uint32_t)(call->answer_bytes / 417));
    uint32_t samples = SPEECH_SAMPLES + (uint32_t)(call->answer_bytes / 2);
    return strcmp(format, "pcm") == 0 ? media_pcm(out, seed, samples)
                                      : media_wav(out, seed, samples);
}

static const char *sound_type(const char *format)
{
    for (size_t i = 0; i < sizeof(sounds) / sizeof(sounds[0]); i++) {
        if (strcmp(sounds[i].format, format) == 0)
            return sounds[i].content_type;
    }
    return NULL;
}

static void stream_speech(const struct call *call, struct slice sound, struct reply *reply)
{
    reply_stream(reply, STREAM_FORM_EVENTS);
    for (size_t at = 0; at < sound.len; at += SPEECH_PIECE) {
        size_t len = sound.len - at < SPEECH_PIECE ? sound.len - at : SPEECH_PIECE;
        reply_mark_content(reply);
        reply_event(reply, "speech.audio.delta",
                    json_pack("{s:s, s:o}", "type", "speech.audio.delta", "audio",
                              base64_json(slice_of(sound.ptr + at, len))));
    }
    reply_mark_terminal(reply);
    reply_event(reply, "speech.audio.done",
                json_pack("{s:s, s:{s:I, s:i, s:I}}", "type", "speech.audio.done", "usage",
                          "input_tokens", (json_int_t)call->prompt_tokens, "output_tokens", 10,
                          "total_tokens", (json_int_t)(call->prompt_tokens + 10)));
}

void shape_speech(const struct call *call, struct reply *reply)
{
    const char *format = string_or(call, "response_format", "mp3");
    const char *type = sound_type(format);
    struct buffer sound = {0};

    if (!type) {
        reply_error(reply, 400, "invalid_request_error", "invalid_value", "response_format",
                    "Supported values are: 'mp3', 'opus', 'aac', 'flac', 'wav', and 'pcm'.");
        return;
    }
    if (sound_bytes(call, format, &sound) != STATUS_OK)
        reply->failed = true;
    else if (call->stream)
        stream_speech(call, buffer_slice(&sound), reply);
    else
        reply_bytes(reply, type, buffer_slice(&sound));
    buffer_clear(&sound);
}

/* What was "heard": the name and size of the file, which a test knows. */
static bool heard(const struct call *call, struct buffer *text)
{
    const json_t *file = json_object_get(call->body, "file");
    const char *name = json_string_value(json_object_get(file, "filename"));
    return buffer_printf(text, CALL_TEXT_MAX, "heard: %s (%lld bytes)", name ? name : "audio",
                         (long long)json_integer_value(json_object_get(file, "bytes"))) ==
           STATUS_OK;
}

static json_t *heard_usage(const struct call *call)
{
    return json_pack("{s:s, s:I, s:i, s:I}", "type", "tokens", "input_tokens",
                     (json_int_t)call->prompt_tokens, "output_tokens", 10, "total_tokens",
                     (json_int_t)(call->prompt_tokens + 10));
}

static void stream_heard(const struct call *call, struct slice text, struct reply *reply)
{
    struct slice rest = text, piece;

    reply_stream(reply, STREAM_FORM_EVENTS);
    reply_mark_content(reply);
    while (!reply->failed && echo_piece(&rest, &piece))
        reply_event(reply, "transcript.text.delta",
                    json_pack("{s:s, s:s%}", "type", "transcript.text.delta", "delta", piece.ptr,
                              piece.len));
    reply_mark_terminal(reply);
    reply_event(reply, "transcript.text.done",
                json_pack("{s:s, s:s%, s:o}", "type", "transcript.text.done", "text", text.ptr,
                          text.len, "usage", heard_usage(call)));
}

void shape_transcriptions(const struct call *call, struct reply *reply)
{
    const char *format = string_or(call, "response_format", "json");
    struct buffer text = {0};

    if (!heard(call, &text)) {
        reply->failed = true;
    } else if (call->stream) {
        stream_heard(call, buffer_slice(&text), reply);
    } else if (strcmp(format, "json") == 0 || strcmp(format, "verbose_json") == 0) {
        reply_json(
            reply, 200,
            json_pack("{s:s%, s:o}", "text", text.data, text.len, "usage", heard_usage(call)));
    } else {
        if (buffer_append(&text, SLICE("\n"), CALL_TEXT_MAX) != STATUS_OK)
            reply->failed = true;
        reply_bytes(reply, "text/plain; charset=utf-8", buffer_slice(&text));
    }
    buffer_clear(&text);
}
