/* Headers and texts about limits and waiting, in every form seen (openai-protocol.md §3). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "openai/hints.h"

#define MS  INT64_C(1000000)
#define S   INT64_C(1000000000)
#define MIN (60 * S)
#define H   (60 * MIN)
#define DAY (24 * H)

/* Sun, 06 Nov 1994 08:49:37 GMT */
#define NOV_1994_MS INT64_C(784111777000)

struct duration_case {
    const char *text;
    int64_t ns; /* HINT_NONE: invalid */
};

static void test_durations(void **state)
{
    static const struct duration_case cases[] = {
        {"1s", S},
        {"0s", 0},
        {"6m0s", 6 * MIN},
        {"120ms", 120 * MS},
        {"58.891s", 58891 * MS},
        {"1h2m3s", H + 2 * MIN + 3 * S},
        {"7m12s", 7 * MIN + 12 * S},
        {"114h18m0s", DAY}, /* clamped */
        {"23h59m59s", DAY - S},
        {"1d", DAY},
        {"2d", DAY},
        {"0.5d", 12 * H},
        {"1.5h", 90 * MIN},
        {"250us", 250000},
        {"250\xC2\xB5s", 250000},
        {"250\xCE\xBCs", 250000},
        {"17ns", 17},
        {"1.5ms", 1500000},
        {"1m1ms", MIN + MS},
        {"7", 7 * S},
        {"0", 0},
        {"0.25", 250 * MS},
        {"86399", DAY - S},
        {"86401", DAY},
        {"99999999999999999999999999s", DAY},
        {"99999999999999999999999999", DAY},
        {" 1s\t", S},
        {"", HINT_NONE},
        {" ", HINT_NONE},
        {"-1", HINT_NONE},
        {"-1s", HINT_NONE},
        {"+1s", HINT_NONE},
        {"s", HINT_NONE},
        {"ms", HINT_NONE},
        {"1.s", HINT_NONE},
        {".5s", HINT_NONE},
        {"1..5s", HINT_NONE},
        {"1x", HINT_NONE},
        {"1S", HINT_NONE},
        {"1m30", HINT_NONE},
        {"1s 2ms", HINT_NONE},
        {"1,5s", HINT_NONE},
        {"1s,", HINT_NONE},
        {"1e3s", HINT_NONE},
        {"nan", HINT_NONE},
        {"inf", HINT_NONE},
        {"0x10", HINT_NONE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t ns = -7;
        enum status status = duration_parse(slice_str(cases[i].text), &ns);
        if (cases[i].ns == HINT_NONE) {
            assert_int_equal(status, STATUS_INVALID);
            assert_true(ns == -7); /* written only on success */
        } else {
            assert_int_equal(status, STATUS_OK);
            assert_true(ns == cases[i].ns);
        }
    }
}

static void test_dates(void **state)
{
    static const struct duration_case cases[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", NOV_1994_MS},
        {"Sunday, 06-Nov-94 08:49:37 GMT", NOV_1994_MS},
        {"Sun Nov  6 08:49:37 1994", NOV_1994_MS},
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Thu, 29 Feb 2024 12:00:00 GMT", INT64_C(1709208000000)},
        {"Sat, 31 Dec 2016 23:59:60 GMT", INT64_C(1483228800000)},
        {"Mon, 23 Nov 2026 02:45:43 GMT", INT64_C(1795401943000)},
        {"Monday, 23-Nov-26 02:45:43 GMT", INT64_C(1795401943000)},
        {"  Sun, 06 Nov 1994 08:49:37 GMT ", NOV_1994_MS},
        {"", HINT_NONE},
        {"Sun, 06 Nov 1994 08:49:37", HINT_NONE},
        {"Sun, 06 Nov 1994 08:49:37 CET", HINT_NONE},
        {"Sun, 06 Nov 1994 24:00:00 GMT", HINT_NONE},
        {"Sun, 06 Nov 1994 08:60:00 GMT", HINT_NONE},
        {"Sun, 06 Nov 1994 08:49:61 GMT", HINT_NONE},
        {"Sun, 00 Nov 1994 08:49:37 GMT", HINT_NONE},
        {"Sun, 31 Nov 1994 08:49:37 GMT", HINT_NONE},
        {"Sun, 06 Nob 1994 08:49:37 GMT", HINT_NONE},
        {"Sun, 06 Nov 1969 08:49:37 GMT", HINT_NONE},
        {"Sun, 06 Nov 19x4 08:49:37 GMT", HINT_NONE},
        {"Sun,  6 Nov 1994 08:49:37 GMT", HINT_NONE},
        {"Sunday; 06-Nov-94 08:49:37 GMT", HINT_NONE},
        {"1994-11-06T08:49:37Z", HINT_NONE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t ms = -7;
        enum status status = http_date_parse(slice_str(cases[i].text), &ms);
        assert_int_equal(status, cases[i].ns == HINT_NONE ? STATUS_INVALID : STATUS_OK);
        assert_true(ms == (cases[i].ns == HINT_NONE ? -7 : cases[i].ns));
    }
}

static void test_messages(void **state)
{
    static const struct duration_case cases[] = {
        {"Rate limit reached: Limit 30000, Used 29446, Requested 821. Please try again in 534ms.",
         534 * MS},
        {"Please try again in 6m0s. Visit https://x", 6 * MIN},
        {"Please try again in 1m2.5s.", MIN + 2500 * MS},
        {"Try again in 20s", 20 * S},
        {"Limit: 5/min. Please try again after 51.84 seconds.", 51840 * MS},
        {"Please retry after 9 seconds.", 9 * S},
        {"please retry after 1 second", S},
        {"PLEASE RETRY AFTER 2 MINUTES", 2 * MIN},
        {"try again in 3 hours, or after 1 second", 3 * H},
        {"retry after 86400 seconds", DAY},
        {"retry in 5 days", DAY},
        {"try again in 300 milliseconds", 300 * MS},
        {"come back after a while, after 7s.", 7 * S},
        {"try again in (2s)", HINT_NONE},
        {"try again in 20", HINT_NONE}, /* twenty what? */
        {"try again in 20 attempts", HINT_NONE},
        {"try again in a moment", HINT_NONE},
        {"try again in -5s", HINT_NONE},
        {"try again in ", HINT_NONE},
        {"try again later", HINT_NONE},
        {"after", HINT_NONE},
        {"", HINT_NONE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_true(message_wait_ns(slice_str(cases[i].text)) == cases[i].ns);
}

static bool field(struct hints *hints, const char *name, const char *value)
{
    return hints_field(hints, slice_str(name), slice_str(value), NOV_1994_MS);
}

/* The captured 429 of openai-protocol.md §3. */
static void test_captured_answer(void **state)
{
    struct hints hints;

    (void)state;
    hints_init(&hints);
    assert_true(field(&hints, "retry-after", "1"));
    assert_true(field(&hints, "Retry-After-Ms", "534"));
    assert_true(field(&hints, "x-ratelimit-limit-tokens", "30000"));
    assert_true(field(&hints, "X-RateLimit-Remaining-Tokens", "554"));
    assert_true(field(&hints, "x-ratelimit-reset-tokens", "58.891s"));
    assert_true(field(&hints, "x-ratelimit-limit-requests", "500"));
    assert_true(field(&hints, "x-ratelimit-remaining-requests", "499"));
    assert_true(field(&hints, "x-ratelimit-reset-requests", "120ms"));
    assert_true(field(&hints, "x-should-retry", "true"));
    assert_true(field(&hints, "openai-organization", "user-abc"));
    assert_true(field(&hints, "openai-project", "proj_1"));
    assert_true(field(&hints, "x-request-id", " req_123 "));

    assert_true(hints.retry_after_ns == S);
    assert_true(hints.retry_after_ms_ns == 534 * MS);
    assert_int_equal(hints.limits[LIMIT_TOKENS].limit, 30000);
    assert_int_equal(hints.limits[LIMIT_TOKENS].remaining, 554);
    assert_true(hints.limits[LIMIT_TOKENS].reset_ns == 58891 * MS);
    assert_int_equal(hints.limits[LIMIT_REQUESTS].limit, 500);
    assert_int_equal(hints.limits[LIMIT_REQUESTS].remaining, 499);
    assert_true(hints.limits[LIMIT_REQUESTS].reset_ns == 120 * MS);
    assert_int_equal(hints.should_retry, 1);
    assert_string_equal(hints.organization, "user-abc");
    assert_string_equal(hints.project, "proj_1");
    assert_string_equal(hints.request_id, "req_123");
    assert_true(hints.limits[LIMIT_IMAGES].limit == HINT_NONE);
}

static void test_every_dimension(void **state)
{
    static const struct {
        const char *name;
        enum limit_dimension index;
    } dimensions[] = {
        {"requests", LIMIT_REQUESTS},
        {"tokens", LIMIT_TOKENS},
        {"project-requests", LIMIT_PROJECT_REQUESTS},
        {"project-tokens", LIMIT_PROJECT_TOKENS},
        {"images", LIMIT_IMAGES},
        {"input-images", LIMIT_IMAGES},
    };
    char name[64];

    (void)state;
    for (size_t i = 0; i < sizeof dimensions / sizeof *dimensions; i++) {
        struct hints hints;
        hints_init(&hints);
        (void)snprintf(name, sizeof name, "x-ratelimit-limit-%s", dimensions[i].name);
        assert_true(field(&hints, name, "10"));
        for (int d = 0; d < LIMIT_DIMENSIONS; d++)
            assert_true(hints.limits[d].limit == (d == (int)dimensions[i].index ? 10 : HINT_NONE));
    }
}

static void test_other_headers_are_ignored(void **state)
{
    static const char *const names[] = {
        "",
        "x",
        "date",
        "content-type",
        "x-ratelimit-",
        "x-ratelimit-limit-",
        "x-ratelimit-limit-audio",
        "x-ratelimit-used-tokens",
        "x-ratelimit-limit-tokensx",
        "retry-after-msx",
        "retry-afte",
        "openai-version",
        "openai-processing-ms",
        "cf-cache-status",
        "x-oai-request-id",
    };
    struct hints hints, fresh;

    (void)state;
    hints_init(&hints);
    hints_init(&fresh);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_false(field(&hints, names[i], "1"));
    assert_memory_equal(&hints, &fresh, sizeof hints);
}

/* Absent, malformed and absurd values are unknown, never zero. */
static void test_bad_values(void **state)
{
    static const char *const values[] = {"-1",  "",     " ",   "1,000", "1 2",
                                         "abc", "1.5x", "0x1", "1, 1",  "99999999999999999999999"};

    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct hints hints;
        hints_init(&hints);
        assert_true(field(&hints, "x-ratelimit-limit-tokens", values[i]));
        assert_true(field(&hints, "x-ratelimit-remaining-tokens", values[i]));
        assert_true(hints.limits[LIMIT_TOKENS].limit == HINT_NONE);
        assert_true(hints.limits[LIMIT_TOKENS].remaining == HINT_NONE);
        if (values[i][0] == '9')
            continue; /* as a wait: a very long one, clamped */
        assert_true(field(&hints, "x-ratelimit-reset-tokens", values[i]));
        assert_true(field(&hints, "retry-after", values[i]));
        assert_true(field(&hints, "retry-after-ms", values[i]));
        assert_true(field(&hints, "x-should-retry", values[i]));
        assert_true(hints.limits[LIMIT_TOKENS].reset_ns == HINT_NONE);
        assert_true(hints.retry_after_ns == HINT_NONE);
        assert_true(hints.retry_after_ms_ns == HINT_NONE);
        assert_true(hints.should_retry == HINT_NONE);
    }
}

static void test_contradictions(void **state)
{
    struct hints hints;

    (void)state;
    hints_init(&hints);
    field(&hints, "retry-after", "1");
    field(&hints, "retry-after", "1");
    assert_true(hints.retry_after_ns == S); /* said twice, the same */
    field(&hints, "retry-after", "3600");
    assert_true(hints.retry_after_ns == HINT_NONE);
    field(&hints, "retry-after", "1");
    assert_true(hints.retry_after_ns == HINT_NONE); /* and stays so */

    /* More left than there is. */
    field(&hints, "x-ratelimit-remaining-tokens", "200");
    field(&hints, "x-ratelimit-limit-tokens", "100");
    assert_true(hints.limits[LIMIT_TOKENS].remaining == HINT_NONE);
    field(&hints, "x-ratelimit-limit-requests", "100");
    field(&hints, "x-ratelimit-remaining-requests", "200");
    assert_true(hints.limits[LIMIT_REQUESTS].remaining == HINT_NONE);
    assert_int_equal(hints.limits[LIMIT_REQUESTS].limit, 100);
}

static void test_retry_after_forms(void **state)
{
    static const struct duration_case cases[] = {
        {"20", 20 * S},
        {"0", 0},
        {"1.5", 1500 * MS},
        {"20s", 20 * S},
        {"Sun, 06 Nov 1994 08:50:37 GMT", MIN},
        {"Sun, 06 Nov 1994 08:49:36 GMT", 0}, /* gone by */
        {"Sun, 06 Nov 1995 08:49:37 GMT", DAY},
        {"Sunday, 06-Nov-94 08:49:40 GMT", 3 * S},
        {"soon", HINT_NONE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct hints hints;
        hints_init(&hints);
        field(&hints, "retry-after", cases[i].text);
        assert_true(hints.retry_after_ns == cases[i].ns);
    }
}

static void test_request_id(void **state)
{
    struct hints hints;

    (void)state;
    hints_init(&hints);
    field(&hints, "cf-ray", "ray-1");
    assert_string_equal(hints.request_id, "ray-1");
    field(&hints, "x-request-id", "req_1");
    assert_string_equal(hints.request_id, "req_1");
    hints_init(&hints);
    field(&hints, "x-request-id", "req_1");
    field(&hints, "cf-ray", "ray-1");
    assert_string_equal(hints.request_id, "req_1");
}

/* A cut organisation could be another one; a control byte could forge a log line. */
static void test_names_are_kept_whole_or_not(void **state)
{
    char name[80];
    struct hints hints;

    (void)state;
    memset(name, 'o', sizeof name);
    name[63] = '\0';
    hints_init(&hints);
    field(&hints, "openai-organization", name);
    assert_string_equal(hints.organization, name);
    name[63] = 'o';
    name[64] = '\0';
    hints_init(&hints);
    field(&hints, "openai-organization", name);
    assert_string_equal(hints.organization, "");
    field(&hints, "openai-project", "proj\n1");
    assert_string_equal(hints.project, "");
    field(&hints, "openai-project", "proj\x7f");
    assert_string_equal(hints.project, "");
}

static void test_order_of_precedence(void **state)
{
    struct slice message = SLICE("Please try again in 5s.");
    struct hints hints;

    (void)state;
    hints_init(&hints);
    assert_true(hints_wait_ns(&hints, slice_of(NULL, 0)) == HINT_NONE);

    /* A bucket that is not used up says nothing, whatever its reset. */
    hints.limits[LIMIT_TOKENS] = (struct limit_hint){100, 5, 30 * S};
    assert_true(hints_wait_ns(&hints, slice_of(NULL, 0)) == HINT_NONE);
    hints.limits[LIMIT_REQUESTS] = (struct limit_hint){100, 0, 2 * S};
    assert_true(hints_wait_ns(&hints, slice_of(NULL, 0)) == 2 * S);
    hints.limits[LIMIT_IMAGES] = (struct limit_hint){HINT_NONE, 0, 9 * S};
    assert_true(hints_wait_ns(&hints, slice_of(NULL, 0)) == 9 * S);
    hints.limits[LIMIT_PROJECT_TOKENS] = (struct limit_hint){100, 0, HINT_NONE};
    assert_true(hints_wait_ns(&hints, slice_of(NULL, 0)) == 9 * S);

    assert_true(hints_wait_ns(&hints, message) == 5 * S);
    hints.retry_after_ns = 4 * S;
    assert_true(hints_wait_ns(&hints, message) == 4 * S);
    hints.retry_after_ms_ns = 300 * MS;
    assert_true(hints_wait_ns(&hints, message) == 300 * MS);

    assert_true(hints_asked_wait_ns(&hints, message) == 300 * MS);
    hints.retry_after_ms_ns = hints.retry_after_ns = HINT_NONE;
    assert_true(hints_asked_wait_ns(&hints, message) == 5 * S);
    assert_true(hints_asked_wait_ns(&hints, slice_of(NULL, 0)) == HINT_NONE);
}

/* Any bytes: an answer within bounds, nothing read outside the slice. */
static void test_random_texts(void **state)
{
    static const char alphabet[] = "0123456789..smhdun\xC2\xB5 ,:-GMTSunNovtryagainafterin";
    struct rng rng = {5};

    (void)state;
    for (int round = 0; round < 50000; round++) {
        size_t len = (size_t)rng_below(&rng, 40);
        char *text = malloc(len ? len : 1);
        assert_non_null(text);
        for (size_t i = 0; i < len; i++)
            text[i] =
                round % 4 ? alphabet[rng_below(&rng, sizeof alphabet - 1)] : (char)rng_next(&rng);
        if (round % 3 == 0 && len > 6)
            memcpy(text, "after ", 6);
        int64_t value = 0;
        if (duration_parse(slice_of(text, len), &value) == STATUS_OK)
            assert_true(value >= 0 && value <= HINT_WAIT_MAX_NS);
        if (http_date_parse(slice_of(text, len), &value) == STATUS_OK)
            assert_true(value >= 0);
        value = message_wait_ns(slice_of(text, len));
        assert_true(value >= HINT_NONE && value <= HINT_WAIT_MAX_NS);
        struct hints hints;
        hints_init(&hints);
        hints_field(&hints, slice_of(text, len), slice_of(text, len), 0);
        hints_field(&hints, SLICE("retry-after"), slice_of(text, len), 0);
        assert_true(hints.retry_after_ns >= HINT_NONE && hints.retry_after_ns <= HINT_WAIT_MAX_NS);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_captured_answer),
        cmocka_unit_test(test_every_dimension),
        cmocka_unit_test(test_other_headers_are_ignored),
        cmocka_unit_test(test_bad_values),
        cmocka_unit_test(test_contradictions),
        cmocka_unit_test(test_retry_after_forms),
        cmocka_unit_test(test_request_id),
        cmocka_unit_test(test_names_are_kept_whole_or_not),
        cmocka_unit_test(test_order_of_precedence),
        cmocka_unit_test(test_random_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
