/* A client that asks, and a server that answers with the function under test: what is compared is
 * what came over the wire. */
#ifndef SPAREKEY_TEST_GATEWAY_ANSWER_H
#define SPAREKEY_TEST_GATEWAY_ANSWER_H

#include "../net/net_test.h"

#include "net/server.h"

static struct {
    struct server server;
    void (*answer)(struct server_conn *request);
    struct end *client;
    const char *body; /* of the last answer, terminated */
} wire;

static inline void wire_head(struct server_conn *request, const struct http_head *head)
{
    (void)request;
    (void)head;
}

static inline void wire_body(struct server_conn *request, const char *data, size_t len)
{
    (void)request;
    (void)data;
    (void)len;
}

static inline void wire_complete(struct server_conn *request)
{
    wire.answer(request);
}

static inline int wire_set_up_with(const struct server_ops *ops)
{
    const struct server_limits limits = {.head_timeout_ms = 60000,
                                         .body_timeout_ms = 60000,
                                         .keepalive_timeout_ms = 60000,
                                         .max_connections = 10};
    if (net_setup(NULL) != 0)
        return -1;
    memset(&wire, 0, sizeof wire);
    server_init(&wire.server, &net, ops, &limits, NULL, NULL);
    return server_listen(&wire.server, "127.0.0.1", 0) == STATUS_OK ? 0 : -1;
}

static inline int wire_tear_down(void)
{
    if (wire.client)
        end_free(wire.client);
    server_unlisten(&wire.server);
    server_close_all(&wire.server);
    RUN_UNTIL(wire.server.conn_count == 0);
    return net_teardown(NULL);
}

/* Says `text` on a new connection; returns the whole answer, which lives until the next call. */
static inline const char *wire_ask(const char *text)
{
    if (wire.client)
        end_free(wire.client);
    wire.client = end_new();
    assert_int_equal(
        conn_adopt(&wire.client->conn, connect_to(server_port(&wire.server)), NULL, NULL),
        STATUS_OK);
    end_write(wire.client, text, strlen(text));
    RUN_UNTIL(wire.client->ended);
    assert_int_equal(
        buffer_append(&wire.client->received, slice_of("", 1), wire.client->received.len + 1),
        STATUS_OK);
    const char *end = strstr(wire.client->received.data, "\r\n\r\n");
    assert_non_null(end);
    wire.body = end + 4;
    return wire.client->received.data;
}

#define WIRE_GET "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

/* The answer of a function; checks its status line. */
static inline const char *wire_answer(void (*answer)(struct server_conn *request), const char *line)
{
    wire.answer = answer;
    const char *whole = wire_ask(WIRE_GET);
    if (strncmp(whole, line, strlen(line)) != 0)
        fail_msg("got %s instead of %s", whole, line);
    return whole;
}

#endif
