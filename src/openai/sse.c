#include "openai/sse.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/number.h"
#include "openai/error_body.h"

/* Three layers, each fed piece by piece by the one above, none of them keeping what it has read:
 *
 *     bytes ──lines──▶ field: value ──data──▶ JSON tokens ──▶ what does the event mean?
 *
 * An event is decided as early as its bytes allow, so that an image of 8 MB in one data line flows
 * from its first byte: by its name ("event: …"), by the "type" at the front of its data, or, in
 * the nameless streams of chat, by what its choices hold. What is not understood counts as
 * content: holding back what we do not know would stall it for ever.
 *
 * The data of an error event is kept for the verdict. It is known to be one when its name says so,
 * or when a "type" or a top-level "error" turns up; in the latter cases the bytes already gone are
 * replaced by the member that gave it away, which makes a JSON document again:
 *
 *     data: {"id":"x","error":{"code":…}}   kept:  {"error":{"code":…}}
 *
 * Once an error has passed, nothing behind it is content: [error][DONE] in one piece must look the
 * same as in two. */

_Static_assert(sizeof(struct sse) <= 256, "every open stream holds one");

enum line {
    LINE_START,
    LINE_FIELD,
    LINE_DATA_SPACE,
    LINE_DATA,
    LINE_NAME_SPACE,
    LINE_NAME,
    LINE_IGNORED
};

enum event_class {
    CLASS_NONE,  /* says nothing */
    CLASS_QUIET, /* proves nothing: the answer may still fail unseen */
    CLASS_CONTENT,
    CLASS_TERMINAL, /* content, and the stream's proper end */
    CLASS_ERROR,
};

enum capture {
    CAPTURE_NONE,
    CAPTURE_MAYBE, /* behind a key "error" whose value is not known yet: null is no error */
    CAPTURE_ERROR,
};

enum top { TOP_OTHER, TOP_ERROR, TOP_TYPE, TOP_CHOICES };
enum choice { CHOICE_OTHER, CHOICE_DELTA, CHOICE_TEXT, CHOICE_FINISH, CHOICE_INDEX };
enum delta { DELTA_OTHER, DELTA_ROLE };

#define SSE_ERROR_TYPE "sparekey_error"

static const struct slice done_mark = SLICE("[DONE]");

enum { CHOICES_MAX = 128, NO_DONE = 0xFF, BOM_LEN = 3 };

/* ---- names ---- */

struct name {
    enum stream_protocol protocol;
    struct slice name;
    enum event_class class;
};

/* Names that are not content, and those that are more. */
static const struct name names[] = {
    {STREAM_RESPONSES, SLICE("response.created"), CLASS_QUIET},
    {STREAM_RESPONSES, SLICE("response.queued"), CLASS_QUIET},
    {STREAM_RESPONSES, SLICE("response.in_progress"), CLASS_QUIET},
    {STREAM_RESPONSES, SLICE("keepalive"), CLASS_QUIET},
    {STREAM_RESPONSES, SLICE("response.completed"), CLASS_TERMINAL},
    {STREAM_RESPONSES, SLICE("response.incomplete"), CLASS_TERMINAL},
    {STREAM_RESPONSES, SLICE("response.cancelled"), CLASS_TERMINAL},
    {STREAM_RESPONSES, SLICE("response.failed"), CLASS_ERROR},
    {STREAM_IMAGES, SLICE("keepalive"), CLASS_QUIET},
    {STREAM_IMAGES, SLICE("image_generation.completed"), CLASS_TERMINAL},
    {STREAM_IMAGES, SLICE("image_edit.completed"), CLASS_TERMINAL},
    {STREAM_SPEECH, SLICE("keepalive"), CLASS_QUIET},
    {STREAM_SPEECH, SLICE("speech.audio.done"), CLASS_TERMINAL},
    {STREAM_TRANSCRIPTION, SLICE("keepalive"), CLASS_QUIET},
    {STREAM_TRANSCRIPTION, SLICE("transcript.text.done"), CLASS_TERMINAL},
    {STREAM_ASSISTANTS, SLICE("thread.created"), CLASS_QUIET},
    {STREAM_ASSISTANTS, SLICE("thread.run.created"), CLASS_QUIET},
    {STREAM_ASSISTANTS, SLICE("thread.run.queued"), CLASS_QUIET},
    {STREAM_ASSISTANTS, SLICE("thread.run.in_progress"), CLASS_QUIET},
    {STREAM_ASSISTANTS, SLICE("done"), CLASS_TERMINAL},
};

