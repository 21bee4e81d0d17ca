/* Who may use the keys: tokens; and without tokens, what a browser can be made to send. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/guard.h"

static char loopback[] = "127.0.0.1";
static char elsewhere[] = "192.168.7.5";

static bool local(const char *host, const char *listen_host)
{
    return guard_host_is_local(slice_str(host), slice_str(listen_host));
}

static void hosts_of_this_machine(void **state)
{
    (void)state;
    static const char *const hosts[] = {
        "localhost",      "localhost:7539", "LocalHost:1", "127.0.0.1",  "127.0.0.1:7539",
        "127.255.0.3:80", "[::1]",          "[::1]:7539",  "localhost:",
    };
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        if (!local(hosts[i], loopback))
            fail_msg("%s is refused", hosts[i]);
    }
    assert_true(local("192.168.7.5:7539", elsewhere));
    assert_true(local("127.0.0.1", elsewhere));
    assert_true(local("[fd00::5]:80", "fd00::5"));
}

static void foreign_hosts(void **state)
{
    (void)state;
    static const char *const hosts[] = {
        "",
        "evil.com",
        "127.0.0.1.evil.com",
        "127.0.0.1.evil.com:7539",
        "localhost.evil.com",
        "evil.com:127.0.0.1",
        "localhost@evil.com",
        "127.0.0.1@evil.com",
        "evil.com@localhost",
        "user:pass@127.0.0.1",
        "localhost:80@evil.com:80",
        "127.evil",
        "127.0.0.1x",
        "127.0.0.x",
        "127",
        "1270.0.0.1",
        "128.0.0.1",
        "0.0.0.0",
        "10.0.0.1",
        "192.168.7.5",
        "localhostx",
        "xlocalhost",
        "localhost/",
        "localhost/evil",
        "localhost:80/evil",
        "localhost:80:90",
        "localhost:8a",
        "localhost ",
        "localhost,evil.com",
        "[::2]",
        "[::1]evil.com",
        "[::1]:evil.com",
        "[::1].evil.com:80",
        "[::1",
        "::1:80",
        "::1]",
        "[evil.com]",
        "[fe80::1]",
        ":7539",
        "[]",
        "[]:80",
    };
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        if (local(hosts[i], loopback))
            fail_msg("%s is taken for local", hosts[i]);
    }
    assert_false(guard_host_is_local(slice_of("localhost\0.evil.com", 19), SLICE("127.0.0.1")));
}

static enum guard_answer check(const char *host, const char *origin)
{
    struct settings settings = {.listen = {.host = loopback, .port = 7539}};
    struct request_facts facts = {.host = slice_str(host),
                                  .has_host = host != NULL,
                                  .host_count = host != NULL,
                                  .origin = slice_str(origin)};
    return guard_check(&settings, &facts);
}

static void without_tokens_host_and_origin_decide(void **state)
{
    (void)state;
    assert_int_equal(check("127.0.0.1:7539", NULL), GUARD_PASS);
    assert_int_equal(check(NULL, NULL), GUARD_PASS); /* HTTP/1.0: not a browser */
    assert_int_equal(check("evil.com", NULL), GUARD_HOST);
    assert_int_equal(check("", NULL), GUARD_HOST);
    assert_int_equal(check("evil.com:7539", "http://evil.com:7539"), GUARD_HOST);

    static const char *const fine[] = {
        "http://localhost:3000",
        "http://127.0.0.1",
        "https://localhost",
        "http://[::1]:8080",
    };
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++)
        assert_int_equal(check("localhost:7539", fine[i]), GUARD_PASS);
    static const char *const foreign[] = {
        "null",
        "http://evil.com",
        "https://127.0.0.1.evil.com",
        "http://localhost.evil.com",
        "http://localhost@evil.com",
        "http://localhost:80@evil.com",
        "http://evil.com/localhost",
        "http://evil.com#localhost",
        "http://evil.com?http://localhost",
        "http://localhost/",
        "http://",
        "http:/localhost",
        "http:localhost",
        "localhost",
        "//localhost",
        "file://",
        "file://localhost",
        "chrome-extension://localhost",
        "ftp://localhost",
        "http://localhost http://evil.com",
        "http://localhost, http://evil.com",
        "http://[::1].evil.com",
    };
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        if (check("localhost:7539", foreign[i]) != GUARD_ORIGIN)
            fail_msg("origin %s is not refused", foreign[i]);
    }
}

/* ---- tokens ------------------------------------------------------------------------------ */

struct tokens {
    struct vault *vault;
    struct secret *secrets[2];
    struct settings settings;
};

static int make_tokens(void **state)
{
    static struct tokens t;

    if (vault_new(&t.vault) != STATUS_OK ||
        vault_put(t.vault, SLICE("token-one"), &t.secrets[0]) != STATUS_OK ||
        vault_put(t.vault, SLICE("token-two"), &t.secrets[1]) != STATUS_OK)
        return -1;
    t.settings = (struct settings){
        .listen = {.host = loopback}, .client_tokens = t.secrets, .client_token_count = 2};
    *state = &t;
    return 0;
}

static int drop_tokens(void **state)
{
    struct tokens *t = *state;

    secret_unref(t->secrets[0]);
    secret_unref(t->secrets[1]);
    vault_free(t->vault);
    return 0;
}

static enum guard_answer with_token(struct tokens *t, const char *authorization,
                                    const char *api_key)
{
    struct request_facts facts = {.host = SLICE("evil.com"),
                                  .has_host = true,
                                  .origin = SLICE("http://evil.com"),
                                  .authorization = slice_str(authorization),
                                  .api_key = slice_str(api_key)};
    return guard_check(&t->settings, &facts);
}

