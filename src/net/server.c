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
 * than stopping and starting it (net/wheel.h).
 */
#include "net/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/number.h"

enum server_state { SERVER_WAITING, SERVER_HEAD, SERVER_REQUEST, SERVER_CLOSING };

enum {
    ACCEPTS_A_TURN = 64,   /* accepted before other events have their turn */
    ACCEPT_PAUSE_MS = 100, /* when descriptors have run out */
    REPLY_HEAD_MAX = 512,  /* status line and the fields made here */
};

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

static void close_conn(struct server_conn *s)
{
    s->state = SERVER_CLOSING;
    net_timer_stop(s->server->loop, &s->timer);
    conn_close(&s->conn);
}

/* Closes once everything written has gone out. */
static void finish_conn(struct server_conn *s)
{
    s->state = SERVER_CLOSING;
    net_timer_stop(s->server->loop, &s->timer);
    conn_finish(&s->conn);
}

/* Ends a connection without a request; a slow client may still be taking its last answer. */
static void leave(struct server_conn *s)
{
    if (conn_queued(&s->conn))
        finish_conn(s);
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

static enum status on_head(struct http_reader *reader, const struct http_head *head)
{
    struct server_conn *s = of_reader(reader);

    s->state = SERVER_REQUEST;
    s->user = NULL;
    s->replied = s->request_complete = false;
    s->chunked = s->to_end = s->no_body = s->paused = false;
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

/* Arms the timer for what is awaited now. */
static void arm_timer(struct server_conn *s)
{
    const struct server_limits *limits = &s->server->limits;

    if (s->state == SERVER_WAITING)
        net_timer_start(s->server->loop, &s->timer, limits->keepalive_timeout_ms);
    else if (s->state == SERVER_HEAD)
        net_timer_start(s->server->loop, &s->timer, limits->head_timeout_ms);
    else if (s->state == SERVER_REQUEST && !s->request_complete)
        net_timer_start(s->server->loop, &s->timer, limits->body_timeout_ms);
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

static void conn_closed(struct conn *conn)
{
    struct server_conn *s = of_conn(conn);
    struct server *server = s->server;

    list_remove(&s->node);
    server->conn_count--;
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

/* ---- accepting --------------------------------------------------------------------------- */

static void take_connection(struct server *server, int fd)
{
    if (server->conn_count >= server->limits.max_connections) {
        close(fd);
        return;
    }
    struct server_conn *s = calloc(1, sizeof *s);
    if (!s) {
        close(fd);
        return;
    }
    s->server = server;
    conn_init(&s->conn, server->loop, &conn_callbacks);
    http_reader_init(&s->reader, false, &reader_ops);
    wheel_timer_init(&s->timer, timer_fired);
    if (conn_accept(&s->conn, fd, server->tls) != STATUS_OK) {
        free(s);
        return;
    }
    list_append(&server->conns, &s->node);
    server->conn_count++;
    s->number = ++server->accepted;
    /* A connection that never says anything gets as long as a slow head does. */
    net_timer_start(server->loop, &s->timer, server->limits.head_timeout_ms);
}

static void listener_ready(uv_poll_t *poll, int status, int events);

static void accept_again(struct wheel_timer *timer)
{
    struct server *server = container_of(timer, struct server, accept_pause);
    if (server->listener)
        (void)uv_poll_start(server->listener, UV_READABLE, listener_ready);
}

static void listener_ready(uv_poll_t *poll, int status, int events)
{
    struct server *server = poll->data;
    (void)status;
    (void)events;

    for (int i = 0; i < ACCEPTS_A_TURN && server->listener; i++) {
        int fd = accept4(server->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            take_connection(server, fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            (void)uv_poll_stop(poll);
            net_timer_start(server->loop, &server->accept_pause, ACCEPT_PAUSE_MS);
            return;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        } /* else: that client is gone already; the next one */
    }
}

/* Fills a numeric address; its length, or 0. */
static socklen_t parse_address(const char *host, uint16_t port, struct sockaddr_storage *ret)
{
    struct sockaddr_in *v4 = (void *)ret;
    struct sockaddr_in6 *v6 = (void *)ret;

    memset(ret, 0, sizeof *ret);
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        return sizeof *v4;
    }
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        return sizeof *v6;
    }
    return 0;
}

static enum status bind_listener(int fd, const struct sockaddr_storage *address, socklen_t len)
{
    int on = 1;

    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0)
        return STATUS_IO;
    if (bind(fd, (const struct sockaddr *)address, len) != 0)
        return errno == EADDRINUSE      ? STATUS_IN_USE
               : errno == EADDRNOTAVAIL ? STATUS_INVALID
                                        : STATUS_IO;
    return listen(fd, SERVER_BACKLOG) == 0 ? STATUS_OK
           : errno == EADDRINUSE           ? STATUS_IN_USE
                                           : STATUS_IO;
}

static uint16_t bound_port(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;

    if (getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        return 0;
    return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                               : ((struct sockaddr_in *)&address)->sin_port);
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
    server->listen_fd = -1;
    server->date_s = -1;
    list_init(&server->conns);
    wheel_timer_init(&server->accept_pause, accept_again);
}

static void free_listener(uv_handle_t *handle)
{
    free(handle);
}

/* The handle is on the heap because it outlives server_unlisten by a turn of the loop. */
static enum status watch_listener(struct server *server, int fd)
{
    uv_poll_t *listener = malloc(sizeof *listener);

    if (!listener)
        return STATUS_NO_MEMORY;
    if (uv_poll_init(&server->loop->uv, listener, fd) != 0) {
        free(listener);
        return STATUS_IO;
    }
    listener->data = server;
    if (uv_poll_start(listener, UV_READABLE, listener_ready) != 0) {
        uv_close((uv_handle_t *)listener, free_listener);
        return STATUS_IO;
    }
    server->listener = listener;
    return STATUS_OK;
}

enum status server_listen(struct server *server, const char *host, uint16_t port)
{
    struct sockaddr_storage address;
    socklen_t len = parse_address(host, port, &address);
    if (!len)
        return STATUS_INVALID;

    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return STATUS_IO;
    enum status status = bind_listener(fd, &address, len);
    if (status == STATUS_OK)
        status = watch_listener(server, fd);
    if (status != STATUS_OK) {
        close(fd);
        return status;
    }
    server->listen_fd = fd;
    server->port = bound_port(fd);
    return STATUS_OK;
}

bool server_port_free(const char *host, uint16_t port)
{
    struct sockaddr_storage address;
    socklen_t len = parse_address(host, port, &address);
    int on = 1, fd = len ? socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;

    if (fd < 0)
        return true; /* server_listen will say what is wrong */
    bool is_free = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
                   bind(fd, (const struct sockaddr *)&address, len) == 0 || errno != EADDRINUSE;
    close(fd);
    return is_free;
}

uint16_t server_port(const struct server *server)
{
    return server->port;
}

void server_unlisten(struct server *server)
{
    if (!server->listener)
        return;
    net_timer_stop(server->loop, &server->accept_pause);
    uv_close((uv_handle_t *)server->listener, free_listener);
    server->listener = NULL;
    close(server->listen_fd);
    server->listen_fd = -1;
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

/* ---- answering --------------------------------------------------------------------------- */

static const char *reason_phrase(int status)
{
    switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 413: return "Content Too Large";
    case 415: return "Unsupported Media Type";
    case 422: return "Unprocessable Content";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 508: return "Loop Detected";
    default: return "Status";
    }
}

/* RFC 9110 §6.6.1: made once a second. */
static const char *date_value(struct server *server)
{
    int64_t now_s = net_now_ns(server->loop) / 1000000000;

    if (now_s != server->date_s) {
        time_t wall = (time_t)(net_wall_ms() / 1000);
        struct tm tm;
        gmtime_r(&wall, &tm);
        /* The program never sets a locale, so the names are English. */
        strftime(server->date, sizeof server->date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        server->date_s = now_s;
    }
    return server->date;
}

static bool status_has_body(int status)
{
    return status != 204 && status != 304 && status / 100 != 1;
}

struct head_text {
    char text[REPLY_HEAD_MAX];
    size_t len;
};

static void put(struct head_text *h, struct slice s)
{
    if (s.len == 0 || s.len > sizeof h->text - h->len)
        return; /* too long cannot be: all that is put is short and counted in REPLY_HEAD_MAX */
    memcpy(h->text + h->len, s.ptr, s.len);
    h->len += s.len;
}

static void put_number(struct head_text *h, uint64_t value)
{
    char digits[NUMBER_FORMAT_MAX];
    put(h, slice_of(digits, number_format(value, digits)));
}

/* Content-Length, or chunked, or the end of the connection. */
static void put_framing(struct server_conn *s, struct head_text *h, int status, int64_t length)
{
    s->chunked = s->to_end = false;
    s->no_body = s->head_request || !status_has_body(status);
    if (!status_has_body(status))
        return;
    if (length >= 0) {
        put(h, SLICE("\r\nContent-Length: "));
        put_number(h, (uint64_t)length);
    } else if (s->http10) {
        s->to_end = true;
        s->keep_alive = false;
    } else {
        s->chunked = true;
        put(h, SLICE("\r\nTransfer-Encoding: chunked"));
    }
}

static void put_connection(struct server_conn *s, struct head_text *h)
{
    if (!s->keep_alive)
        put(h, SLICE("\r\nConnection: close"));
    else if (s->http10)
        put(h, SLICE("\r\nConnection: keep-alive"));
}

/* Answers gather in the loop's cork until their turn ends: head, body and end leave as one. */
static void gather(struct server_conn *s)
{
    if (!s->corked)
        conn_cork(&s->conn);
    s->corked = true;
}

static void send_gathered(struct server_conn *s)
{
    if (s->corked)
        conn_uncork(&s->conn);
    s->corked = false;
}

static void write_parts(struct server_conn *s, const struct iovec *parts, int count)
{
    conn_write(&s->conn, parts, count, 0);
}

void server_reply_head(struct server_conn *s, int status, struct slice fields,
                       int64_t content_length)
{
    struct head_text h = {.len = 0};

    if (s->state != SERVER_REQUEST)
        return;
    if (!s->request_complete || s->server->draining)
        s->keep_alive = false;
    put(&h, SLICE("HTTP/1.1 "));
    put_number(&h, (uint64_t)status);
    put(&h, SLICE(" "));
    put(&h, slice_str(reason_phrase(status)));
    put(&h, SLICE("\r\nDate: "));
    put(&h, slice_str(date_value(s->server)));
    put_framing(s, &h, status, content_length);
    put_connection(s, &h);
    put(&h, SLICE("\r\n"));

    struct iovec parts[3] = {{h.text, h.len},
                             {(void *)(uintptr_t)fields.ptr, fields.len},
                             {(void *)(uintptr_t) "\r\n", 2}};
    gather(s);
    write_parts(s, parts, 3);
    s->replied = true;
}

void server_reply_body(struct server_conn *s, const char *data, size_t len)
{
    if (s->state != SERVER_REQUEST || s->no_body || len == 0)
        return;
    gather(s);
    if (!s->chunked) {
        write_parts(s, &(struct iovec){(void *)(uintptr_t)data, len}, 1);
        return;
    }
    char size[24];
    int size_len = snprintf(size, sizeof size, "%zx\r\n", len);
    struct iovec parts[3] = {
        {size, (size_t)size_len}, {(void *)(uintptr_t)data, len}, {(void *)(uintptr_t) "\r\n", 2}};
    write_parts(s, parts, 3);
}

/* After an answer: the next request, or the end. */
static void next_request(struct server_conn *s)
{
    s->state = SERVER_WAITING;
    if (s->server->draining && s->pipelined.len == 0) {
        finish_conn(s);
        return;
    }
    s->paused = false;
    set_reading(s);
    arm_timer(s);
    if (s->pipelined.len && !s->feeding && !must_wait(s)) /* else conn_drained goes on */
        feed_pipelined(s);
}

void server_reply_end(struct server_conn *s)
{
    if (s->state != SERVER_REQUEST)
        return;
    if (s->chunked && !s->no_body)
        write_parts(s, &(struct iovec){(void *)(uintptr_t) "0\r\n\r\n", 5}, 1);
    send_gathered(s);
    s->server->request_count--;
    s->user = NULL;
    if (s->keep_alive && s->request_complete)
        next_request(s);
    else
        finish_conn(s);
}

void server_reply(struct server_conn *s, int status, struct slice fields, struct slice body)
{
    server_reply_head(s, status, fields, (int64_t)body.len);
    server_reply_body(s, body.ptr, body.len);
    server_reply_end(s);
}

void server_flush(struct server_conn *s)
{
    send_gathered(s);
}

void server_continue(struct server_conn *s)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (s->state == SERVER_REQUEST && !s->replied && !s->http10)
        write_parts(s, &(struct iovec){(void *)(uintptr_t)text, sizeof text - 1}, 1);
}

/* The owner ends a request without its answer's end. */
static bool drop_request(struct server_conn *s)
{
    if (s->state != SERVER_REQUEST)
        return false;
    s->server->request_count--;
    s->user = NULL;
    s->state = SERVER_CLOSING;
    net_timer_stop(s->server->loop, &s->timer);
    return true;
}

void server_abort(struct server_conn *s)
{
    if (!drop_request(s))
        return;
    send_gathered(s);
    if (s->to_end && s->replied)
        conn_reset(&s->conn);
    else
        conn_finish(&s->conn);
}

void server_reset(struct server_conn *s)
{
    if (drop_request(s))
        conn_reset(&s->conn);
}

void server_raw(struct server_conn *s, const char *data, size_t len)
{
    if (s->state != SERVER_REQUEST)
        return;
    s->replied = true;
    write_parts(s, &(struct iovec){(void *)(uintptr_t)data, len}, 1);
}

size_t server_queued(const struct server_conn *s)
{
    return conn_queued(&s->conn);
}

void server_pause(struct server_conn *s)
{
    s->paused = true;
    set_reading(s);
}

void server_resume(struct server_conn *s)
{
    if (!s->paused)
        return;
    s->paused = false;
    set_reading(s);
    arm_timer(s); /* it was not the client who was slow */
}
