/* Reports show no secret and do not grow without end. */

#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>

static void never_quotes_a_misplaced_secret(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fixture_load(f, NULL,
                                  LIST("SPAREKEY_UPSTREAM_URL=https://user:pass@host/v1",
                                       "SPAREKEY_WORKERS=" KEY_A),
                                  false),
                     STATUS_INVALID);
    assert_errors(f, "environment: SPAREKEY_UPSTREAM_URL: expected an http:// or https:// URL, as "
                     "https://api.openai.com/v1 (credentials in the URL are refused), got a hidden "
                     "value\n"
                     "environment: SPAREKEY_WORKERS: expected a whole number from 0 to 256, got a "
                     "hidden value\n");
}

static void bounds_its_report(void **state)
{
    struct fixture *f = *state;
    char *text = calloc(1, 20000), *at = text;

    assert_non_null(text);
    for (int i = 0; i < 150; i++)
        at += snprintf(at, 100, "SPAREKEY_%d x\n", i);
    fixture_write(f, ".env", text);
    assert_int_equal(fixture_load(f, NULL, NULL, false), STATUS_INVALID);
    assert_non_null(memmem(f->report.errors.data, f->report.errors.len, ".env:100: ", 10));
    assert_null(memmem(f->report.errors.data, f->report.errors.len, ".env:101: ", 10));
    assert_non_null(
        memmem(f->report.errors.data, f->report.errors.len, "and 50 more errors\n", 19));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(never_quotes_a_misplaced_secret),
        TEST(bounds_its_report),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
