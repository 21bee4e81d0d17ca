#include "client/notices.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char said[65536];
static struct notices *nested;
static unsigned heard;

static void on_log(void *user, int level, const char *event, const char *message)
{
    assert_ptr_equal(user, &heard);
    heard++;
    (void)snprintf(said + strlen(said), sizeof said - strlen(said), "%d %s %s;", level, event,
                   message);
    if (nested) { /* a hook that makes a notice and asks for it to be told */
        struct notices *n = nested;
        nested = NULL;
        notices_log(n, NOTICE_INFO, "inner", "later");
        notices_tell(n);
        assert_null(strstr(said, "inner"));
    }
}

static void on_health(void *user, const sparekey_health_change *change)
{
    (void)user;
    (void)snprintf(said + strlen(said), sizeof said - strlen(said), "health %s %s>%s %s %s;",
                   change->account, change->from, change->to, change->scope, change->reason);
}

static void begin(struct notices *n, sparekey_health_hook *health)
{
    sparekey_client_options options = sparekey_client_options_init();

    memset(n, 0, sizeof *n);
    options.on_log = on_log;
    options.on_health = health;
    options.user = &heard;
    said[0] = '\0';
    heard = 0;
    notices_init(n, &options);
}

static void in_order_and_only_when_asked(void **state)
{
    struct notices n;

    (void)state;
    begin(&n, NULL);
    notices_log(&n, NOTICE_WARNING, "one", "%d", 1);
    notices_log(&n, NOTICE_DEBUG, "two", "x");
    assert_string_equal(said, "");
    notices_tell(&n);
    assert_string_equal(said, "1 one 1;3 two x;");
    notices_fini(&n);
}

static void a_hook_may_make_notices(void **state)
{
    struct notices n;

    (void)state;
    begin(&n, NULL);
    nested = &n;
    notices_log(&n, NOTICE_INFO, "outer", "x");
    notices_tell(&n);
    assert_string_equal(said, "2 outer x;2 inner later;");
    notices_fini(&n);
}

static void more_than_there_is_room_for(void **state)
{
    struct notices n;

    (void)state;
    begin(&n, NULL);
    for (int i = 0; i < NOTICES_MAX + 5; i++)
        notices_log(&n, NOTICE_DEBUG, "e", "x");
    notices_tell(&n);
    assert_int_equal(heard, NOTICES_MAX + 1);
    assert_non_null(strstr(said, "log_dropped 5 notices"));
    notices_fini(&n);
}

static void health_is_told_to_both(void **state)
{
    struct pool_transition t = {.from = CIRCUIT_CLOSED,
                                .to = CIRCUIT_OPEN,
                                .scope = SCOPE_ORG,
                                .reason = FAILURE_QUOTA,
                                .key = KEY_NONE,
                                .account = "org-a"};
    struct notices n;

    (void)state;
    begin(&n, on_health);
    notices_health(&n, &t, NULL);
    notices_tell(&n);
    assert_non_null(strstr(said, "1 circuit_opened org-a: closed to open"));
    assert_non_null(strstr(said, "health org-a closed>open organization quota_exhausted;"));
    notices_fini(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order_and_only_when_asked),
        cmocka_unit_test(a_hook_may_make_notices),
        cmocka_unit_test(more_than_there_is_room_for),
        cmocka_unit_test(health_is_told_to_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