/* With tokens, a browser elsewhere may use the gateway if it knows one. */
static void with_tokens_only_they_decide(void **state)
{
    struct tokens *t = *state;

    assert_int_equal(with_token(t, "Bearer token-one", NULL), GUARD_PASS);
    assert_int_equal(with_token(t, "bearer token-two", NULL), GUARD_PASS);
    assert_int_equal(with_token(t, "Bearer   token-two", NULL), GUARD_PASS);
    assert_int_equal(with_token(t, NULL, "token-two"), GUARD_PASS);

    static const char *const wrong[] = {
        "Bearer token-three",
        "Bearer token-on",
        "Bearer token-onex",
        "Bearer TOKEN-ONE",
        "Bearer token-one x",
        "Bearer token-onetoken-two",
        "Bearer ",
        "Bearer",
        "Basic token-one",
        "token-one",
        "Bearertoken-one",
        "",
        "Bearer token-one,",
        "Bearer \"token-one\"",
        "Bearer token-one Bearer token-one",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        if (with_token(t, wrong[i], NULL) != GUARD_TOKEN)
            fail_msg("\"%s\" is let in", wrong[i]);
    }
    assert_int_equal(with_token(t, NULL, NULL), GUARD_TOKEN);
    assert_int_equal(with_token(t, NULL, ""), GUARD_TOKEN);
    assert_int_equal(with_token(t, NULL, "token"), GUARD_TOKEN);
    assert_int_equal(with_token(t, "Bearer wrong", "token-one"), GUARD_TOKEN);
}

/* An image or a link of a foreign page is fetched without an Origin. */
static void a_cross_site_fetch_is_refused(void **state)
{
    static const struct {
        const char *site;
        enum guard_answer expected;
    } cases[] = {{"cross-site", GUARD_ORIGIN}, {"Cross-Site", GUARD_ORIGIN},
                 {"same-origin", GUARD_PASS},  {"same-site", GUARD_PASS},
                 {"none", GUARD_PASS},         {"", GUARD_PASS}};
    struct settings settings = {.listen = {.host = loopback, .port = 7539}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct request_facts facts = {.host = SLICE("127.0.0.1:7539"),
                                      .has_host = true,
                                      .host_count = 1,
                                      .fetch_site = slice_str(cases[i].site)};
        assert_int_equal(guard_check(&settings, &facts), cases[i].expected);
    }
}

/* Another port of this machine may use the keys, but neither change them nor show the page. */
static void only_the_own_page_changes_things(void **state)
{
    static const struct {
        const char *host, *origin, *site;
        enum guard_answer expected;
    } cases[] = {
        {"127.0.0.1:7539", NULL, NULL, GUARD_PASS}, /* no browser */
        {NULL, NULL, NULL, GUARD_PASS},
        {"127.0.0.1:7539", "http://127.0.0.1:7539", "same-origin", GUARD_PASS},
        {"localhost", "https://LOCALHOST", "Same-Origin", GUARD_PASS},
        {"127.0.0.1:7539", NULL, "none", GUARD_PASS}, /* typed into the address bar */
        {"127.0.0.1:7539", "http://127.0.0.1:3000", NULL, GUARD_ORIGIN},
        {"127.0.0.1:7539", "http://127.0.0.1", NULL, GUARD_ORIGIN},
        {"127.0.0.1:7539", "http://localhost:7539", NULL, GUARD_ORIGIN},
        {"127.0.0.1:7539", "http://127.0.0.1:75390", NULL, GUARD_ORIGIN},
        {"127.0.0.1:7539", "null", NULL, GUARD_ORIGIN},
        {"127.0.0.1:7539", NULL, "same-site", GUARD_ORIGIN},
        {"127.0.0.1:7539", NULL, "cross-site", GUARD_ORIGIN},
        {"127.0.0.1:7539", "http://127.0.0.1:7539", "same-site", GUARD_ORIGIN},
        {NULL, "http://127.0.0.1:7539", NULL, GUARD_ORIGIN},
        {"evil.com:7539", "http://evil.com:7539", "same-origin", GUARD_HOST},
    };
    struct settings settings = {.listen = {.host = loopback, .port = 7539}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct request_facts facts = {.host = slice_str(cases[i].host),
                                      .has_host = cases[i].host != NULL,
                                      .host_count = cases[i].host != NULL,
                                      .origin = slice_str(cases[i].origin),
                                      .fetch_site = slice_str(cases[i].site)};
        if (guard_check_admin(&settings, &facts) != cases[i].expected ||
            guard_check_page(&settings, &facts) != cases[i].expected)
            fail_msg("case %zu is judged otherwise", i);
    }
}

/* The status page holds nothing: tokens are for what it asks for. Without tokens it is as guarded as
 * all the rest. */
static void the_page_needs_no_token(void **state)
{
    struct tokens *t = *state;
    struct request_facts foreign = {.host = SLICE("evil.com"), .has_host = true};
    struct request_facts local = {.host = SLICE("localhost:7539"), .has_host = true};
    struct settings open = {.listen = {.host = loopback, .port = 7539}};

    assert_int_equal(guard_check_page(&t->settings, &foreign), GUARD_PASS);
    assert_int_equal(guard_check_page(&open, &local), GUARD_PASS);
    assert_int_equal(guard_check_page(&open, &foreign), GUARD_HOST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_of_this_machine),
        cmocka_unit_test(foreign_hosts),
        cmocka_unit_test(without_tokens_host_and_origin_decide),
        cmocka_unit_test(a_cross_site_fetch_is_refused),
        cmocka_unit_test(only_the_own_page_changes_things),
        cmocka_unit_test_setup_teardown(with_tokens_only_they_decide, make_tokens, drop_tokens),
        cmocka_unit_test_setup_teardown(the_page_needs_no_token, make_tokens, drop_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
