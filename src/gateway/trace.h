/* The spans of one exchange: a server span for the request, below it a client span for each attempt.
 *
 *     traceparent of the caller ──▶ server span ──▶ attempt ──traceparent──▶ the upstream
 *
 * While a request is traced, its own traceparent line stands in the fields for the upstream instead of
 * the caller's, and each attempt writes its id there. A caller that says "not sampled" is believed:
 * nothing is made, and its line passes unchanged. Only meter.c calls this, and only with a tracer.
 */
#ifndef SPAREKEY_GATEWAY_TRACE_H
#define SPAREKEY_GATEWAY_TRACE_H

#include "gateway/exchange.h"
#include "openai/verdict.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a traceparent says (W3C Trace Context §3.2). */
struct trace_parent {
    uint64_t trace[2], span;
    bool sampled;
};

/* False: there is none, or it must be ignored. */
bool trace_parse(struct slice traceparent, struct trace_parent *ret);

/* Sets x->meter.trace, unless the caller wants none or memory is out. */
void trace_begin(struct exchange *x, const struct http_head *head);
void trace_send(struct exchange *x, const struct key_entry *entry);
void trace_judged(struct exchange *x, enum failure failure, const struct evidence *evidence);
void trace_end(struct exchange *x);

#ifdef __cplusplus
}
#endif
#endif
