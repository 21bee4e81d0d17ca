#include "net/http1.h"

#include <string.h>

/* How the body of a message ends (RFC 9112 §6.3). */
enum body_kind { BODY_NONE, BODY_LENGTH, BODY_CHUNKED, BODY_TO_END };

/* A head as llhttp spells it out, while it is parsed. */
struct head_parse {
    struct http_head head;
    struct http_field fields[HTTP_FIELDS_MAX];
    bool too_many; /* fields */
    bool complete; /* and nothing is wrong with it */
};

static struct head_parse *parse_of(llhttp_t *parser)
{
    return parser->data;
}

/* ---- llhttp callbacks -------------------------------------------------------------------- */

static int take_method(llhttp_t *parser, const char *at, size_t len)
{
    parse_of(parser)->head.method = slice_of(at, len);
    return 0;
}

static int take_target(llhttp_t *parser, const char *at, size_t len)
{
    parse_of(parser)->head.target = slice_of(at, len);
    return 0;
}

static int take_reason(llhttp_t *parser, const char *at, size_t len)
{
    parse_of(parser)->head.reason = slice_of(at, len);
    return 0;
}

static int take_name(llhttp_t *parser, const char *at, size_t len)
{
    struct head_parse *parse = parse_of(parser);
    if (parse->head.field_count == HTTP_FIELDS_MAX) {
        parse->too_many = true;
        return HPE_USER;
    }
    struct http_field *field = &parse->fields[parse->head.field_count++];
    *field = (struct http_field){slice_of(at, len), slice_of(at + len, 0)};
    return 0;
}

static int take_value(llhttp_t *parser, const char *at, size_t len)
{
    struct head_parse *parse = parse_of(parser);
    if (parse->head.field_count)
        parse->fields[parse->head.field_count - 1].value = slice_trim(slice_of(at, len));
    return 0;
}

