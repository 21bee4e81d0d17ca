/* The answers of the API, one function an endpoint, in the shapes of openai-protocol.md §5 and §10.
 *
 * Content is a function of the request alone ("echo: " and the last user text), so that a test can
 * tell that the right answer came to the right caller, streamed or not, through any number of
 * failovers.
 */
#ifndef SPAREKEY_MOCK_SHAPES_H
#define SPAREKEY_MOCK_SHAPES_H

#include "mock/call.h"

#ifdef __cplusplus
extern "C" {
#endif

void shape_chat(const struct call *call, struct reply *reply);
void shape_completions(const struct call *call, struct reply *reply);
void shape_responses(const struct call *call, struct reply *reply);
void shape_responses_failed(const struct call *call, const char *code, struct reply *reply);
void shape_embeddings(const struct call *call, struct reply *reply);
void shape_moderations(const struct call *call, struct reply *reply);
void shape_images(const struct call *call, struct reply *reply);
void shape_image_edits(const struct call *call, struct reply *reply);
void shape_speech(const struct call *call, struct reply *reply);
void shape_transcriptions(const struct call *call, struct reply *reply);
void shape_models(const struct call *call, struct reply *reply);
void shape_model(const struct call *call, struct reply *reply);

/* What the chat, completions and responses endpoints say for choice `index`: "echo: <text>" (or
 * "echo[1]: <text>" …), padded as the call asks. False: out of memory. */
bool echo_text(const struct call *call, int index, struct buffer *ret_text);

/* The next piece of a streamed text: one word with the blanks before it; false at the end. */
bool echo_piece(struct slice *rest, struct slice *ret_piece);

/* Tokens as OpenAI's own estimate counts them: a quarter of the characters, at least one. */
int64_t token_estimate(size_t chars);

#ifdef __cplusplus
}
#endif
#endif
