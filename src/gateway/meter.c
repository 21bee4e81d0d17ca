#include "gateway/meter.h"

#include <uv.h>

#include "gateway/exchange_state.h"
#include "gateway/trace.h"

_Static_assert((int)FAMILY_COUNT <= METRICS_FAMILIES && (int)FAILURE_COUNT <= METRICS_FAILURES,
               "there is a counter for each");

static struct metrics *metrics_of(struct exchange *x)
{
    return &x->worker->metrics;
}

/* The loop's own time is of whole milliseconds. */
static int64_t clock_ns(void)
{
    return (int64_t)uv_hrtime();
}

void meter_begin(struct exchange *x, const struct http_head *head)
{
    if (x->drill)
        return;
    metric_add(&metrics_of(x)->begun);
    if (x->worker->shared->tracer)
        trace_begin(x, head);
}

void meter_complete(struct exchange *x)
{
    x->meter.began_ns = x->meter.mark_ns = clock_ns();
}

/* What has passed since the mark was ours. */
static void add_own(struct meter *m, int64_t now_ns)
{
    if (m->mark_ns)
        m->own_ns += now_ns - m->mark_ns;
}

void meter_send(struct exchange *x, const struct key_entry *entry)
{
    struct meter *m = &x->meter;

    if (x->plan.drilled)
        return;
    if (x->key != entry && plan_has_failed(&x->plan))
        metric_add(&metrics_of(x)->failovers);
    add_own(m, clock_ns());
    m->mark_ns = 0;
    m->flying = true;
    if (m->trace)
        trace_send(x, entry);
}

void meter_at_hand(struct exchange *x)
{
    x->meter.mark_ns = clock_ns();
}

void meter_judged(struct exchange *x, enum failure failure, const struct evidence *evidence)
{
    metric_add(&metrics_of(x)->attempts[failure]);
    x->meter.flying = false;
    x->meter.failed |= failure != FAILURE_NONE;
    if (x->meter.trace)
        trace_judged(x, failure, evidence);
}

void meter_wait(struct exchange *x)
{
    int64_t now_ns = clock_ns();

    add_own(&x->meter, now_ns);
    x->meter.mark_ns = now_ns;
}

void meter_waited(struct exchange *x)
{
    int64_t now_ns = clock_ns();

    if (!x->drill)
        histogram_add(&metrics_of(x)->wait, metrics_coarse_ns, now_ns - x->meter.mark_ns);
    x->meter.mark_ns = now_ns;
}

void meter_answer(struct exchange *x, int status)
{
    struct meter *m = &x->meter;
    int64_t now_ns = clock_ns();

    add_own(m, now_ns);
    m->status = (uint16_t)status;
    if (x->drill)
        return;
    histogram_add(&metrics_of(x)->first_byte, metrics_coarse_ns, now_ns - m->began_ns);
    histogram_add(&metrics_of(x)->overhead, metrics_fine_ns, m->own_ns);
    if (m->failed && status < 400)
        metric_add(&metrics_of(x)->rescued);
}

void meter_give_up(struct exchange *x, const struct plan_step *step)
{
    if (!x->drill)
        metric_add(&metrics_of(x)->given_up[step->failure]);
    meter_answer(x, step->status);
}

void meter_cut(struct exchange *x)
{
    if (!x->drill)
        metric_add(&metrics_of(x)->cut);
}

void meter_end(struct exchange *x)
{
    if (x->meter.flying)
        meter_judged(x, FAILURE_ABANDONED, NULL);
    if (x->meter.trace)
        trace_end(x);
    if (!x->drill)
        metric_add(&metrics_of(x)->requests[x->endpoint.family][metric_class_of(x->meter.status)]);
}
