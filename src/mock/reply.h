/* An answer being made: status, fields, and either one body or the events of a stream.
 *
 * Events stand one behind the other in `body`; `frame_ends` says where each ends, so that the
 * sender can stop, stall or go wrong between any two of them. Three marks tell it where that is
 * interesting: the first event that bears content, the first that closes the stream, and the form
 * in which this stream spells an error.
 *
 * Failure is sticky: when memory runs out (or REPLY_BODY_MAX is passed) `failed` is set and later
 * calls do nothing, so that the code which shapes answers reads as the answer does.
 */
#ifndef SPAREKEY_MOCK_REPLY_H
#define SPAREKEY_MOCK_REPLY_H

#include <jansson.h>
#include <stdbool.h>

#include "base/buffer.h"

#ifdef __cplusplus
extern "C" {
#endif

#define REPLY_BODY_MAX   ((size_t)256 << 20)
#define REPLY_FIELDS_MAX ((size_t)16 << 10)
#define REPLY_FRAMES_MAX ((size_t)1 << 20)

#define REPLY_NO_FRAME ((size_t)-1)

enum stream_form {
    STREAM_FORM_NONE,      /* no stream */
    STREAM_FORM_DATA,      /* data: only, closed by [DONE] (chat, completions) */
    STREAM_FORM_RESPONSES, /* event: + data:, sequence numbers */
    STREAM_FORM_EVENTS,    /* event: + data: (images, speech, transcription) */
};

struct reply {
    int status;
    const char *content_type;
    struct buffer fields; /* further lines "name: value\r\n" */
    struct buffer body;
    size_t *frame_ends;
    size_t frame_count, frame_capacity;
    size_t first_content; /* index of the first event with content, or REPLY_NO_FRAME */
    size_t terminal;      /* index of the first event of the closing ones, or REPLY_NO_FRAME */
    enum stream_form form;
    bool failed;
};

void reply_init(struct reply *reply);
void reply_clear(struct reply *reply);

/* All of these take over the reference of `json`, also on failure; a NULL json means that building
 * it failed and sets `failed`. */
void reply_json(struct reply *reply, int status, json_t *json);
void reply_data(struct reply *reply, json_t *json);                     /* data: …\n\n */
void reply_event(struct reply *reply, const char *event, json_t *json); /* event: …\ndata: …\n\n */
void reply_done(struct reply *reply);                                   /* data: [DONE]\n\n */

void reply_bytes(struct reply *reply, const char *content_type, struct slice bytes);

/* {"error":{message, type, param, code}}; an absent param or code is null. */
void reply_error(struct reply *reply, int status, const char *type, const char *code,
                 const char *param, const char *message);
json_t *error_json(const char *type, const char *code, const char *param, const char *message);

/* Adds a field line. */
void reply_field(struct reply *reply, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Starts a stream of that form. */
void reply_stream(struct reply *reply, enum stream_form form);

/* The next event is the first with content / the first of the closing ones. */
void reply_mark_content(struct reply *reply);
void reply_mark_terminal(struct reply *reply);

struct slice reply_frame(const struct reply *reply, size_t index);

/* Drops the events from `count` on. */
void reply_cut(struct reply *reply, size_t count);

/* Ends the stream with an error in its own form (openai-protocol.md §2.3). `nested`: the observed
 * form of Responses (error object inside, response.failed behind) instead of the documented flat one. */
void reply_stream_error(struct reply *reply, const char *type, const char *code,
                        const char *message, bool nested);

#ifdef __cplusplus
}
#endif
#endif