/* Streams whose events have no names: their data alone decides. */
static bool is_nameless(enum stream_protocol protocol)
{
    return protocol == STREAM_CHAT || protocol == STREAM_COMPLETIONS;
}

static enum event_class classify(enum stream_protocol protocol, struct slice name)
{
    if (slice_eq(name, SLICE("error")))
        return CLASS_ERROR;
    if (is_nameless(protocol) || name.len == 0)
        return CLASS_NONE;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (names[i].protocol == protocol && slice_eq(names[i].name, name))
            return names[i].class;
    }
    return CLASS_CONTENT;
}

/* ---- what an event holds ---- */

/* The bytes of one piece of data, while the scanner works on them. */
struct piece {
    struct sse *sse;
    struct slice prefix; /* what stands in error_data for the bytes before `from` */
    const char *from;    /* where capturing begins in this piece; NULL: nowhere yet */
};

static void mark_content(struct sse *sse)
{
    if (!sse->error && sse->capture != CAPTURE_ERROR)
        sse->content = true;
}

static void mark_class(struct sse *sse, enum event_class class)
{
    if (class == CLASS_CONTENT || class == CLASS_TERMINAL)
        mark_content(sse);
}

static void capture_start(struct piece *piece, enum capture how, struct slice prefix,
                          const char *from)
{
    struct sse *sse = piece->sse;

    if (sse->capture != CAPTURE_NONE)
        return;
    sse->capture = (uint8_t)how;
    piece->prefix = prefix;
    piece->from = from;
}

static void capture_drop(struct piece *piece)
{
    piece->sse->capture = CAPTURE_NONE;
    piece->from = NULL;
    if (!piece->sse->error)
        buffer_clear(&piece->sse->error_data);
}

static void capture_bytes(struct sse *sse, const char *data, size_t len)
{
    size_t room = SSE_ERROR_MAX - sse->error_data.len;

    if (sse->error) /* the first error's data stays */
        return;
    if (len > room)
        len = room;
    if (buffer_append(&sse->error_data, slice_of(data, len), SSE_ERROR_MAX) != STATUS_OK)
        return; /* cut short, as promised */
}

static bool is_null(const struct json_token *value)
{
    return value->event == SCAN_SCALAR &&
           (slice_eq(value->text, SLICE("null")) || slice_eq(value->text, SLICE("false")));
}

static bool is_empty(const struct json_token *value)
{
    return is_null(value) || (value->event == SCAN_STRING && value->text.len == 0);
}

/* The value of a top-level "error": anything an SDK takes for true. */
static void read_error(struct piece *piece, const struct json_token *value)
{
    if (piece->sse->capture != CAPTURE_MAYBE)
        return;
    if (is_empty(value))
        capture_drop(piece);
    else
        piece->sse->capture = CAPTURE_ERROR;
}

static void read_type(struct piece *piece, const struct json_token *value)
{
    struct sse *sse = piece->sse;

    if (value->event != SCAN_STRING || value->cut)
        return;
    enum event_class class = classify(sse->protocol, value->text);
    sse->type_class = (uint8_t) class;
    if (class == CLASS_ERROR)
        capture_start(piece, CAPTURE_ERROR,
                      slice_eq(value->text, SLICE("error"))
                          ? SLICE("{\"type\":\"error\"")
                          : SLICE("{\"type\":\"response.failed\""),
                      value->end);
    else if (sse->name_class == CLASS_NONE)
        mark_class(sse, class);
}

