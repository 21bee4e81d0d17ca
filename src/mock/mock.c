#include "mock/mock.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "mock/control.h"
#include "mock/exchange.h"
#include "mock/script.h"

enum { REASON_MAX = 1024 };

/* Patient: tests stall on purpose, and a gateway may keep a connection for long. */
static const struct server_limits limits = {
    .head_timeout_ms = 60000,
    .body_timeout_ms = 600000,
    .keepalive_timeout_ms = 600000,
    .max_connections = MOCK_CONNECTIONS_MAX,
};

bool mock_parse_address(const char *text, char host[64], uint16_t *ret_port)
{
    const char *colon = strrchr(text, ':');
    uint64_t port;

    if (!colon || number_parse(slice_str(colon + 1), 65535, &port) != STATUS_OK)
        return false;
    struct slice name = slice_of(text, (size_t)(colon - text));
    if (name.len > 2 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']')
        name = slice_of(name.ptr + 1, name.len - 2);
    if (slice_eq(name, SLICE("localhost")))
        name = SLICE("127.0.0.1");
    if (name.len > 63)
        return false;
    slice_copy(name, host, 64);
    struct in6_addr bytes;
    if (inet_pton(AF_INET, host, &bytes) != 1 && inet_pton(AF_INET6, host, &bytes) != 1)
        return false;
    *ret_port = (uint16_t)port;
    return true;
}

static enum status explain(struct buffer *reason, enum status status, const char *subject,
                           const char *what)
{
    enum status written = buffer_printf(reason, REASON_MAX, "%s: %s", subject, what);
    return written == STATUS_OK ? status : written;
}

static enum status listen_checked(struct server *server, const char *host, uint16_t port)
{
    if (port != 0 && !listener_port_free(host, port))
        return STATUS_IN_USE;
    return server_listen(server, host, port);
}

/* --- the API's listener --- */

static void reopen_fired(struct wheel_timer *timer)
{
    struct mock *mock = container_of(timer, struct mock, reopen);
    if (mock_listen(mock, !mock->listening, false, 0) != STATUS_OK)
        net_timer_start(mock->loop, &mock->reopen, 100); /* somebody sits there: again */
}

enum status mock_listen(struct mock *mock, bool open, bool drop, int64_t for_ms)
{
    enum status status = STATUS_OK;

    net_timer_stop(mock->loop, &mock->reopen);
    if (open && !mock->listening)
        status = listen_checked(&mock->server, mock->host, mock->port);
    else if (!open && mock->listening)
        server_unlisten(&mock->server);
    if (status != STATUS_OK)
        return status;
    mock->listening = open;
    if (drop)
        server_close_all(&mock->server);
    if (for_ms > 0)
        net_timer_start(mock->loop, &mock->reopen, for_ms);
    return STATUS_OK;
}

unsigned mock_release(struct mock *mock, struct slice key, uint64_t n)
{
    unsigned released = 0;
    struct list *next;

    for (struct list *l = mock->exchanges.next; l != &mock->exchanges; l = next) {
        struct exchange *x = container_of(l, struct exchange, node);
        next = l->next;
        if ((n == 0 || x->n == n) && (key.len == 0 || slice_eq(key, buffer_slice(&x->bearer))))
            released += exchange_release(x);
    }
    return released;
}

/* --- beginning and end --- */

static enum status open_tls(struct mock *mock, const struct mock_options *options,
                            struct buffer *reason)
{
    const char *cert = options->tls_cert, *key = options->tls_key;

    if (!cert && !options->ca_out)
        return STATUS_OK;
    if (!cert) {
        enum status status = test_ca_make(&mock->ca, options->ca_out, reason);
        if (status != STATUS_OK)
            return status;
        cert = mock->ca.cert_path;
        key = mock->ca.key_path;
    }
    return tls_server_context_new(cert, key, reason, &mock->tls);
}

/* `option` as it is called on the command line. */
static enum status refuse_address(struct buffer *reason, const char *option, const char *address)
{
    enum status written = buffer_printf(
        reason, REASON_MAX,
        "%s: expected ADDRESS:PORT with a numeric address, as 127.0.0.1:0 or [::1]:8080, or "
        "localhost, got \"%.80s\"",
        option, address);
    return written == STATUS_OK ? STATUS_INVALID : written;
}

