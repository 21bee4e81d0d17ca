/* HTTPS_PROXY and NO_PROXY: what is taken, what is refused unquoted, and who is reached without. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void load(struct fixture *f, const char *proxy, const char *no_proxy)
{
    char first[256], second[256];

    (void)snprintf(first, sizeof first, "HTTPS_PROXY=%s", proxy);
    (void)snprintf(second, sizeof second, "NO_PROXY=%s", no_proxy);
    must_load(f, NULL, LIST(first, second));
}

static void assert_proxy(struct fixture *f, const char *url, const char *host, uint16_t port,
                         const char *login)
{
    char out[PROXY_LOGIN_MAX_BYTES + 1] = "";

    load(f, url, "");
    assert_non_null(f->settings->proxy);
    assert_string_equal(f->settings->proxy_host.host, host);
    assert_int_equal(f->settings->proxy_host.port, port);
    assert_int_equal(settings_proxy_login(f->settings, out), strlen(login));
    assert_string_equal(out, login);
}

static void urls_are_taken_apart(void **state)
{
    struct fixture *f = *state;

    assert_proxy(f, "http://proxy.example.com:3128", "proxy.example.com", 3128, "");
    assert_proxy(f, "http://proxy.example.com:3128/", "proxy.example.com", 3128, "");
    assert_proxy(f, "HTTP://proxy.example.com", "proxy.example.com", 80, "");
    assert_proxy(f, "proxy.example.com:3128", "proxy.example.com", 3128, "");
    assert_proxy(f, "http://user:pass@10.0.0.1:8080", "10.0.0.1", 8080, "user:pass");
    assert_proxy(f, "http://us%40er:p%3Ass+@[::1]:8080", "::1", 8080, "us@er:p:ss+");
}

static void either_case_is_read(void **state)
{
    struct fixture *f = *state;

    must_load(f, NULL, LIST("https_proxy=http://proxy:3128", "no_proxy=example.com"));
    assert_string_equal(f->settings->proxy_host.host, "proxy");
    assert_string_equal(f->settings->no_proxy, "example.com");
    must_load(f, NULL, NULL);
    assert_null(f->settings->proxy);
    must_load(f, NULL, LIST("HTTPS_PROXY="));
    assert_null(f->settings->proxy);
}

static void others_are_refused_and_not_quoted(void **state)
{
    static const char *const wrong[] = {"https://user:hunter2@proxy:3128",
                                        "socks5://hunter2:1080",
                                        "http://hunter2:0",
                                        "http://user:hunter2@",
                                        "http://proxy:3128/hunter2",
                                        "http://hunter2 .com"};
    struct fixture *f = *state;
    char variable[256];

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        (void)snprintf(variable, sizeof variable, "HTTPS_PROXY=%s", wrong[i]);
        if (fixture_load(f, NULL, LIST(variable), false) != STATUS_INVALID)
            fail_msg("taken: %s", wrong[i]);
        struct slice said = buffer_slice(&f->report.errors);
        assert_true(slice_contains_nocase(said, SLICE("HTTPS_PROXY: expected http://")));
        assert_false(slice_contains_nocase(said, SLICE("hunter2")));
    }
}

/* Whether https://`host`:`port` is reached through the proxy. */
static bool proxied(struct fixture *f, const char *no_proxy, const char *host, uint16_t port)
{
    struct service_url url = {.tls = true, .host = (char *)(uintptr_t)host, .port = port};

    load(f, "http://proxy:3128", no_proxy);
    return settings_proxied(f->settings, &url);
}

static void no_proxy_names_who_is_reached_directly(void **state)
{
    struct fixture *f = *state;

    assert_true(proxied(f, "", "api.openai.com", 443));
    assert_true(proxied(f, "example.com,penai.com", "api.openai.com", 443));
    assert_false(proxied(f, "*", "api.openai.com", 443));
    assert_false(proxied(f, "example.com, openai.com", "api.openai.com", 443));
    assert_false(proxied(f, ".OpenAI.com", "api.openai.com", 443));
    assert_false(proxied(f, ".openai.com", "openai.com", 443));
    assert_false(proxied(f, "openai.com:443", "api.openai.com", 443));
    assert_true(proxied(f, "openai.com:8443", "api.openai.com", 443));
    assert_false(proxied(f, "10.0.0.1", "10.0.0.1", 443));
    assert_false(proxied(f, "::1", "::1", 443));
    assert_false(proxied(f, "[::1]:443", "::1", 443));
    assert_true(proxied(f, "[::1]:444,,", "::1", 443));
}

static void plain_services_are_reached_directly(void **state)
{
    char host[] = "api.openai.com";
    struct service_url url = {.tls = false, .host = host, .port = 80};
    struct fixture *f = *state;

    load(f, "http://proxy:3128", "");
    assert_false(settings_proxied(f->settings, &url));
}

static void the_password_is_wiped_and_survives_a_reload(void **state)
{
    char variable[] = "https_proxy=http://user:hunter2@proxy:3128";
    char *environment[] = {variable, NULL}, login[PROXY_LOGIN_MAX_BYTES + 1];
    struct fixture *f = *state;

    must_load(f, NULL, LIST(variable));
    struct settings *before = f->settings;
    settings_wipe_environment(before, environment);
    assert_string_equal(variable, "https_proxy=");
    f->previous = before;
    must_load(f, NULL, LIST(variable));
    assert_int_equal(settings_proxy_login(f->settings, login), strlen("user:hunter2"));
    assert_string_equal(login, "user:hunter2");
    f->previous = NULL;
    settings_unref(before);
}

static void only_the_host_is_shown(void **state)
{
    struct fixture *f = *state;
    struct buffer out = {0};

    load(f, "http://user:hunter2@proxy:3128", "");
    assert_int_equal(settings_describe(f->settings, &out), STATUS_OK);
    assert_true(slice_contains_nocase(buffer_slice(&out), SLICE("http://proxy:3128")));
    assert_false(slice_contains_nocase(buffer_slice(&out), SLICE("hunter2")));
    buffer_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(urls_are_taken_apart),
        TEST(either_case_is_read),
        TEST(others_are_refused_and_not_quoted),
        TEST(no_proxy_names_who_is_reached_directly),
        TEST(plain_services_are_reached_directly),
        TEST(the_password_is_wiped_and_survives_a_reload),
        TEST(only_the_host_is_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
