/* One answer in, one verdict out: the table of openai-protocol.md §2.2 as code.
 *
 * The table is data (verdict.c); each of its rows has a unit test. Classification goes in the
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
    bool request_sent;         /* any byte of the request went out (matters for transport failures) */
    int status;                /* 0 when no head arrived */
    bool in_stream;            /* an error event inside a 200 stream, before any content: `body` is its data */
    bool truncated_stream;     /* a 2xx stream that ended without its terminal event */
    struct slice content_type; /* empty when absent */
    struct slice body;         /* of an error answer, at most VERDICT_BODY_MAX bytes */
    const struct hints *hints; /* never NULL; hints_init'ed when no head arrived */
    enum family family;
    bool stream; /* the request asked for a stream */
    int64_t wall_ms;
};

/* Never fails: what it cannot read it judges by status. 2xx with TRANSPORT_OK is REACT_SUCCESS.
 * `*ret_evidence` is always filled. */
void verdict_of(const struct answer *answer, struct verdict *ret_verdict,
                struct evidence *ret_evidence);

/* The rows of the table, for tests, docs and the mock: i from 0, NULL behind the last. The strings
 * are NULL where a row does not look at that field. */
struct verdict_row {
    const char *name; /* unique, stable: "401_invalid_api_key" */
    int status;       /* 0 = any */
    const char *code, *type, *message; /* message: a lower-case substring */
    const char *param;
    struct verdict verdict; /* wait_ns -1 */
};
const struct verdict_row *verdict_row(unsigned i);

#ifdef __cplusplus
}
#endif
#endif
