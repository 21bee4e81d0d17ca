/* Who may listen where. That a listener accepts is test_server's. */
#include "net_test.h"

#include "net/listener.h"

static void never_accepted(struct listener *listener, int fd)
{
    (void)listener;
    (void)close(fd);
}

/* A port that was free a moment ago. */
static uint16_t some_port(void)
{
    struct listener listener;
    listener_init(&listener, &net, never_accepted);
    assert_int_equal(listener_open(&listener, "127.0.0.1", 0), STATUS_OK);
    uint16_t port = listener.port;
    listener_close(&listener);
    return port;
}

static void a_claim_excludes_another(void **state)
{
    (void)state;
    uint16_t port = some_port();
    int one, two;
    assert_int_equal(listener_claim("127.0.0.1", port, &one), STATUS_OK);
    assert_true(one >= 0);
    /* Nobody listens yet: this is the moment in which two starting at once met. */
    assert_int_equal(listener_claim("127.0.0.1", port, &two), STATUS_IN_USE);
    assert_int_equal(two, -1);
    assert_int_equal(listener_claim("127.0.0.2", port, &two), STATUS_OK);
    (void)close(two);
    (void)close(one);
    assert_int_equal(listener_claim("127.0.0.1", port, &one), STATUS_OK);
    (void)close(one);
}

static void ipv6_is_claimed_by_its_number(void **state)
{
    (void)state;
    uint16_t port = some_port();
    int one, two;
    assert_int_equal(listener_claim("::1", port, &one), STATUS_OK);
    assert_int_equal(listener_claim("0:0::0:1", port, &two), STATUS_IN_USE);
    (void)close(one);
}

static void who_listens_needs_no_claim(void **state)
{
    (void)state;
    struct listener listener;
    int claim;
    listener_init(&listener, &net, never_accepted);
    assert_int_equal(listener_open(&listener, "127.0.0.1", 0), STATUS_OK);
    assert_int_equal(listener_claim("127.0.0.1", listener.port, &claim), STATUS_IN_USE);
    assert_int_equal(listener_claim("0.0.0.0", listener.port, &claim), STATUS_IN_USE);
    listener_close(&listener);
}

static void our_own_workers_share_what_we_claimed(void **state)
{
    (void)state;
    struct listener one, two;
    uint16_t port = some_port();
    int claim;
    listener_init(&one, &net, never_accepted);
    listener_init(&two, &net, never_accepted);
    assert_int_equal(listener_claim("127.0.0.1", port, &claim), STATUS_OK);
    assert_int_equal(listener_open(&one, "127.0.0.1", port), STATUS_OK);
    assert_int_equal(listener_open(&two, "127.0.0.1", port), STATUS_OK);
    listener_close(&one);
    listener_close(&two);
    (void)close(claim);
}

static void nothing_to_claim(void **state)
{
    (void)state;
    int claim = 0;
    assert_int_equal(listener_claim("127.0.0.1", 0, &claim), STATUS_OK);
    assert_int_equal(claim, -1);
    assert_int_equal(listener_claim("not a number", 80, &claim), STATUS_OK);
    assert_int_equal(claim, -1);
}

#define test(name) cmocka_unit_test_setup_teardown(name, net_setup, net_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(a_claim_excludes_another),   test(ipv6_is_claimed_by_its_number),
        test(who_listens_needs_no_claim), test(our_own_workers_share_what_we_claimed),
        test(nothing_to_claim),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
