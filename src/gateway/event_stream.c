#include "gateway/event_stream.h"

#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "base/text.h"

struct event_stream {
    struct list node; /* in worker->event_streams */
    struct own_request *own;
    struct wheel_timer timer; /* the next heartbeat, or the next look at a client that is behind */
    uint64_t position;
    bool behind; /* more is there than its client takes */
};

static struct shared *shared_of(const struct event_stream *s)
{
    return s->own->worker->shared;
}

/* ---- the end ------------------------------------------------------------------------------ */

/* Lets go of the stream; its request is still to be ended. */
static struct own_request *release(struct event_stream *s)
{
    struct own_request *own = s->own;
    struct worker *w = own->worker;

    list_remove(&s->node);
    net_timer_stop(&w->loop, &s->timer);
    (void)__atomic_sub_fetch(&w->shared->event_listeners, 1, __ATOMIC_RELAXED);
    worker_listen(w);
    free(s);
    own->state = NULL;
    own->gone = NULL;
    return own;
}

static void note_cut(struct event_stream *s)
{
    uint64_t cut = __atomic_add_fetch(&shared_of(s)->event_listeners_cut, 1, __ATOMIC_RELAXED);

    log_line(shared_of(s)->log, LOG_SEVERITY_WARN, "listener_cut",
             "a listener to events did not read and was cut off (%llu so far)",
             (unsigned long long)cut);
}

static void client_gone(struct own_request *own)
{
    struct event_stream *s = own->state;

    if (s->behind)
        note_cut(s); /* the server has given it up */
    own_end(release(s));
}

/* ---- writing ------------------------------------------------------------------------------ */

/* What tells our ids from those of another process: that which tells our name in Via. */
static struct slice process_part(const struct shared *shared)
{
    const char *dash = strrchr(shared->via, '-');

    return slice_str(dash ? dash + 1 : shared->via);
}

static enum status put_event(const struct shared *shared, struct buffer *out,
                             const struct event *event)
{
    struct text t = text_into(out, SIZE_MAX);

    text_put(&t, SLICE("event: "));
    text_put_str(&t, event_name(event->kind));
    text_put(&t, SLICE("\nid: "));
    text_put(&t, process_part(shared));
    text_put(&t, SLICE("-"));
    text_put_number(&t, event->number);
    text_put(&t, SLICE("\ndata: "));
    if (t.status == STATUS_OK)
        t.status = event_json(event, out);
    text_put(&t, SLICE("\n\n"));
    return t.status;
}

static void send_missed(struct event_stream *s, uint64_t missed)
{
    struct buffer out = {0};

    if (buffer_printf(&out, SIZE_MAX,
                      "event: missed\ndata: {\"event\":\"missed\",\"count\":%llu}\n\n",
                      (unsigned long long)missed) == STATUS_OK)
        own_send(s->own, buffer_slice(&out));
    buffer_clear(&out);
}

/* False: out of memory, and the client is told nothing of this event. */
static bool send_event(struct event_stream *s, const struct event *event)
{
    struct buffer out = {0};
    bool written = put_event(shared_of(s), &out, event) == STATUS_OK;

    if (written)
        own_send(s->own, buffer_slice(&out));
    buffer_clear(&out);
    return written;
}

static bool has_room(const struct event_stream *s)
{
    return s->own->request && server_queued(s->own->request) < EVENT_STREAM_QUEUED;
}

/* Passes on what is there, as far as the client takes it. False: it has been cut off. */
static bool pump(struct event_stream *s, bool first)
{
    struct event event;
    uint64_t missed, before = s->position;

    while (has_room(s) && events_read(shared_of(s)->events, &s->position, &event, &missed)) {
        if (missed && !first && before > 0) {
            note_cut(s);
            own_abort(release(s));
            return false;
        }
        if (missed && before > 1)
            send_missed(s, missed);
        if (!send_event(s, &event)) {
            own_abort(release(s));
            return false;
        }
        first = false;
        before = s->position;
    }
    s->behind = s->own->request && !has_room(s);
    net_timer_start(&s->own->worker->loop, &s->timer,
                    s->behind ? EVENT_STREAM_RETRY_MS : EVENT_STREAM_HEARTBEAT_MS);
    return true;
}

