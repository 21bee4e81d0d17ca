/* The endpoint table: what each path of the API is, as far as failover needs to know. */
#ifndef SPAREKEY_OPENAI_ENDPOINT_H
#define SPAREKEY_OPENAI_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Endpoint families: the unit of "this key may not use that endpoint". */
#define FAMILY_TABLE(X)                                                                            \
    X(FAMILY_UNKNOWN, "unknown")                                                                   \
    X(FAMILY_CHAT, "chat")                                                                         \
    X(FAMILY_COMPLETIONS, "completions")                                                           \
    X(FAMILY_RESPONSES, "responses")                                                               \
    X(FAMILY_CONVERSATIONS, "conversations")                                                       \
    X(FAMILY_EMBEDDINGS, "embeddings")                                                             \
    X(FAMILY_MODERATIONS, "moderations")                                                           \
    X(FAMILY_IMAGES, "images")                                                                     \
    X(FAMILY_AUDIO, "audio")                                                                       \
    X(FAMILY_MODELS, "models")                                                                     \
    X(FAMILY_FILES, "files")                                                                       \
    X(FAMILY_UPLOADS, "uploads")                                                                   \
    X(FAMILY_BATCHES, "batches")                                                                   \
    X(FAMILY_FINE_TUNING, "fine_tuning")                                                           \
    X(FAMILY_VECTOR_STORES, "vector_stores")                                                       \
    X(FAMILY_ASSISTANTS, "assistants")                                                             \
    X(FAMILY_CONTAINERS, "containers")                                                             \
    X(FAMILY_SKILLS, "skills")                                                                     \
    X(FAMILY_EVALS, "evals")                                                                       \
    X(FAMILY_VIDEOS, "videos")                                                                     \
    X(FAMILY_REALTIME, "realtime")                                                                 \
    X(FAMILY_CHATKIT, "chatkit")                                                                   \
    X(FAMILY_PROVENANCE, "content_provenance")                                                     \
    X(FAMILY_ADMIN, "admin")

enum family {
#define X(code, name) code,
    FAMILY_TABLE(X)
#undef X
        FAMILY_COUNT
};

const char *family_name(enum family family);

/* Whether the family's calls are, as a rule, about objects of one project (the State column of
 * openai-protocol.md §1): an unclear failure of such a call is not simply replayed. */
bool family_stateful(enum family family);

/* How a stream of this endpoint speaks: what is content, what ends it (openai-protocol.md §5). */
enum stream_protocol {
    STREAM_NONE,          /* not SSE, or unknown: HTTP framing alone tells the end */
    STREAM_CHAT,          /* data: only; every choice finished, then [DONE] */
    STREAM_COMPLETIONS,   /* data: only; [DONE] */
    STREAM_RESPONSES,     /* event: + data:; response.completed|failed|incomplete, error */
    STREAM_IMAGES,        /* image_generation.completed / image_edit.completed */
    STREAM_SPEECH,        /* speech.audio.done */
    STREAM_TRANSCRIPTION, /* transcript.text.done */
    STREAM_ASSISTANTS,    /* event: done */
};

struct endpoint {
    enum family family;
    enum stream_protocol stream;
    bool
        stateful; /* the call creates or changes an object of its project: see openai-protocol.md §2.4.
                      POST /responses is not marked: whether it is follows from the body (peek) */
    bool
        names_object; /* the path names an object (/files/{id}), which exists in one project only */
};

/* `path` without query string, with or without the leading "/v1" (double slashes already
 * collapsed); `method` as on the wire. Unknown paths give FAMILY_UNKNOWN, stateful for everything
 * but GET and HEAD. Never fails. */
struct endpoint endpoint_lookup(struct slice method, struct slice path);

#ifdef __cplusplus
}
#endif
#endif
