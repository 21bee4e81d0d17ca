/* Tunnels over a socket pair: the test is the proxy. */
#include "net_test.h"

#include "net/proxy.h"

struct outcome {
    int calls, fd;
    enum status status;
    const char *why;
};

struct ends {
    int ours, theirs; /* the tunnel's end, the proxy's end */
    struct proxy *proxy;
    struct tunnel *tunnel;
    struct outcome outcome;
};

static void on_done(void *context, int fd, enum status status, const char *why)
{
    struct outcome *outcome = context;

    outcome->calls++;
    outcome->fd = fd;
    outcome->status = status;
    outcome->why = why;
}

static void begin(struct ends *ends, const char *login, const char *host)
{
    int pair[2];

    *ends = (struct ends){0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    ends->ours = pair[0];
    ends->theirs = pair[1];
    assert_int_equal(proxy_new("proxy", 3128, slice_str(login), &ends->proxy), STATUS_OK);
    struct tunnel_ask ask = {ends->proxy, host, 443, on_done, &ends->outcome};
    assert_int_equal(tunnel_begin(&net, ends->ours, &ask, &ends->tunnel), STATUS_OK);
    assert_int_equal(ends->outcome.calls, 0);
}

static void end(struct ends *ends)
{
    if (ends->outcome.calls && ends->outcome.status == STATUS_OK)
        assert_int_equal(close(ends->ours), 0);
    if (ends->theirs >= 0)
        assert_int_equal(close(ends->theirs), 0);
    proxy_unref(ends->proxy);
}

/* What the proxy was asked, to the end of the head. */
static void assert_asked(struct ends *ends, const char *expected)
{
    char bytes[2048];
    size_t len = 0;

    while (len < strlen(expected)) {
        (void)uv_run(&net.uv, UV_RUN_NOWAIT);
        ssize_t count = read(ends->theirs, bytes + len, sizeof bytes - 1 - len);
        len += count > 0 ? (size_t)count : 0;
    }
    bytes[len] = '\0';
    assert_string_equal(bytes, expected);
}

static void answer(struct ends *ends, const char *bytes, size_t len)
{
    assert_int_equal(write(ends->theirs, bytes, len), len);
}

static void a_tunnel_is_asked_for(void **state)
{
    struct ends ends;

    (void)state;
    begin(&ends, "", "api.openai.com");
    assert_asked(&ends, "CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com:443\r\n\r\n");
    static const char good[] = "HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n";
    answer(&ends, good, sizeof good - 1);
    RUN_UNTIL(ends.outcome.calls);
    assert_int_equal(ends.outcome.status, STATUS_OK);
    assert_int_equal(ends.outcome.fd, ends.ours);
    end(&ends);
}

static void with_credentials_and_an_address(void **state)
{
    struct ends ends;

    (void)state;
    begin(&ends, "Aladdin:open sesame", "::1"); /* RFC 7617, section 2 */
    assert_asked(&ends, "CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n"
                        "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n");
    tunnel_cancel(ends.tunnel);
    assert_int_equal(ends.outcome.calls, 0);
    end(&ends);
}

static void an_answer_in_two_pieces(void **state)
{
    static const char whole[] = "HTTP/1.0 200 OK\r\na: b\r\n\r\n";

    (void)state;
    for (size_t cut = 1; cut < sizeof whole - 1; cut++) {
        struct ends ends;
        begin(&ends, "", "h");
        assert_asked(&ends, "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n");
        answer(&ends, whole, cut);
        (void)uv_run(&net.uv, UV_RUN_NOWAIT);
        assert_int_equal(ends.outcome.calls, 0);
        answer(&ends, whole + cut, sizeof whole - 1 - cut);
        RUN_UNTIL(ends.outcome.calls);
        assert_int_equal(ends.outcome.status, STATUS_OK);
        end(&ends);
    }
}

static void assert_refused(const char *bytes, enum status status, const char *why)
{
    struct ends ends;

    begin(&ends, "", "h");
    assert_asked(&ends, "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n");
    answer(&ends, bytes, strlen(bytes));
    RUN_UNTIL(ends.outcome.calls);
    assert_int_equal(ends.outcome.status, status);
    assert_non_null(strstr(ends.outcome.why, why));
    end(&ends);
}

static void refusals(void **state)
{
    (void)state;
    assert_refused("HTTP/1.1 407 Auth\r\n\r\nno", STATUS_CONNECT, "407");
    assert_refused("HTTP/1.1 403 No\r\n\r\n", STATUS_CONNECT, "403");
    assert_refused("HTTP/1.1 400 No\r\n\r\n", STATUS_CONNECT, "refused");
    assert_refused("HTTP/1.1 502 Bad\r\n\r\n", STATUS_CONNECT, "could not reach");
    assert_refused("HTTP/1.1 302 Go\r\n\r\n", STATUS_CONNECT, "neither");
    assert_refused("SSH-2.0-x", STATUS_PROTOCOL, "HTTP");
    assert_refused("HTTP/2.0 200 OK\r\n\r\n", STATUS_PROTOCOL, "HTTP");
    assert_refused("HTTP/1.1 20x", STATUS_PROTOCOL, "HTTP");
    assert_refused("HTTP/1.1 200 OK\r\n\r\nx", STATUS_PROTOCOL, "bytes of its own");
}

static void an_answer_without_end(void **state)
{
    char bytes[PROXY_ANSWER_MAX + 1];

    (void)state;
    memset(bytes, 'a', sizeof bytes);
    memcpy(bytes, "HTTP/1.1 200 ", 13);
    bytes[PROXY_ANSWER_MAX] = '\0';
    assert_refused(bytes, STATUS_PROTOCOL, "too long");
}

static void a_proxy_that_hangs_up(void **state)
{
    struct ends ends;

    (void)state;
    begin(&ends, "", "h");
    assert_asked(&ends, "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n");
    answer(&ends, "HTTP/1.1 2", 10);
    assert_int_equal(close(ends.theirs), 0);
    ends.theirs = -1;
    RUN_UNTIL(ends.outcome.calls);
    assert_int_equal(ends.outcome.status, STATUS_EOF);
    end(&ends);
}

static void a_login_has_a_limit(void **state)
{
    char login[PROXY_LOGIN_MAX + 1];
    struct proxy *proxy;

    (void)state;
    memset(login, 'a', sizeof login);
    assert_int_equal(proxy_new("h", 1, slice_of(login, sizeof login), &proxy), STATUS_LIMIT);
    assert_int_equal(proxy_new("h", 1, slice_of(login, PROXY_LOGIN_MAX), &proxy), STATUS_OK);
    assert_ptr_equal(proxy_ref(proxy), proxy);
    proxy_unref(proxy);
    assert_string_equal(proxy_host(proxy), "h");
    assert_int_equal(proxy_port(proxy), 1);
    proxy_unref(proxy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tunnel_is_asked_for),
        cmocka_unit_test(with_credentials_and_an_address),
        cmocka_unit_test(an_answer_in_two_pieces),
        cmocka_unit_test(refusals),
        cmocka_unit_test(an_answer_without_end),
        cmocka_unit_test(a_proxy_that_hangs_up),
        cmocka_unit_test(a_login_has_a_limit),
    };
    return cmocka_run_group_tests(tests, net_setup, net_teardown);
}
