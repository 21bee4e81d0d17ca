/* Calls against a service whose every byte the test decides. */
#include "net_test.h"

#include <stdio.h>

#include "net/upstream.h"

/* ---- the service ------------------------------------------------------------------------- */

enum { PEERS_MAX = UPSTREAM_IDLE_MAX + 8 };

static struct {
    int fd;
    uint16_t port;
    uv_poll_t poll;
    struct end *peers[PEERS_MAX]; /* in the order of their coming */
    unsigned count;
    bool count_only;
} service;

static void on_peer(uv_poll_t *poll, int status, int events)
{
    (void)poll;
    (void)status;
    (void)events;
    int fd = accept4(service.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    assert_true(fd >= 0);
    assert_true(service.count < PEERS_MAX);
    struct end *peer = service.peers[service.count++] = end_new();
    peer->count_only = service.count_only;
    assert_int_equal(conn_accept(&peer->conn, fd, NULL), STATUS_OK);
}

static struct end *peer(unsigned index)
{
    RUN_UNTIL(service.count > index);
    return service.peers[index];
}

static void say(struct end *end, const char *text)
{
    end_write(end, text, strlen(text));
}

/* ---- the caller -------------------------------------------------------------------------- */

enum place { NOWHERE, IN_HEAD, IN_BODY, IN_FLUSH, IN_COMPLETE, IN_FAILED };

struct caller {
    bool once; /* its requests may not be sent twice */
    struct upstream_call call;
    unsigned heads, completes, failures, flushes, drops;
    int status; /* of the last answer */
    enum status failed_as;
    struct buffer body;
    bool inside_send;
    enum place cancel_in, send_again_in, pause_in;
};

static struct upstream upstream;
static struct caller caller;
static const struct upstream_ops caller_ops;

#define REQUEST "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

static void send_parts(struct caller *c)
{
    c->inside_send = true;
    assert_int_equal(upstream_send(&upstream, &c->call, &caller_ops), STATUS_OK);
    c->inside_send = false;
    assert_non_null(c->call.conn);
}

static void send_request(struct caller *c)
{
    c->call.parts[0] = (struct iovec){(void *)(uintptr_t)REQUEST, 9};
    c->call.parts[1] = (struct iovec){(void *)(uintptr_t)&REQUEST[9], sizeof REQUEST - 10};
    c->call.part_count = 2;
    c->call.may_replay = !c->once;
    send_parts(c);
}

static void act_in(struct caller *c, enum place place)
{
    assert_false(c->inside_send);
    if (c->pause_in == place)
        upstream_pause(&c->call);
    if (c->cancel_in == place) {
        c->cancel_in = NOWHERE;
        upstream_cancel(&c->call);
        upstream_cancel(&c->call);
        c->drops++;
    }
    if (c->send_again_in == place) {
        c->send_again_in = NOWHERE;
        upstream_cancel(&c->call);
        send_request(c);
    }
}

static struct caller *of_call(struct upstream_call *call)
{
    return container_of(call, struct caller, call);
}

static void heard_head(struct upstream_call *call, const struct http_head *head)
{
    struct caller *c = of_call(call);
    assert_true(call->answered && call->sent);
    c->heads++;
    c->status = head->status;
    act_in(c, IN_HEAD);
}

static void heard_body(struct upstream_call *call, const char *data, size_t len)
{
    struct caller *c = of_call(call);
    assert_int_equal(buffer_append(&c->body, slice_of(data, len), RECEIVED_MAX), STATUS_OK);
    act_in(c, IN_BODY);
}

static void heard_complete(struct upstream_call *call)
{
    struct caller *c = of_call(call);
    assert_null(call->conn);
    c->completes++;
    act_in(c, IN_COMPLETE);
}

static void heard_failed(struct upstream_call *call, enum status status)
{
    struct caller *c = of_call(call);
    assert_null(call->conn);
    c->failures++;
    c->failed_as = status;
    act_in(c, IN_FAILED);
}

static void heard_flush(struct upstream_call *call)
{
    struct caller *c = of_call(call);
    assert_non_null(call->conn);
    c->flushes++;
    act_in(c, IN_FLUSH);
}

static const struct upstream_ops caller_ops = {heard_head, heard_body, heard_complete, heard_failed,
                                               heard_flush};

static void assert_failed(enum status status, bool sent, bool answered)
{
    RUN_UNTIL(caller.failures == 1);
    assert_int_equal(caller.failed_as, status);
    assert_int_equal(caller.call.sent, sent);
    assert_int_equal(caller.call.answered, answered);
    assert_int_equal(caller.completes, 0);
    assert_int_equal(upstream.busy_count, 0);
    assert_int_equal(upstream.idle_count, 0);
}

#define OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

/* One call answered well, so that one idle connection is there. */
static void warm_up(void)
{
    send_request(&caller);
    RUN_UNTIL(peer(0)->received_bytes == sizeof REQUEST - 1);
    say(peer(0), OK_ANSWER);
    RUN_UNTIL(caller.completes == 1);
    assert_int_equal(upstream.idle_count, 1);
    caller.completes = caller.heads = 0;
    buffer_clear(&caller.body);
}

static int set_up(void **state)
{
    const struct upstream_timeouts timeouts = {10000, 10000, 10000};
    if (net_setup(state) != 0)
        return -1;
    service.count = 0;
    service.count_only = false;
    service.fd = listen_on_loopback(1024, &service.port);
    (void)uv_poll_init(&net.uv, &service.poll, service.fd);
    (void)uv_poll_start(&service.poll, UV_READABLE, on_peer);
    caller = (struct caller){0};
    return upstream_init(&upstream, &net, "127.0.0.1", service.port, NULL, &timeouts) == STATUS_OK
               ? 0
               : -1;
}

static void stop_service(void)
{
    if (service.fd < 0)
        return;
    uv_close((uv_handle_t *)&service.poll, NULL);
    (void)close(service.fd);
    service.fd = -1;
}

static int tear_down(void **state)
{
    upstream_cancel(&caller.call);
    upstream_stop(&upstream);
    RUN_UNTIL(upstream.conn_count == 0);
    if (upstream.busy_count || upstream.idle_count || !list_empty(&upstream.busy))
        return -1;
    upstream_fini(&upstream);
    stop_service();
    for (unsigned i = 0; i < service.count; i++)
        end_free(service.peers[i]);
    buffer_clear(&caller.body);
    return net_teardown(state);
}

/* ---- answers ----------------------------------------------------------------------------- */

static void keeps_connections(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= 3; i++) {
        send_request(&caller);
        RUN_UNTIL(peer(0)->received_bytes == i * (sizeof REQUEST - 1));
        say(peer(0), OK_ANSWER);
        RUN_UNTIL(caller.completes == i);
    }
    assert_received(peer(0), REQUEST REQUEST REQUEST);
    assert_true(slice_eq(buffer_slice(&caller.body), SLICE("hellohellohello")));
    assert_int_equal(service.count, 1);
    assert_int_equal(upstream.dialled, 1);
    assert_int_equal(upstream.reused, 2);
    assert_int_equal(caller.failures, 0);
}

