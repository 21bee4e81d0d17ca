/* One answer in, one verdict out: the table of openai-protocol.md §2.2 as code.
 *
 * The table is data (verdict_rows.c); each of its rows has a unit test. Classification goes in the
 * order of §2.5: transport, HTML or empty by status, error.code, error.type, message, status.
 */
#ifndef SPAREKEY_OPENAI_VERDICT_H
#define SPAREKEY_OPENAI_VERDICT_H

#include "base/slice.h"
#include "openai/endpoint.h"
#include "openai/hints.h"
#include "pool/verdict.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How an attempt ended below HTTP. name as shown in logs. */
#define TRANSPORT_TABLE(X)                                                                         \
    X(TRANSPORT_OK, "ok") /* a whole answer arrived */                                             \
    X(TRANSPORT_DNS, "dns")                                                                        \
    X(TRANSPORT_CONNECT, "connect") /* refused, unreachable, or connecting timed out */            \
    X(TRANSPORT_TLS, "tls")         /* handshake or certificate */                                 \
    X(TRANSPORT_RESET, "reset")     /* closed after sending, before a whole head arrived */        \
    X(TRANSPORT_CUT, "cut")         /* closed after the head, before the end of the body */        \
    X(TRANSPORT_TIMEOUT, "timeout") /* no head, or no next byte, in time */                        \
    X(TRANSPORT_GARBAGE, "garbage") /* not HTTP, or broken framing */

enum transport {
#define X(code, name) code,
    TRANSPORT_TABLE(X)
#undef X
        TRANSPORT_COUNT
};

const char *transport_name(enum transport transport);

/* The most of an error body that is kept and looked at. */
#define VERDICT_BODY_MAX 65536

struct answer {
    enum transport transport;
    bool request_sent; /* any byte of the request went out (matters for transport failures) */
    int status;        /* 0 when no head arrived */
    bool in_stream; /* an error event inside a 200 stream, before any content: `body` is its data */
    bool truncated_stream;     /* a 2xx stream that ended without its terminal event */
    struct slice content_type; /* empty when absent */
    struct slice body;         /* of an error answer, at most VERDICT_BODY_MAX bytes */
    const struct hints *hints; /* never NULL; hints_init'ed when no head arrived */
    enum family family;
    bool stream; /* the request asked for a stream */
    int64_t wall_ms;
};

/* The fields of an error, wherever its sender put them. */
struct error_fields {
    char code[64], type[64], param[64]; /* empty: absent, null, or too long to be one of ours */
    char message[2048];                 /* cut to fit */
    bool html;                          /* the body is a web page */
};

/* Reads {"error":{…}}, {"error":"text"}, the flat form of Responses events, {"response":{"error":
 * {…}}}, and any of them inside an array. Numbers count as their digits. Takes what it finds in
 * broken or cut documents; never fails. */
void error_fields_read(struct slice content_type, struct slice body, struct error_fields *ret);

/* Never fails: what it cannot read it judges by status. 2xx with TRANSPORT_OK is REACT_SUCCESS.
 * `*ret_evidence` is always filled. */
void verdict_of(const struct answer *answer, struct verdict *ret_verdict,
                struct evidence *ret_evidence);

/* What else a row may ask of an answer than fields. */
enum verdict_when {
    WHEN_ANY,
    WHEN_HTML, /* the body is a web page: an edge, a proxy or a firewall speaks, not the API */
    WHEN_OVER_BUCKET, /* "Request too large", or "Limit L … Requested R" with R > L */
};

/* The rows of the table, for tests, docs and the mock: i from 0, NULL behind the last. The strings
 * are NULL where a row does not look at that field. */
struct verdict_row {
    const char *name;         /* unique, stable: "401_invalid_api_key" */
    enum transport transport; /* not OK: the row is about that failure alone */
    int status;               /* 0 = any … */
    int status_to;            /* … up to this one; 0 = that status alone */
    const char *code, *type;
    const char *message; /* lower-case; "^" at the front: begins with; "*" inside: any gap */
    const char *param;
    enum verdict_when when;
    bool unsafe_if_stateful; /* with a stateful family: maybe_ran (openai-protocol.md §2.4) */
    struct verdict verdict;  /* wait_ns -1 */
};
const struct verdict_row *verdict_row(unsigned i);

#ifdef __cplusplus
}
#endif
#endif
