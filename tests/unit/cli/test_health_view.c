/* The table: both forms in which a document may tell of recovery, order, widths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "cli/health_view.h"

#define NOW INT64_C(1795867200000) /* 2026-11-28T12:00:00Z */

#define SUMMARY                                                                                    \
    "\"success\":true,\"overallStatus\":\"degraded\",\"summary\":{\"totalKeys\":3,"                \
    "\"healthyKeys\":1,\"rateLimitedKeys\":1,\"unhealthyKeys\":1,\"overallSuccessRate\":98.5}"

#define DOCUMENT                                                                                   \
    "{" SUMMARY ",\"keys\":["                                                                      \
    "{\"keyId\":\"sk-proj...AAAA\",\"name\":\"ONE\",\"isHealthy\":true,\"errorCount\":0,"          \
    "\"totalRequests\":120,\"successRate\":100,\"isRateLimited\":false,\"inFlight\":2},"           \
    "{\"keyId\":\"sk-proj...BBBB\",\"name\":\"TWO\",\"isHealthy\":false,\"errorCount\":1,"         \
    "\"totalRequests\":50,\"successRate\":98.0,\"isRateLimited\":true,\"inFlight\":0,"             \
    "\"reason\":{\"class\":\"rate_limited\",\"opensInMs\":12001}},"                                \
    "{\"keyId\":\"sk-proj...CCCC\",\"name\":\"THREE\\u001b\",\"isHealthy\":false,"                 \
    "\"errorCount\":4,\"totalRequests\":30,\"successRate\":0.0,\"isRateLimited\":false,"           \
    "\"inFlight\":0,\"reason\":\"revoked\",\"recoveryTime\":\"2026-11-28T12:15:00.000Z\"}]}"

static struct health read_it(const char *text)
{
    struct health h;

    assert_int_equal(health_read(slice_str(text), NOW, &h), STATUS_OK);
    return h;
}

static void reads_what_is_there(void **state)
{
    struct health h = read_it(DOCUMENT);

    (void)state;
    assert_string_equal(h.overall, "degraded");
    assert_int_equal(h.total, 3);
    assert_int_equal(h.requests, 200);
    assert_int_equal(h.in_flight, 2);
    assert_int_equal(h.rows[0].back_ms, -1);
    assert_int_equal(h.rows[1].state, HEALTH_LIMITED);
    assert_int_equal(h.rows[1].back_ms, 12001);
    assert_int_equal(h.rows[2].state, HEALTH_OUT);
    assert_int_equal(h.rows[2].back_ms, 900000);
    assert_string_equal(h.rows[2].reason, "revoked");
    assert_string_equal(h.rows[2].name, "THREE?"); /* no terminal is given an escape */
    health_clear(&h);
}

static void refuses_what_is_none(void **state)
{
    static const char *const texts[] = {
        "", "{", "[]", "{}", "{\"keys\":[]}", "{\"keys\":{},\"summary\":{}}"};
    struct health h;

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_int_equal(health_read(slice_str(texts[i]), NOW, &h), STATUS_INVALID);
    h = read_it("{\"summary\":7,\"summary\":{},\"keys\":[7,{}]}"); /* odd, but no harm */
    assert_int_equal(h.row_count, 2);
    health_clear(&h);
}

static void the_worst_come_first(void **state)
{
    struct health h = read_it(DOCUMENT);
    struct buffer out = {0};
    const struct health_style plain = {false, 0};

    (void)state;
    health_sort(&h);
    assert_int_equal(health_table(&h, 3, &plain, &out), STATUS_OK);
    assert_int_equal(health_summary(&h, &plain, &out), STATUS_OK);
    assert_int_equal(buffer_append(&out, slice_of("", 1), HEALTH_TEXT_MAX), STATUS_OK);
    assert_string_equal(
        out.data,
        "KEY              NAME    STATE         REASON                    BACK IN      SUCCESS  "
        "REQUESTS  ACTIVE\n"
        "sk-proj...CCCC   THREE?  out           revoked                    15 min       0.00 %  "
        "      30       0\n"
        "sk-proj...BBBB   TWO     rate limited  rate_limited                 13 s      98.00 %  "
        "      50       0\n"
        "sk-proj...AAAA   ONE     ready         -                               -     100.00 %  "
        "     120       2\n"
        "degraded: 1 of 3 keys ready, 1 rate limited, 1 out; 98.50 % of 200 attempts succeeded\n");
    buffer_clear(&out);
    health_clear(&h);
}

static void lines_are_cut_to_the_terminal(void **state)
{
    struct health h = read_it(DOCUMENT);
    struct buffer out = {0};
    const struct health_style narrow = {true, 10};

    (void)state;
    assert_int_equal(health_table(&h, 1, &narrow, &out), STATUS_OK);
    assert_int_equal(buffer_append(&out, slice_of("", 1), HEALTH_TEXT_MAX), STATUS_OK);
    assert_string_equal(out.data, "\033[1mKEY       \033[0m\n\033[32msk-proj...\033[0m\n");
    buffer_clear(&out);
    health_clear(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_is_there),
        cmocka_unit_test(refuses_what_is_none),
        cmocka_unit_test(the_worst_come_first),
        cmocka_unit_test(lines_are_cut_to_the_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
