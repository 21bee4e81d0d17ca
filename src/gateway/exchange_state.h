/* What the three files of an exchange share; nobody else includes this.
 *
 *   exchange.c  birth, the request, the plan's word, the client's word, death
 *   attempt.c   one attempt: sending it, holding its answer, judging it
 *   answer.c    what the client gets to see
 *   meter.c     what is counted of it
 */
#ifndef SPAREKEY_GATEWAY_EXCHANGE_STATE_H
#define SPAREKEY_GATEWAY_EXCHANGE_STATE_H

#include "gateway/exchange.h"
#include "gateway/meter.h"
#include "gateway/rehearsal.h"
#include "openai/endpoint.h"
#include "openai/hints.h"
#include "openai/peek.h"
#include "openai/sse.h"
#include "openai/verdict.h"

#ifdef __cplusplus
extern "C" {
#endif

enum phase {
    PHASE_BODY,     /* the request's body is arriving */
    PHASE_PLANNING, /* between two steps; never seen from outside */
    PHASE_WAITING,  /* the plan said PLAN_WAIT */
    PHASE_AWAITING, /* sent; no head yet */
    PHASE_HOLDING,  /* an answer is being held */
    PHASE_FLOWING,  /* the answer flows to the client */
    PHASE_ENDED,
};

enum {
    EXCHANGE_FIELDS_MAX = HTTP_HEAD_MAX + 8192, /* lines of one head, our own included */
};

/* What is in flight of a request and of its answer, and is needed no more once the answer flows.
 * Borrowed from the worker: an idle stream holds none. */
struct workspace {
    struct list node; /* in worker->workspaces while it is free */
    /* the request */
    struct buffer suffix; /* target behind the base path */
    struct buffer fields; /* "\r\n", lines for the upstream, the same for every key, and "\r\n" */
    struct buffer body;
    struct peek peek;
    char method[16];
    size_t method_len;
    bool is_json;
    uint64_t counted; /* bytes of the body that shared->buffered counts */
    /* the current attempt */
    struct buffer head; /* "POST /v1/… HTTP/1.1\r\nhost: …\r\nauthorization: Bearer " */
    /* its answer */
    struct buffer held;        /* body bytes held back */
    struct buffer held_fields; /* lines for the client */
    struct hints hints;
    char content_type[64];
};

/* An error answer worth returning if nothing better comes. */
struct kept_answer {
    int status;
    struct buffer fields, body;
};

struct exchange {
    struct request_handler handler;
    struct worker *worker;
    struct server_conn *request;
    struct settings *settings;
    struct upstream_call call;
    struct plan plan;
    struct key_entry *key; /* of the attempt in flight, or of the answer that flows */
    struct workspace *ws;  /* NULL once the answer flows */
    struct kept_answer *kept;
    struct rehearsal *rehearsal; /* of a request of our own (rehearsal.h), else NULL */
    struct sse sse;
    struct wheel_timer timer; /* WAITING: the plan's; AWAITING: the deadline; HOLDING: either */
    struct list waiting;      /* in worker->waiting, or in worker->free_exchanges */
    struct endpoint endpoint;
    int64_t content_length;
    int status;
    uint8_t phase;
    bool is_stream;       /* the answer is an event stream */
    bool failed_document; /* the answer is a 200 that tells a failure */
    bool head_method;
    bool resorted;        /* to the last resort: once */
    bool caller_deadline; /* the deadline is the caller's own, shorter than ours */
    bool drill;           /* its first attempts are played: nothing is counted of it but what was
                             really sent, and what is told of it alarms nobody */
    bool limits_told;     /* what this answer's head says of limits has been passed on */
    bool counts_tokens;   /* … and it limits tokens: what the answer used is worth looking for */
    size_t echo_held;     /* bytes of the key that may have begun in what has flowed */
    int64_t tokens;       /* used, as far as has been read; 0 = not said */
    struct meter meter;
};

static inline int64_t exchange_now(const struct exchange *x)
{
    return net_now_ns(&x->worker->loop);
}

static inline struct keyring *exchange_ring(const struct exchange *x)
{
    return x->worker->shared->keyring;
}

/* The key the attempt was sent with; while it is in flight or its answer flows. */
static inline struct slice exchange_secret(const struct exchange *x)
{
    return secret_bytes(x->key->secret);
}

/* ---- exchange.c ---- */

/* The end: whatever was to be said to the client has been said, and the plan has ended. */
void exchange_end(struct exchange *x);

/* Ends the plan too: for every way out that did not succeed. */
void exchange_end_failed(struct exchange *x);

/* Gives the workspace back; no attempt can follow. Harmless when it is back already. */
void exchange_release_workspace(struct exchange *x);

/* Frees the answer kept in case nothing better comes. */
void exchange_free_kept(struct exchange *x);

/* Forgets the answer read so far. */
void exchange_clear_answer(struct exchange *x);

/* Asks the plan what to do now, and does it. `x` may be gone afterwards. */
void exchange_ask(struct exchange *x);

/* ---- attempt.c ---- */

/* Sends the request with this key, whose reference it takes. */
void attempt_send(struct exchange *x, struct key_entry *entry);

/* The attempt has ended so before anything reached the client: the plan hears of it and says what
 * comes next. `x` may be gone afterwards. */
void attempt_judge(struct exchange *x, enum transport transport);

/* An attempt's time is up: what is held goes out, or at the deadline the attempt ends. */
void attempt_timer_fired(struct exchange *x);

/* What the answer being read tells besides its verdict; its limits only once. The slices live as
 * long as the workspace, `limits` is filled for the facts to point at. */
struct answer_facts attempt_facts(struct exchange *x, struct limit_report *limits);

/* The verdict on the attempt as it stands, told to the plan. Returns true when the answer is to be
 * kept. */
bool attempt_report(struct exchange *x, enum transport transport);

/* ---- answer.c ---- */

/* The held answer goes out and the rest will flow. */
void answer_commit(struct exchange *x);

/* The next bytes of an answer that flows. */
void answer_flow(struct exchange *x, const char *data, size_t len);

/* A whole answer below 400, held to its end, goes out. */
void answer_deliver(struct exchange *x);

/* An error answer of the upstream's goes to the caller: the one just heard, or the one kept. */
void answer_return(struct exchange *x, const struct plan_step *step);

/* Appends x-sparekey-key, -attempts and -trail; without memory nothing. */
void answer_add_fields(struct exchange *x, struct buffer *fields);

/* An error of our own. */
void answer_give_up(struct exchange *x, const struct plan_step *step);

/* The answer broke after its first bytes had reached the client: says so, never ends cleanly. */
void answer_cut(struct exchange *x, enum transport transport);

/* The end of an answer that was flowing. */
void answer_finish(struct exchange *x);

#ifdef __cplusplus
}
#endif
#endif
