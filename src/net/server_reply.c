/* The answering half of a server: heads, framing, and the ways an answer ends. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/number.h"
#include "net/server_inner.h"

enum {
    REPLY_HEAD_MAX = 512, /* status line and the fields made here */
};

static const char *reason_phrase(int status)
{
    switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 206: return "Partial Content";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 402: return "Payment Required";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 424: return "Failed Dependency";
    case 425: return "Too Early";
    case 426: return "Upgrade Required";
    case 428: return "Precondition Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 451: return "Unavailable For Legal Reasons";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 508: return "Loop Detected";
    default: return ""; /* RFC 9112 §4: the phrase may be empty, the space may not be missing */
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
    server_watch_writes(s);
}

static void write_parts(struct server_conn *s, const struct iovec *parts, int count)
{
    conn_write(&s->conn, parts, count, 0);
    server_watch_writes(s);
}

void server_request_to(struct server_conn *s, struct server *server, const struct server_sink *sink)
{
    memset(s, 0, sizeof *s);
    s->server = server;
    s->sink = sink;
    s->state = SERVER_CLOSING; /* there is nothing the connection could do */
}

void server_reply_head(struct server_conn *s, int status, struct slice fields,
                       int64_t content_length)
{
    struct head_text h = {.len = 0};

    if (s->sink)
        s->sink->head(s, status, fields);
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
    if (s->sink)
        s->sink->body(s, data, len);
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

void server_reply_end(struct server_conn *s)
{
    if (s->sink) {
        s->sink->end(s, true);
        return; /* `s` may be gone */
    }
    if (s->state != SERVER_REQUEST)
        return;
    if (s->chunked && !s->no_body)
        write_parts(s, &(struct iovec){(void *)(uintptr_t) "0\r\n\r\n", 5}, 1);
    send_gathered(s);
    s->server->request_count--;
    s->user = NULL;
    if (s->keep_alive && s->request_complete)
        server_next_request(s);
    else
        server_finish_conn(s);
}

void server_reply(struct server_conn *s, int status, struct slice fields, struct slice body)
{
    server_reply_head(s, status, fields, (int64_t)body.len);
    server_reply_body(s, body.ptr, body.len);
    server_reply_end(s);
}

void server_flush(struct server_conn *s)
{
    if (!s->sink)
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
    server_stop_timers(s);
    return true;
}

void server_abort(struct server_conn *s)
{
    if (s->sink) {
        s->sink->end(s, false);
        return;
    }
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
    if (s->sink)
        s->sink->end(s, false);
    else if (drop_request(s))
        conn_reset(&s->conn);
}

void server_raw(struct server_conn *s, const char *data, size_t len)
{
    if (s->state != SERVER_REQUEST)
        return;
    s->replied = true;
    write_parts(s, &(struct iovec){(void *)(uintptr_t)data, len}, 1);
}
