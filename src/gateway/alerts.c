#include "gateway/alerts.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "gateway/alert_memory.h"
#include "observe/json_text.h"
#include "observe/log_events.h"

enum { HEAD_MAX = 1024 };

/* The receiver as it was configured at some time; its connections may outlive the settings. */
struct receiver {
    struct list node; /* in alerts->former, once another took its place */
    struct upstream upstream;
    bool tls;
};

struct alerts {
    struct worker *worker;
    struct receiver *receiver; /* NULL: none is configured, or it could not be made */
    struct list former;
    struct settings *settings; /* a reference, while a call borrows its secret */
    struct upstream_call call;
    bool calling, stopped;
    int status;               /* of the answer being read */
    unsigned tries;           /* of the first in the queue */
    uint64_t place;           /* of the next event */
    struct wheel_timer timer; /* until the next try */
    struct wheel_timer limit; /* of the call, from its first byte to the answer's last */
    struct buffer tail;
    struct buffer queue[ALERTS_QUEUED];
    unsigned first, count;
    uint64_t dropped;
    struct alert_memory memory;
};

static struct alerts *of_call(struct upstream_call *call)
{
    return container_of(call, struct alerts, call);
}

static struct log *log_of(const struct alerts *alerts)
{
    return alerts->worker->shared->log;
}

static const char *host_of(const struct alerts *alerts)
{
    return alerts->receiver ? alerts->receiver->upstream.host : "nowhere";
}

/* ---- the queue ---------------------------------------------------------------------------- */

static void drop(struct alerts *alerts, const char *why)
{
    alerts->dropped++;
    log_line(log_of(alerts), LOG_SEVERITY_ERROR, "alert_dropped",
             "an alert was dropped: %s (%llu so far)", why, (unsigned long long)alerts->dropped);
}

static void forget_first(struct alerts *alerts)
{
    buffer_clear(&alerts->queue[alerts->first]);
    alerts->first = (alerts->first + 1) % ALERTS_QUEUED;
    alerts->count--;
    alerts->tries = 0;
}

static void put_member(struct text *t, const char *name, const char *value)
{
    if (!value || !*value)
        return;
    text_put(t, SLICE(",\""));
    text_put_str(t, name);
    text_put(t, SLICE("\":"));
    json_put_string(t, slice_str(value));
}

/* What chat tools show. */
static void put_text(struct text *t, const struct event *event)
{
    struct log_event line = log_event_of(event_name(event->kind));
    char text[EVENT_MESSAGE_MAX + 64];

    (void)snprintf(text, sizeof text, "%s %s", log_tag_text(line.tag, event_severity(event)),
                   event->message);
    text_put(t, SLICE("{\"text\":"));
    json_put_string(t, slice_str(text));
}

static enum status write_alert(const struct alerts *alerts, const struct event *event,
                               uint32_t left_out, struct buffer *out)
{
    struct text t = text_into(out, ALERT_BODY_MAX);
    char time[JSON_TIME_MAX];

    put_text(&t, event);
    put_member(&t, "kind", event_name(event->kind));
    put_member(&t, "key", event->key);
    put_member(&t, "name", event->name);
    put_member(&t, "account", event->account);
    put_member(&t, "reason", event->reason);
    put_member(&t, "code", event->code);
    put_member(&t, "requestId", event->request_id);
    put_member(&t, "time", json_time(event->wall_ms, time));
    put_member(&t, "gateway", alerts->worker->shared->via);
    text_put(&t, SLICE(",\"leftOut\":"));
    text_put_number(&t, left_out);
    text_put(&t, SLICE("}"));
    return t.status;
}

static void enqueue(struct alerts *alerts, const struct event *event, uint32_t left_out)
{
    struct buffer body = {0};

    if (alerts->count == ALERTS_QUEUED) {
        drop(alerts, "too many are waiting for the receiver");
    } else if (write_alert(alerts, event, left_out, &body) != STATUS_OK) {
        buffer_clear(&body);
        drop(alerts, "out of memory");
    } else {
        alerts->queue[(alerts->first + alerts->count) % ALERTS_QUEUED] = body;
        alerts->count++;
    }
}

/* ---- sending ------------------------------------------------------------------------------ */

static void end_call(struct alerts *alerts)
{
    alerts->calling = false;
    net_timer_stop(&alerts->worker->loop, &alerts->limit);
    settings_unref(alerts->settings);
    alerts->settings = NULL;
}

static void send_first(struct alerts *alerts);