static enum top find_top(const struct json_token *key)
{
    if (slice_eq(key->text, SLICE("error")))
        return TOP_ERROR;
    if (slice_eq(key->text, SLICE("type")))
        return TOP_TYPE;
    return slice_eq(key->text, SLICE("choices")) ? TOP_CHOICES : TOP_OTHER;
}

static void read_top(struct piece *piece, const struct json_token *token)
{
    struct sse *sse = piece->sse;

    if (token->event == SCAN_KEY) {
        sse->top = (uint8_t)find_top(token);
        if (sse->top == TOP_ERROR)
            capture_start(piece, CAPTURE_MAYBE, SLICE("{\"error\""), token->end);
        return;
    }
    if (token->event == SCAN_CLOSE)
        return;
    if (sse->top == TOP_ERROR)
        read_error(piece, token);
    else if (sse->top == TOP_TYPE)
        read_type(piece, token);
    else if (sse->top == TOP_CHOICES)
        sse->has_choices = true;
}

/* ---- the choices of a chat chunk ---- */

static enum choice find_choice(const struct json_token *key)
{
    if (slice_eq(key->text, SLICE("delta")))
        return CHOICE_DELTA;
    if (slice_eq(key->text, SLICE("text")))
        return CHOICE_TEXT;
    if (slice_eq(key->text, SLICE("finish_reason")))
        return CHOICE_FINISH;
    return slice_eq(key->text, SLICE("index")) ? CHOICE_INDEX : CHOICE_OTHER;
}

static void begin_choice(struct sse *sse)
{
    sse->choice = CHOICE_OTHER;
    sse->choice_index = 0;
    sse->choice_done = false;
}

static void end_choice(struct sse *sse)
{
    uint64_t bit = UINT64_C(1) << (sse->choice_index % 64);
    unsigned word = sse->choice_index / 64;

    sse->seen[word] |= bit;
    if (sse->choice_done)
        sse->finished[word] |= bit;
    sse->choices_finished = sse->seen[0] == sse->finished[0] && sse->seen[1] == sse->finished[1];
}

static void read_choice_member(struct sse *sse, const struct json_token *token)
{
    uint64_t index;

    if (token->event == SCAN_KEY) {
        sse->choice = (uint8_t)find_choice(token);
        sse->delta = DELTA_OTHER;
    } else if (token->event == SCAN_CLOSE) {
        return;
    } else if (sse->choice == CHOICE_FINISH && !is_null(token)) {
        sse->choice_done = true;
        mark_content(sse);
    } else if (sse->choice == CHOICE_TEXT && !is_empty(token)) {
        mark_content(sse);
    } else if (sse->choice == CHOICE_INDEX && token->event == SCAN_SCALAR &&
               number_parse(token->text, CHOICES_MAX - 1, &index) == STATUS_OK) {
        sse->choice_index = (uint8_t)index;
    }
}

/* Inside "delta", at any depth: whatever it holds but the role is content. Brackets alone are
 * nothing yet: "tool_calls":[] says no more than its absence. */
static void read_delta(struct sse *sse, const struct json_token *token)
{
    if (token->event == SCAN_KEY && token->depth == 4)
        sse->delta = slice_eq(token->text, SLICE("role")) ? DELTA_ROLE : DELTA_OTHER;
    else if (sse->delta != DELTA_ROLE &&
             (token->event == SCAN_STRING || token->event == SCAN_SCALAR) && !is_empty(token))
        mark_content(sse);
}

/* {"choices":[{"delta":{…}}]}: depth 1, 2, 3, 4. */
static void read_choices(struct sse *sse, const struct json_token *token)
{
    if (token->depth == 2 && token->event == SCAN_OBJECT)
        begin_choice(sse);
    else if (token->depth == 2 && token->event == SCAN_CLOSE)
        end_choice(sse);
    else if (token->depth == 3)
        read_choice_member(sse, token);
    else if (token->depth > 3 && sse->choice == CHOICE_DELTA)
        read_delta(sse, token);
}

