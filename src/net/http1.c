#include "net/http1.h"

#include <string.h>

/* The head as llhttp spells it out, while http_reader_feed is running. */
struct head_parse {
    struct http_head head;
    struct http_field fields[HTTP_FIELDS_MAX];
};

static struct http_reader *reader_of(llhttp_t *parser)
{
    return parser->data;
}

/* ---- llhttp callbacks for the head ------------------------------------------------------- */

static int take_method(llhttp_t *parser, const char *at, size_t len)
{
    reader_of(parser)->parsing->head.method = slice_of(at, len);
    return 0;
}

static int take_target(llhttp_t *parser, const char *at, size_t len)
{
    reader_of(parser)->parsing->head.target = slice_of(at, len);
    return 0;
}

static int take_reason(llhttp_t *parser, const char *at, size_t len)
{
    reader_of(parser)->parsing->head.reason = slice_of(at, len);
    return 0;
}

static int take_name(llhttp_t *parser, const char *at, size_t len)
{
    struct http_reader *reader = reader_of(parser);
    if (!reader->parsing)
        return 0; /* a trailer: read, not used */
    if (reader->parsing->head.field_count == HTTP_FIELDS_MAX) {
        reader->stopped = STATUS_LIMIT;
        return -1;
    }
    struct http_field *field = &reader->parsing->fields[reader->parsing->head.field_count++];
    field->name = slice_of(at, len);
    field->value = slice_of(at + len, 0);
    return 0;
}

static int take_value(llhttp_t *parser, const char *at, size_t len)
{
    struct http_reader *reader = reader_of(parser);
    if (reader->parsing && reader->parsing->head.field_count)
        reader->parsing->fields[reader->parsing->head.field_count - 1].value =
            slice_trim(slice_of(at, len));
    return 0;
}

/* Only "chunked" can be decoded here, and only HTTP/1.1 has it; anything else would be forwarded
 * under a false name. */
static bool coding_understood(const struct http_reader *reader, const struct http_head *head)
{
    if (!(reader->parser.flags & F_TRANSFER_ENCODING))
        return true;
    return head->minor == 1 &&
           slice_ieq(http_head_get(head, SLICE("transfer-encoding")), SLICE("chunked"));
}

static void fill_head(struct http_reader *reader, struct head_parse *parse)
{
    const llhttp_t *parser = &reader->parser;
    struct http_head *head = &parse->head;

    head->fields = parse->fields;
    head->minor = parser->http_minor;
    head->status = reader->response ? parser->status_code : 0;
    head->chunked = parser->flags & F_CHUNKED;
    head->content_length = parser->flags & F_CONTENT_LENGTH ? (int64_t)parser->content_length : -1;
    head->keep_alive = llhttp_should_keep_alive(parser);
    head->upgrade = parser->upgrade;
    if (!reader->response)
        head->expect_continue =
            slice_ieq(http_head_get(head, SLICE("expect")), SLICE("100-continue"));
}

static int head_done(llhttp_t *parser)
{
    struct http_reader *reader = reader_of(parser);
    struct head_parse *parse = reader->parsing;

    if (parser->http_major != 1 || parser->http_minor > 1) {
        reader->stopped = STATUS_PROTOCOL;
        return -1;
    }
    if (reader->response && parser->status_code / 100 == 1) {
        reader->is_interim = true;
        if (parser->status_code == 101 || ++reader->interim > HTTP_INTERIM_MAX) {
            reader->stopped = STATUS_PROTOCOL; /* nobody asked for an upgrade */
            return -1;
        }
        return 0;
    }
    fill_head(reader, parse);
    if (!coding_understood(reader, &parse->head)) {
        reader->stopped = STATUS_PROTOCOL;
        return -1;
    }
    parser->upgrade = 0; /* offers of another protocol are not taken up here */
    reader->parsing = NULL;
    reader->in_body = true;
    reader->stopped = reader->ops->on_head(reader, &parse->head);
    if (reader->stopped != STATUS_OK)
        return -1;
    return reader->expects_no_body ? 1 : 0;
}

/* ---- llhttp callbacks for the body ------------------------------------------------------- */

