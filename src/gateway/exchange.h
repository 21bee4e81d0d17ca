/* The exchange: one request's life between a client and as many keys as it takes.
 *
 *   BODY ──complete──▶ PLANNING ──send──▶ AWAITING ──head──▶ HOLDING ──meaning──▶ FLOWING ─▶ (end)
 *                        │  ▲                │                  │                    │
 *                        │  └── next key ◀───┴──── failure ◀────┘                    │ cut
 *                     WAITING (backoff, proof)                                       ▼
 *                        └──▶ give up / return an error answer                in-band error, abort
 *
 * - HOLDING: status, fields and first bytes of an answer wait until they mean something: for a
 *   stream the first content-bearing event, for anything else the end of the body; at most
 *   EXCHANGE_HOLD_BYTES or the setting's time. Until then a failure is invisible to the client.
 * - An error answer (status >= 400) is collected in HOLDING too, judged when complete, and only
 *   the plan decides whether it is returned.
 * - FLOWING: bytes pass as they come; nothing is ever replayed again, and what only a replay needs
 *   (the request, the answer's hints) is freed: an idle stream holds two connections and this
 *   struct.
 *
 * An exchange belongs to its worker's thread.
 */
#ifndef SPAREKEY_GATEWAY_EXCHANGE_H
#define SPAREKEY_GATEWAY_EXCHANGE_H

#include "gateway/worker.h"
#include "net/http1.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EXCHANGE_HOLD_BYTES  65536   /* most of an answer that is held back */
#define EXCHANGE_ERROR_BYTES 1048576 /* most of an error answer; a longer one is no answer */

/* What the router found out about a request that may pass. Slices live during exchange_start. */
struct admission {
    struct slice path_suffix; /* target behind "/v1", with query: "/chat/completions?x=1" */
    struct slice fields;      /* the fields that go upstream, ready lines */
    struct slice content_type;
    int64_t timeout_ms;          /* the caller's own; -1 = not said */
    struct rehearsal *rehearsal; /* of a request of our own; it outlives the exchange. Else NULL */
};

/* Begins; what follows of the request comes by its handler, which request->user is set to. NULL when
 * out of memory (nothing was answered). */
struct exchange *exchange_start(struct worker *worker, struct server_conn *request,
                                const struct http_head *head, const struct admission *admission);

/* The pool has changed: a waiting exchange asks its plan again. `x` may be gone afterwards. */
void exchange_wake(struct exchange *x);

/* Whether news of the pool concerns a waiting exchange; one that stands in line behind others waits
 * on. */
bool exchange_is_called(const struct exchange *x);

/* The exchange whose place in worker->waiting this is. */
struct exchange *exchange_of_waiting(struct list *node);

/* Frees the reserve of finished exchanges. */
void exchange_free_reserve(struct worker *worker);

#ifdef __cplusplus
}
#endif
#endif