static enum status explain_listen(struct buffer *reason, enum status status, const char *address)
{
    return explain(reason, status, address,
                   status == STATUS_IN_USE    ? "already in use by another process"
                   : status == STATUS_INVALID ? "this machine has no such address"
                                              : status_text(status));
}

static enum status open_api(struct mock *mock, const char *address, struct buffer *reason)
{
    server_init(&mock->server, mock->loop, &exchange_ops, &limits, mock->tls, mock);
    if (!mock_parse_address(address, mock->host, &mock->port))
        return refuse_address(reason, "--listen", address);
    enum status status = listen_checked(&mock->server, mock->host, mock->port);
    if (status != STATUS_OK)
        return explain_listen(reason, status, address);
    mock->port = server_port(&mock->server); /* kept, so that a closed listener comes back there */
    mock->listening = true;
    return STATUS_OK;
}

static enum status open_control(struct mock *mock, const char *address, struct buffer *reason)
{
    char host[64];
    uint16_t port;

    if (!mock_parse_address(address, host, &port))
        return refuse_address(reason, "--control", address);
    enum status status = port && !listener_port_free(host, port)
                             ? STATUS_IN_USE
                             : control_new(mock, host, port, &mock->control);
    return status == STATUS_OK ? STATUS_OK : explain_listen(reason, status, address);
}

static enum status open_all(struct mock *mock, const struct mock_options *options,
                            struct buffer *reason)
{
    enum status status = STATUS_OK;

    if (options->script)
        status = script_load(&mock->ring, options->script, reason);
    if (status == STATUS_OK)
        status = open_tls(mock, options, reason);
    if (status == STATUS_OK)
        status = open_api(mock, options->listen, reason);
    if (status == STATUS_OK)
        status = open_control(mock, options->control, reason);
    return status;
}

enum status mock_new(struct net_loop *loop, const struct mock_options *options,
                     struct buffer *reason, struct mock **ret_mock)
{
    struct mock *mock = calloc(1, sizeof(*mock));
    if (!mock)
        return STATUS_NO_MEMORY;
    mock->loop = loop;
    mock->seed = options->seed;
    mock->rng.state = options->seed;
    mock->ca = (struct test_ca){.cert_fd = -1, .key_fd = -1};
    list_init(&mock->exchanges);
    wheel_timer_init(&mock->reopen, reopen_fired);
    keyring_init(&mock->ring);
    bucket_set_init(&mock->buckets);
    enum status status =
        journal_init(&mock->journal) ? open_all(mock, options, reason) : STATUS_NO_MEMORY;
    if (status == STATUS_OK) {
        *ret_mock = mock;
        return STATUS_OK;
    }
    /* A listener that was opened has a handle in the loop: let it close before its memory goes. */
    mock_close(mock);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    mock_free(mock);
    return status;
}

json_t *mock_ready_json(const struct mock *mock)
{
    char url[128], control[128];
    bool v6 = strchr(mock->host, ':') != NULL;

    snprintf(url, sizeof(url), "%s://%s%s%s:%u/v1", mock->tls ? "https" : "http", v6 ? "[" : "",
             mock->host, v6 ? "]" : "", mock->port);
    control_url(mock->control, control, sizeof(control));
    return json_pack("{s:s, s:s, s:s}", "event", "ready", "url", url, "control", control);
}

void mock_close(struct mock *mock)
{
    net_timer_stop(mock->loop, &mock->reopen);
    if (mock->listening)
        server_unlisten(&mock->server);
    mock->listening = false;
    if (mock->server.loop)
        server_close_all(&mock->server);
    control_close(mock->control);
}

void mock_free(struct mock *mock)
{
    if (!mock)
        return;
    control_free(mock->control);
    tls_context_free(mock->tls);
    test_ca_clear(&mock->ca);
    keyring_fini(&mock->ring);
    bucket_set_fini(&mock->buckets);
    journal_fini(&mock->journal);
    free(mock);
}
