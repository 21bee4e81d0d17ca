#include "net_test.h"

#include <stdio.h>

#define TIMEOUT_MS 15000

static void dial(struct end *end, const char *host, uint16_t port, int64_t timeout_ms)
{
    end->inside_call = true;
    conn_dial(&end->conn, &(struct dial_target){host, port, NULL, NULL}, timeout_ms);
    end->inside_call = false;
    assert_int_equal(end->conn.state, CONN_OPENING);
}

/* Binds the given loopback address; port 0 takes a free one. */
static int listen_at(const char *host, uint16_t *port, int backlog)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(*port)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(inet_pton(AF_INET, host, &address.sin_addr), 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

/* A port where nothing listens: bound, never listened on, so nobody else gets it meanwhile. */
static int refused_port(uint16_t *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

/* A listener that answers no SYN: its queue is full of connections nobody accepts. */
struct deaf {
    int listener, fillers[8];
    uint16_t port;
};

static void deaf_open(struct deaf *deaf)
{
    deaf->port = 0;
    deaf->listener = listen_at("127.0.0.1", &deaf->port, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(deaf->port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (unsigned i = 0; i < 8; i++) {
        deaf->fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(deaf->fillers[i], (struct sockaddr *)&address, sizeof address);
    }
}

static void deaf_close(struct deaf *deaf)
{
    for (unsigned i = 0; i < 8; i++)
        (void)close(deaf->fillers[i]);
    (void)close(deaf->listener);
}

/* Pins `host` to IPv4 addresses, tried in this order. */
static void pin(const char *host, const char *const *addresses, int count)
{
    struct sockaddr_in list[DIAL_ADDRESSES_MAX + 1];
    const struct sockaddr *pointers[DIAL_ADDRESSES_MAX + 1];
    for (int i = 0; i < count; i++) {
        assert_int_equal(uv_ip4_addr(addresses[i], 0, &list[i]), 0);
        pointers[i] = (const struct sockaddr *)&list[i];
    }
    assert_int_equal(dial_cache_pin(&net, host, pointers, count), STATUS_OK);
}

/* ---- opening ---- */

static void greet(struct end *end, int listener)
{
    RUN_UNTIL(end->opened);
    assert_int_equal(end->opened_as, STATUS_OK);
    assert_null(end->conn.dial);
    int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(peer >= 0);
    end_write(end, "ping", 4);
    char text[8] = "";
    assert_int_equal(read_all(peer, text, 4), 4);
    assert_int_equal(write(peer, "pong", 4), 4);
    RUN_UNTIL(end->received_bytes == 4);
    assert_received(end, "pong");
    (void)close(peer);
}

static void a_numeric_address_is_dialled(void **state)
{
    (void)state;
    uint16_t port = 0;
    int listener = listen_on_loopback(8, &port);
    struct end *end = end_new();
    dial(end, "127.0.0.1", port, TIMEOUT_MS);
    greet(end, listener);
    assert_true(list_empty(&net.resolver_cache));
    assert_int_equal(net.wheel.armed, 0);
    end_free(end);
    (void)close(listener);
}

static size_t cached_names(void)
{
    size_t count = 0;
    for (struct list *at = net.resolver_cache.next; at != &net.resolver_cache; at = at->next)
        count++;
    return count;
}

static void a_name_is_resolved_once(void **state)
{
    (void)state;
    uint16_t port = 0;
    int listener = listen_on_loopback(8, &port);
    struct end *first = end_new(), *second = end_new(), *third = end_new();
    dial(first, "localhost", port, TIMEOUT_MS);
    dial(second, "LOCALHOST", port, TIMEOUT_MS); /* joins the lookup under way */
    assert_int_equal(cached_names(), 1);
    greet(first, listener);
    greet(second, listener);
    dial(third, "localhost", port, TIMEOUT_MS);
    assert_int_equal(cached_names(), 1);
    greet(third, listener);
    dial_cache_clear(&net);
    assert_int_equal(cached_names(), 0);
    end_free(first);
    end_free(second);
    end_free(third);
    (void)close(listener);
}

/* ---- failing ---- */

static void assert_fails(struct end *end, enum status status)
{
    RUN_UNTIL(end->opened);
    assert_int_equal(end->opened_as, status);
    assert_null(end->conn.dial);
    assert_int_equal(net.wheel.armed, 0);
    end_write(end, "dropped", 7);
    end_free(end);
}

static void a_refused_port_is_a_connect_error(void **state)
{
    (void)state;
    uint16_t port = 0;
    int holder = refused_port(&port);
    struct end *end = end_new();
    dial(end, "127.0.0.1", port, TIMEOUT_MS);
    RUN_UNTIL(end->opened);
    assert_string_equal(conn_error_text(&end->conn), "connection refused");
    assert_fails(end, STATUS_CONNECT);
    (void)close(holder);
}

static void an_unknown_name_is_a_dns_error(void **state)
{
    (void)state;
    struct end *end = end_new();
    dial(end, "no-such-host.invalid", 80, TIMEOUT_MS);
    assert_fails(end, STATUS_DNS);
    assert_int_equal(cached_names(), 0); /* failures are asked again */
    end = end_new();
    dial(end, "", 80, TIMEOUT_MS);
    RUN_UNTIL(end->opened);
    assert_int_not_equal(end->opened_as, STATUS_OK);
    end_free(end);
}

static void a_deaf_peer_is_a_timeout(void **state)
{
    (void)state;
    struct deaf deaf;
    deaf_open(&deaf);
    struct end *end = end_new();
    dial(end, "127.0.0.1", deaf.port, 100);
    int64_t begun_ms = (int64_t)uv_now(&net.uv);
    RUN_UNTIL(end->opened);
    assert_in_range((int64_t)uv_now(&net.uv) - begun_ms, 99, 2000);
    assert_fails(end, STATUS_TIMEOUT);
    deaf_close(&deaf);
}

/* ---- the race ---- */

static void a_refused_address_is_passed_over_at_once(void **state)
{
    (void)state;
    static const char *const addresses[] = {"127.0.0.2", "127.0.0.3", "127.0.0.1"};
    uint16_t port = 0;
    int listener = listen_on_loopback(8, &port);
    pin("some.test", addresses, 3);
    struct end *end = end_new();
    int64_t begun_ms = (int64_t)uv_now(&net.uv);
    dial(end, "some.test", port, TIMEOUT_MS);
    greet(end, listener);
    assert_true((int64_t)uv_now(&net.uv) - begun_ms < DIAL_STAGGER_MS);
    assert_int_equal(cached_names(), 1);
    end_free(end);
    (void)close(listener);
}

static void a_dead_address_costs_one_stagger(void **state)
{
    (void)state;
    static const char *const addresses[] = {"127.0.0.1", "127.0.0.2"};
    struct deaf deaf;
    deaf_open(&deaf);
    int listener = listen_at("127.0.0.2", &deaf.port, 8);
    pin("some.test", addresses, 2);
    struct end *end = end_new();
    int64_t begun_ms = (int64_t)uv_now(&net.uv);
    dial(end, "some.test", deaf.port, TIMEOUT_MS);
    greet(end, listener);
    assert_in_range((int64_t)uv_now(&net.uv) - begun_ms, DIAL_STAGGER_MS - 1, 2000);
    end_free(end);
    (void)close(listener);
    deaf_close(&deaf);
}

static void all_addresses_refused(void **state)
{
    (void)state;
    static const char *const addresses[] = {"127.0.0.1", "127.0.0.2", "127.0.0.3"};
    uint16_t port = 0;
    int holder = refused_port(&port);
    pin("some.test", addresses, 3);
    struct end *end = end_new();
    dial(end, "some.test", port, TIMEOUT_MS);
    assert_fails(end, STATUS_CONNECT);
    assert_int_equal(cached_names(), 1); /* pinned names stay */
    (void)close(holder);
}

static void pinning_checks_its_input(void **state)
{
    (void)state;
    struct sockaddr_in good;
    struct sockaddr bad = {.sa_family = AF_UNIX};
    assert_int_equal(uv_ip4_addr("127.0.0.1", 0, &good), 0);
    const struct sockaddr *many[DIAL_ADDRESSES_MAX + 1], *wrong[] = {&bad};
    for (unsigned i = 0; i <= DIAL_ADDRESSES_MAX; i++)
        many[i] = (const struct sockaddr *)&good;
    assert_int_equal(dial_cache_pin(&net, "x.test", many, 0), STATUS_INVALID);
    assert_int_equal(dial_cache_pin(&net, "x.test", wrong, 1), STATUS_INVALID);
    assert_int_equal(dial_cache_pin(&net, "x.test", many, DIAL_ADDRESSES_MAX + 1), STATUS_INVALID);
    assert_int_equal(dial_cache_pin(&net, "x.test", many, DIAL_ADDRESSES_MAX), STATUS_OK);
    char name[16];
    for (int i = 0; i < DIAL_NAMES_MAX * 2; i++) {
        (void)snprintf(name, sizeof name, "n%d.test", i);
        assert_int_equal(dial_cache_pin(&net, name, many, 1), STATUS_OK);
    }
    assert_int_equal(cached_names(), DIAL_NAMES_MAX);
}

/* ---- closing meanwhile ---- */

static void assert_close_is_silent(struct end *end)
{
    conn_close(&end->conn);
    RUN_UNTIL(end->closed);
    assert_int_equal(end->opened, 0);
    assert_null(end->conn.dial);
    end_free(end);
}

static void closing_while_resolving(void **state)
{
    (void)state;
    struct end *end = end_new(), *other = end_new();
    dial(end, "localhost", 1, TIMEOUT_MS);
    dial(other, "localhost", 1, TIMEOUT_MS);
    assert_close_is_silent(end);
    assert_fails(other, STATUS_CONNECT); /* the shared lookup went on for it */
    end = end_new();
    dial_cache_clear(&net);
    dial(end, "localhost", 1, TIMEOUT_MS);
    assert_close_is_silent(end); /* teardown waits for a lookup that could not be cancelled */
}

static void closing_while_connecting(void **state)
{
    (void)state;
    struct deaf deaf;
    deaf_open(&deaf);
    struct end *end = end_new();
    dial(end, "127.0.0.1", deaf.port, TIMEOUT_MS);
    assert_close_is_silent(end);
    end = end_new();
    dial(end, "127.0.0.1", deaf.port, TIMEOUT_MS);
    (void)uv_run(&net.uv, UV_RUN_NOWAIT);
    conn_finish(&end->conn);
    assert_close_is_silent(end);
    deaf_close(&deaf);
}

static void closing_before_a_failure_is_told(void **state)
{
    (void)state;
    uint16_t port = 0;
    int holder = refused_port(&port);
    struct end *end = end_new();
    dial(end, "127.0.0.1", port, TIMEOUT_MS);
    assert_close_is_silent(end);
    (void)close(holder);
}

static void closing_inside_opened(void **state)
{
    (void)state;
    static const enum act ways[] = {ACT_CLOSE, ACT_RESET, ACT_FINISH};
    uint16_t port = 0, dead = 0;
    int listener = listen_on_loopback(8, &port), holder = refused_port(&dead);
    for (unsigned i = 0; i < 6; i++) {
        struct end *end = end_new();
        end->on_opened = ways[i / 2];
        dial(end, "127.0.0.1", i % 2 ? port : dead, TIMEOUT_MS);
        RUN_UNTIL(end->opened);
        int peer = i % 2 ? accept4(listener, NULL, NULL, SOCK_CLOEXEC) : -1;
        (void)close(peer);
        RUN_UNTIL(end->closed);
        assert_int_equal(end->opened_as, i % 2 ? STATUS_OK : STATUS_CONNECT);
        end_free(end);
    }
    (void)close(listener);
    (void)close(holder);
}

#define NET_TEST(f) cmocka_unit_test_setup_teardown(f, net_setup, net_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NET_TEST(a_numeric_address_is_dialled),
        NET_TEST(a_name_is_resolved_once),
        NET_TEST(a_refused_port_is_a_connect_error),
        NET_TEST(an_unknown_name_is_a_dns_error),
        NET_TEST(a_deaf_peer_is_a_timeout),
        NET_TEST(a_refused_address_is_passed_over_at_once),
        NET_TEST(a_dead_address_costs_one_stagger),
        NET_TEST(all_addresses_refused),
        NET_TEST(pinning_checks_its_input),
        NET_TEST(closing_while_resolving),
        NET_TEST(closing_while_connecting),
        NET_TEST(closing_before_a_failure_is_told),
        NET_TEST(closing_inside_opened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
