#include "openai/peek.h"

#include "base/number.h"

/* What the peek looks for, and what it does with each: one table. A member's value is taken when
 * its token ends, so nothing here depends on how the body was cut. */

enum kind {
    KIND_NONE,
    KIND_MODEL,
    KIND_CACHE_KEY,
    KIND_STREAM,
    KIND_STORE,
    KIND_BACKGROUND,
    KIND_STREAM_FORMAT,
    KIND_MAX_TOKENS,
    KIND_N,
    KIND_REFERENCE, /* anything but null names an object */
    KIND_PROMPT,    /* an object with an id does; a plain text does not */
    KIND_STREAM_OPTIONS,
};

struct member {
    struct slice name;
    enum kind kind;
};

/* Index 0 stands for every other member. The references are those of openai-protocol.md §1.1 that
 * stand at the top level; what is nested deeper (file ids in messages and inputs) is left to the
 * owner's answer. */
static const struct member members[] = {
    {{NULL, 0}, KIND_NONE},
    {SLICE("model"), KIND_MODEL},
    {SLICE("prompt_cache_key"), KIND_CACHE_KEY},
    {SLICE("stream"), KIND_STREAM},
    {SLICE("store"), KIND_STORE},
    {SLICE("background"), KIND_BACKGROUND},
    {SLICE("stream_options"), KIND_STREAM_OPTIONS},
    {SLICE("stream_format"), KIND_STREAM_FORMAT},
    {SLICE("max_tokens"), KIND_MAX_TOKENS},
    {SLICE("max_completion_tokens"), KIND_MAX_TOKENS},
    {SLICE("max_output_tokens"), KIND_MAX_TOKENS},
    {SLICE("n"), KIND_N},
    {SLICE("previous_response_id"), KIND_REFERENCE},
    {SLICE("conversation"), KIND_REFERENCE},
    {SLICE("prompt"), KIND_PROMPT},
    {SLICE("input_file_id"), KIND_REFERENCE},
    {SLICE("training_file"), KIND_REFERENCE},
    {SLICE("validation_file"), KIND_REFERENCE},
    {SLICE("assistant_id"), KIND_REFERENCE},
};

enum { MEMBERS = sizeof members / sizeof *members };

_Static_assert(MEMBERS <= 32, "peek.named has a bit for each member");

/* References have a bit each, so that a later null takes back what an earlier duplicate said. */
static void set_named(struct peek *peek, bool named)
{
    uint32_t bit = UINT32_C(1) << peek->member;

    peek->named = named ? peek->named | bit : peek->named & ~bit;
    peek->references = peek->named != 0;
}

static uint8_t find_member(const struct json_token *key)
{
    for (uint8_t i = 1; i < MEMBERS && !key->cut; i++) {
        if (slice_eq(key->text, members[i].name))
            return i;
    }
    return 0;
}

static bool is_scalar(const struct json_token *value, struct slice text)
{
    return value->event == SCAN_SCALAR && slice_eq(value->text, text);
}

/* 0 for what is no count: a fraction, a string, a number no server would accept. */
static uint64_t read_count(const struct json_token *value)
{
    uint64_t count = 0;

    if (value->event != SCAN_SCALAR || number_parse(value->text, UINT32_MAX, &count) != STATUS_OK)
        return 0;
    return count;
}

/* A string that was kept whole; anything else counts as absent. */
static size_t read_text(const struct json_token *value, char out[PEEK_VALUE_MAX + 1])
{
    bool usable = value->event == SCAN_STRING && !value->cut;

    return slice_copy(usable ? value->text : slice_of(NULL, 0), out, PEEK_VALUE_MAX + 1);
}

/* The value of a top-level member, or the bracket that opens it. */
static void read_value(struct peek *peek, const struct json_token *value)
{
    switch (members[peek->member].kind) {
    case KIND_NONE: break;
    case KIND_MODEL: peek->model_len = read_text(value, peek->model); break;
    case KIND_CACHE_KEY: peek->cache_key_len = read_text(value, peek->cache_key); break;
    case KIND_STREAM: peek->stream = is_scalar(value, SLICE("true")); break;
    case KIND_STORE:
        peek->store_false = is_scalar(value, SLICE("false"));
        peek->store_true = is_scalar(value, SLICE("true"));
        break;
    case KIND_BACKGROUND: peek->background = is_scalar(value, SLICE("true")); break;
    case KIND_STREAM_FORMAT:
        peek->stream_sse = value->event == SCAN_STRING && slice_eq(value->text, SLICE("sse"));
        break;
    case KIND_MAX_TOKENS: peek->max_output_tokens = read_count(value); break;
    case KIND_N: peek->n = read_count(value); break;
    case KIND_REFERENCE: set_named(peek, !is_scalar(value, SLICE("null"))); break;
    case KIND_PROMPT: set_named(peek, false); break;              /* until an id is found inside */
    case KIND_STREAM_OPTIONS: peek->include_usage = false; break; /* likewise */
    }
}

/* What is looked for inside of the member, or nothing. */
static struct slice inner_key(enum kind kind)
{
    switch ((int)kind) {
    case KIND_PROMPT: return SLICE("id");
    case KIND_STREAM_OPTIONS: return SLICE("include_usage");
    default: return slice_of(NULL, 0);
    }
}

/* Inside "prompt": {…} or "stream_options": {…}. */
static void read_inner(struct peek *peek, enum kind kind, const struct json_token *token)
{
    if (token->event == SCAN_KEY)
        peek->inner = !token->cut && slice_eq(token->text, inner_key(kind));
    else if (token->event == SCAN_CLOSE || !peek->inner)
        return;
    else if (kind == KIND_PROMPT)
        set_named(peek, !is_scalar(token, SLICE("null")));
    else
        peek->include_usage = is_scalar(token, SLICE("true"));
}

static void on_token(void *ctx, const struct json_token *token)
{
    struct peek *peek = ctx;

    if (token->depth == 1) {
        if (token->event == SCAN_KEY) {
            peek->member = find_member(token);
            peek->inner = false;
        } else if (token->event != SCAN_CLOSE) {
            read_value(peek, token);
        }
    } else if (token->depth == 2 && inner_key(members[peek->member].kind).len) {
        read_inner(peek, members[peek->member].kind, token);
    }
}

static struct json_sink sink_of(struct peek *peek)
{
    return (struct json_sink){on_token, peek, peek->text, sizeof peek->text};
}

void peek_init(struct peek *peek)
{
    memset(peek, 0, sizeof *peek);
    json_scan_init(&peek->scan);
}

void peek_feed(struct peek *peek, const char *data, size_t len)
{
    struct json_sink sink = sink_of(peek);

    json_scan_feed(&peek->scan, &sink, data, len);
    peek->malformed = json_scan_bad(&peek->scan);
}

void peek_finish(struct peek *peek)
{
    struct json_sink sink = sink_of(peek);

    peek->malformed = !json_scan_finish(&peek->scan, &sink);
}
