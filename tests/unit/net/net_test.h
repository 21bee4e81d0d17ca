/* What the tests of connections share: two ends on one loop, and a record of what they were told.
 *
 * A peer of ours is either a `struct end` (a conn that records) or a bare blocking or non-blocking
 * descriptor, where the test itself must decide what the wire does. Tests run the loop until a
 * condition holds; there is no sleep, and a watchdog ends a test that waits for ever.
 */
#ifndef SPAREKEY_TEST_NET_H
#define SPAREKEY_TEST_NET_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "net/conn.h"
#include "net/dial.h"
#include "net/tls.h"

#define WATCHDOG_MS  60000 /* the slowest takes 15 s under ThreadSanitizer on a busy machine */
#define RECEIVED_MAX (256u << 20)

/* What to do inside a callback. */
enum act { ACT_NONE, ACT_CLOSE, ACT_RESET, ACT_FINISH, ACT_STOP_READING, ACT_ECHO };

struct end {
    struct conn conn;
    struct buffer received;
    size_t received_bytes;
    unsigned opened, receipts, ended, drained, closed;
    enum status opened_as, ended_as;
    bool inside_call; /* set by a test around a call that must not call back */
    bool count_only;  /* do not keep the bytes */
    enum act on_opened, on_received, on_ended, on_drained;
    void (*pump)(struct end *end); /* called at drained */
    void *user;
};

static struct net_loop net; /* each test's own; set up and torn down around it */
static uv_timer_t watchdog;

static inline void on_watchdog(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("the test waits for something that does not happen");
}

static inline int net_setup(void **state)
{
    (void)state;
    if (net_loop_init(&net) != STATUS_OK)
        return -1;
    (void)uv_timer_init(&net.uv, &watchdog);
    (void)uv_timer_start(&watchdog, on_watchdog, WATCHDOG_MS, 0);
    uv_unref((uv_handle_t *)&watchdog);
    return 0;
}

static inline int net_teardown(void **state)
{
    (void)state;
    uv_close((uv_handle_t *)&watchdog, NULL);
    net_loop_fini(&net);
    return 0;
}

/* Turns the loop until the condition holds. */
#define RUN_UNTIL(condition)                                                                       \
    while (!(condition))                                                                           \
    (void)uv_run(&net.uv, UV_RUN_ONCE)

/* ---- an end that records ---- */

static inline void act(struct end *end, enum act what)
{
    switch (what) {
    case ACT_NONE:
    case ACT_ECHO: break;
    case ACT_CLOSE:
        conn_close(&end->conn);
        conn_close(&end->conn);
        break;
    case ACT_RESET: conn_reset(&end->conn); break;
    case ACT_FINISH: conn_finish(&end->conn); break;
    case ACT_STOP_READING: conn_read_stop(&end->conn); break;
    }
}

static inline void end_opened(struct conn *conn, enum status status)
{
    struct end *end = container_of(conn, struct end, conn);
    assert_false(end->inside_call);
    assert_int_equal(end->opened, 0);
    assert_int_equal(end->closed, 0);
    assert_int_equal(conn->state, status == STATUS_OK ? CONN_OPEN : CONN_ENDED);
    end->opened++;
    end->opened_as = status;
    act(end, end->on_opened);
}

static inline void end_received(struct conn *conn, char *data, size_t len)
{
    struct end *end = container_of(conn, struct end, conn);
    assert_false(end->inside_call);
    assert_int_equal(end->ended, 0);
    assert_int_equal(conn->state, CONN_OPEN);
    assert_true(len > 0);
    end->receipts++;
    end->received_bytes += len;
    if (!end->count_only)
        assert_int_equal(buffer_append(&end->received, slice_of(data, len), RECEIVED_MAX),
                         STATUS_OK);
    if (end->on_received == ACT_ECHO)
        conn_write(conn, &(struct iovec){data, len}, 1, 0);
    memset(data, 0xdd,
           len); /* the bytes are the callee's during the call; nobody else's after it */
    act(end, end->on_received);
}

static inline void end_ended(struct conn *conn, enum status status)
{
    struct end *end = container_of(conn, struct end, conn);
    assert_false(end->inside_call);
    assert_int_equal(end->ended, 0);
    assert_int_equal(end->closed, 0);
    assert_int_equal(conn->state, CONN_ENDED);
    end->ended++;
    end->ended_as = status;
    act(end, end->on_ended);
}

static inline void end_drained(struct conn *conn)
{
    struct end *end = container_of(conn, struct end, conn);
    assert_false(end->inside_call);
    assert_true(conn_queued(conn) <= CONN_LOW_WATER);
    end->drained++;
    if (end->pump)
        end->pump(end);
    act(end, end->on_drained);
}

static inline void end_closed(struct conn *conn)
{
    struct end *end = container_of(conn, struct end, conn);
    assert_false(end->inside_call);
    assert_int_equal(end->closed, 0);
    end->closed++;
}

static const struct conn_ops end_ops = {
    .opened = end_opened,
    .received = end_received,
    .ended = end_ended,
    .drained = end_drained,
    .closed = end_closed,
};

static inline struct end *end_new(void)
{
    struct end *end = calloc(1, sizeof *end);
    assert_non_null(end);
    conn_init(&end->conn, &net, &end_ops);
    return end;
}

/* Closes if need be, waits for it, frees. */
static inline void end_free(struct end *end)
{
    conn_close(&end->conn);
    RUN_UNTIL(end->closed);
    buffer_clear(&end->received);
    free(end);
}

static inline void end_write(struct end *end, const void *data, size_t len)
{
    struct iovec part = {(void *)(uintptr_t)data, len};
    end->inside_call = true;
    conn_write(&end->conn, &part, 1, 0);
    end->inside_call = false;
}

static inline void assert_received(struct end *end, const char *text)
{
    assert_int_equal(end->received.len, strlen(text));
    assert_memory_equal(end->received.data, text, strlen(text));
}

/* ---- bare sockets ---- */

/* A listening socket on a free port of 127.0.0.1. */
static inline int listen_on_loopback(int backlog, uint16_t *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static inline int connect_to(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* Two connected TCP sockets. */
static inline void tcp_pair(int ret[2])
{
    uint16_t port = 0;
    int listener = listen_on_loopback(1, &port);
    ret[0] = connect_to(port);
    ret[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(ret[1] >= 0);
    (void)close(listener);
}

/* An end and the bare socket of its peer. */
static inline struct end *end_with_peer(int *ret_peer)
{
    int pair[2];
    tcp_pair(pair);
    struct end *end = end_new();
    end->inside_call = true;
    assert_int_equal(conn_adopt(&end->conn, pair[0], NULL, NULL), STATUS_OK);
    end->inside_call = false;
    assert_int_equal(end->conn.state, CONN_OPEN);
    *ret_peer = pair[1];
    return end;
}

/* Closes with RST. */
static inline void reset_socket(int fd)
{
    struct linger linger = {1, 0};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    (void)close(fd);
}

/* Reads until `want` bytes are there or the stream ends; returns how many came. */
static inline size_t read_all(int fd, char *out, size_t want)
{
    size_t have = 0;
    while (have < want) {
        ssize_t count = read(fd, out + have, want - have);
        if (count <= 0)
            break;
        have += (size_t)count;
    }
    return have;
}

#endif
