/* HTTP/1.1 messages: one strict reader for both directions.
 *
 * llhttp parses heads; this file makes it safe and pleasant: the head is collected whole (so that
 * every field is a slice of one contiguous run, however it was cut on the way), checked for what
 * llhttp tolerates (bare CR or LF, obs-fold, ambiguous framing, spaces where one belongs), and
 * handed over once; body bytes follow as they come, unframed (net/chunked.h); then the end. A head
 * that arrives in one read is never copied.
 *
 *     feed ─▶ HEAD ──▶ on_head ─▶ BODY ──▶ on_body* ─▶ on_complete ─▶ (HEAD of the next message)
 *
 * Sans-IO and allocation-free but for a head that arrives in pieces.
 */
#ifndef SPAREKEY_NET_HTTP1_H
#define SPAREKEY_NET_HTTP1_H

#include <llhttp.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/slice.h"
#include "base/status.h"
#include "net/chunked.h"

#ifdef __cplusplus
extern "C" {
#endif

#define HTTP_HEAD_MAX                                                                              \
    65536 /* bytes of start line and fields: OpenAI's own limit (openai-protocol.md §0) */
#define HTTP_FIELDS_MAX      128   /* fields of one head */
#define NET_READ_MAX         65536 /* bytes handed to one http_reader_feed at most */
#define HTTP_INTERIM_MAX     8     /* 1xx heads skipped before one answer */
#define HTTP_EMPTY_LINES_MAX 4     /* skipped before one request line */

/* Of a head that was read, name and value stand in one run of memory, with the bytes that were
 * between them and behind them. */
struct http_field {
    struct slice name, value; /* value trimmed */
};

/* One message head. Slices live until the callback that received it returns. */
struct http_head {
    struct slice method, target; /* requests */
    int status;                  /* responses */
    struct slice reason;         /* responses */
    uint8_t minor;               /* HTTP/1.minor */
    bool keep_alive;             /* the peer wants the connection kept */
    bool chunked;
    bool upgrade; /* a request for another protocol */
    bool expect_continue;
    int64_t content_length; /* -1 = not given */
    const struct http_field *fields;
    size_t field_count;
};

/* The value of the first field of that name (case ignored); an empty slice with NULL ptr if absent. */
struct slice http_head_get(const struct http_head *head, struct slice name);

/* A request target without its query string. */
struct slice http_target_path(struct slice target);

struct http_reader;

struct http_reader_ops {
    /* Returning STATUS_OK goes on; anything else stops feeding with that status. */
    enum status (*on_head)(struct http_reader *reader, const struct http_head *head);
    enum status (*on_body)(struct http_reader *reader, const char *data, size_t len);
    enum status (*on_complete)(struct http_reader *reader);
};

struct http_reader {
    llhttp_t parser;
    const struct http_reader_ops *ops;
    struct buffer partial;  /* a head still arriving; empty otherwise */
    struct chunked chunked; /* of a chunked body */
    uint64_t body_left;     /* of a body of known length */
    bool response, expects_no_body;
    bool done;       /* the present message is complete */
    bool after_cr;   /* of an empty line before a request */
    uint8_t body;    /* how the body is delimited: enum body_kind, private; 0 outside of bodies */
    uint8_t interim; /* 1xx heads skipped in a row */
    uint8_t empty_lines; /* skipped before this request line */
};

void http_reader_init(struct http_reader *reader, bool response, const struct http_reader_ops *ops);
void http_reader_clear(struct http_reader *reader);

/* Reads from `data` until it is used up, one message is complete, or something is wrong.
 * `*ret_used` bytes were taken. STATUS_OK with fewer bytes used than given: a message is complete
 * and the rest belongs to the next one. STATUS_PROTOCOL: malformed; STATUS_LIMIT: HTTP_HEAD_MAX or
 * HTTP_FIELDS_MAX passed (431); any status a callback returned; STATUS_NO_MEMORY. After an error
 * the reader is of no more use. */
NODISCARD
enum status http_reader_feed(struct http_reader *reader, char *data, size_t len, size_t *ret_used);

/* The peer closed. STATUS_OK: between messages, or the end of a response delimited by closing
 * (on_complete is called); STATUS_EOF: in the middle of a message. */
NODISCARD
enum status http_reader_end(struct http_reader *reader);

/* Before a response is read: whether its request was HEAD (then there is no body). */
void http_reader_expect_no_body(struct http_reader *reader, bool no_body);

#ifdef __cplusplus
}
#endif
#endif
