#include "openai/endpoint.h"

/* The table of openai-protocol.md §1. First match wins, so the busiest paths stand first and exact
 * ones before their families' catch-alls. In a pattern "*" is one segment of the path, a final
 * "**" any number of them, none included. */
struct row {
    struct slice pattern;
    enum family family;
    enum stream_protocol stream;
    bool stateful; /* for methods other than GET and HEAD */
};

#define ROW(pattern, family, stream, stateful)                                                     \
    {                                                                                              \
        SLICE(pattern), family, stream, stateful                                                   \
    }

static const struct row rows[] = {
    ROW("/chat/completions", FAMILY_CHAT, STREAM_CHAT, false),
    ROW("/responses", FAMILY_RESPONSES, STREAM_RESPONSES, false),
    ROW("/embeddings", FAMILY_EMBEDDINGS, STREAM_NONE, false),
    ROW("/completions", FAMILY_COMPLETIONS, STREAM_COMPLETIONS, false),
    ROW("/moderations", FAMILY_MODERATIONS, STREAM_NONE, false),
    ROW("/models/**", FAMILY_MODELS, STREAM_NONE, true), /* DELETE of a fine-tuned model */

    ROW("/chat/completions/**", FAMILY_CHAT, STREAM_NONE, true), /* stored completions */
    ROW("/responses/input_tokens", FAMILY_RESPONSES, STREAM_NONE, false),
    ROW("/responses/compact", FAMILY_RESPONSES, STREAM_NONE, false),
    ROW("/responses/*", FAMILY_RESPONSES, STREAM_RESPONSES, true), /* GET …?stream=true resumes */
    ROW("/responses/**", FAMILY_RESPONSES, STREAM_NONE, true),
    ROW("/conversations/**", FAMILY_CONVERSATIONS, STREAM_NONE, true),

    ROW("/images/generations", FAMILY_IMAGES, STREAM_IMAGES, false),
    ROW("/images/edits", FAMILY_IMAGES, STREAM_IMAGES, false),
    ROW("/images/variations", FAMILY_IMAGES, STREAM_NONE, false),
    ROW("/audio/speech", FAMILY_AUDIO, STREAM_SPEECH, false),
    ROW("/audio/transcriptions", FAMILY_AUDIO, STREAM_TRANSCRIPTION, false),
    ROW("/audio/translations", FAMILY_AUDIO, STREAM_NONE, false),
    ROW("/audio/voice_consents/**", FAMILY_AUDIO, STREAM_NONE, true),
    ROW("/audio/voices/**", FAMILY_AUDIO, STREAM_NONE, true),

    ROW("/files/**", FAMILY_FILES, STREAM_NONE, true),
    ROW("/uploads/**", FAMILY_UPLOADS, STREAM_NONE, true),
    ROW("/batches/**", FAMILY_BATCHES, STREAM_NONE, true),
    ROW("/fine_tuning/alpha/graders/run", FAMILY_FINE_TUNING, STREAM_NONE, false),
    ROW("/fine_tuning/alpha/graders/validate", FAMILY_FINE_TUNING, STREAM_NONE, false),
    ROW("/fine_tuning/**", FAMILY_FINE_TUNING, STREAM_NONE, true),
    ROW("/vector_stores/*/search", FAMILY_VECTOR_STORES, STREAM_NONE, false),
    ROW("/vector_stores/**", FAMILY_VECTOR_STORES, STREAM_NONE, true),

    ROW("/threads/runs", FAMILY_ASSISTANTS, STREAM_ASSISTANTS, true),
    ROW("/threads/*/runs", FAMILY_ASSISTANTS, STREAM_ASSISTANTS, true),
    ROW("/threads/*/runs/*/submit_tool_outputs", FAMILY_ASSISTANTS, STREAM_ASSISTANTS, true),
    ROW("/threads/**", FAMILY_ASSISTANTS, STREAM_NONE, true),
    ROW("/assistants/**", FAMILY_ASSISTANTS, STREAM_NONE, true),

    ROW("/containers/**", FAMILY_CONTAINERS, STREAM_NONE, true),
    ROW("/skills/**", FAMILY_SKILLS, STREAM_NONE, true),
    ROW("/evals/**", FAMILY_EVALS, STREAM_NONE, true),
    ROW("/videos/**", FAMILY_VIDEOS, STREAM_NONE, true),
    ROW("/realtime/**", FAMILY_REALTIME, STREAM_NONE, true),
    ROW("/live/**", FAMILY_REALTIME, STREAM_NONE, true),
    ROW("/chatkit/**", FAMILY_CHATKIT, STREAM_NONE, true),
    ROW("/content_provenance_checks", FAMILY_PROVENANCE, STREAM_NONE, false),
    ROW("/organization/**", FAMILY_ADMIN, STREAM_NONE, true),
    ROW("/projects/**", FAMILY_ADMIN, STREAM_NONE, true),
};

