#include "cli/demo_traffic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/upstream.h"

enum {
    BODY_MAX = 256,
    HEAD_MAX = 512,
    ANSWER_MAX = 1 << 20,
    CONNECT_MS = 5000,
    ANSWER_MS = 30000,
};

struct shot {
    struct upstream_call call;
    struct traffic *traffic;
    char head[HEAD_MAX], body[BODY_MAX];
    struct buffer answer;
    int64_t began_ns;
    int status;
};

struct traffic {
    const struct demo_target *target;
    struct net_loop loop;
    struct upstream upstream;
    struct shot *shots;
    struct shot look;     /* at the health document */
    struct buffer health; /* the latest */
    uv_timer_t pace, refresh;
    double *latencies_ms;
    unsigned latency_count;
    bool looking;
    struct demo_result result;
};

static void send_shot(struct traffic *t, struct shot *s, const struct upstream_ops *ops)
{
    s->traffic = t;
    s->began_ns = (int64_t)uv_hrtime();
    s->call.parts[0] = (struct iovec){s->head, strlen(s->head)};
    s->call.parts[1] = (struct iovec){s->body, strlen(s->body)};
    s->call.part_count = s->body[0] ? 2 : 1;
    s->call.may_replay = true;
    if (upstream_send(&t->upstream, &s->call, ops) != STATUS_OK)
        ops->failed(&s->call, STATUS_NO_MEMORY);
}

static struct shot *of_call(struct upstream_call *call)
{
    return container_of(call, struct shot, call);
}

static void on_head(struct upstream_call *call, const struct http_head *head)
{
    of_call(call)->status = head->status;
}

static void on_body(struct upstream_call *call, const char *data, size_t len)
{
    /* Out of memory shows as an answer that is not the expected one. */
    if (buffer_append(&of_call(call)->answer, slice_of(data, len), ANSWER_MAX) != STATUS_OK)
        of_call(call)->status = 0;
}

/* ---- chat requests ----------------------------------------------------------------------- */

static bool all_answered(const struct traffic *t)
{
    return t->result.succeeded + t->result.failed == DEMO_REQUESTS;
}

static void close_run(struct traffic *t)
{
    uv_close((uv_handle_t *)&t->refresh, NULL);
    uv_close((uv_handle_t *)&t->pace, NULL);
    upstream_stop(&t->upstream);
}

static void look(struct traffic *t);

/* After the last answer one more look: the table as it stands at the end. */
static void finish_if_last(struct traffic *t)
{
    if (!all_answered(t))
        return;
    if (!t->target->health)
        close_run(t);
    else if (!t->looking)
        look(t);
}

static void shot_ended(struct shot *s, bool success)
{
    struct traffic *t = s->traffic;

    if (success) {
        t->result.succeeded++;
        t->latencies_ms[t->latency_count++] = (double)((int64_t)uv_hrtime() - s->began_ns) / 1e6;
    } else {
        t->result.failed++;
        t->result.by_status[s->status / 100 <= 5 ? s->status / 100 : 0]++;
    }
    buffer_clear(&s->answer);
    finish_if_last(t);
}

/* Success is an answer an application can use, not merely a status. */
static void shot_complete(struct upstream_call *call)
{
    struct shot *s = of_call(call);
    shot_ended(s, s->status == 200 && memmem(s->answer.data ? s->answer.data : "", s->answer.len,
                                             "\"chat.completion\"", 17));
}

static void shot_failed(struct upstream_call *call, enum status status)
{
    (void)status;
    of_call(call)->status = 0;
    shot_ended(of_call(call), false);
}

static const struct upstream_ops shot_ops = {
    .head = on_head, .body = on_body, .complete = shot_complete, .failed = shot_failed};