static void on_token(void *ctx, const struct json_token *token)
{
    struct piece *piece = ctx;
    struct sse *sse = piece->sse;

    if (token->depth == 1)
        read_top(piece, token);
    else if (token->depth > 1 && sse->top == TOP_CHOICES && is_nameless(sse->protocol))
        read_choices(sse, token);
}

/* ---- data ---- */

static void match_done(struct sse *sse, const char *data, size_t len)
{
    for (size_t i = 0; i < len && sse->done_len < done_mark.len; i++)
        sse->done_len =
            data[i] == done_mark.ptr[sse->done_len] ? (uint8_t)(sse->done_len + 1) : NO_DONE;
}

static void data_piece(struct sse *sse, const char *data, size_t len)
{
    struct piece piece = {.sse = sse, .from = sse->capture != CAPTURE_NONE ? data : NULL};
    struct json_sink sink = {on_token, &piece, sse->text, sizeof sse->text};

    match_done(sse, data, len);
    json_scan_feed(&sse->scan, &sink, data, len);
    if (sse->capture == CAPTURE_NONE || !piece.from)
        return;
    capture_bytes(sse, piece.prefix.ptr, piece.prefix.len);
    capture_bytes(sse, piece.from, (size_t)(data + len - piece.from));
}

static void data_begin(struct sse *sse)
{
    if (sse->has_data) {
        /* The lines of one event are joined by line feeds; the scanner had its own already. */
        if (sse->capture != CAPTURE_NONE)
            capture_bytes(sse, "\n", 1);
        match_done(sse, "\n", 1);
        return;
    }
    sse->has_data = true;
    json_scan_init(&sse->scan);
    if (sse->name_class == CLASS_ERROR)
        sse->capture = CAPTURE_ERROR;
    else
        mark_class(sse, (enum event_class)sse->name_class);
}

/* White space ends a number or literal here, so that `text` is free for an event name. */
static void data_end(struct sse *sse)
{
    struct piece piece = {.sse = sse};
    struct json_sink sink = {on_token, &piece, sse->text, sizeof sse->text};

    json_scan_feed(&sse->scan, &sink, "\n", 1);
}

/* ---- events ---- */

static void event_reset(struct sse *sse)
{
    if (!sse->error)
        buffer_clear(&sse->error_data);
    sse->has_data = sse->has_choices = false;
    sse->name_class = sse->type_class = CLASS_NONE;
    sse->capture = CAPTURE_NONE;
    sse->top = TOP_OTHER;
    sse->done_len = 0;
    sse->mid_event = false;
}

static void end_named(struct sse *sse)
{
    enum event_class class =
        (enum event_class)(sse->name_class != CLASS_NONE ? sse->name_class : sse->type_class);

    mark_class(sse, class == CLASS_NONE ? CLASS_CONTENT : class);
    if (class == CLASS_TERMINAL)
        sse->terminal = true;
}

static void end_nameless(struct sse *sse, bool whole)
{
    /* A chunk says itself what it is; anything else is unknown. */
    if (!whole || !sse->has_choices)
        mark_content(sse);
}

/* A blank line: the event is complete and counts. Without data it was none. */
static void event_end(struct sse *sse)
{
    struct piece piece = {.sse = sse};
    struct json_sink sink = {on_token, &piece, sse->text, sizeof sse->text};

    if (!sse->has_data) {
        event_reset(sse);
        return;
    }
    sse->events++;
    bool whole = json_scan_finish(&sse->scan, &sink);
    bool error = sse->capture == CAPTURE_ERROR || sse->name_class == CLASS_ERROR;
    if (error) {
        sse->error = sse->terminal = true;
    } else if (sse->done_len == done_mark.len) {
        if (is_nameless(sse->protocol) || sse->protocol == STREAM_ASSISTANTS)
            sse->terminal = true;
    } else if (is_nameless(sse->protocol)) {
        end_nameless(sse, whole);
    } else {
        end_named(sse);
    }
    event_reset(sse);
}

