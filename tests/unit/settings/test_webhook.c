/* SPAREKEY_ALERT_WEBHOOK: which URLs are taken, and that what must not be shown is not. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void load_webhook(struct fixture *f, const char *url)
{
    char variable[256];

    (void)snprintf(variable, sizeof variable, "SPAREKEY_ALERT_WEBHOOK=%s", url);
    must_load(f, NULL, LIST(variable));
}

static void assert_webhook(struct fixture *f, const char *url, bool tls, const char *host,
                           uint16_t port, const char *target)
{
    load_webhook(f, url);
    assert_non_null(f->settings->alert_webhook);
    assert_int_equal(f->settings->alert_host.tls, tls);
    assert_string_equal(f->settings->alert_host.host, host);
    assert_int_equal(f->settings->alert_host.port, port);
    assert_true(slice_eq(settings_alert_target(f->settings), slice_str(target)));
}

static void urls_are_taken_apart(void **state)
{
    struct fixture *f = *state;

    assert_webhook(f, "https://hooks.example.com/services/T0/B0/x", true, "hooks.example.com", 443,
                   "/services/T0/B0/x");
    assert_webhook(f, "https://example.com:8443/hook?sig=a%2Fb&v=1", true, "example.com", 8443,
                   "/hook?sig=a%2Fb&v=1");
    assert_webhook(f, "https://example.com", true, "example.com", 443, "/");
    assert_webhook(f, "http://127.0.0.1:9000/x", false, "127.0.0.1", 9000, "/x");
    assert_webhook(f, "http://[::1]/x", false, "::1", 80, "/x");
    assert_webhook(f, "http://localhost/x", false, "localhost", 80, "/x");
}

static void without_one_there_are_no_alerts(void **state)
{
    struct fixture *f = *state;

    must_load(f, NULL, NULL);
    assert_null(f->settings->alert_webhook);
    load_webhook(f, "");
    assert_null(f->settings->alert_webhook);
}

static void other_urls_are_refused_and_not_quoted(void **state)
{
    static const char *const wrong[] = {
        "hunter2",
        "ftp://hunter2",
        "http://example.com/hunter2",
        "https://user:hunter2@example.com/",
        "https:///hunter2",
        "https://example.com?hunter2",
        "https://example.com/hunter2#x",
        "https://example.com/hun ter2",
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char variable[256];
        (void)snprintf(variable, sizeof variable, "SPAREKEY_ALERT_WEBHOOK=%s", wrong[i]);
        if (fixture_load(f, NULL, LIST(variable), false) != STATUS_INVALID)
            fail_msg("taken: %s", wrong[i]);
        struct slice said = buffer_slice(&f->report.errors);
        assert_true(slice_contains_nocase(said, SLICE("SPAREKEY_ALERT_WEBHOOK")));
        assert_false(slice_contains_nocase(said, SLICE("hunter2")));
    }
}

static void only_the_host_is_shown(void **state)
{
    struct fixture *f = *state;
    struct buffer out = {0};

    load_webhook(f, "https://hooks.example.com/services/hunter2");
    assert_int_equal(settings_describe(f->settings, &out), STATUS_OK);
    assert_true(slice_contains_nocase(buffer_slice(&out), SLICE("https://hooks.example.com/...")));
    assert_false(slice_contains_nocase(buffer_slice(&out), SLICE("hunter2")));
    buffer_clear(&out);
}

static void never_on_the_command_line(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(
        fixture_load(f, LIST("--alert-webhook", "https://example.com/hunter2"), NULL, false),
        STATUS_INVALID);
}

static void the_variable_is_wiped(void **state)
{
    struct fixture *f = *state;
    char variable[] = "SPAREKEY_ALERT_WEBHOOK=https://example.com/hunter2";
    char *environment[] = {variable, NULL};

    load_webhook(f, "https://example.com/hunter2");
    settings_wipe_environment(f->settings, environment);
    assert_string_equal(variable, "SPAREKEY_ALERT_WEBHOOK=");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(urls_are_taken_apart),
        TEST(without_one_there_are_no_alerts),
        TEST(other_urls_are_refused_and_not_quoted),
        TEST(only_the_host_is_shown),
        TEST(never_on_the_command_line),
        TEST(the_variable_is_wiped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
