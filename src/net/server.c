/* One connection's states, and who moves it:
 *
 *              first byte                 head complete             owner ends the answer
 *   WAITING ───────────────▶ HEAD ─────────────────▶ REQUEST ───────────────────────────▶ WAITING
 *      │ keep-alive timeout    │ malformed, too slow     │ client leaves: gone()
 *      ▼                       ▼                         ▼
 *   CLOSING ◀──────────────── (error answer) ◀──────── CLOSING
 *
 * The one wheel timer of a connection means something else in each state; it is left running when
 * a request completes and ignored if it fires meanwhile, because moving a timer later is cheaper
 * than stopping and starting it (net/wheel.h). A second one runs in any state while the client is
 * behind with taking what it asked for.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/server_inner.h"

static void feed(struct server_conn *s, char *data, size_t len);

static struct server_conn *of_conn(struct conn *conn)
{
    return container_of(conn, struct server_conn, conn);
}

static struct server_conn *of_reader(struct http_reader *reader)
{
    return container_of(reader, struct server_conn, reader);
}

/* ---- ending connections and requests ----------------------------------------------------- */

void server_stop_timers(struct server_conn *s)
{
    net_timer_stop(s->server->loop, &s->timer);
    net_timer_stop(s->server->loop, &s->stall);
}

static void close_conn(struct server_conn *s)
{
    s->state = SERVER_CLOSING;
    server_stop_timers(s);
    conn_close(&s->conn);
}

void server_finish_conn(struct server_conn *s)
{
    s->state = SERVER_CLOSING;
    server_stop_timers(s);
    conn_finish(&s->conn);
}

/* Ends a connection without a request; a slow client may still be taking its last answer. */
static void leave(struct server_conn *s)
{
    if (conn_queued(&s->conn))
        server_finish_conn(s);
    else
        close_conn(s);
}

static void request_gone(struct server_conn *s)
{
    s->server->request_count--;
    s->state = SERVER_CLOSING;
    s->server->ops->gone(s);
}

static const char *error_message(int status)
{
    switch (status) {
    case 400: return "The request is not valid HTTP/1.1.";
    case 408: return "The request did not arrive in time.";
    case 431: return "The request's header fields are too large.";
    default: return "The request could not be served.";
    }
}

/* Answers a request the owner never saw, or whose body broke, and closes. */
static void reply_error(struct server_conn *s, int status)
{
    struct buffer body = {0};

    s->keep_alive = false;
    s->http10 = s->head_request = false;
    if (s->server->ops->error)
        s->server->ops->error(s->server, status, error_message(status), &body);
    s->server->request_count++; /* server_reply_end takes it off again */
    s->state = SERVER_REQUEST;
    server_reply(s, status, SLICE("content-type: application/json\r\n"), buffer_slice(&body));
    buffer_clear(&body);
}

static void input_failed(struct server_conn *s, enum status status)
{
    if (s->state == SERVER_REQUEST) {
        bool replied = s->replied;
        request_gone(s);
        if (replied) {
            close_conn(s);
            return;
        }
    }
    if (status == STATUS_NO_MEMORY)
        close_conn(s);
    else
        reply_error(s, status == STATUS_LIMIT ? 431 : 400);
}

/* ---- reading ----------------------------------------------------------------------------- */

static int64_t now_ms(const struct server_conn *s)
{
    return net_now_ns(s->server->loop) / 1000000;
}

static enum status on_head(struct http_reader *reader, const struct http_head *head)
{
    struct server_conn *s = of_reader(reader);

    s->state = SERVER_REQUEST;
    s->user = NULL;
    s->replied = s->request_complete = false;
    s->chunked = s->to_end = s->no_body = s->paused = false;
    s->body_begun_ms = now_ms(s);
    s->body_bytes = 0;
    s->http10 = head->minor == 0;
    s->keep_alive = head->keep_alive && !s->server->draining;
    s->head_request = slice_eq(head->method, SLICE("HEAD"));
    s->server->request_count++;
    s->server->ops->head(s, head);
    return s->state == SERVER_CLOSING ? STATUS_CANCELLED : STATUS_OK;
}

