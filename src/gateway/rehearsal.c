#include "gateway/rehearsal.h"

#include "gateway/exchange_state.h"
#include "openai/error_body.h"

struct drill_row {
    const char *name;
    enum transport transport;
    int status;
    const char *code;
};

static const struct drill_row rows[DRILL_COUNT] = {
#define X(id, name, transport, status, code) {name, transport, status, code},
    DRILL_TABLE(X)
#undef X
};

const char *drill_name(enum drill drill)
{
    return (unsigned)drill < DRILL_COUNT ? rows[drill].name : "unknown";
}

enum drill drill_find(const char *name)
{
    unsigned i = 0;

    while (i < DRILL_COUNT && strcmp(rows[i].name, name) != 0)
        i++;
    return (enum drill)i;
}

/* The upstream's part: what it would have answered, where a real answer would stand. */
static void play(struct exchange *x, const struct drill_row *row)
{
    struct workspace *ws = x->ws;

    x->call.sent = true;
    x->call.answered = row->status != 0;
    x->status = row->status;
    x->limits_told = true; /* it says nothing of limits */
    if (row->status < 400)
        return;
    slice_copy(SLICE("application/json"), ws->content_type, sizeof ws->content_type);
    /* Out of memory: judged, and answered, by its status alone. */
    if (buffer_append(&ws->held_fields, SLICE("content-type: application/json\r\n"),
                      EXCHANGE_FIELDS_MAX) != STATUS_OK ||
        error_body_write(&ws->held, SLICE("This answer was played by a drill of the gateway."),
                         SLICE("drill"), slice_str(row->code)) != STATUS_OK)
        ws->held.len = 0;
}

static void fired(struct wheel_timer *timer)
{
    struct rehearsal *r = container_of(timer, struct rehearsal, timer);
    const struct drill_row *row = &rows[r->drill];

    play(r->exchange, row);
    attempt_judge(r->exchange, row->transport);
}

void rehearsal_init(struct rehearsal *r, enum drill drill, uint16_t keys)
{
    r->drill = drill;
    r->keys = keys;
    r->exchange = NULL;
    r->count = 0;
    wheel_timer_init(&r->timer, fired);
}

/* The latest, or NULL where it is past those that are recorded. */
static struct rehearsal_attempt *latest(struct rehearsal *r)
{
    return r->count && r->count <= REHEARSAL_ATTEMPTS_MAX ? &r->attempts[r->count - 1] : NULL;
}

bool rehearsal_takes(struct exchange *x)
{
    struct rehearsal *r = x->rehearsal;

    r->count++;
    struct rehearsal_attempt *attempt = latest(r);
    if (attempt) {
        *attempt = (struct rehearsal_attempt){.failure = FAILURE_NONE,
                                              .drilled = x->plan.drilled,
                                              .began_ns = exchange_now(x),
                                              .ended_ns = -1};
        (void)key_entry_mask(x->key, attempt->mask);
        (void)key_entry_name(x->key, attempt->name);
    }
    if (!x->plan.drilled)
        return false;
    r->exchange = x;
    net_timer_start(&x->worker->loop, &r->timer, 0);
    return true;
}

void rehearsal_hears(struct exchange *x, const struct verdict *verdict,
                     const struct evidence *evidence)
{
    struct rehearsal_attempt *attempt = latest(x->rehearsal);

    if (!attempt)
        return;
    attempt->failure = verdict->failure;
    attempt->status = evidence->status;
    attempt->ended_ns = exchange_now(x);
}

void rehearsal_ends(struct rehearsal *r, struct net_loop *loop, int status)
{
    struct rehearsal_attempt *attempt = latest(r);

    net_timer_stop(loop, &r->timer);
    if (!attempt || attempt->ended_ns >= 0)
        return;
    attempt->status = status;
    attempt->ended_ns = net_now_ns(loop);
}