static void timer_fired(struct wheel_timer *timer)
{
    struct event_stream *s = container_of(timer, struct event_stream, timer);

    if (!s->behind)
        own_send(s->own, SLICE(": still here\n\n"));
    (void)pump(s, false);
}

void event_streams_wake(struct worker *w)
{
    for (struct list *at = w->event_streams.next, *next; at != &w->event_streams; at = next) {
        next = at->next;
        (void)pump(container_of(at, struct event_stream, node), false);
    }
}

void event_streams_end(struct worker *w)
{
    for (struct list *at = w->event_streams.next, *next; at != &w->event_streams; at = next) {
        struct event_stream *s = container_of(at, struct event_stream, node);
        next = at->next;
        if (pump(s, false))
            own_end(release(s));
    }
}

/* ---- the beginning ------------------------------------------------------------------------ */

/* Behind the event named by Last-Event-ID, or by ?lastEventId= where a client cannot set fields; by
 * default what is new from now on. An id of another process is behind nothing of this one. */
static uint64_t first_position(struct own_request *own)
{
    char text[sizeof own->last_event_id];
    struct slice number, process;
    uint64_t id;

    (void)slice_copy(slice_str(own->last_event_id), text, sizeof text);
    if (!*text && !own_parameter(own, "lastEventId", text, sizeof text))
        return events_next_number(own->worker->shared->events);
    number = slice_str(text);
    if (strchr(text, '-') && slice_next_item(&number, '-', &process) &&
        !slice_eq(process, process_part(own->worker->shared)))
        return 0;
    if (number_parse(number, UINT64_MAX - 1, &id) != STATUS_OK)
        return 0;
    return id + 1;
}

static bool take_place(struct shared *shared)
{
    if (__atomic_add_fetch(&shared->event_listeners, 1, __ATOMIC_RELAXED) <= EVENT_STREAMS_MAX)
        return true;
    (void)__atomic_sub_fetch(&shared->event_listeners, 1, __ATOMIC_RELAXED);
    return false;
}

/* Otherwise a client that reads nothing would have megabytes of kernel memory filled for it. */
static void keep_socket_small(struct own_request *own)
{
    int bytes = EVENT_STREAM_SOCKET;

    (void)uv_send_buffer_size((uv_handle_t *)&own->request->conn.tcp, &bytes);
}

static void begin(struct own_request *own, struct event_stream *s)
{
    struct worker *w = own->worker;

    s->own = own;
    s->position = first_position(own);
    wheel_timer_init(&s->timer, timer_fired);
    own->state = s;
    own->gone = client_gone;
    list_append(&w->event_streams, &s->node);
    worker_listen(w);
    keep_socket_small(own);
    own_stream(own, 200,
               SLICE("content-type: text/event-stream\r\ncache-control: no-store\r\n"
                     "x-accel-buffering: no\r\n"));
    own_send(own, SLICE("retry: 1000\n\n"));
    (void)pump(s, true);
}

void event_stream_answer(struct own_request *own)
{
    struct worker *w = own->worker;

    if (own->request->head_request) {
        own_reply(own, 200, SLICE("content-type: text/event-stream\r\n"), slice_of(NULL, 0));
        return;
    }
    if (w->draining) {
        own_reply_error(own, 503, "draining", "The gateway is stopping.");
        return;
    }
    if (!take_place(w->shared)) {
        own_reply_error(own, 503, "too_many_listeners",
                        "%d listeners to events are connected, as many as there may be.",
                        EVENT_STREAMS_MAX);
        return;
    }
    struct event_stream *s = calloc(1, sizeof *s);
    if (!s) {
        (void)__atomic_sub_fetch(&w->shared->event_listeners, 1, __ATOMIC_RELAXED);
        own_reply_error(own, 503, "out_of_memory", "The gateway is out of memory; try again.");
        return;
    }
    begin(own, s);
}
