#include "client/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void every_failure_has_a_code(void **state)
{
    (void)state;
    for (int f = FAILURE_CALLER; f < FAILURE_COUNT; f++) {
        int code = fault_code((enum failure)f);
        assert_in_range(-code, -SPAREKEY_ERROR_REQUEST, -SPAREKEY_ERROR_CANCELLED);
        assert_string_not_equal(sparekey_status_text(code), "unknown status");
    }
    assert_int_equal(fault_code(FAILURE_QUOTA), SPAREKEY_ERROR_QUOTA);
    assert_int_equal(fault_code(FAILURE_POLICY), SPAREKEY_ERROR_POLICY);
}

static void every_status_has_a_text(void **state)
{
    (void)state;
    for (int code = SPAREKEY_ERROR_SYSTEM; code <= SPAREKEY_OK; code++)
        assert_string_not_equal(sparekey_status_text(code), "unknown status");
    assert_string_equal(sparekey_status_text(1), "unknown status");
}

/* A program built with an older header has a smaller struct. */
static void a_smaller_struct_is_not_overrun(void **state)
{
    struct {
        sparekey_error error;
        char behind[8];
    } old;

    (void)state;
    memset(&old, 'x', sizeof old);
    old.error.size = offsetof(sparekey_error, message);
    assert_int_equal(fault_set(&old.error, SPAREKEY_ERROR_SERVICE, "%s", "text"),
                     SPAREKEY_ERROR_SERVICE);
    assert_int_equal(old.error.code, SPAREKEY_ERROR_SERVICE);
    assert_int_equal(old.error.message[0], 'x');
    assert_int_equal(old.error.size, offsetof(sparekey_error, message));
    old.error.size = 0; /* never initialised */
    assert_int_equal(fault_set(&old.error, SPAREKEY_ERROR_QUOTA, "x"), SPAREKEY_ERROR_QUOTA);
    assert_int_equal(old.error.code, SPAREKEY_ERROR_SERVICE);
    assert_int_equal(fault_set(NULL, SPAREKEY_ERROR_QUOTA, "x"), SPAREKEY_ERROR_QUOTA);
}

static void an_answer_that_echoes_the_key_is_masked(void **state)
{
    static const char body[] =
        "{\"error\":{\"message\":\"Incorrect API key provided: secret-of-mine-42.\",\"code\":"
        "\"invalid_api_key\",\"type\":\"t\",\"param\":null}}";
    struct hints hints;
    struct answer answer = {.status = 401,
                            .content_type = SLICE("application/json"),
                            .body = {body, sizeof body - 1},
                            .hints = &hints};
    struct verdict verdict;
    struct evidence evidence;
    sparekey_error error;

    (void)state;
    hints_init(&hints);
    fault_init(&error);
    verdict_of(&answer, &verdict, &evidence);
    fault_from_answer(&error, &answer, &verdict, &evidence, SLICE("secret-of-mine-42"), "");
    assert_int_equal(error.code, SPAREKEY_ERROR_KEYS);
    assert_int_equal(error.http_status, 401);
    assert_string_equal(error.upstream_code, "invalid_api_key");
    assert_null(strstr(error.message, "secret-of"));
    assert_non_null(strstr(error.message, "Incorrect API key"));
}

static void a_plan_that_gives_up(void **state)
{
    struct plan_step step = {
        .action = PLAN_GIVE_UP, .status = 429, .retry_after_s = 7, .failure = FAILURE_RATE};
    sparekey_error error;

    (void)state;
    fault_init(&error);
    error.attempt_count = 3;
    fault_from_plan(&error, &step);
    assert_int_equal(error.code, SPAREKEY_ERROR_RATE_LIMITED);
    assert_int_equal(error.retry_after_ms, 7000);
    assert_non_null(strstr(error.message, "3 attempts"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failure_has_a_code),
        cmocka_unit_test(every_status_has_a_text),
        cmocka_unit_test(a_smaller_struct_is_not_overrun),
        cmocka_unit_test(an_answer_that_echoes_the_key_is_masked),
        cmocka_unit_test(a_plan_that_gives_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
