/* A rehearsal: a request of the gateway's own that goes the way of every request and keeps a record
 * of its attempts; and, in a drill, faults that are played to the first keys it comes to.
 *
 *     attempt_send ──▶ rehearsal_takes ──▶ (a played answer, at the loop's next turn) ──▶ attempt_judge
 *                          └─ no: the attempt is sent as any other
 *
 * A played attempt goes through verdict, plan and answer like a real one, so the trail is what would
 * happen. But the plan marks it (plan.drilled): no breaker, counter or bucket hears of it, nothing
 * is sent and no token is spent on that key.
 *
 * Belongs to the worker's thread.
 */
#ifndef SPAREKEY_GATEWAY_REHEARSAL_H
#define SPAREKEY_GATEWAY_REHEARSAL_H

#include "gateway/worker.h"
#include "openai/verdict.h"

#ifdef __cplusplus
extern "C" {
#endif

struct exchange;

/* What can be played: name, transport, HTTP status, error.code. */
#define DRILL_TABLE(X)                                                                             \
    X(DRILL_RATE, "429", TRANSPORT_OK, 429, "rate_limit_exceeded")                                 \
    X(DRILL_REVOKED, "401", TRANSPORT_OK, 401, "invalid_api_key")                                  \
    X(DRILL_QUOTA, "quota", TRANSPORT_OK, 429, "insufficient_quota")                               \
    X(DRILL_SERVER, "500", TRANSPORT_OK, 500, "server_error")                                      \
    X(DRILL_TIMEOUT, "timeout", TRANSPORT_TIMEOUT, 0, "")                                          \
    X(DRILL_RESET, "reset", TRANSPORT_RESET, 0, "")                                                \
    X(DRILL_CUT, "cut", TRANSPORT_CUT, 200, "")

enum drill {
#define X(code, ...) code,
    DRILL_TABLE(X)
#undef X
        DRILL_COUNT
};

const char *drill_name(enum drill drill); /* "unknown" outside the table */

/* DRILL_COUNT: there is none of this name. */
enum drill drill_find(const char *name);

#define DRILL_KEYS_MAX         64 /* keys one drill is played to */
#define REHEARSAL_ATTEMPTS_MAX 64 /* attempts that are recorded; later ones are only counted */

struct rehearsal_attempt {
    char mask[SECRET_MASK_MAX], name[KEY_NAME_MAX];
    enum failure failure; /* FAILURE_NONE: it served, or is under way */
    int status;           /* 0: no answer */
    bool drilled;         /* it was played */
    int64_t began_ns, ended_ns;
};

struct rehearsal {
    enum drill drill;
    uint16_t keys; /* the first so many it is played to; 0: no drill */
    struct exchange *exchange;
    struct wheel_timer timer;
    unsigned count; /* attempts begun */
    struct rehearsal_attempt attempts[REHEARSAL_ATTEMPTS_MAX];
};

/* `keys` 0: no drill. */
void rehearsal_init(struct rehearsal *r, enum drill drill, uint16_t keys);

/* An attempt begins. True: it is played, and must not be sent. */
bool rehearsal_takes(struct exchange *x);

/* What came of the attempt. */
void rehearsal_hears(struct exchange *x, const struct verdict *verdict,
                     const struct evidence *evidence);

/* The answer has ended with this status; nothing will be played any more. */
void rehearsal_ends(struct rehearsal *r, struct net_loop *loop, int status);

#ifdef __cplusplus
}
#endif
#endif