/* The receiver does not have it: again later, or never. */
static void try_later(struct alerts *alerts, const char *why)
{
    alerts->tries++;
    log_line(log_of(alerts), LOG_SEVERITY_WARN, "alert_failed",
             "an alert did not reach %s: %s (try %u of %d)", host_of(alerts), why, alerts->tries,
             ALERT_TRIES);
    if (alerts->tries == ALERT_TRIES) {
        drop(alerts, "its last try failed, too");
        forget_first(alerts);
        send_first(alerts);
        return;
    }
    net_timer_start(&alerts->worker->loop, &alerts->timer,
                    (int64_t)ALERT_BACKOFF_MS << (alerts->tries - 1));
}

static void on_head(struct upstream_call *call, const struct http_head *head)
{
    of_call(call)->status = head->status;
}

static void on_body(struct upstream_call *call, const char *data, size_t len)
{
    (void)call; /* what a receiver says is of no interest */
    (void)data;
    (void)len;
}

/* The call is over. Its status says all, whether or not the rest of the answer came; `why` is what
 * stood in the way of one. */
static void settle(struct alerts *alerts, const char *why)
{
    char said[32];

    end_call(alerts);
    if (alerts->status / 100 == 2) {
        log_line(log_of(alerts), LOG_SEVERITY_INFO, "alert_sent", "alerted %s", host_of(alerts));
        forget_first(alerts);
        send_first(alerts);
        return;
    }
    (void)snprintf(said, sizeof said, "status %d", alerts->status);
    try_later(alerts, alerts->status ? said : why);
}

static void on_complete(struct upstream_call *call)
{
    settle(of_call(call), "");
}

static void on_failed(struct upstream_call *call, enum status status)
{
    settle(of_call(call), status_text(status));
}

/* A receiver may answer byte by byte for ever, and others wait behind it. */
static void limit_reached(struct wheel_timer *timer)
{
    struct alerts *alerts = container_of(timer, struct alerts, limit);

    upstream_cancel(&alerts->call);
    settle(alerts, status_text(STATUS_TIMEOUT));
}

static const struct upstream_ops alert_ops = {
    .head = on_head, .body = on_body, .complete = on_complete, .failed = on_failed};

/* The lines around the target, which is the secret and goes from the vault to the socket. */
static enum status write_request(struct alerts *alerts, const struct service_url *host)
{
    struct text t = text_into(&alerts->tail, HEAD_MAX);
    bool v6 = strchr(host->host, ':') != NULL;
    bool standard = host->port == (host->tls ? 443 : 80);

    alerts->tail.len = 0;
    text_put(&t, SLICE(" HTTP/1.1\r\nhost: "));
    text_put_str(&t, v6 ? "[" : "");
    text_put_str(&t, host->host);
    text_put_str(&t, v6 ? "]" : "");
    if (!standard) {
        text_put(&t, SLICE(":"));
        text_put_number(&t, host->port);
    }
    text_put(&t, SLICE("\r\nuser-agent: sparekey/" SPAREKEY_VERSION
                       "\r\ncontent-type: application/json\r\ncontent-length: "));
    text_put_number(&t, alerts->queue[alerts->first].len);
    text_put(&t, SLICE("\r\n\r\n"));
    return t.status;
}

static void add_part(struct upstream_call *call, struct slice bytes)
{
    call->parts[call->part_count++] = (struct iovec){(void *)(uintptr_t)bytes.ptr, bytes.len};
}

static enum status call_receiver(struct alerts *alerts)
{
    struct upstream_call *call = &alerts->call;
    enum status status = write_request(alerts, &alerts->settings->alert_host);

    *call = (struct upstream_call){.secret = true}; /* twice told is worse than told late */
    add_part(call, SLICE("POST "));
    add_part(call, settings_alert_target(alerts->settings));
    add_part(call, buffer_slice(&alerts->tail));
    add_part(call, buffer_slice(&alerts->queue[alerts->first]));
    alerts->status = 0;
    return status == STATUS_OK ? upstream_send(&alerts->receiver->upstream, call, &alert_ops)
                               : status;
}

static void send_first(struct alerts *alerts)
{
    if (alerts->calling || alerts->stopped || !alerts->receiver || alerts->count == 0 ||
        wheel_armed(&alerts->timer))
        return;
    alerts->settings = settings_ref(alerts->worker->settings);
    alerts->calling = true;
    enum status status = call_receiver(alerts);
    if (status == STATUS_OK) {
        net_timer_start(&alerts->worker->loop, &alerts->limit, ALERT_TIMEOUT_MS);
        return;
    }
    end_call(alerts);
    try_later(alerts, status_text(status));
}

static void backoff_over(struct wheel_timer *timer)
{
    send_first(container_of(timer, struct alerts, timer));
}