static enum status on_body(struct http_reader *reader, const char *data, size_t len)
{
    struct server_conn *s = of_reader(reader);

    s->body_bytes += len;
    if (s->state == SERVER_REQUEST)
        s->server->ops->body(s, data, len);
    return s->state == SERVER_CLOSING ? STATUS_CANCELLED : STATUS_OK;
}

static enum status on_complete(struct http_reader *reader)
{
    struct server_conn *s = of_reader(reader);

    s->request_complete = true;
    if (s->state == SERVER_REQUEST)
        s->server->ops->complete(s);
    return s->state == SERVER_CLOSING ? STATUS_CANCELLED : STATUS_OK;
}

static const struct http_reader_ops reader_ops = {on_head, on_body, on_complete};

/* The time the next bytes of a body have. The second bound does not fall back as bytes come, so
 * the timer is only ever moved later. */
static int64_t body_time_ms(const struct server_conn *s)
{
    const struct server_limits *limits = &s->server->limits;
    int64_t left = limits->body_timeout_ms;

    if (limits->body_rate_min) {
        int64_t earned = (int64_t)(s->body_bytes * 1000 / limits->body_rate_min);
        int64_t in_all = s->body_begun_ms + limits->body_timeout_ms + earned - now_ms(s);
        if (in_all < left)
            left = in_all > 0 ? in_all : 0;
    }
    return left;
}

static int64_t head_time_ms(const struct server_conn *s)
{
    int64_t limit = s->server->limits.head_timeout_ms;

    return s->server->draining && limit > SERVER_DRAIN_HEAD_MS ? SERVER_DRAIN_HEAD_MS : limit;
}

/* Arms the timer for what is awaited now. */
static void arm_timer(struct server_conn *s)
{
    const struct server_limits *limits = &s->server->limits;

    if (s->state == SERVER_WAITING)
        net_timer_start(s->server->loop, &s->timer, limits->keepalive_timeout_ms);
    else if (s->state == SERVER_HEAD)
        net_timer_start(s->server->loop, &s->timer, head_time_ms(s));
    else if (s->state == SERVER_REQUEST && !s->request_complete)
        net_timer_start(s->server->loop, &s->timer, body_time_ms(s));
}

/* Reads exactly when nobody is against it. */
static void set_reading(struct server_conn *s)
{
    if (s->paused || s->pipeline_full)
        conn_read_stop(&s->conn);
    else
        conn_read_start(&s->conn);
}

/* Bytes behind a request that is still being answered wait here. */
static void keep_pipelined(struct server_conn *s, const char *data, size_t len)
{
    /* The read that passes the limit is still kept: it is in hand. */
    enum status status =
        buffer_append(&s->pipelined, slice_of(data, len), SERVER_PIPELINE_MAX + NET_SCRATCH_BYTES);
    if (status != STATUS_OK) {
        if (s->state == SERVER_REQUEST)
            request_gone(s);
        close_conn(s);
    } else if (s->pipelined.len >= SERVER_PIPELINE_MAX) {
        s->pipeline_full = true;
        set_reading(s);
    }
}

/* Whether a further request has to wait: for the answer to this one, or until the client takes the
 * answers it has asked for. */
static bool must_wait(const struct server_conn *s)
{
    if (s->state == SERVER_REQUEST)
        return s->request_complete;
    return s->state == SERVER_WAITING && conn_queued(&s->conn) > CONN_HIGH_WATER;
}

/* Reads requests until the bytes are used up or one of them has to wait. */
static void feed(struct server_conn *s, char *data, size_t len)
{
    enum status status = STATUS_OK;
    bool same_head = s->state == SERVER_HEAD; /* it has one timeout, however many reads */

    s->feeding = true;
    while (len && s->state != SERVER_CLOSING && status == STATUS_OK) {
        size_t used = 0;
        if (must_wait(s)) {
            keep_pipelined(s, data, len);
            break;
        }
        if (s->state == SERVER_WAITING) {
            s->state = SERVER_HEAD;
            same_head = false;
        }
        status = http_reader_feed(&s->reader, data, len, &used);
        data += used;
        len -= used;
    }
    s->feeding = false;
    if (s->state == SERVER_CLOSING)
        return;
    if (status != STATUS_OK)
        input_failed(s, status);
    else if (!(same_head && s->state == SERVER_HEAD))
        arm_timer(s);
}