static int take_body(llhttp_t *parser, const char *at, size_t len)
{
    struct http_reader *reader = reader_of(parser);
    reader->stopped = reader->ops->on_body(reader, at, len);
    return reader->stopped == STATUS_OK ? 0 : HPE_USER;
}

/* Always pauses: what follows belongs to the next message, and the owner may not be ready for it. */
static int message_done(llhttp_t *parser)
{
    struct http_reader *reader = reader_of(parser);
    reader->done = true;
    if (!reader->is_interim)
        reader->stopped = reader->ops->on_complete(reader);
    return HPE_PAUSED;
}

static const llhttp_settings_t callbacks = {
    .on_method = take_method,
    .on_url = take_target,
    .on_status = take_reason,
    .on_header_field = take_name,
    .on_header_value = take_value,
    .on_headers_complete = head_done,
    .on_body = take_body,
    .on_message_complete = message_done,
};

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
    reader->parser.data = reader;
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

/* Ready for the next message. */
static void rewind_reader(struct http_reader *reader)
{
    llhttp_reset(&reader->parser);
    reader->in_body = reader->done = reader->is_interim = false;
}

/* One pass over the lines of a head from `from` on (which may point into the middle of a line).
 * `*ret_length` is the length of the head with its empty line, 0 while it is incomplete. False when
 * a line ends in a bare LF or continues the one before (obs-fold, RFC 9112 §5.2): llhttp tolerates
 * both, and tolerance is how smuggling works. */
static bool scan_lines(const char *head, size_t from, size_t len, size_t *ret_length)
{
    const char *end = head + len;
    const char *lf = head + from;

    *ret_length = 0;
    while ((lf = memchr(lf, '\n', (size_t)(end - lf)))) {
        if (lf == head || lf[-1] != '\r')
            return false;
        if (lf - head >= 3 && lf[-2] == '\n') {
            *ret_length = (size_t)(lf - head) + 1;
            return true;
        }
        lf++;
        if (lf < end && (*lf == ' ' || *lf == '\t'))
            return false;
    }
    return true;
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

static enum status run_parser(struct http_reader *reader, const char *data, size_t len,
                              size_t *ret_used)
{
    enum llhttp_errno error = llhttp_execute(&reader->parser, data, len);

    *ret_used = len;
    if (error == HPE_OK)
        return STATUS_OK;
    if (error == HPE_PAUSED && reader->done) {
        *ret_used = (size_t)(llhttp_get_error_pos(&reader->parser) - data);
        return reader->stopped;
    }
    return reader->stopped != STATUS_OK ? reader->stopped : STATUS_PROTOCOL;
}

static enum status parse_head(struct http_reader *reader, const char *head, size_t len)
{
    struct head_parse parse;
    size_t used;

    memset(&parse.head, 0, sizeof parse.head);
    reader->parsing = &parse;
    enum status status = run_parser(reader, head, len, &used);
    reader->parsing = NULL;
    return status;
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
static size_t skip_empty_lines(const struct http_reader *reader, const char *data, size_t len)
{
    size_t skip = 0;
    if (reader->response || reader->partial.len)
        return 0;
    while (skip + 1 < len && data[skip] == '\r' && data[skip + 1] == '\n')
        skip += 2;
    return skip;
}

enum status http_reader_feed(struct http_reader *reader, char *data, size_t len, size_t *ret_used)
{
    size_t used = 0;
    enum status status = STATUS_OK;

    while (used < len && status == STATUS_OK) {
        size_t step = 0;
        if (reader->in_body) {
            status = run_parser(reader, data + used, len - used, &step);
        } else {
            used += skip_empty_lines(reader, data + used, len - used);
            if (used < len)
                status = feed_head(reader, data + used, len - used, &step);
        }
        used += step;
        if (reader->done) {
            bool interim = reader->is_interim;
            rewind_reader(reader);
            if (!interim) {
                reader->interim = 0;
                break;
            }
        }
    }
    *ret_used = used;
    return status;
}

enum status http_reader_end(struct http_reader *reader)
{
    if (!reader->in_body)
        return reader->partial.len ? STATUS_EOF : STATUS_OK;
    /* Completes a body delimited by the end of the connection; any other body was cut. */
    (void)llhttp_finish(&reader->parser);
    if (!reader->done)
        return STATUS_EOF;
    rewind_reader(reader);
    return reader->stopped;
}
