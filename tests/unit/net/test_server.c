/* The server against real clients on 127.0.0.1: what its owner hears, and what a client reads. */
#include "net_test.h"

#include <stdio.h>

#include "net/server.h"

enum { LOG_MAX = 1 << 20 };

/* An owner that writes down what it hears and answers as a test tells it. */
struct owner {
    struct server server;
    struct buffer log;
    unsigned heads, completes, gones, drains, drained_downs;
    size_t body_bytes;
    struct server_conn *last; /* the request begun last, NULL when it ended */
    void (*on_head)(struct owner *owner, struct server_conn *request);
    void (*on_body)(struct owner *owner, struct server_conn *request);
    void (*on_complete)(struct owner *owner, struct server_conn *request);
    void (*on_gone)(struct owner *owner, struct server_conn *request);
    void (*on_drained)(struct owner *owner, struct server_conn *request);
};

static struct owner owner;

static void note(const char *what, struct slice more)
{
    assert_int_equal(buffer_append(&owner.log, slice_str(what), LOG_MAX), STATUS_OK);
    assert_int_equal(buffer_append(&owner.log, more, LOG_MAX), STATUS_OK);
    assert_int_equal(buffer_append(&owner.log, SLICE(";"), LOG_MAX), STATUS_OK);
}

static void heard_head(struct server_conn *request, const struct http_head *head)
{
    owner.heads++;
    owner.last = request;
    assert_null(request->user);
    note("head ", head->target);
    if (owner.on_head)
        owner.on_head(&owner, request);
}

static void heard_body(struct server_conn *request, const char *data, size_t len)
{
    assert_ptr_equal(request, owner.last);
    assert_true(len > 0);
    assert_non_null(data);
    owner.body_bytes += len;
    if (owner.on_body)
        owner.on_body(&owner, request);
}

static void heard_complete(struct server_conn *request)
{
    owner.completes++;
    note("complete", SLICE(""));
    if (owner.on_complete)
        owner.on_complete(&owner, request);
}

static void heard_gone(struct server_conn *request)
{
    owner.gones++;
    owner.last = NULL;
    note("gone", SLICE(""));
    if (owner.on_gone)
        owner.on_gone(&owner, request);
}

static void heard_drained(struct server_conn *request)
{
    owner.drains++;
    if (owner.on_drained)
        owner.on_drained(&owner, request);
}

static void make_error(struct server *server, int status, const char *message, struct buffer *out)
{
    assert_ptr_equal(server, &owner.server);
    assert_int_equal(
        buffer_printf(out, 1000, "{\"error\":{\"code\":%d,\"message\":\"%s\"}}", status, message),
        STATUS_OK);
}

static void heard_drained_down(struct server *server)
{
    assert_ptr_equal(server, &owner.server);
    assert_int_equal(server->conn_count, 0);
    owner.drained_downs++;
}

static const struct server_ops owner_ops = {
    .head = heard_head,
    .body = heard_body,
    .complete = heard_complete,
    .gone = heard_gone,
    .drained = heard_drained,
    .error = make_error,
};

static void answer_ok(struct owner *o, struct server_conn *request)
{
    o->last = NULL;
    server_reply(request, 200, SLICE("X-A: b\r\n"), SLICE("hello"));
}

static int set_up(void **state)
{
    const struct server_limits limits = {
        .head_timeout_ms = 60000,
        .body_timeout_ms = 60000,
        .keepalive_timeout_ms = 60000,
        .max_connections = 100,
    };
    if (net_setup(state) != 0)
        return -1;
    owner = (struct owner){.on_complete = answer_ok};
    server_init(&owner.server, &net, &owner_ops, &limits, NULL, NULL);
    owner.server.drained_down = heard_drained_down;
    return server_listen(&owner.server, "127.0.0.1", 0) == STATUS_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    server_unlisten(&owner.server);
    server_close_all(&owner.server);
    RUN_UNTIL(owner.server.conn_count == 0);
    if (owner.server.request_count != 0)
        return -1;
    buffer_clear(&owner.log);
    return net_teardown(state);
}

/* ---- clients ----------------------------------------------------------------------------- */

static struct end *client(void)
{
    struct end *end = end_new();
    uint64_t before = owner.server.accepted;
    assert_int_equal(conn_adopt(&end->conn, connect_to(server_port(&owner.server)), NULL, NULL),
                     STATUS_OK);
    RUN_UNTIL(owner.server.accepted > before);
    return end;
}

static void say(struct end *end, const char *text)
{
    end_write(end, text, strlen(text));
}

static struct end *client_saying(const char *text)
{
    struct end *end = client();
    say(end, text);
    return end;
}

static unsigned count_of(const struct end *end, const char *text)
{
    unsigned count = 0;
    size_t len = strlen(text);
    const char *at = end->received.data, *stop = at + end->received.len;
    while (at && (at = memmem(at, (size_t)(stop - at), text, len))) {
        count++;
        at += len;
    }
    return count;
}

static bool has(const struct end *end, const char *text)
{
    return count_of(end, text) > 0;
}

static bool ends_with(const struct end *end, const char *text)
{
    return slice_ends(buffer_slice(&end->received), slice_str(text));
}

static void assert_log(const char *expected)
{
    if (!slice_eq(buffer_slice(&owner.log), slice_str(expected)))
        fail_msg("heard %.*s instead of %s", (int)owner.log.len, owner.log.data, expected);
}

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