/* What was pipelined is read as if it came now. */
static void feed_pipelined(struct server_conn *s)
{
    struct buffer bytes = s->pipelined;

    s->pipelined = (struct buffer){0};
    s->pipeline_full = false;
    set_reading(s);
    feed(s, bytes.data, bytes.len);
    buffer_wipe(&bytes);
}

static void conn_received(struct conn *conn, char *data, size_t len)
{
    struct server_conn *s = of_conn(conn);
    if (s->state != SERVER_CLOSING)
        feed(s, data, len);
}

static void conn_ended(struct conn *conn, enum status status)
{
    struct server_conn *s = of_conn(conn);

    (void)status; /* whichever way a client leaves, it has left */
    if (s->state == SERVER_REQUEST)
        request_gone(s);
    close_conn(s);
}

static void conn_drained(struct conn *conn)
{
    struct server_conn *s = of_conn(conn);
    if (s->state == SERVER_WAITING && s->pipelined.len)
        feed_pipelined(s);
    else if (s->state == SERVER_REQUEST && s->server->ops->drained)
        s->server->ops->drained(s);
}

static void tell_drained_down(struct server *server)
{
    void (*tell)(struct server *) = server->drained_down;

    if (!tell || !server->draining || server->conn_count)
        return;
    server->drained_down = NULL;
    tell(server);
}

/* Counted before the question, so that two servers never both take the last place. */
static bool count_connection(struct server *server)
{
    uint32_t *all = server->all_conns;

    if (all && __atomic_add_fetch(all, 1, __ATOMIC_RELAXED) > server->limits.max_connections) {
        (void)__atomic_sub_fetch(all, 1, __ATOMIC_RELAXED);
        return false;
    }
    if (!all && server->conn_count >= server->limits.max_connections)
        return false;
    server->conn_count++;
    return true;
}

static void forget_connection(struct server *server)
{
    server->conn_count--;
    if (server->all_conns)
        (void)__atomic_sub_fetch(server->all_conns, 1, __ATOMIC_RELAXED);
}

static void conn_closed(struct conn *conn)
{
    struct server_conn *s = of_conn(conn);
    struct server *server = s->server;

    list_remove(&s->node);
    forget_connection(server);
    http_reader_clear(&s->reader);
    buffer_wipe(&s->pipelined);
    free(s);
    tell_drained_down(server);
}

static void conn_opened(struct conn *conn, enum status status)
{
    struct server_conn *s = of_conn(conn);
    if (status != STATUS_OK)
        close_conn(s);
}

static const struct conn_ops conn_callbacks = {
    .opened = conn_opened,
    .received = conn_received,
    .ended = conn_ended,
    .drained = conn_drained,
    .closed = conn_closed,
};

static void timer_fired(struct wheel_timer *timer)
{
    struct server_conn *s = container_of(timer, struct server_conn, timer);

    if (s->state == SERVER_WAITING) {
        leave(s);
    } else if (s->state == SERVER_HEAD) {
        reply_error(s, 408);
    } else if (s->state == SERVER_REQUEST && !s->request_complete && !s->paused) {
        request_gone(s);
        if (s->replied)
            close_conn(s);
        else
            reply_error(s, 408);
    }
}

void server_watch_writes(struct server_conn *s)
{
    int64_t timeout_ms = s->server->limits.write_timeout_ms;

    if (conn_queued(&s->conn) == 0 || wheel_armed(&s->stall) || timeout_ms == 0)
        return;
    s->progress = conn_progress(&s->conn);
    net_timer_start(s->server->loop, &s->stall, timeout_ms);
}