/* Takes "/segment" off the front of `*rest`. False when nothing is left. */
static bool next_segment(struct slice *rest, struct slice *ret_segment)
{
    if (rest->len == 0)
        return false;
    const char *slash = memchr(rest->ptr + 1, '/', rest->len - 1);
    size_t len = slash ? (size_t)(slash - rest->ptr) : rest->len;
    *ret_segment = slice_of(rest->ptr, len);
    *rest = slice_from(*rest, len);
    return true;
}

/* `*ret_named`: a wildcard stands for something. */
static bool matches(struct slice pattern, struct slice path, bool *ret_named)
{
    struct slice want, have;

    *ret_named = false;
    while (next_segment(&pattern, &want)) {
        if (slice_eq(want, SLICE("/**"))) {
            *ret_named |= path.len > 0;
            return true;
        }
        if (!next_segment(&path, &have))
            return false;
        bool any = slice_eq(want, SLICE("/*")) && have.len > 1;
        *ret_named |= any;
        if (!any && !slice_eq(want, have))
            return false;
    }
    return path.len == 0;
}

/* Without "/v1" and without a trailing slash. */
static struct slice bare_path(struct slice path)
{
    if (slice_eq(path, SLICE("/v1")) || slice_starts(path, SLICE("/v1/")))
        path = slice_from(path, 3);
    if (slice_ends(path, SLICE("/")))
        path.len--;
    return path;
}

/* What stands behind these paths is the same for every project, or is no object. */
static bool is_of_projects(enum family family)
{
    return family != FAMILY_MODELS && family != FAMILY_ADMIN && family != FAMILY_REALTIME;
}

struct endpoint endpoint_lookup(struct slice method, struct slice path)
{
    bool reads = slice_eq(method, SLICE("GET")) || slice_eq(method, SLICE("HEAD"));
    struct slice bare = bare_path(path);

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool named;
        if (matches(rows[i].pattern, bare, &named))
            return (struct endpoint){.family = rows[i].family,
                                     .stream = rows[i].stream,
                                     .stateful = rows[i].stateful && !reads,
                                     .names_object = named && is_of_projects(rows[i].family)};
    }
    return (struct endpoint){.family = FAMILY_UNKNOWN, .stateful = !reads};
}

const char *family_name(enum family family)
{
    static const char *const names[] = {
#define X(code, name) [code] = name,
        FAMILY_TABLE(X)
#undef X
    };
    return (unsigned)family < FAMILY_COUNT ? names[family] : "unknown";
}

bool family_stateful(enum family family)
{
    switch (family) {
    case FAMILY_CHAT:
    case FAMILY_COMPLETIONS:
    case FAMILY_RESPONSES:
    case FAMILY_EMBEDDINGS:
    case FAMILY_MODERATIONS:
    case FAMILY_IMAGES:
    case FAMILY_AUDIO:
    case FAMILY_MODELS:
    case FAMILY_PROVENANCE: return false;
    case FAMILY_UNKNOWN:
    case FAMILY_CONVERSATIONS:
    case FAMILY_FILES:
    case FAMILY_UPLOADS:
    case FAMILY_BATCHES:
    case FAMILY_FINE_TUNING:
    case FAMILY_VECTOR_STORES:
    case FAMILY_ASSISTANTS:
    case FAMILY_CONTAINERS:
    case FAMILY_SKILLS:
    case FAMILY_EVALS:
    case FAMILY_VIDEOS:
    case FAMILY_REALTIME:
    case FAMILY_CHATKIT:
    case FAMILY_ADMIN:
    case FAMILY_COUNT: break;
    }
    return true;
}
