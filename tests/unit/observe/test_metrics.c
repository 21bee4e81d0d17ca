/* Metrics: the table keeps the rules of both forms, pages say what they should, and who gets which. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "observe/metrics.h"

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static void test_names_follow_the_rules(void **state)
{
    (void)state;
    for (int i = 0; i < METRIC_IDS; i++) {
        const struct metric_row *row = &metrics_table[i];
        assert_true(strspn(row->name, "abcdefghijklmnopqrstuvwxyz_") == strlen(row->name));
        assert_int_equal(ends_with(row->name, "_total"), row->kind == METRIC_KIND_COUNTER);
        assert_true(ends_with(row->help, "."));
        assert_true(row->kind != METRIC_KIND_HISTOGRAM || ends_with(row->name, "_seconds"));
        for (int j = 0; j < i; j++)
            assert_string_not_equal(row->name, metrics_table[j].name);
    }
}

static void test_bounds_ascend(void **state)
{
    (void)state;
    for (int i = 1; i < METRICS_BUCKETS_MAX; i++) {
        assert_true(metrics_fine_ns[i - 1] < metrics_fine_ns[i]);
        assert_true(metrics_coarse_ns[i - 1] < metrics_coarse_ns[i]);
    }
}

/* The page as text; freed by the next call. */
static const char *text_of(struct metrics_page *page)
{
    static char text[4096];

    assert_int_equal(page->status, STATUS_OK);
    assert_true(page->out.len < sizeof text);
    memcpy(text, page->out.data, page->out.len);
    text[page->out.len] = '\0';
    buffer_clear(&page->out);
    return text;
}

static void test_a_counter_in_both_forms(void **state)
{
    (void)state;
    struct metrics_page plain = {0}, open = {.openmetrics = true};
    metrics_family(&plain, METRIC_FAILOVERS);
    metrics_sample(&plain, 3, NULL);
    metrics_end(&plain);
    assert_string_equal(text_of(&plain),
                        "# HELP sparekey_failovers_total Times a request moved on to another key.\n"
                        "# TYPE sparekey_failovers_total counter\n"
                        "sparekey_failovers_total 3\n");
    metrics_family(&open, METRIC_FAILOVERS);
    metrics_sample(&open, 3, NULL);
    metrics_end(&open);
    assert_string_equal(text_of(&open),
                        "# HELP sparekey_failovers Times a request moved on to another key.\n"
                        "# TYPE sparekey_failovers counter\n"
                        "sparekey_failovers_total 3\n"
                        "# EOF\n");
}

static void test_labels_are_escaped(void **state)
{
    (void)state;
    struct metrics_page page = {0};
    const char *labels[] = {"a\"b\\c\nd", "sk-proj...N0IA"};
    metrics_family(&page, METRIC_KEY_READY);
    page.out.len = 0;
    metrics_sample(&page, 1, labels);
    assert_string_equal(text_of(&page),
                        "sparekey_key_ready{key=\"a\\\"b\\\\c\\nd\",mask=\"sk-proj...N0IA\"} 1\n");
}

static void test_a_histogram_is_cumulative(void **state)
{
    (void)state;
    struct metrics_page page = {.openmetrics = true};
    struct histogram h = {0};
    histogram_add(&h, metrics_fine_ns, -5); /* clocks of two threads */
    histogram_add(&h, metrics_fine_ns, 10000);
    histogram_add(&h, metrics_fine_ns, 10001);
    histogram_add(&h, metrics_fine_ns, INT64_C(5000000000));
    metrics_family(&page, METRIC_OVERHEAD);
    metrics_histogram(&page, metrics_fine_ns, &h);
    const char *text = text_of(&page);
    assert_non_null(strstr(text, "# UNIT sparekey_overhead_seconds seconds\n"));
    assert_non_null(strstr(text, "_bucket{le=\"1e-05\"} 2\n"));
    assert_non_null(strstr(text, "_bucket{le=\"2.5e-05\"} 3\n"));
    assert_non_null(strstr(text, "_bucket{le=\"1.0\"} 3\n"));
    assert_non_null(strstr(text, "_bucket{le=\"+Inf\"} 4\n"));
    assert_non_null(strstr(text, "_sum 5.000020001\n"));
    assert_non_null(strstr(text, "_count 4\n"));
}

static void test_gathering_adds(void **state)
{
    (void)state;
    struct metrics a = {0}, b = {0}, sum = {0};
    metric_add(&a.begun);
    metric_add(&a.requests[2][METRIC_CLASS_5XX]);
    metric_add(&b.requests[2][METRIC_CLASS_5XX]);
    histogram_add(&b.wait, metrics_coarse_ns, 7);
    metrics_gather(&a, &sum);
    metrics_gather(&b, &sum);
    assert_int_equal(sum.begun, 1);
    assert_int_equal(sum.requests[2][METRIC_CLASS_5XX], 2);
    assert_int_equal(sum.wait.counts[0], 1);
    assert_int_equal(sum.wait.sum_ns, 7);
}

static void test_a_page_has_a_limit(void **state)
{
    (void)state;
    struct metrics_page page = {0};
    while (page.status == STATUS_OK)
        metrics_family(&page, METRIC_REQUESTS);
    assert_int_equal(page.status, STATUS_LIMIT);
    assert_true(page.out.len <= METRICS_PAGE_MAX);
    buffer_clear(&page.out);
}

static void test_classes(void **state)
{
    (void)state;
    assert_int_equal(metric_class_of(0), METRIC_CLASS_GONE);
    assert_int_equal(metric_class_of(200), METRIC_CLASS_2XX);
    assert_int_equal(metric_class_of(304), METRIC_CLASS_3XX);
    assert_int_equal(metric_class_of(499), METRIC_CLASS_4XX);
    assert_int_equal(metric_class_of(503), METRIC_CLASS_5XX);
}

static void test_who_wants_openmetrics(void **state)
{
    (void)state;
    static const struct {
        const char *accept;
        bool openmetrics;
    } cases[] = {
        {"", false},
        {"*/*", false},
        {"text/plain", false},
        {"text/html, application/xml;q=0.9", false},
        {"application/openmetrics-text", true},
        {"Application/OpenMetrics-Text; version=1.0.0", true},
        {"application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
         true},
        {"application/openmetrics-text;q=0.5,text/plain;q=0.9", false},
        {"application/openmetrics-text;q=0", false},
        {"application/openmetrics-text;q=nonsense", false},
        {",;,;q=,=", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (metrics_wants_openmetrics(slice_str(cases[i].accept)) != cases[i].openmetrics)
            fail_msg("%s", cases[i].accept);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_follow_the_rules),    cmocka_unit_test(test_bounds_ascend),
        cmocka_unit_test(test_a_counter_in_both_forms),   cmocka_unit_test(test_labels_are_escaped),
        cmocka_unit_test(test_a_histogram_is_cumulative), cmocka_unit_test(test_gathering_adds),
        cmocka_unit_test(test_a_page_has_a_limit),        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_who_wants_openmetrics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