static void an_answer_in_pieces(void **state)
{
    (void)state;
    static const char answer[] = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 No\r\n"
                                 "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
    send_request(&caller);
    for (size_t i = 0; i < sizeof answer - 1; i++) {
        end_write(peer(0), answer + i, 1);
        (void)uv_run(&net.uv, UV_RUN_NOWAIT);
    }
    RUN_UNTIL(caller.completes == 1);
    assert_int_equal(caller.status, 429);
    assert_true(caller.flushes > 10);
    assert_true(slice_eq(buffer_slice(&caller.body), SLICE("abc")));
    assert_int_equal(upstream.idle_count, 1);
}

static void answers_that_close(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    };
    for (unsigned i = 0; i < 2; i++) {
        send_request(&caller);
        say(peer(i), answers[i]);
        RUN_UNTIL(caller.completes == i + 1);
        assert_int_equal(upstream.idle_count, 0);
    }
    /* Delimited by closing: complete only then. */
    send_request(&caller);
    say(peer(2), "HTTP/1.1 200 OK\r\n\r\nhello");
    RUN_UNTIL(caller.body.len == 15);
    (void)uv_run(&net.uv, UV_RUN_NOWAIT);
    assert_int_equal(caller.completes, 2);
    conn_finish(&peer(2)->conn);
    RUN_UNTIL(caller.completes == 3);
    assert_int_equal(caller.failures, 0);
}