/* Ends the parse here: the body is not llhttp's. */
static int head_done(llhttp_t *parser)
{
    parse_of(parser)->complete = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t callbacks = {
    .on_method = take_method,
    .on_url = take_target,
    .on_status = take_reason,
    .on_header_field = take_name,
    .on_header_value = take_value,
    .on_headers_complete = head_done,
};

#ifdef SPAREKEY_LLHTTP_SSE42 /* see meson.build */
int llhttp_execute_sse42(llhttp_t *parser, const char *text, const char *end);
#endif

/* Half of a request's work outside of the kernel was llhttp's, byte by byte. */
static void run_parser(llhttp_t *parser, const char *text, size_t len)
{
#ifdef SPAREKEY_LLHTTP_SSE42
    if (__builtin_cpu_supports("sse4.2")) {
        (void)llhttp_execute_sse42(parser, text, text + len);
        return;
    }
#endif
    (void)llhttp_execute(parser, text, len);
}

/* ---- what a head says -------------------------------------------------------------------- */

/* Only one "chunked" can be decoded here, and only HTTP/1.1 has it; anything else would be forwarded
 * under a false name. llhttp's flags do not tell: a field without a value sets none. */
static bool coding_understood(const struct http_head *head)
{
    unsigned count = 0;

    for (size_t i = 0; i < head->field_count; i++) {
        if (!slice_ieq(head->fields[i].name, SLICE("transfer-encoding")))
            continue;
        if (++count > 1 || head->minor == 0 || !slice_ieq(head->fields[i].value, SLICE("chunked")))
            return false;
    }
    return true;
}

/* One space between the parts of a start line, where llhttp takes more. `line` is the whole head. */
static bool start_line_strict(const struct http_reader *reader, const struct http_head *head,
                              const char *line)
{
    if (reader->response) {
        const char *code = line + sizeof "HTTP/1.1 " - 1; /* a digit, or a further space */
        return head->status >= 100 && *code != ' ' && (code[3] == ' ' || code[3] == '\r');
    }
    const char *target_end = head->target.ptr + head->target.len;
    return head->target.ptr == line + head->method.len + 1 && target_end[1] == 'H';
}

static bool has_no_body(const struct http_reader *reader, int status)
{
    return reader->expects_no_body || status / 100 == 1 || status == 204 || status == 304;
}

static enum body_kind body_kind_of(const struct http_reader *reader, const struct http_head *head)
{
    if (reader->response && has_no_body(reader, head->status))
        return BODY_NONE;
    if (head->chunked)
        return BODY_CHUNKED;
    if (head->content_length >= 0)
        return head->content_length ? BODY_LENGTH : BODY_NONE;
    return reader->response ? BODY_TO_END : BODY_NONE;
}

static bool keeps_alive(const llhttp_t *parser, enum body_kind body)
{
    if (body == BODY_TO_END)
        return false;
    return parser->http_minor ? !(parser->flags & F_CONNECTION_CLOSE)
                              : (parser->flags & F_CONNECTION_KEEP_ALIVE) != 0;
}

static void fill_head(const struct http_reader *reader, struct head_parse *parse)
{
    const llhttp_t *parser = &reader->parser;
    struct http_head *head = &parse->head;

    head->fields = parse->fields;
    head->minor = parser->http_minor;
    head->status = reader->response ? parser->status_code : 0;
    head->chunked = parser->flags & F_CHUNKED;
    head->content_length = parser->flags & F_CONTENT_LENGTH ? (int64_t)parser->content_length : -1;
    head->keep_alive = keeps_alive(parser, body_kind_of(reader, head));
    head->upgrade = parser->upgrade;
    if (!reader->response)
        head->expect_continue =
            slice_ieq(http_head_get(head, SLICE("expect")), SLICE("100-continue"));
}

/* ---- the reader -------------------------------------------------------------------------- */

struct slice http_head_get(const struct http_head *head, struct slice name)
{
    for (size_t i = 0; i < head->field_count; i++) {
        if (slice_ieq(head->fields[i].name, name))
            return head->fields[i].value;
    }
    return slice_of(NULL, 0);
}

struct slice http_target_path(struct slice target)
{
    const char *query = target.len ? memchr(target.ptr, '?', target.len) : NULL;
    return query ? slice_of(target.ptr, (size_t)(query - target.ptr)) : target;
}

void http_reader_init(struct http_reader *reader, bool response, const struct http_reader_ops *ops)
{
    memset(reader, 0, sizeof *reader);
    llhttp_init(&reader->parser, response ? HTTP_RESPONSE : HTTP_REQUEST, &callbacks);
    reader->response = response;
    reader->ops = ops;
}

void http_reader_clear(struct http_reader *reader)
{
    buffer_wipe(&reader->partial); /* may hold a client's credentials */
}

void http_reader_expect_no_body(struct http_reader *reader, bool no_body)
{
    reader->expects_no_body = no_body;
}

/* No CR but in front of LF, or at the end. */
static bool no_bare_cr(const char *at, const char *end)
{
    while (at < end && (at = memchr(at, '\r', (size_t)(end - at)))) {
        if (++at < end && *at != '\n')
            return false;
    }
    return true;
}

/* One pass over the lines of a head from `from` on, which is 0 or the place of a byte that was
 * looked at before. `*ret_length` is the length of the head with its empty line, 0 while it is
 * incomplete. False when LF stands alone, or a line begins with a space, which continues the line
 * before (obs-fold, RFC 9112 §5.2), or with a colon: llhttp tolerates all of it, and tolerance is
 * how smuggling works. A CR that stands alone llhttp refuses, but it sees whole heads only; in one
 * that may never end it is found here. */
static bool scan_lines(const char *head, size_t from, size_t len, size_t *ret_length)
{
    const char *end = head + len, *at = head + from, *lf;

    *ret_length = 0;
    while (at < end && (lf = memchr(at, '\n', (size_t)(end - at)))) {
        if (lf == head || lf[-1] != '\r')
            return false;
        if (lf - head >= 3 && lf[-2] == '\n') {
            *ret_length = (size_t)(lf - head) + 1;
            return true;
        }
        at = lf + 1;
        if (at < end && (*at == ' ' || *at == '\t' || *at == ':'))
            return false;
    }
    return no_bare_cr(head + from, end);
}

/* Whether an unfinished head can still become one, judged by its first line, so that a peer that
 * speaks something else hears so at once and not at its timeout. */
static bool start_plausible(const struct http_reader *reader, const char *head, size_t len)
{
    static const char version[] = "HTTP/1.";

    if (reader->response) {
        size_t known = len < sizeof version - 1 ? len : sizeof version - 1;
        return memcmp(head, version, known) == 0;
    }
    if (head[0] < 'A' || head[0] > 'Z')
        return false;
    const char *lf = memchr(head, '\n', len);
    if (!lf)
        return true;
    struct slice line = slice_of(head, (size_t)(lf - head) - 1);
    return slice_ends(line, SLICE(" HTTP/1.1")) || slice_ends(line, SLICE(" HTTP/1.0"));
}

/* Begins the message's body, or skips a 1xx answer. */
static enum status begin_message(struct http_reader *reader, struct head_parse *parse)
{
    struct http_head *head = &parse->head;

    if (reader->response && head->status / 100 == 1)
        /* Nobody here asks for another protocol. */
        return head->status != 101 && ++reader->interim <= HTTP_INTERIM_MAX ? STATUS_OK
                                                                            : STATUS_PROTOCOL;
    enum body_kind body = body_kind_of(reader, head);
    enum status status = reader->ops->on_head(reader, head);
    if (status != STATUS_OK)
        return status;
    reader->body = (uint8_t)body;
    reader->body_left = (uint64_t)head->content_length;
    if (body == BODY_CHUNKED)
        chunked_init(&reader->chunked);
    if (body != BODY_NONE)
        return STATUS_OK;
    reader->done = true;
    return reader->ops->on_complete(reader);
}

static enum status parse_head(struct http_reader *reader, const char *text, size_t len)
{
    struct head_parse parse;
    llhttp_t *parser = &reader->parser;

    memset(&parse.head, 0, sizeof parse.head);
    parse.too_many = parse.complete = false;
    llhttp_reset(parser);
    parser->data = &parse;
    run_parser(parser, text, len);
    parser->data = NULL;
    if (parse.too_many)
        return STATUS_LIMIT;
    if (!parse.complete || parser->http_major != 1 || parser->http_minor > 1 ||
        (parser->flags & F_CONTENT_LENGTH && parser->content_length > INT64_MAX))
        return STATUS_PROTOCOL;
    fill_head(reader, &parse);
    if (!start_line_strict(reader, &parse.head, text) || !coding_understood(&parse.head))
        return STATUS_PROTOCOL;
    return begin_message(reader, &parse);
}

/* Collects and parses the head; `*ret_used` counts bytes of `data`. */
static enum status feed_head(struct http_reader *reader, char *data, size_t len, size_t *ret_used)
{
    size_t before = reader->partial.len, whole = 0;

    if (before == 0) {
        if (!scan_lines(data, 0, len, &whole))
            return STATUS_PROTOCOL;
        if (whole > HTTP_HEAD_MAX)
            return STATUS_LIMIT;
        if (whole) {
            *ret_used = whole;
            return parse_head(reader, data, whole);
        }
    }
    enum status status =
        buffer_append(&reader->partial, slice_of(data, len), HTTP_HEAD_MAX + NET_READ_MAX);
    if (status != STATUS_OK)
        return status;

    char *head = reader->partial.data;
    if (!scan_lines(head, before ? before - 1 : 0, reader->partial.len, &whole))
        return STATUS_PROTOCOL;
    size_t known = whole ? whole : reader->partial.len;
    if (!start_plausible(reader, head, known))
        return STATUS_PROTOCOL;
    if (known > HTTP_HEAD_MAX)
        return STATUS_LIMIT;
    *ret_used = known - before;
    if (!whole)
        return STATUS_OK;
    status = parse_head(reader, head, whole);
    buffer_wipe(&reader->partial);
    return status;
}

/* RFC 9112 §2.2: empty lines before a request line are ignored. */
static enum status skip_empty_lines(struct http_reader *reader, const char *data, size_t len,
                                    size_t *ret_used)
{
    size_t skip = 0;

    if (!reader->response && !reader->partial.len) {
        while (skip < len && data[skip] == (reader->after_cr ? '\n' : '\r')) {
            reader->after_cr = !reader->after_cr;
            skip++;
            if (!reader->after_cr && ++reader->empty_lines > HTTP_EMPTY_LINES_MAX)
                return STATUS_PROTOCOL;
        }
        if (skip < len && reader->after_cr)
            return STATUS_PROTOCOL;
    }
    *ret_used = skip;
    return STATUS_OK;
}

/* Hands on body bytes; `*ret_used` counts those and their framing. */
static enum status feed_body(struct http_reader *reader, const char *data, size_t len,
                             size_t *ret_used)
{
    struct slice body = slice_of(data, len);
    enum status status = STATUS_OK;

    *ret_used = len;
    if (reader->body == BODY_CHUNKED) {
        status = chunked_read(&reader->chunked, data, len, ret_used, &body);
        reader->done = reader->chunked.done;
    } else if (reader->body == BODY_LENGTH) {
        if (body.len > reader->body_left)
            *ret_used = body.len = (size_t)reader->body_left;
        reader->body_left -= body.len;
        reader->done = reader->body_left == 0;
    }
    if (status == STATUS_OK && body.len)
        status = reader->ops->on_body(reader, body.ptr, body.len);
    if (status == STATUS_OK && reader->done)
        status = reader->ops->on_complete(reader);
    return status;
}

/* Ready for the next message. */
static void next_message(struct http_reader *reader)
{
    reader->done = false;
    reader->body = BODY_NONE;
    reader->interim = reader->empty_lines = 0;
}

enum status http_reader_feed(struct http_reader *reader, char *data, size_t len, size_t *ret_used)
{
    size_t used = 0;
    enum status status = STATUS_OK;

    while (used < len && status == STATUS_OK && !reader->done) {
        size_t step = 0;
        if (reader->body != BODY_NONE) {
            status = feed_body(reader, data + used, len - used, &step);
        } else {
            status = skip_empty_lines(reader, data + used, len - used, &step);
            used += step;
            step = 0;
            if (status == STATUS_OK && used < len)
                status = feed_head(reader, data + used, len - used, &step);
        }
        used += step;
    }
    if (reader->done)
        next_message(reader);
    *ret_used = used;
    return status;
}

enum status http_reader_end(struct http_reader *reader)
{
    if (reader->body == BODY_NONE)
        return reader->partial.len ? STATUS_EOF : STATUS_OK;
    if (reader->body != BODY_TO_END)
        return STATUS_EOF;
    next_message(reader);
    return reader->ops->on_complete(reader);
}