/* The client may have been behind all the time; what counts is whether it took anything. */
static void stall_fired(struct wheel_timer *timer)
{
    struct server_conn *s = container_of(timer, struct server_conn, stall);

    if (conn_queued(&s->conn) == 0)
        return;
    if (conn_progress(&s->conn) != s->progress) {
        server_watch_writes(s);
        return;
    }
    if (s->state == SERVER_REQUEST)
        request_gone(s);
    s->state = SERVER_CLOSING;
    server_stop_timers(s);
    conn_reset(&s->conn); /* frees the kernel's part of the answer too */
}

void server_next_request(struct server_conn *s)
{
    s->state = SERVER_WAITING;
    if (s->server->draining && s->pipelined.len == 0) {
        server_finish_conn(s);
        return;
    }
    s->paused = false;
    set_reading(s);
    arm_timer(s);
    if (s->pipelined.len && !s->feeding && !must_wait(s)) /* else conn_drained goes on */
        feed_pipelined(s);
}

/* ---- the server ------------------------------------------------------------------------- */

static void take_connection(struct listener *listener, int fd)
{
    struct server *server = container_of(listener, struct server, listener);

    if (!count_connection(server)) {
        close(fd);
        return;
    }
    struct server_conn *s = calloc(1, sizeof *s);
    if (!s) {
        forget_connection(server);
        close(fd);
        return;
    }
    s->server = server;
    conn_init(&s->conn, server->loop, &conn_callbacks);
    http_reader_init(&s->reader, false, &reader_ops);
    wheel_timer_init(&s->timer, timer_fired);
    wheel_timer_init(&s->stall, stall_fired);
    if (conn_accept(&s->conn, fd, server->tls) != STATUS_OK) {
        forget_connection(server);
        free(s);
        return;
    }
    list_append(&server->conns, &s->node);
    s->number = ++server->accepted;
    /* A connection that never says anything gets as long as a slow head does. */
    net_timer_start(server->loop, &s->timer, server->limits.head_timeout_ms);
}

void server_init(struct server *server, struct net_loop *loop, const struct server_ops *ops,
                 const struct server_limits *limits, struct tls_context *tls, void *user)
{
    memset(server, 0, sizeof *server);
    server->loop = loop;
    server->ops = ops;
    server->limits = *limits;
    server->tls = tls;
    server->user = user;
    server->date_s = -1;
    list_init(&server->conns);
    listener_init(&server->listener, loop, take_connection);
}

enum status server_listen(struct server *server, const char *host, uint16_t port)
{
    return listener_open(&server->listener, host, port);
}

uint16_t server_port(const struct server *server)
{
    return server->listener.port;
}

void server_unlisten(struct server *server)
{
    listener_close(&server->listener);
}

void server_drain(struct server *server)
{
    struct list *next;

    server->draining = true;
    server_unlisten(server);
    for (struct list *l = server->conns.next; l != &server->conns; l = next) {
        struct server_conn *s = container_of(l, struct server_conn, node);
        next = l->next;
        if (s->state == SERVER_WAITING)
            leave(s);
        else if (s->state == SERVER_HEAD)
            arm_timer(s);
        else if (s->state == SERVER_REQUEST && !s->replied)
            s->keep_alive = false;
    }
    tell_drained_down(server);
}

void server_close_all(struct server *server)
{
    struct list *next;

    for (struct list *l = server->conns.next; l != &server->conns; l = next) {
        struct server_conn *s = container_of(l, struct server_conn, node);
        next = l->next;
        if (s->state == SERVER_REQUEST)
            request_gone(s);
        close_conn(s);
    }
}

size_t server_queued(const struct server_conn *s)
{
    return conn_queued(&s->conn);
}

void server_pause(struct server_conn *s)
{
    if (s->paused)
        return;
    s->paused = true;
    s->paused_ms = now_ms(s);
    set_reading(s);
}

void server_resume(struct server_conn *s)
{
    if (!s->paused)
        return;
    s->paused = false;
    s->body_begun_ms += now_ms(s) - s->paused_ms;
    set_reading(s);
    arm_timer(s); /* it was not the client who was slow */
}