static void pace_fired(uv_timer_t *timer)
{
    struct traffic *t = timer->data;
    struct shot *s = &t->shots[t->result.sent++];

    if (t->result.sent == DEMO_REQUESTS)
        uv_timer_stop(timer);
    (void)snprintf(s->body, sizeof s->body,
                   "{\"model\":\"gpt-5.4-mini\",\"messages\":[{\"role\":\"user\",\"content\":"
                   "\"Question %u of %u\"}],\"max_completion_tokens\":64}",
                   t->result.sent, DEMO_REQUESTS);
    (void)snprintf(s->head, sizeof s->head,
                   "POST /v1/chat/completions HTTP/1.1\r\nHost: %s:%u\r\nAuthorization: Bearer "
                   "%s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                   t->target->host, t->target->port, t->target->key, strlen(s->body));
    send_shot(t, s, &shot_ops);
}

/* ---- looking at the keys ----------------------------------------------------------------- */

static void look_complete(struct upstream_call *call)
{
    struct traffic *t = of_call(call)->traffic;

    t->looking = false;
    buffer_clear(&t->health);
    t->health = t->look.answer;
    t->look.answer = (struct buffer){0};
    t->target->show(t->target->context, &t->result, buffer_slice(&t->health));
    if (all_answered(t))
        close_run(t);
}

static void look_failed(struct upstream_call *call, enum status status)
{
    struct traffic *t = of_call(call)->traffic;

    (void)status;
    t->looking = false;
    buffer_clear(&t->look.answer);
    if (all_answered(t))
        close_run(t);
}

static const struct upstream_ops look_ops = {
    .head = on_head, .body = on_body, .complete = look_complete, .failed = look_failed};

static void look(struct traffic *t)
{
    t->looking = true;
    (void)snprintf(t->look.head, sizeof t->look.head, "GET %s HTTP/1.1\r\nHost: %s:%u\r\n\r\n",
                   t->target->health, t->target->host, t->target->port);
    send_shot(t, &t->look, &look_ops);
}

static void refresh_fired(uv_timer_t *timer)
{
    struct traffic *t = timer->data;

    if (!t->target->health)
        t->target->show(t->target->context, &t->result, slice_of(NULL, 0));
    else if (!t->looking && !all_answered(t))
        look(t);
}

/* ---- a run ------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, unsigned count)
{
    if (count == 0)
        return 0;
    qsort(values, count, sizeof *values, compare);
    return values[count / 2];
}

static enum status begin(struct traffic *t)
{
    static const struct upstream_timeouts timeouts = {CONNECT_MS, ANSWER_MS, ANSWER_MS};
    enum status status =
        upstream_init(&t->upstream, &t->loop, t->target->host, t->target->port, NULL, &timeouts);
    if (status != STATUS_OK)
        return status;
    (void)uv_timer_init(&t->loop.uv, &t->pace);
    (void)uv_timer_init(&t->loop.uv, &t->refresh);
    t->pace.data = t->refresh.data = t;
    (void)uv_timer_start(&t->pace, pace_fired, 0, DEMO_INTERVAL_MS);
    (void)uv_timer_start(&t->refresh, refresh_fired, DEMO_REFRESH_MS, DEMO_REFRESH_MS);
    return STATUS_OK;
}

enum status demo_traffic_run(const struct demo_target *target, struct demo_result *ret_result)
{
    struct traffic *t = calloc(1, sizeof *t);
    enum status status = STATUS_NO_MEMORY;

    if (!t)
        return STATUS_NO_MEMORY;
    t->target = target;
    t->shots = calloc(DEMO_REQUESTS, sizeof *t->shots);
    t->latencies_ms = calloc(DEMO_REQUESTS, sizeof *t->latencies_ms);
    if (!t->shots || !t->latencies_ms)
        goto free_all;
    status = net_loop_init(&t->loop);
    if (status != STATUS_OK)
        goto free_all;
    status = begin(t);
    if (status == STATUS_OK) {
        (void)uv_run(&t->loop.uv, UV_RUN_DEFAULT);
        t->result.latency_ms_median = median(t->latencies_ms, t->latency_count);
        *ret_result = t->result;
    }
    upstream_fini(&t->upstream);
    net_loop_fini(&t->loop);
free_all:
    buffer_clear(&t->health);
    buffer_clear(&t->look.answer);
    free(t->latencies_ms);
    free(t->shots);
    free(t);
    return status;
}
