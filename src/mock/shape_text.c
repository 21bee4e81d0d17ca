/* Chat completions, legacy completions, and the echo they share. */
#include <stdio.h>

#include "mock/shapes.h"

enum { ID_MAX = 48 };

int64_t token_estimate(size_t chars)
{
    return chars < 4 ? 1 : (int64_t)(chars / 4);
}

static size_t count_pieces(struct slice text)
{
    struct slice piece;
    size_t count = 0;
    /* Blanks at the end go with the next word, once there is one. */
    while (echo_piece(&text, &piece))
        count += piece.ptr[piece.len - 1] != ' ';
    return count;
}

bool echo_text(const struct call *call, int index, struct buffer *ret_text)
{
    enum status status = index ? buffer_printf(ret_text, REPLY_BODY_MAX, "echo[%d]: ", index)
                               : buffer_append(ret_text, SLICE("echo: "), REPLY_BODY_MAX);
    if (status == STATUS_OK)
        status = buffer_append(ret_text, buffer_slice(&call->text), REPLY_BODY_MAX);
    size_t pieces = call->stream_events ? count_pieces(buffer_slice(ret_text)) : 0;
    for (; status == STATUS_OK && pieces < call->stream_events; pieces++)
        status = buffer_printf(ret_text, REPLY_BODY_MAX, " w%zu", pieces);
    while (status == STATUS_OK && ret_text->len < call->answer_bytes)
        status = buffer_append(ret_text, SLICE(" padding padding padding padding"), REPLY_BODY_MAX);
    return status == STATUS_OK;
}

bool echo_piece(struct slice *rest, struct slice *ret_piece)
{
    size_t len = 0;
    while (len < rest->len && rest->ptr[len] == ' ')
        len++;
    while (len < rest->len && rest->ptr[len] != ' ')
        len++;
    *ret_piece = slice_of(rest->ptr, len);
    *rest = slice_from(*rest, len);
    return len > 0;
}

static json_t *usage_json(const struct call *call, int64_t completion)
{
    return json_pack("{s:I, s:I, s:I, s:{s:i, s:i}, s:{s:i, s:i, s:i, s:i}}", "prompt_tokens",
                     (json_int_t)call->prompt_tokens, "completion_tokens", (json_int_t)completion,
                     "total_tokens", (json_int_t)(call->prompt_tokens + completion),
                     "prompt_tokens_details", "cached_tokens", 0, "audio_tokens", 0,
                     "completion_tokens_details", "reasoning_tokens", 0, "audio_tokens", 0,
                     "accepted_prediction_tokens", 0, "rejected_prediction_tokens", 0);
}

/* One member of `choices`; the text is taken as it stands (valid UTF-8 by jansson's reading). */
typedef json_t *choice_maker(int index, struct slice text);

static json_t *chat_choice(int index, struct slice text)
{
    return json_pack("{s:i, s:{s:s, s:s%, s:n, s:[]}, s:n, s:s}", "index", index, "message", "role",
                     "assistant", "content", text.ptr, text.len, "refusal", "annotations",
                     "logprobs", "finish_reason", "stop");
}

static json_t *text_choice(int index, struct slice text)
{
    return json_pack("{s:i, s:s%, s:n, s:s}", "index", index, "text", text.ptr, text.len,
                     "logprobs", "finish_reason", "stop");
}

static void whole(const struct call *call, const char *prefix, const char *object,
                  choice_maker *choice, struct reply *reply)
{
    char id[ID_MAX];
    json_t *choices = json_array();
    int64_t tokens = 0;

    for (int i = 0; i < call->n; i++) {
        struct buffer text = {0};
        if (!echo_text(call, i, &text))
            reply->failed = true;
        else
            json_array_append_new(choices, choice(i, buffer_slice(&text)));
        tokens += token_estimate(text.len);
        buffer_clear(&text);
    }
    snprintf(id, sizeof(id), "%s-%016llx", prefix, (unsigned long long)call->serial);
    reply_json(reply, 200,
               json_pack("{s:s, s:s, s:I, s:s, s:s, s:n, s:o, s:o}", "id", id, "object", object,
                         "created", (json_int_t)call->created, "model", call->model, "service_tier",
                         "default", "system_fingerprint", "choices", choices, "usage",
                         usage_json(call, tokens)));
}