/* ---- lines ---- */

/* The first CR or LF at or behind `p`. */
static const char *line_end(const char *p, const char *end)
{
#ifdef __SSE2__
    const __m128i cr = _mm_set1_epi8('\r'), lf = _mm_set1_epi8('\n');

    for (; end - p >= 16; p += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i hit = _mm_or_si128(_mm_cmpeq_epi8(v, cr), _mm_cmpeq_epi8(v, lf));
        unsigned mask = (unsigned)_mm_movemask_epi8(hit);
        if (mask)
            return p + __builtin_ctz(mask);
    }
#endif
    while (p < end && *p != '\r' && *p != '\n')
        p++;
    return p;
}

static bool is_line_end(char c)
{
    return c == '\r' || c == '\n';
}

static void name_bytes(struct sse *sse, const char *data, size_t len)
{
    size_t room = sizeof sse->text - sse->name_len;
    size_t kept = len < room ? len : room;

    if (kept)
        memcpy(sse->text + sse->name_len, data, kept);
    sse->name_len = (uint8_t)(sse->name_len + kept);
}

/* A line is over; `c` is the byte that ended it. */
static void end_line(struct sse *sse, char c)
{
    if (sse->line == LINE_DATA || sse->line == LINE_DATA_SPACE)
        data_end(sse);
    else if (sse->line == LINE_NAME || sse->line == LINE_NAME_SPACE)
        sse->name_class = (uint8_t)classify(sse->protocol, slice_of(sse->text, sse->name_len));
    sse->line = LINE_START;
    sse->after_cr = c == '\r';
}

/* The field's name is complete: where does its value go? */
static void end_field_name(struct sse *sse)
{
    struct slice field = slice_of(sse->field, sse->field_len);

    sse->line = LINE_IGNORED;
    if (sse->field_len > sizeof sse->field)
        return;
    if (slice_eq(field, SLICE("data"))) {
        data_begin(sse);
        sse->line = LINE_DATA_SPACE;
    } else if (slice_eq(field, SLICE("event"))) {
        sse->name_len = 0;
        sse->line = LINE_NAME_SPACE;
    }
}

/* A byte order mark may open the stream. Half of one is a field name nobody knows. */
static bool skip_bom(struct sse *sse, char c)
{
    static const char bom[] = "\xEF\xBB\xBF";

    if (sse->bom_len == BOM_LEN)
        return false;
    if (c == bom[sse->bom_len]) {
        sse->bom_len++;
        return true;
    }
    if (sse->bom_len && !is_line_end(c))
        sse->line = LINE_IGNORED;
    sse->bom_len = BOM_LEN;
    return false;
}

/* Returns how many bytes it used, here and below. */
static size_t feed_start(struct sse *sse, char c)
{
    if (skip_bom(sse, c))
        return 1;
    bool second_half = sse->after_cr && c == '\n';
    sse->after_cr = false;
    if (second_half)
        return 1;
    if (is_line_end(c)) {
        event_end(sse);
        sse->after_cr = c == '\r';
        return 1;
    }
    sse->mid_event = true;
    if (sse->line == LINE_START) {
        sse->line = c == ':' ? LINE_IGNORED : LINE_FIELD;
        sse->field_len = 0;
    }
    return 0;
}

static size_t feed_field(struct sse *sse, char c)
{
    if (c == ':' || is_line_end(c)) {
        end_field_name(sse);
        return c == ':';
    }
    if (sse->field_len < sizeof sse->field)
        sse->field[sse->field_len] = c;
    if (sse->field_len <= sizeof sse->field)
        sse->field_len++;
    return 1;
}

/* One space behind the colon is not part of the value. */
static size_t feed_space(struct sse *sse, char c)
{
    sse->line++;
    return c == ' ';
}