void alerts_wake(struct alerts *alerts)
{
    struct event event;
    uint64_t missed;
    uint32_t left_out;

    if (!alerts_on(alerts) || alerts->stopped)
        return;
    while (events_read(alerts->worker->shared->events, &alerts->place, &event, &missed)) {
        alert_memory_miss(&alerts->memory, missed);
        if (alert_memory_take(&alerts->memory, &event, event.wall_ms, &left_out))
            enqueue(alerts, &event, left_out);
    }
    send_first(alerts);
}

/* ---- the receiver ------------------------------------------------------------------------- */

static struct receiver *receiver_new(struct alerts *alerts, const struct settings *settings)
{
    const struct upstream_timeouts timeouts = {ALERT_TIMEOUT_MS, ALERT_TIMEOUT_MS,
                                               ALERT_TIMEOUT_MS};
    struct worker *w = alerts->worker;
    const struct service_url *host = &settings->alert_host;
    struct tls_context *tls = host->tls ? worker_tls(w) : NULL;
    struct receiver *receiver = calloc(1, sizeof *receiver);

    if (!receiver || (host->tls && !tls) ||
        upstream_init(&receiver->upstream, &w->loop, host->host, host->port, tls, &timeouts) !=
            STATUS_OK) {
        free(receiver);
        log_line(w->shared->log, LOG_SEVERITY_ERROR, "alert_failed",
                 "no alerts: cannot prepare the connection to %s", host->host);
        return NULL;
    }
    receiver->upstream.proxy = way_out_for(w->proxy, settings, host);
    receiver->tls = host->tls;
    list_init(&receiver->node);
    return receiver;
}

static bool is_same(const struct receiver *receiver, const struct service_url *host)
{
    return receiver->tls == host->tls && receiver->upstream.port == host->port &&
           strcmp(receiver->upstream.host, host->host) == 0;
}

static void retire(struct alerts *alerts)
{
    if (!alerts->receiver)
        return;
    if (alerts->calling) {
        upstream_cancel(&alerts->call);
        end_call(alerts);
    }
    upstream_stop(&alerts->receiver->upstream);
    list_append(&alerts->former, &alerts->receiver->node);
    alerts->receiver = NULL;
}

void alerts_configure(struct alerts *alerts)
{
    if (!alerts || alerts->stopped)
        return;
    const struct settings *settings = alerts->worker->settings;
    bool wanted = settings->alert_webhook != NULL, had = alerts->receiver != NULL;

    if (alerts->receiver && (!wanted || !is_same(alerts->receiver, &settings->alert_host)))
        retire(alerts);
    if (alerts->receiver && alerts->receiver->tls)
        upstream_trust(&alerts->receiver->upstream, worker_tls(alerts->worker));
    if (alerts->receiver)
        upstream_reroute(&alerts->receiver->upstream,
                         way_out_for(alerts->worker->proxy, settings, &settings->alert_host));
    if (!alerts->receiver && wanted) {
        if (!had) /* what happened before anybody wanted to know is no alert */
            alerts->place =
                __atomic_load_n(&alerts->worker->shared->reload_number, __ATOMIC_ACQUIRE);
        alerts->receiver = receiver_new(alerts, settings);
    }
    worker_listen(alerts->worker);
    alerts_wake(alerts);
}

bool alerts_on(const struct alerts *alerts)
{
    return alerts && alerts->receiver;
}

/* ---- life --------------------------------------------------------------------------------- */

enum status alerts_start(struct worker *worker, struct alerts **ret_alerts)
{
    struct alerts *alerts = calloc(1, sizeof *alerts);

    if (!alerts)
        return STATUS_NO_MEMORY;
    alerts->worker = worker;
    list_init(&alerts->former);
    wheel_timer_init(&alerts->timer, backoff_over);
    wheel_timer_init(&alerts->limit, limit_reached);
    *ret_alerts = alerts;
    alerts_configure(alerts);
    return STATUS_OK;
}

void alerts_stop(struct alerts *alerts)
{
    if (!alerts || alerts->stopped)
        return;
    net_timer_stop(&alerts->worker->loop, &alerts->timer);
    retire(alerts);
    alerts->stopped = true;
    worker_listen(alerts->worker);
    while (alerts->count) {
        drop(alerts, "the gateway is stopping");
        forget_first(alerts);
    }
}

void alerts_free(struct alerts *alerts)
{
    if (!alerts)
        return;
    while (!list_empty(&alerts->former)) {
        struct receiver *receiver = container_of(alerts->former.next, struct receiver, node);
        list_remove(&receiver->node);
        upstream_fini(&receiver->upstream);
        free(receiver);
    }
    while (alerts->count)
        forget_first(alerts);
    buffer_clear(&alerts->tail);
    free(alerts);
}
