/* Header rules: what may pass from the client to OpenAI and back (openai-protocol.md §4.2).
 *
 * One table names every field that does not simply pass, with its fate in each direction.
 */
#ifndef SPAREKEY_GATEWAY_HEADERS_H
#define SPAREKEY_GATEWAY_HEADERS_H

#include <stdbool.h>

#include "base/buffer.h"
#include "net/http1.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What the gateway itself wants to know of a request's fields, found in the same pass. */
struct request_facts {
    struct slice authorization; /* the client's credential: value of Authorization */
    struct slice api_key;       /* or of api-key */
    struct slice host;
    struct slice origin;
    struct slice fetch_site; /* Sec-Fetch-Site: how a browser says where a request comes from */
    struct slice content_type;
    int64_t timeout_ms; /* x-stainless-read-timeout or x-stainless-timeout; -1 = not said */
    bool loop;          /* a Via of our own */
    bool has_host;
    unsigned host_count;
};

/* Appends the fields of `head` that may go upstream as lines "name: value\r\n", then our own Via
 * and Accept-Encoding. `via` is this process's pseudonym, e.g. "sparekey-1a2b3c4d". */
NODISCARD
enum status headers_upstream(const struct http_head *head, struct slice via, struct buffer *out,
                             struct request_facts *ret_facts);

/* Appends the fields of an answer that may go to the client. */
NODISCARD
enum status headers_downstream(const struct http_head *head, struct buffer *out);

/* Takes every line of this name out. */
void headers_drop_line(struct buffer *lines, struct slice name);

/* Whether the lines of an answer say that its body is compressed, though nobody asked for that. */
bool headers_say_encoded(struct slice lines);

#ifdef __cplusplus
}
#endif
#endif