static size_t feed_value(struct sse *sse, const char *p, const char *end)
{
    size_t len = (size_t)(line_end(p, end) - p);

    if (sse->line == LINE_DATA && len)
        data_piece(sse, p, len);
    else if (sse->line == LINE_NAME)
        name_bytes(sse, p, len);
    if (p + len == end)
        return len;
    end_line(sse, p[len]);
    return len + 1;
}

_Static_assert(LINE_DATA == LINE_DATA_SPACE + 1 && LINE_NAME == LINE_NAME_SPACE + 1, "feed_space");

void sse_init(struct sse *sse, enum stream_protocol protocol)
{
    memset(sse, 0, sizeof *sse);
    sse->protocol = protocol;
    if (protocol == STREAM_NONE)
        sse->content = sse->terminal = true;
}

void sse_feed(struct sse *sse, const char *data, size_t len)
{
    const char *p = data, *end = data + len;

    if (sse->protocol == STREAM_NONE || len == 0)
        return;
    while (p < end) {
        switch ((enum line)sse->line) {
        case LINE_START: p += feed_start(sse, *p); break;
        case LINE_FIELD: p += feed_field(sse, *p); break;
        case LINE_DATA_SPACE:
        case LINE_NAME_SPACE: p += feed_space(sse, *p); break;
        case LINE_DATA:
        case LINE_NAME:
        case LINE_IGNORED: p += feed_value(sse, p, end); break;
        }
    }
}

bool sse_finish(struct sse *sse)
{
    if (sse->terminal || !sse->mid_event || sse->line != LINE_START)
        return false;
    sse_feed(sse, "\n", 1);
    sse->mid_event =
        !sse->terminal; /* of what was not the end, the reader has the beginning only */
    return sse->terminal;
}

void sse_clear(struct sse *sse)
{
    if (sse)
        buffer_clear(&sse->error_data);
}

/* ---- the error we write ourselves ---- */

/* What raises in the official SDKs (openai-protocol.md §4.1): a truthy top-level "error" in
 * Python, that or the event's name in Node, the key's existence in Go. The named form carries the
 * flat members of the documented Responses event beside the nested ones, for those who read them. */
static enum status append(struct buffer *out, struct slice bytes)
{
    return buffer_append(out, bytes, out->len + bytes.len); /* bounded by what is written below */
}

static enum status write_named(struct slice message, struct slice code, struct buffer *out)
{
    enum status status = append(out, SLICE("event: error\ndata: {\"type\":\"error\",\"code\":"));

    if (status == STATUS_OK)
        status = code.len ? json_write_string(out, code) : append(out, SLICE("null"));
    if (status == STATUS_OK)
        status = append(out, SLICE(",\"message\":"));
    if (status == STATUS_OK)
        status = json_write_string(out, message);
    if (status == STATUS_OK)
        status = append(out, SLICE(",\"param\":null,\"error\":"));
    if (status == STATUS_OK)
        status = error_object_write(out, message, SLICE(SSE_ERROR_TYPE), code);
    if (status == STATUS_OK)
        status = append(out, SLICE("}\n\n"));
    return status;
}

static enum status write_nameless(struct slice message, struct slice code, struct buffer *out)
{
    enum status status = append(out, SLICE("data: "));

    if (status == STATUS_OK)
        status = error_body_write(out, message, SLICE(SSE_ERROR_TYPE), code);
    if (status == STATUS_OK)
        status = append(out, SLICE("\n\n"));
    return status;
}

enum status sse_write_error(enum stream_protocol protocol, bool mid_event, struct slice message,
                            struct slice code, struct buffer *out)
{
    size_t before = out->len;
    enum status status = STATUS_OK;

    if (protocol == STREAM_NONE)
        return STATUS_OK; /* bytes of another kind: only an abort tells the truth */
    if (mid_event)
        status = append(out, SLICE("\n\n"));
    if (status == STATUS_OK)
        status = is_nameless(protocol) ? write_nameless(message, code, out)
                                       : write_named(message, code, out);
    if (status != STATUS_OK)
        out->len = before;
    return status;
}
