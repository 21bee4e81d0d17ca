/* The meter: what is counted and timed of one exchange, in the worker's struct metrics.
 *
 *   last byte of the request ─┬─ ours ─▶ send ─ the upstream's ─▶ answer at hand ─ ours ─▶ given
 *                             │            ▲                          │ failed
 *                             └─ ours ─────┴──── waiting in line ◀────┘
 *
 * "Ours" is the overhead: choosing, writing, holding an answer back. Time is read where the owner
 * of the time changes, three or four times a request; everything else is a relaxed store.
 * Of a drill's request (x->drill) only the attempts are counted that were really sent.
 *
 * Calls come from the exchange's files, each at the one place where the thing happens.
 */
#ifndef SPAREKEY_GATEWAY_METER_H
#define SPAREKEY_GATEWAY_METER_H

#include "gateway/worker.h"
#include "openai/verdict.h"

#ifdef __cplusplus
extern "C" {
#endif

struct trace;

struct meter {
    int64_t began_ns; /* the request was complete; 0 = it is not yet */
    int64_t
        mark_ns; /* since when the time is ours, or is spent waiting; 0 = it is the upstream's */
    int64_t own_ns;
    struct trace *trace; /* its spans; NULL: nobody wants them */
    uint16_t status;     /* as the client got it; 0 = none */
    bool flying;         /* an attempt was sent and not judged */
    bool failed;         /* an attempt has failed */
};

/* A request has begun; its last byte is here. */
void meter_begin(struct exchange *x, const struct http_head *head);
void meter_complete(struct exchange *x);

/* An attempt goes out with this key; x->key is still the one before. Its answer is (in part) at hand;
 * it has come to nothing and will be judged; it was judged. */
void meter_send(struct exchange *x, const struct key_entry *entry);
void meter_at_hand(struct exchange *x);
void meter_judged(struct exchange *x, enum failure failure, const struct evidence *evidence);

/* The exchange begins and ends to wait. */
void meter_wait(struct exchange *x);
void meter_waited(struct exchange *x);

/* The first bytes of the answer were given to the client. */
void meter_answer(struct exchange *x, int status);
void meter_give_up(struct exchange *x, const struct plan_step *step);
void meter_cut(struct exchange *x);

/* The exchange ends. */
void meter_end(struct exchange *x);

#ifdef __cplusplus
}
#endif
#endif