/* --- streams --- */

struct stream {
    const struct call *call;
    struct reply *reply;
    const char *prefix, *object;
    bool usage; /* include_usage: every chunk carries usage:null */
};

static void chunk(struct stream *s, json_t *choices, json_t *usage)
{
    char id[ID_MAX];
    snprintf(id, sizeof(id), "%s-%016llx", s->prefix, (unsigned long long)s->call->serial);
    json_t *json =
        json_pack("{s:s, s:s, s:I, s:s, s:o}", "id", id, "object", s->object, "created",
                  (json_int_t)s->call->created, "model", s->call->model, "choices", choices);
    if (json && s->usage)
        json_object_set_new(json, "usage", usage ? usage : json_null());
    else
        json_decref(usage);
    reply_data(s->reply, json);
}

static void chat_delta(struct stream *s, int index, json_t *delta, const char *finish)
{
    chunk(s,
          json_pack("[{s:i, s:o, s:n, s:s?}]", "index", index, "delta", delta, "logprobs",
                    "finish_reason", finish),
          NULL);
}

static void text_delta(struct stream *s, int index, struct slice piece, const char *finish)
{
    chunk(s,
          json_pack("[{s:i, s:s%, s:n, s:s?}]", "index", index, "text", piece.ptr ? piece.ptr : "",
                    piece.len, "logprobs", "finish_reason", finish),
          NULL);
}

static int64_t stream_choice(struct stream *s, int index, bool chat)
{
    struct buffer text = {0};
    if (!echo_text(s->call, index, &text))
        s->reply->failed = true;
    struct slice rest = buffer_slice(&text), piece;
    while (!s->reply->failed && echo_piece(&rest, &piece)) {
        reply_mark_content(s->reply);
        if (chat)
            chat_delta(s, index, json_pack("{s:s%}", "content", piece.ptr, piece.len), NULL);
        else
            text_delta(s, index, piece, NULL);
    }
    int64_t tokens = token_estimate(text.len);
    buffer_clear(&text);
    return tokens;
}

static void stream_all(struct stream *s, bool chat)
{
    int64_t tokens = 0;

    reply_stream(s->reply, STREAM_FORM_DATA);
    const json_t *options = json_object_get(s->call->body, "stream_options");
    s->usage = json_is_true(json_object_get(options, "include_usage"));
    for (int i = 0; chat && i < s->call->n; i++)
        chat_delta(s, i,
                   json_pack("{s:s, s:s, s:n}", "role", "assistant", "content", "", "refusal"),
                   NULL);
    for (int i = 0; i < s->call->n; i++)
        tokens += stream_choice(s, i, chat);
    reply_mark_terminal(s->reply);
    for (int i = 0; i < s->call->n; i++) {
        if (chat)
            chat_delta(s, i, json_object(), "stop");
        else
            text_delta(s, i, slice_of(NULL, 0), "stop");
    }
    if (s->usage)
        chunk(s, json_array(), usage_json(s->call, tokens));
    reply_done(s->reply);
}

void shape_chat(const struct call *call, struct reply *reply)
{
    struct stream s = {call, reply, "chatcmpl", "chat.completion.chunk", false};
    if (call->stream)
        stream_all(&s, true);
    else
        whole(call, "chatcmpl", "chat.completion", chat_choice, reply);
}

void shape_completions(const struct call *call, struct reply *reply)
{
    struct stream s = {call, reply, "cmpl", "text_completion", false};
    if (call->stream)
        stream_all(&s, false);
    else
        whole(call, "cmpl", "text_completion", text_choice, reply);
}