static void head_answers_have_no_body(void **state)
{
    (void)state;
    caller.call.head_request = true;
    send_request(&caller);
    say(peer(0), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    RUN_UNTIL(caller.completes == 1);
    caller.call.head_request = false;
    send_request(&caller);
    say(peer(0), OK_ANSWER);
    RUN_UNTIL(caller.completes == 2);
    assert_true(slice_eq(buffer_slice(&caller.body), SLICE("hello")));
}

/* ---- stale connections ------------------------------------------------------------------- */

static void a_stale_connection_is_replayed_once(void **state)
{
    (void)state;
    warm_up();
    send_request(&caller);
    conn_reset(&peer(0)->conn);
    RUN_UNTIL(peer(1)->received_bytes == sizeof REQUEST - 1);
    assert_received(peer(1), REQUEST);
    assert_int_equal(upstream.replayed, 1);
    assert_int_equal(caller.failures, 0);
    say(peer(1), OK_ANSWER);
    RUN_UNTIL(caller.completes == 1);
    assert_true(caller.call.replayed);
}

static void a_replay_is_not_replayed(void **state)
{
    (void)state;
    warm_up();
    send_request(&caller);
    conn_reset(&peer(0)->conn);
    RUN_UNTIL(peer(1)->received_bytes == sizeof REQUEST - 1);
    conn_reset(&peer(1)->conn);
    assert_failed(STATUS_RESET, true, false);
    assert_int_equal(service.count, 2);
}

/* The peer may have read it all, and died of it. */
static void what_may_not_be_sent_twice_is_not_replayed(void **state)
{
    (void)state;
    warm_up();
    caller.once = true;
    send_request(&caller);
    RUN_UNTIL(peer(0)->received_bytes == sizeof REQUEST - 1);
    conn_reset(&peer(0)->conn);
    assert_failed(STATUS_RESET, true, false);
    assert_int_equal(upstream.replayed, 0);
    assert_int_equal(service.count, 1);
}

static void closed_while_idle_is_not_used(void **state)
{
    (void)state;
    warm_up();
    conn_finish(&peer(0)->conn);
    RUN_UNTIL(upstream.idle_count == 0);
    send_request(&caller);
    say(peer(1), OK_ANSWER);
    RUN_UNTIL(caller.completes == 1);
    assert_int_equal(upstream.replayed, 0);
}

/* After its first byte an answer is lost with its connection. */
static void a_reset_after_a_byte_is_not_stale(void **state)
{
    (void)state;
    warm_up();
    send_request(&caller);
    RUN_UNTIL(peer(0)->received_bytes == 2 * (sizeof REQUEST - 1));
    say(peer(0), "H");
    RUN_UNTIL(caller.flushes > 0);
    conn_reset(&peer(0)->conn);
    assert_failed(STATUS_RESET, true, false);
    assert_int_equal(upstream.replayed, 0);
}

/* When the fresh connection cannot be made, nothing was sent as far as anybody counts. */
static void a_replay_that_cannot_connect(void **state)
{
    (void)state;
    warm_up();
    stop_service();
    send_request(&caller);
    conn_reset(&peer(0)->conn);
    assert_failed(STATUS_CONNECT, false, false);
}

static void a_timeout_is_not_stale(void **state)
{
    (void)state;
    warm_up();
    upstream.timeouts.first_byte_ms = 20;
    send_request(&caller);
    assert_failed(STATUS_TIMEOUT, true, false);
    assert_int_equal(upstream.replayed, 0);
}

/* ---- failures ---------------------------------------------------------------------------- */

static void refused(void **state)
{
    (void)state;
    stop_service();
    send_request(&caller);
    assert_failed(STATUS_CONNECT, false, false);
}

static void reset_before_the_head(void **state)
{
    (void)state;
    send_request(&caller);
    RUN_UNTIL(peer(0)->received_bytes > 0);
    conn_reset(&peer(0)->conn);
    assert_failed(STATUS_RESET, true, false);
    assert_int_equal(service.count, 1);
}

static void end_before_the_head(void **state)
{
    (void)state;
    send_request(&caller);
    RUN_UNTIL(peer(0)->received_bytes > 0);
    say(peer(0), "HTTP/1.1 200 OK\r\nConte");
    conn_finish(&peer(0)->conn);
    assert_failed(STATUS_EOF, true, false);
}

static void reset_in_the_body(void **state)
{
    (void)state;
    send_request(&caller);
    say(peer(0), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel");
    RUN_UNTIL(caller.body.len == 3);
    conn_reset(&peer(0)->conn);
    assert_failed(STATUS_RESET, true, true);
}

static void end_in_the_body(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    };
    for (unsigned i = 0; i < 2; i++) {
        caller.failures = 0;
        send_request(&caller);
        say(peer(i), answers[i]);
        conn_finish(&peer(i)->conn);
        assert_failed(STATUS_EOF, true, true);
    }
}

/* Bytes and reset in one event: the reset must not pass for the end of the answer. */
static void a_reset_does_not_end_a_body_delimited_by_closing(void **state)
{
    (void)state;
    send_request(&caller);
    RUN_UNTIL(peer(0)->received_bytes > 0);
    say(peer(0), "HTTP/1.1 200 OK\r\n\r\nhalf of i");
    conn_reset(&peer(0)->conn);
    assert_failed(STATUS_RESET, true, true);
}

static void garbage(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "\x15\x03\x01",
        "SSH-2.0-x\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "<html>502</html>",
    };
    for (unsigned i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        caller.failures = 0;
        send_request(&caller);
        say(peer(i), answers[i]);
        assert_failed(STATUS_PROTOCOL, true, false);
    }
    caller.failures = 0;
    send_request(&caller);
    say(peer(5), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz");
    assert_failed(STATUS_PROTOCOL, true, true);
}

static void note_fired(struct wheel_timer *timer)
{
    timer->due_ms = -1;
}

static void run_for(int64_t delay_ms)
{
    struct wheel_timer timer;
    wheel_timer_init(&timer, note_fired);
    net_timer_start(&net, &timer, delay_ms);
    RUN_UNTIL(timer.due_ms == -1);
}

static void the_first_byte_is_late(void **state)
{
    (void)state;
    upstream.timeouts.first_byte_ms = 30;
    send_request(&caller);
    assert_failed(STATUS_TIMEOUT, true, false);
    /* Parts of a head are no answer yet, and win no time. */
    caller.failures = 0;
    send_request(&caller);
    say(peer(1), "HTTP/1.1 200 OK\r\nA: ");
    while (!caller.failures) {
        if (!peer(1)->ended)
            say(peer(1), "x");
        run_for(10);
    }
    assert_failed(STATUS_TIMEOUT, true, false);
}

static void the_answer_stalls(void **state)
{
    (void)state;
    upstream.timeouts.idle_ms = 30;
    send_request(&caller);
    say(peer(0), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel");
    assert_failed(STATUS_TIMEOUT, true, true);
    assert_true(slice_eq(buffer_slice(&caller.body), SLICE("hel")));
}

static void a_paused_answer_has_time(void **state)
{
    (void)state;
    upstream.timeouts.idle_ms = 200;
    caller.pause_in = IN_HEAD;
    send_request(&caller);
    say(peer(0), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    RUN_UNTIL(caller.heads == 1);
    run_for(350);
    assert_int_equal(caller.failures, 0);
    upstream_resume(&caller.call);
    run_for(120); /* with the pause it would be too long */
    say(peer(0), "hello");
    RUN_UNTIL(caller.completes == 1);
    caller.pause_in = NOWHERE;
    send_request(&caller); /* the connection reads again */
    say(peer(0), OK_ANSWER);
    RUN_UNTIL(caller.completes == 2);
    assert_int_equal(service.count, 1);
}

/* ---- ways out ---------------------------------------------------------------------------- */

static void cancel_at_every_stage(void **state)
{
    (void)state;
    send_request(&caller); /* dialling */
    upstream_cancel(&caller.call);
    assert_null(caller.call.conn);
    unsigned count = 0;
    for (enum place place = IN_HEAD; place <= IN_FLUSH; place++) {
        caller.cancel_in = place;
        caller.heads = 0;
        unsigned drops = caller.drops;
        send_request(&caller);
        RUN_UNTIL(service.count > count && service.peers[service.count - 1]->received_bytes > 0);
        count = service.count;
        say(service.peers[count - 1], "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel");
        RUN_UNTIL(caller.drops == drops + 1);
        assert_null(caller.call.conn);
        RUN_UNTIL(service.peers[count - 1]->ended);
        RUN_UNTIL(upstream.conn_count == 0);
    }
    assert_int_equal(caller.completes + caller.failures, 0);
    assert_int_equal(upstream.busy_count, 0);
}

/* A new call on the same struct, from inside each callback of the one before. */
static void call_again_from_every_callback(void **state)
{
    (void)state;
    for (enum place place = IN_HEAD; place <= IN_COMPLETE; place++) {
        unsigned completes = caller.completes;
        caller.send_again_in = place;
        send_request(&caller);
        RUN_UNTIL(service.count > 0 &&
                  service.peers[service.count - 1]->received.len >= sizeof REQUEST - 1);
        struct end *first = service.peers[service.count - 1];
        buffer_clear(&first->received);
        say(first,
            place == IN_COMPLETE ? OK_ANSWER : "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel");
        RUN_UNTIL(caller.send_again_in == NOWHERE);
        RUN_UNTIL(service.peers[service.count - 1]->received.len >= sizeof REQUEST - 1);
        struct end *second = service.peers[service.count - 1];
        assert_int_equal(second == first, place == IN_COMPLETE); /* the kept one, at once */
        buffer_clear(&second->received);
        say(second, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
        RUN_UNTIL(caller.completes == completes + (place == IN_COMPLETE ? 2 : 1));
        assert_int_equal(caller.failures, 0);
        RUN_UNTIL(upstream.conn_count == 0);
    }
    /* And from failed. */
    caller.send_again_in = IN_FAILED;
    unsigned before = service.count;
    send_request(&caller);
    RUN_UNTIL(peer(before)->received_bytes > 0);
    conn_reset(&peer(before)->conn);
    RUN_UNTIL(caller.failures == 1);
    say(peer(before + 1), OK_ANSWER);
    RUN_UNTIL(upstream.idle_count == 1);
}

/* Bytes behind an answer: its connection is not used again, whoever calls next, and the next call
 * does not suffer for them. */
static void bytes_behind_an_answer(void **state)
{
    (void)state;
    caller.send_again_in = IN_COMPLETE;
    send_request(&caller);
    say(peer(0), OK_ANSWER "HTTP/1.1 500 Not yours\r\n\r\n");
    RUN_UNTIL(caller.completes == 1);
    RUN_UNTIL(peer(1)->received_bytes == sizeof REQUEST - 1);
    say(peer(1), OK_ANSWER);
    RUN_UNTIL(caller.completes == 2);
    assert_int_equal(caller.status, 200);
    assert_int_equal(caller.failures, 0);
}

static void bytes_on_an_idle_connection(void **state)
{
    (void)state;
    warm_up();
    say(peer(0), "HTTP/1.1 408 Request Timeout\r\n\r\n");
    RUN_UNTIL(upstream.idle_count == 0);
    send_request(&caller);
    say(peer(1), OK_ANSWER);
    RUN_UNTIL(caller.completes == 1);
    assert_int_equal(caller.status, 200);
}

/* ---- large requests ---------------------------------------------------------------------- */

#define LARGE_BYTES (20u << 20)

static char *large_body(void)
{
    char *body = malloc(LARGE_BYTES);
    assert_non_null(body);
    for (size_t i = 0; i < LARGE_BYTES; i++)
        body[i] = (char)(i * 31 + (i >> 13));
    return body;
}

static void send_large(char *body)
{
    static char head[] = "POST / HTTP/1.1\r\nContent-Length: 20971520\r\n\r\n";
    caller.call.parts[0] = (struct iovec){head, sizeof head - 1};
    caller.call.parts[1] = (struct iovec){body, 0};
    caller.call.parts[2] = (struct iovec){body, 1000};
    caller.call.parts[3] = (struct iovec){body + 1000, LARGE_BYTES - 1000};
    caller.call.part_count = 4;
    caller.call.may_replay = true;
    send_parts(&caller);
}

static struct conn *conn_of_call(void)
{
    /* The connection is what an upstream_conn begins with. */
    return (struct conn *)(void *)caller.call.conn;
}

static void a_large_request_is_fed_step_by_step(void **state)
{
    (void)state;
    char *body = large_body();
    send_large(body);
    struct end *to = peer(0);
    conn_read_stop(&to->conn);
    RUN_UNTIL(conn_queued(conn_of_call()) > CONN_HIGH_WATER);
    assert_true(conn_queued(conn_of_call()) <= CONN_HIGH_WATER + UPSTREAM_SEND_STEP);
    assert_false(upstream_release_request(&caller.call));
    conn_read_start(&to->conn);
    size_t head = sizeof "POST / HTTP/1.1\r\nContent-Length: 20971520\r\n\r\n" - 1;
    while (to->received_bytes < head + LARGE_BYTES) {
        assert_true(conn_queued(conn_of_call()) <= CONN_HIGH_WATER + UPSTREAM_SEND_STEP);
        (void)uv_run(&net.uv, UV_RUN_ONCE);
    }
    assert_memory_equal(to->received.data + head, body, LARGE_BYTES);
    say(to, OK_ANSWER);
    RUN_UNTIL(caller.completes == 1);
    assert_int_equal(upstream.idle_count, 1);
    free(body);
}

/* The wait for the answer begins when the request is out, not when it begins. */
static void a_slow_upload_is_not_a_late_answer(void **state)
{
    (void)state;
    char *body = large_body();
    upstream.timeouts.first_byte_ms = 1000;
    service.count_only = true;
    send_large(body);
    struct end *to = peer(0);
    int64_t began = net_now_ns(&net);
    /* What sockets hold at the end comes at once, so that only the request itself is slow. */
    for (size_t step = 1; step <= 12 && !caller.failures; step++) {
        conn_read_start(&to->conn);
        RUN_UNTIL(to->received_bytes > step << 20 || caller.failures);
        conn_read_stop(&to->conn);
        run_for(100);
    }
    conn_read_start(&to->conn);
    RUN_UNTIL(to->received_bytes >= LARGE_BYTES || caller.failures);
    assert_int_equal(caller.failures, 0);
    assert_true(net_now_ns(&net) - began > 1000000000);
    say(to, OK_ANSWER);
    RUN_UNTIL(caller.completes == 1);
    free(body);
}

/* An answer before the request is out counts, and its connection is not kept. */
static void an_early_answer(void **state)
{
    (void)state;
    char *body = large_body();
    send_large(body);
    conn_read_stop(&peer(0)->conn);
    RUN_UNTIL(conn_queued(conn_of_call()) > CONN_HIGH_WATER);
    say(peer(0), "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
    RUN_UNTIL(caller.completes == 1);
    assert_int_equal(caller.status, 413);
    assert_int_equal(upstream.idle_count, 0);
    assert_int_equal(caller.failures, 0);
    free(body);
}

static void a_large_request_is_replayed_whole(void **state)
{
    (void)state;
    char *body = large_body();
    warm_up();
    send_large(body);
    conn_reset(&peer(0)->conn);
    size_t total = sizeof "POST / HTTP/1.1\r\nContent-Length: 20971520\r\n\r\n" - 1 + LARGE_BYTES;
    RUN_UNTIL(peer(1)->received_bytes == total);
    assert_memory_equal(peer(1)->received.data + total - LARGE_BYTES, body, LARGE_BYTES);
    say(peer(1), OK_ANSWER);
    RUN_UNTIL(caller.completes == 1);
    free(body);
}

static void releases_the_request_after_the_head(void **state)
{
    (void)state;
    char *text = strdup(REQUEST);
    caller.call.parts[0] = (struct iovec){text, sizeof REQUEST - 1};
    caller.call.part_count = 1;
    send_parts(&caller);
    RUN_UNTIL(peer(0)->received_bytes > 0);
    assert_false(upstream_release_request(&caller.call));
    say(peer(0), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    RUN_UNTIL(caller.heads == 1);
    assert_true(upstream_release_request(&caller.call));
    free(text);
    say(peer(0), "hello");
    RUN_UNTIL(caller.completes == 1);
    assert_int_equal(upstream.idle_count, 1);
}

/* ---- idle connections -------------------------------------------------------------------- */

static void old_idle_connections_are_closed(void **state)
{
    (void)state;
    upstream.idle_keep_ms = 60;
    warm_up();
    RUN_UNTIL(peer(0)->ended);
    assert_int_equal(upstream.idle_count, 0);
    RUN_UNTIL(upstream.conn_count == 0);
}

static void no_more_than_so_many_idle(void **state)
{
    (void)state;
    enum { MANY = UPSTREAM_IDLE_MAX + 3 };
    static struct caller many[MANY];
    memset(many, 0, sizeof many);
    for (unsigned i = 0; i < MANY; i++)
        send_request(&many[i]);
    for (unsigned i = 0; i < MANY; i++)
        RUN_UNTIL(peer(i)->received_bytes == sizeof REQUEST - 1);
    assert_int_equal(upstream.busy_count, MANY);
    for (unsigned i = 0; i < MANY; i++)
        say(peer(i), "HTTP/1.1 204 No Content\r\n\r\n");
    for (unsigned i = 0; i < MANY; i++)
        RUN_UNTIL(many[i].completes == 1);
    assert_int_equal(upstream.idle_count, UPSTREAM_IDLE_MAX);
    assert_int_equal(upstream.busy_count, 0);
    RUN_UNTIL(upstream.conn_count == UPSTREAM_IDLE_MAX);
}

static void stops(void **state)
{
    (void)state;
    warm_up();
    struct caller second = {0};
    send_request(&caller);
    send_request(&second);
    RUN_UNTIL(peer(1)->received_bytes > 0);
    say(peer(1), OK_ANSWER);
    RUN_UNTIL(second.completes == 1);
    upstream_stop(&upstream);
    assert_int_equal(upstream.idle_count, 0);
    say(peer(0), OK_ANSWER);
    RUN_UNTIL(caller.completes == 1);
    assert_int_equal(upstream.idle_count, 0);
    RUN_UNTIL(upstream.conn_count == 0);
    buffer_clear(&second.body);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(keeps_connections),
        test(an_answer_in_pieces),
        test(answers_that_close),
        test(head_answers_have_no_body),
        test(a_stale_connection_is_replayed_once),
        test(a_replay_is_not_replayed),
        test(what_may_not_be_sent_twice_is_not_replayed),
        test(closed_while_idle_is_not_used),
        test(a_reset_after_a_byte_is_not_stale),
        test(a_replay_that_cannot_connect),
        test(a_timeout_is_not_stale),
        test(refused),
        test(reset_before_the_head),
        test(end_before_the_head),
        test(reset_in_the_body),
        test(end_in_the_body),
        test(a_reset_does_not_end_a_body_delimited_by_closing),
        test(garbage),
        test(the_first_byte_is_late),
        test(the_answer_stalls),
        test(a_paused_answer_has_time),
        test(cancel_at_every_stage),
        test(call_again_from_every_callback),
        test(bytes_behind_an_answer),
        test(bytes_on_an_idle_connection),
        test(a_large_request_is_fed_step_by_step),
        test(a_slow_upload_is_not_a_late_answer),
        test(an_early_answer),
        test(a_large_request_is_replayed_whole),
        test(releases_the_request_after_the_head),
        test(old_idle_connections_are_closed),
        test(no_more_than_so_many_idle),
        test(stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