/* ---- answers ----------------------------------------------------------------------------- */

static void keeps_alive(void **state)
{
    (void)state;
    struct end *c = client();
    for (unsigned i = 1; i <= 3; i++) {
        say(c, GET);
        RUN_UNTIL(count_of(c, "hello") == i);
    }
    assert_int_equal(owner.server.accepted, 1);
    assert_int_equal(count_of(c, "HTTP/1.1 200 OK\r\nDate: "), 3);
    assert_int_equal(count_of(c, "\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello"), 3);
    assert_false(has(c, "Connection"));
    assert_int_equal(owner.server.request_count, 0);
    end_free(c);
}

static void closes_when_asked(void **state)
{
    (void)state;
    static const char *const requests[] = {
        "GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
    };
    for (size_t i = 0; i < 2; i++) {
        struct end *c = client_saying(requests[i]);
        RUN_UNTIL(c->ended);
        assert_int_equal(c->ended_as, STATUS_EOF);
        assert_true(has(c, "\r\nConnection: close\r\n"));
        assert_true(ends_with(c, "hello"));
        end_free(c);
    }
}

static void http10_may_keep_alive(void **state)
{
    (void)state;
    struct end *c = client_saying("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    RUN_UNTIL(has(c, "hello"));
    assert_true(has(c, "\r\nConnection: keep-alive\r\n"));
    say(c, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    RUN_UNTIL(count_of(c, "hello") == 2);
    end_free(c);
}

static void answer_in_pieces(struct owner *o, struct server_conn *request)
{
    o->last = NULL;
    server_reply_head(request, 200, SLICE(""), -1);
    server_reply_body(request, "one", 3);
    server_reply_body(request, "", 0);
    server_reply_body(request, "twotwotwotwotwotwo", 18);
    server_reply_end(request);
}

static void unknown_length(void **state)
{
    (void)state;
    owner.on_complete = answer_in_pieces;
    struct end *c = client_saying(GET GET);
    RUN_UNTIL(count_of(c, "\r\n0\r\n\r\n") == 2);
    assert_int_equal(count_of(c, "\r\nTransfer-Encoding: chunked\r\n\r\n"
                                 "3\r\none\r\n12\r\ntwotwotwotwotwotwo\r\n0\r\n\r\n"),
                     2);
    end_free(c);

    /* HTTP/1.0 has no chunks: the connection's end is the answer's, keep-alive or not. */
    c = client_saying("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    RUN_UNTIL(c->ended);
    assert_true(has(c, "\r\nConnection: close\r\n"));
    assert_true(ends_with(c, "\r\n\r\nonetwotwotwotwotwotwo"));
    end_free(c);
}

static void head_requests_have_no_body(void **state)
{
    (void)state;
    struct end *c = client_saying("HEAD / HTTP/1.1\r\n\r\n");
    RUN_UNTIL(has(c, "\r\n\r\n"));
    assert_true(has(c, "Content-Length: 5\r\n"));
    assert_true(ends_with(c, "\r\n\r\n"));
    owner.on_complete = answer_in_pieces;
    say(c, "HEAD / HTTP/1.1\r\n\r\n");
    RUN_UNTIL(count_of(c, "\r\n\r\n") == 2);
    assert_true(ends_with(c, "\r\n\r\n"));
    assert_false(has(c, "0\r\n\r\n"));
    owner.on_complete = answer_ok;
    say(c, GET);
    RUN_UNTIL(has(c, "hello"));
    end_free(c);
}

static void answer_204(struct owner *o, struct server_conn *request)
{
    o->last = NULL;
    server_reply(request, 204, SLICE(""), SLICE("not to be sent"));
}

static void answers_without_body_have_none(void **state)
{
    (void)state;
    owner.on_complete = answer_204;
    struct end *c = client_saying(GET);
    RUN_UNTIL(has(c, "\r\n\r\n"));
    owner.on_complete = answer_ok;
    say(c, GET);
    RUN_UNTIL(has(c, "hello"));
    assert_false(has(c, "not to be sent"));
    assert_int_equal(count_of(c, "Content-Length"), 1);
    end_free(c);
}

static void continue_first(struct owner *o, struct server_conn *request)
{
    (void)o;
    server_continue(request);
}

static void says_continue(void **state)
{
    (void)state;
    owner.on_head = continue_first;
    struct end *c = client_saying("POST / HTTP/1.1\r\nExpect: 100-continue\r\n"
                                  "Content-Length: 3\r\n\r\n");
    RUN_UNTIL(has(c, "HTTP/1.1 100 Continue\r\n\r\n"));
    assert_int_equal(owner.completes, 0);
    say(c, "abc");
    RUN_UNTIL(has(c, "hello"));
    assert_int_equal(owner.body_bytes, 3);
    end_free(c);
    c = client_saying("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n");
    RUN_UNTIL(c->ended);
    assert_false(has(c, "100 Continue"));
    end_free(c);
}

/* ---- pipelines --------------------------------------------------------------------------- */

static void answer_target(struct owner *o, struct server_conn *request)
{
    struct slice log = buffer_slice(&o->log); /* "… head /17;complete;" */
    size_t to = log.len - sizeof ";complete;" + 1, from = to;
    while (log.ptr[from - 1] != '/')
        from--;
    o->last = NULL;
    server_reply(request, 200, SLICE(""), slice_of(log.ptr + from - 1, to - from + 1));
}

static char *pipeline_of(unsigned count, size_t *ret_len)
{
    struct buffer b = {0};
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(buffer_printf(&b, RECEIVED_MAX, "GET /%u HTTP/1.1\r\n\r\n", i), STATUS_OK);
    *ret_len = b.len;
    return b.data;
}

static void assert_order(const struct end *c, unsigned count)
{
    const char *at = c->received.data, *stop = at + c->received.len;
    char text[32];
    for (unsigned i = 0; i < count; i++) {
        int len = snprintf(text, sizeof text, "\r\n\r\n/%u", i);
        at = memmem(at, (size_t)(stop - at), text, (size_t)len);
        if (!at)
            fail_msg("answer %u is missing or out of order", i);
    }
}

static void pipelined_answers_come_in_order(void **state)
{
    (void)state;
    size_t len;
    char *requests = pipeline_of(1000, &len);
    struct end *c = client();
    owner.on_complete = answer_target;
    end_write(c, requests, len);
    RUN_UNTIL(count_of(c, "HTTP/1.1 200") == 1000);
    assert_order(c, 1000);
    end_free(c);
    free(requests);
}

/* Answers given later, one at a time, while the rest of a pipeline larger than the limit waits. */
static void a_long_pipeline_waits(void **state)
{
    (void)state;
    size_t len;
    char *requests = pipeline_of(15000, &len);
    struct end *c = client();
    assert_true(len > 5 * SERVER_PIPELINE_MAX);
    owner.on_complete = NULL;
    end_write(c, requests, len);
    for (unsigned i = 1; i <= 15000; i++) {
        RUN_UNTIL(owner.completes == i);
        assert_int_equal(owner.heads, i);
        assert_true(owner.last->pipelined.len <= SERVER_PIPELINE_MAX + NET_SCRATCH_BYTES);
        answer_target(&owner, owner.last);
    }
    RUN_UNTIL(count_of(c, "HTTP/1.1 200") == 15000);
    assert_order(c, 15000);
    end_free(c);
    free(requests);
}

static void answer_large(struct owner *o, struct server_conn *request)
{
    static char body[100000];
    memset(body, 'x', sizeof body);
    o->last = NULL;
    server_reply(request, 200, SLICE(""), slice_of(body, sizeof body));
}

static struct server_conn *only_conn(void)
{
    assert_int_equal(owner.server.conn_count, 1);
    return container_of(owner.server.conns.next, struct server_conn, node);
}

/* A client that asks and asks and takes nothing does not fill the memory with its answers. */
static void a_client_that_does_not_read_is_not_served_on(void **state)
{
    (void)state;
    size_t len;
    char *requests = pipeline_of(500, &len);
    struct end *c = client();
    c->count_only = true;
    owner.on_complete = answer_large;
    conn_read_stop(&c->conn);
    end_write(c, requests, len);
    RUN_UNTIL(server_queued(only_conn()) > CONN_HIGH_WATER);
    unsigned served = owner.completes;
    assert_true(served < 500);
    for (int i = 0; i < 20; i++)
        (void)uv_run(&net.uv, UV_RUN_NOWAIT);
    assert_int_equal(owner.completes, served);
    assert_true(server_queued(only_conn()) < CONN_HIGH_WATER + 2 * 100000);
    conn_read_start(&c->conn);
    RUN_UNTIL(owner.completes == 500 && c->received_bytes >= 500 * 100000);
    end_free(c);
    free(requests);
}

/* ---- early answers ----------------------------------------------------------------------- */

static void refuse_early(struct owner *o, struct server_conn *request)
{
    o->last = NULL;
    server_reply(request, 413, SLICE(""), SLICE("too large"));
}

/* The client goes on sending, and must be able to read the answer nevertheless. */
static void an_early_answer_is_readable(void **state)
{
    (void)state;
    static char body[1 << 20];
    owner.on_head = refuse_early;
    struct end *c = client_saying("POST / HTTP/1.1\r\nContent-Length: 50000000\r\n\r\n");
    RUN_UNTIL(owner.heads == 1);
    end_write(c, body, sizeof body);
    RUN_UNTIL(c->ended);
    assert_int_equal(c->ended_as, STATUS_EOF);
    assert_true(has(c, "HTTP/1.1 413 Content Too Large\r\n"));
    assert_true(has(c, "\r\nConnection: close\r\n"));
    assert_true(ends_with(c, "too large"));
    assert_log("head /;");
    end_free(c);
}

static void an_early_answer_from_body(void **state)
{
    (void)state;
    owner.on_body = refuse_early;
    struct end *c = client_saying("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab");
    RUN_UNTIL(c->ended);
    assert_true(ends_with(c, "too large"));
    assert_int_equal(owner.gones, 0);
    end_free(c);
}

/* ---- clients that leave ------------------------------------------------------------------ */

static void a_client_that_leaves_is_gone(void **state)
{
    (void)state;
    owner.on_complete = NULL;
    struct end *c = client_saying(GET);
    RUN_UNTIL(owner.completes == 1);
    end_free(c);
    RUN_UNTIL(owner.gones == 1 && owner.server.conn_count == 0);
    c = client_saying("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab");
    RUN_UNTIL(owner.body_bytes == 2);
    conn_reset(&c->conn);
    RUN_UNTIL(owner.gones == 2 && owner.server.conn_count == 0);
    end_free(c);
    assert_log("head /;complete;gone;head /;gone;");
    assert_int_equal(owner.server.request_count, 0);
}

static void begin_answer(struct owner *o, struct server_conn *request)
{
    (void)o;
    server_reply_head(request, 200, SLICE(""), -1);
    server_reply_body(request, "begun", 5);
    server_flush(request);
}

static void gone_in_the_middle_of_an_answer(void **state)
{
    (void)state;
    owner.on_complete = begin_answer;
    struct end *c = client_saying(GET);
    RUN_UNTIL(has(c, "begun"));
    end_free(c);
    RUN_UNTIL(owner.gones == 1 && owner.server.conn_count == 0);
}

/* ---- malformed --------------------------------------------------------------------------- */

static void malformed_requests_are_answered_and_never_heard(void **state)
{
    (void)state;
    static const char *const streams[] = {
        "GET / HTTP/1.1\nHost: a\n\n",
        "\x16\x03\x01",
        "GET /\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++) {
        struct end *c = client_saying(streams[i]);
        RUN_UNTIL(c->ended);
        assert_int_equal(c->ended_as, STATUS_EOF);
        assert_true(has(c, "HTTP/1.1 400 Bad Request\r\n"));
        assert_true(has(c, "content-type: application/json\r\n"));
        assert_true(has(c, "\r\n\r\n{\"error\":{\"code\":400,"));
        end_free(c);
    }
    assert_int_equal(owner.heads, 0);
    assert_int_equal(owner.server.request_count, 0);
}

static void a_large_head_is_431(void **state)
{
    (void)state;
    static char head[HTTP_HEAD_MAX + 100];
    memset(head, 'x', sizeof head);
    memcpy(head, "GET / HTTP/1.1\r\nA: ", 19);
    struct end *c = client();
    end_write(c, head, sizeof head);
    RUN_UNTIL(c->ended);
    assert_true(has(c, "HTTP/1.1 431 "));
    assert_int_equal(owner.heads, 0);
    end_free(c);
}

static void a_body_that_breaks_is_gone(void **state)
{
    (void)state;
    struct end *c =
        client_saying("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcXX");
    RUN_UNTIL(c->ended);
    assert_log("head /;gone;");
    assert_true(has(c, "HTTP/1.1 400 "));
    end_free(c);
    /* With an answer under way nothing can be said any more, and it must not look complete. */
    owner.on_head = begin_answer;
    c = client_saying("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcXX");
    RUN_UNTIL(c->ended);
    assert_int_equal(owner.gones, 2);
    assert_false(has(c, "\r\n0\r\n\r\n"));
    assert_false(has(c, "HTTP/1.1 400"));
    end_free(c);
}

static void answers_before_the_malformed_request_arrive(void **state)
{
    (void)state;
    struct end *c = client_saying(GET "garbage\r\n\r\n");
    RUN_UNTIL(c->ended);
    assert_true(has(c, "hello"));
    assert_true(has(c, "HTTP/1.1 400 "));
    end_free(c);
    /* Also when the first answer is late. */
    owner.on_complete = NULL;
    c = client_saying(GET "garbage\r\n\r\n");
    RUN_UNTIL(owner.completes == 2);
    answer_ok(&owner, owner.last);
    RUN_UNTIL(c->ended);
    assert_true(has(c, "hello"));
    assert_true(has(c, "HTTP/1.1 400 "));
    end_free(c);
}

/* ---- time -------------------------------------------------------------------------------- */

static void a_slow_head_is_408(void **state)
{
    (void)state;
    owner.server.limits.head_timeout_ms = 30;
    struct end *c = client_saying("GET / HTT");
    RUN_UNTIL(c->ended);
    assert_true(has(c, "HTTP/1.1 408 Request Timeout\r\n"));
    end_free(c);
    /* Also behind a request on the same connection, in the same read or later. */
    c = client_saying(GET "GET /");
    RUN_UNTIL(c->ended);
    assert_true(has(c, "hello") && has(c, "HTTP/1.1 408 "));
    end_free(c);
    c = client_saying("GET / HT");
    RUN_UNTIL(only_conn()->reader.partial.len == 8);
    say(c, "TP/1.1\r\n\r\nGET /2");
    RUN_UNTIL(c->ended);
    assert_true(has(c, "hello") && has(c, "HTTP/1.1 408 "));
    end_free(c);
    assert_int_equal(owner.heads, 2);
    /* Who says nothing at all hears nothing. */
    c = client();
    RUN_UNTIL(c->ended);
    assert_int_equal(c->received_bytes, 0);
    end_free(c);
}

static void a_slow_body_is_408(void **state)
{
    (void)state;
    owner.server.limits.body_timeout_ms = 30;
    struct end *c = client_saying("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab");
    RUN_UNTIL(c->ended);
    assert_true(has(c, "HTTP/1.1 408 "));
    assert_log("head /;gone;");
    end_free(c);
}

static void pause_body(struct owner *o, struct server_conn *request)
{
    (void)o;
    server_pause(request);
}

static void count_fire(struct wheel_timer *timer)
{
    timer->due_ms = -1;
}

static void run_for(int64_t delay_ms)
{
    struct wheel_timer timer;
    wheel_timer_init(&timer, count_fire);
    net_timer_start(&net, &timer, delay_ms);
    RUN_UNTIL(timer.due_ms == -1);
}

/* A body its owner does not take is not slow; after that it is the client's turn again. */
static void a_paused_body_has_time(void **state)
{
    (void)state;
    owner.server.limits.body_timeout_ms = 40;
    owner.on_head = pause_body;
    struct end *c = client_saying("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n");
    RUN_UNTIL(owner.heads == 1);
    say(c, "abc");
    run_for(200);
    assert_int_equal(owner.gones, 0);
    assert_int_equal(owner.body_bytes, 0);
    server_resume(owner.last);
    RUN_UNTIL(owner.body_bytes == 3);
    RUN_UNTIL(c->ended);
    assert_true(has(c, "HTTP/1.1 408 "));
    end_free(c);
    /* Also when nothing comes that would start the clock again. */
    c = client_saying("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n");
    RUN_UNTIL(owner.heads == 2);
    run_for(200);
    assert_int_equal(owner.gones, 1);
    server_resume(owner.last);
    RUN_UNTIL(c->ended);
    assert_true(has(c, "HTTP/1.1 408 "));
    end_free(c);
}

/* Each byte comes in time, and yet the body would take for ever. */
static void a_dripping_body_is_408(void **state)
{
    (void)state;
    owner.server.limits.body_timeout_ms = 80;
    owner.server.limits.body_rate_min = 1000;
    struct end *c = client_saying("POST / HTTP/1.1\r\nContent-Length: 1000\r\n\r\n");
    for (int i = 0; i < 100 && owner.gones == 0; i++) {
        say(c, "x");
        run_for(16);
    }
    assert_int_equal(owner.gones, 1);
    RUN_UNTIL(c->ended);
    assert_true(has(c, "HTTP/1.1 408 "));
    assert_true(owner.body_bytes < 100);
    end_free(c);
}

static void a_body_that_comes_fast_enough_has_time(void **state)
{
    (void)state;
    static const char piece[5000]; /* five seconds' worth */
    owner.server.limits.body_timeout_ms = 80;
    owner.server.limits.body_rate_min = 1000;
    struct end *c = client_saying("POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n");
    for (size_t i = 1; i <= 20; i++) {
        end_write(c, piece, sizeof piece);
        RUN_UNTIL(owner.body_bytes == i * sizeof piece || owner.gones);
        if (i < 20)
            run_for(16);
    }
    RUN_UNTIL(has(c, "hello") || owner.gones);
    assert_int_equal(owner.gones, 0);
    end_free(c);
}

/* The time in which its owner did not want it is not counted. */
static void a_paused_body_is_not_dripping(void **state)
{
    (void)state;
    owner.server.limits.body_timeout_ms = 400;
    owner.server.limits.body_rate_min = 1000;
    owner.on_head = pause_body;
    struct end *c = client_saying("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc");
    RUN_UNTIL(owner.heads == 1);
    run_for(800);
    server_resume(owner.last);
    run_for(50);
    assert_int_equal(owner.gones, 0);
    say(c, "de");
    RUN_UNTIL(has(c, "hello"));
    end_free(c);
}

static void an_idle_connection_is_closed(void **state)
{
    (void)state;
    owner.server.limits.keepalive_timeout_ms = 30;
    struct end *c = client_saying(GET);
    RUN_UNTIL(c->ended);
    assert_int_equal(c->ended_as, STATUS_EOF);
    assert_int_equal(count_of(c, "HTTP/1.1"), 1);
    end_free(c);
}

/* The keep-alive timeout does not cut an answer that is still on its way. */
static void a_slow_reader_gets_all_of_its_answer(void **state)
{
    (void)state;
    static char body[8 << 20];
    owner.server.limits.keepalive_timeout_ms = 30;
    owner.on_complete = NULL;
    struct end *c = client_saying(GET);
    c->count_only = true;
    conn_read_stop(&c->conn);
    RUN_UNTIL(owner.completes == 1);
    server_reply(owner.last, 200, SLICE(""), slice_of(body, sizeof body));
    run_for(100);
    assert_int_equal(c->received_bytes, 0);
    conn_read_start(&c->conn);
    RUN_UNTIL(c->ended);
    assert_true(c->received_bytes > sizeof body);
    end_free(c);
}

/* Who takes nothing of its answer, though connected, is gone; with it what the kernel holds. */
static void a_client_that_stops_reading_is_gone(void **state)
{
    (void)state;
    static char body[16 << 20];
    owner.server.limits.write_timeout_ms = 60;
    owner.on_complete = NULL;
    struct end *c = client_saying(GET);
    conn_read_stop(&c->conn);
    RUN_UNTIL(owner.completes == 1);
    server_reply_head(owner.last, 200, SLICE(""), -1);
    server_reply_body(owner.last, body, sizeof body);
    server_flush(owner.last);
    assert_true(server_queued(owner.last) > 0);
    RUN_UNTIL(owner.gones == 1);
    RUN_UNTIL(owner.server.conn_count == 0);
    c->count_only = true;
    conn_read_start(&c->conn);
    RUN_UNTIL(c->ended);
    assert_int_equal(c->ended_as, STATUS_RESET);
    assert_log("head /;complete;gone;");
    end_free(c);
}

/* The same when the answer's end is queued already, and its owner has nothing to do with it. */
static void a_client_that_leaves_its_answer_lying_is_closed(void **state)
{
    (void)state;
    static char body[16 << 20];
    owner.server.limits.write_timeout_ms = 60;
    owner.on_complete = NULL;
    struct end *c = client_saying(GET);
    conn_read_stop(&c->conn);
    RUN_UNTIL(owner.completes == 1);
    server_reply(owner.last, 200, SLICE(""), slice_of(body, sizeof body));
    RUN_UNTIL(owner.server.conn_count == 0);
    assert_int_equal(owner.gones, 0);
    end_free(c);
}

/* Slow is not stalled: the kernel does not ask for more bytes between these reads. */
static void a_client_that_reads_slowly_is_served(void **state)
{
    (void)state;
    enum { STEP = 60000, STEPS = 10, LIMIT_MS = 800 };
    const int window = 65536;
    static char body[16 << 20], taken[STEP];
    owner.server.limits.write_timeout_ms = LIMIT_MS;
    owner.on_complete = NULL;
    int fd = connect_to(server_port(&owner.server));
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &window, sizeof window), 0);
    assert_int_equal(write(fd, GET, strlen(GET)), strlen(GET));
    RUN_UNTIL(owner.completes == 1);
    server_reply_head(owner.last, 200, SLICE(""), -1);
    server_reply_body(owner.last, body, sizeof body);
    server_flush(owner.last);
    for (int i = 0; i < STEPS; i++) {
        run_for(LIMIT_MS / 5);
        assert_int_equal(owner.gones, 0);
        assert_int_equal(read_all(fd, taken, STEP), STEP);
    }
    RUN_UNTIL(owner.gones == 1);
    (void)close(fd);
}

static void a_late_answer_is_not_timed(void **state)
{
    (void)state;
    owner.server.limits = (struct server_limits){.head_timeout_ms = 20,
                                                 .body_timeout_ms = 20,
                                                 .keepalive_timeout_ms = 20,
                                                 .write_timeout_ms = 20,
                                                 .body_rate_min = 1000,
                                                 .max_connections = 100};
    owner.on_complete = NULL;
    struct end *c = client_saying("POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx");
    RUN_UNTIL(owner.completes == 1);
    run_for(100);
    assert_int_equal(owner.gones, 0);
    answer_ok(&owner, owner.last);
    RUN_UNTIL(has(c, "hello"));
    RUN_UNTIL(c->ended);
    end_free(c);
}

/* ---- limits, draining, listening --------------------------------------------------------- */

static void too_many_connections(void **state)
{
    (void)state;
    owner.server.limits.max_connections = 2;
    struct end *one = client(), *two = client(), *three = end_new();
    assert_int_equal(conn_adopt(&three->conn, connect_to(server_port(&owner.server)), NULL, NULL),
                     STATUS_OK);
    RUN_UNTIL(three->ended);
    assert_int_equal(owner.server.conn_count, 2);
    say(one, GET);
    RUN_UNTIL(has(one, "hello"));
    end_free(one);
    RUN_UNTIL(owner.server.conn_count == 1);
    struct end *four = client_saying(GET);
    RUN_UNTIL(has(four, "hello"));
    end_free(two);
    end_free(three);
    end_free(four);
}

/* Two servers as two workers are: what one holds, the other may not have too. */
static void connections_counted_together(void **state)
{
    (void)state;
    uint32_t together = 1; /* another server's */
    owner.server.all_conns = &together;
    owner.server.limits.max_connections = 2;
    struct end *one = client(), *two = end_new();
    assert_int_equal(conn_adopt(&two->conn, connect_to(server_port(&owner.server)), NULL, NULL),
                     STATUS_OK);
    RUN_UNTIL(two->ended);
    assert_int_equal(together, 2);
    end_free(one);
    RUN_UNTIL(together == 1);
    end_free(two);
}

/* A head that has begun may be completed, but not wait for ever. */
static void drains_with_half_a_head(void **state)
{
    (void)state;
    struct end *done = client_saying("GET / HTTP/1.1\r\nHo"), *never = client_saying("GET / HT");
    struct server_conn *last = container_of(owner.server.conns.prev, struct server_conn, node);
    RUN_UNTIL(last->state != 0 &&
              container_of(last->node.prev, struct server_conn, node)->state != 0);
    server_drain(&owner.server);
    say(done, "st: x\r\n\r\n");
    RUN_UNTIL(has(done, "hello"));
    RUN_UNTIL(has(never, "408"));
    RUN_UNTIL(owner.drained_downs == 1); /* before the head's own timeout of a minute */
    end_free(done);
    end_free(never);
}

static void drains(void **state)
{
    (void)state;
    owner.on_complete = NULL;
    struct end *idle = client(), *busy = client_saying(GET);
    RUN_UNTIL(owner.completes == 1);
    struct server_conn *waiting = owner.last;
    struct end *streaming = client_saying(GET);
    RUN_UNTIL(owner.completes == 2);
    begin_answer(&owner, owner.last);
    server_drain(&owner.server);
    server_drain(&owner.server);
    RUN_UNTIL(idle->ended);
    assert_int_equal(owner.drained_downs, 0);
    server_reply(waiting, 200, SLICE(""), SLICE("hello"));
    RUN_UNTIL(busy->ended);
    assert_int_equal(busy->ended_as, STATUS_EOF);
    assert_true(has(busy, "\r\nConnection: close\r\n") && ends_with(busy, "hello"));
    assert_int_equal(owner.drained_downs, 0);
    server_reply_end(owner.last);
    RUN_UNTIL(streaming->ended);
    assert_true(ends_with(streaming, "\r\n0\r\n\r\n"));
    end_free(idle);
    end_free(busy);
    end_free(streaming);
    RUN_UNTIL(owner.drained_downs == 1);
    server_drain(&owner.server);
    assert_int_equal(owner.drained_downs, 1);
    assert_int_equal(owner.gones, 0);
}

static void drains_when_nobody_is_there(void **state)
{
    (void)state;
    server_drain(&owner.server);
    assert_int_equal(owner.drained_downs, 1);
}

static void listens_again(void **state)
{
    (void)state;
    uint16_t port = server_port(&owner.server);
    struct end *old = client();
    assert_false(listener_port_free("127.0.0.1", port));
    server_unlisten(&owner.server);
    server_unlisten(&owner.server);
    assert_int_equal(server_listen(&owner.server, "127.0.0.1", port), STATUS_OK);
    server_unlisten(&owner.server);
    assert_int_equal(server_listen(&owner.server, "127.0.0.1", port), STATUS_OK);
    assert_int_equal(server_port(&owner.server), port);
    struct end *c = client_saying(GET);
    RUN_UNTIL(has(c, "hello"));
    say(old, GET);
    RUN_UNTIL(has(old, "hello"));
    end_free(old);
    end_free(c);
    assert_int_equal(server_listen(&(struct server){.loop = &net}, "localhost", 0), STATUS_INVALID);
    assert_int_equal(server_listen(&(struct server){.loop = &net}, "1.2.3", 0), STATUS_INVALID);
}

/* ---- ways out ---------------------------------------------------------------------------- */

static void abort_now(struct owner *o, struct server_conn *request)
{
    o->last = NULL;
    server_abort(request);
}

static void reset_now(struct owner *o, struct server_conn *request)
{
    o->last = NULL;
    server_reset(request);
}

static void begin_and_abort(struct owner *o, struct server_conn *request)
{
    begin_answer(o, request);
    abort_now(o, request);
}

static void begin_length_and_abort(struct owner *o, struct server_conn *request)
{
    server_reply_head(request, 200, SLICE(""), 100);
    server_reply_body(request, "begun", 5);
    abort_now(o, request);
}

/* An aborted answer is recognisable by its framing or by a reset, whatever the framing is. */
static void an_abort_never_looks_like_an_end(void **state)
{
    (void)state;
    owner.on_complete = begin_and_abort;
    struct end *c = client_saying(GET);
    RUN_UNTIL(c->ended);
    assert_true(has(c, "5\r\nbegun\r\n"));
    assert_false(has(c, "\r\n0\r\n\r\n"));
    end_free(c);
    owner.on_complete = begin_length_and_abort;
    c = client_saying(GET);
    RUN_UNTIL(c->ended);
    assert_true(ends_with(c, "begun"));
    end_free(c);
    owner.on_complete = begin_and_abort;
    c = client_saying("GET / HTTP/1.0\r\n\r\n");
    RUN_UNTIL(c->ended);
    assert_int_equal(c->ended_as, STATUS_RESET);
    end_free(c);
    owner.on_complete = abort_now;
    c = client_saying(GET);
    RUN_UNTIL(c->ended);
    assert_int_equal(c->received_bytes, 0);
    end_free(c);
    assert_int_equal(owner.gones, 0);
    assert_int_equal(owner.server.request_count, 0);
}

static void resets(void **state)
{
    (void)state;
    owner.on_complete = reset_now;
    struct end *c = client_saying(GET);
    RUN_UNTIL(c->ended);
    assert_int_equal(c->ended_as, STATUS_RESET);
    end_free(c);
}

static void speak_raw(struct owner *o, struct server_conn *request)
{
    (void)o;
    server_raw(request, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 40);
    owner.last = NULL;
    server_reply_end(request);
}

static void raw_bytes_are_not_framed(void **state)
{
    (void)state;
    owner.on_complete = answer_in_pieces; /* the answer before was chunked */
    struct end *c = client_saying(GET);
    RUN_UNTIL(has(c, "\r\n0\r\n\r\n"));
    owner.on_complete = speak_raw;
    say(c, GET);
    RUN_UNTIL(has(c, "\r\n\r\nok"));
    owner.on_complete = answer_ok;
    say(c, GET);
    RUN_UNTIL(has(c, "hello"));
    assert_true(has(c, "\r\n\r\nokHTTP/1.1 200 OK\r\n"));
    end_free(c);
}

/* Each way to end a request, from each callback that may: nothing is touched after it (ASan), and
 * nothing is said twice. */
static void every_way_out_of_every_callback(void **state)
{
    (void)state;
    void (*const ways[])(struct owner *, struct server_conn *) = {
        answer_ok, refuse_early, answer_in_pieces, abort_now, reset_now, begin_and_abort,
    };
    for (size_t way = 0; way < sizeof ways / sizeof ways[0]; way++) {
        for (int place = 0; place < 3; place++) {
            owner.on_head = place == 0 ? ways[way] : NULL;
            owner.on_body = place == 1 ? ways[way] : NULL;
            owner.on_complete = place == 2 ? ways[way] : NULL;
            struct end *c = client_saying("POST / HTTP/1.1\r\nConnection: close\r\n"
                                          "Content-Length: 3\r\n\r\nabc" GET);
            RUN_UNTIL(c->ended);
            assert_int_equal(owner.server.request_count, 0);
            assert_true(count_of(c, "HTTP/1.1") <= 1);
            end_free(c);
            RUN_UNTIL(owner.server.conn_count == 0);
        }
    }
    assert_int_equal(owner.gones, 0);
}

static void closing_all_is_gone(void **state)
{
    (void)state;
    owner.on_complete = NULL;
    struct end *one = client_saying(GET), *two = client_saying(GET), *idle = client();
    RUN_UNTIL(owner.completes == 2);
    server_close_all(&owner.server);
    assert_int_equal(owner.gones, 2);
    RUN_UNTIL(owner.server.conn_count == 0);
    end_free(one);
    end_free(two);
    end_free(idle);
}

/* ---- back-pressure ----------------------------------------------------------------------- */

static void feed_answer(struct owner *o, struct server_conn *request)
{
    static char piece[50000];
    while (o->body_bytes < 20000000 && server_queued(request) <= CONN_HIGH_WATER) {
        server_reply_body(request, piece, sizeof piece);
        o->body_bytes += sizeof piece;
    }
    if (o->body_bytes >= 20000000) {
        o->last = NULL;
        o->on_drained = NULL;
        server_reply_end(request);
    }
}

static void begin_large_answer(struct owner *o, struct server_conn *request)
{
    o->on_drained = feed_answer;
    server_reply_head(request, 200, SLICE(""), 20000000);
    feed_answer(o, request);
}

static void a_large_answer_under_back_pressure(void **state)
{
    (void)state;
    owner.on_complete = begin_large_answer;
    struct end *c = client();
    c->count_only = true;
    conn_read_stop(&c->conn);
    say(c, GET);
    RUN_UNTIL(owner.completes == 1);
    assert_true(server_queued(only_conn()) <= CONN_HIGH_WATER + 50000);
    assert_true(owner.body_bytes < 20000000);
    conn_read_start(&c->conn);
    RUN_UNTIL(c->received_bytes > 20000000);
    assert_true(owner.drains > 0);
    end_free(c);
}

/* ---- an answer that goes to no socket ---- */

static struct {
    int status, ends;
    bool whole;
    char fields[64], body[64];
    size_t len;
} sunk;

static void sink_head(struct server_conn *request, int status, struct slice fields)
{
    (void)request;
    sunk.status = status;
    (void)slice_copy(fields, sunk.fields, sizeof sunk.fields);
}

static void sink_body(struct server_conn *request, const char *data, size_t len)
{
    (void)request;
    assert_true(sunk.len + len < sizeof sunk.body);
    memcpy(sunk.body + sunk.len, data, len);
    sunk.len += len;
}

static void sink_end(struct server_conn *request, bool whole)
{
    (void)request;
    sunk.ends++;
    sunk.whole = whole;
}

static void an_answer_to_a_sink(void **state)
{
    static const struct server_sink sink = {sink_head, sink_body, sink_end};
    static struct server_conn request;
    static struct server nobody;

    (void)state;
    memset(&sunk, 0, sizeof sunk);
    server_request_to(&request, &nobody, &sink);
    server_reply(&request, 418, SLICE("a: b\r\n"), SLICE("tea"));
    server_flush(&request);
    assert_int_equal(sunk.status, 418);
    assert_string_equal(sunk.fields, "a: b\r\n");
    assert_string_equal(sunk.body, "tea");
    assert_int_equal(sunk.ends, 1);
    assert_true(sunk.whole);
    assert_int_equal(server_queued(&request), 0);
    server_abort(&request);
    assert_int_equal(sunk.ends, 2);
    assert_false(sunk.whole);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(keeps_alive),
        test(closes_when_asked),
        test(http10_may_keep_alive),
        test(unknown_length),
        test(head_requests_have_no_body),
        test(answers_without_body_have_none),
        test(says_continue),
        test(pipelined_answers_come_in_order),
        test(a_long_pipeline_waits),
        test(a_client_that_does_not_read_is_not_served_on),
        test(an_early_answer_is_readable),
        test(an_early_answer_from_body),
        test(a_client_that_leaves_is_gone),
        test(gone_in_the_middle_of_an_answer),
        test(malformed_requests_are_answered_and_never_heard),
        test(a_large_head_is_431),
        test(a_body_that_breaks_is_gone),
        test(answers_before_the_malformed_request_arrive),
        test(a_slow_head_is_408),
        test(a_slow_body_is_408),
        test(a_paused_body_has_time),
        test(a_dripping_body_is_408),
        test(a_body_that_comes_fast_enough_has_time),
        test(a_paused_body_is_not_dripping),
        test(an_idle_connection_is_closed),
        test(a_slow_reader_gets_all_of_its_answer),
        test(a_client_that_stops_reading_is_gone),
        test(a_client_that_leaves_its_answer_lying_is_closed),
        test(a_client_that_reads_slowly_is_served),
        test(a_late_answer_is_not_timed),
        test(too_many_connections),
        test(connections_counted_together),
        test(drains),
        test(drains_with_half_a_head),
        test(drains_when_nobody_is_there),
        test(listens_again),
        test(an_abort_never_looks_like_an_end),
        test(resets),
        test(raw_bytes_are_not_framed),
        test(every_way_out_of_every_callback),
        test(closing_all_is_gone),
        test(a_large_answer_under_back_pressure),
        test(an_answer_to_a_sink),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
