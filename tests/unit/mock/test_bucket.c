#include "mock_test.h"

#include "mock/bucket.h"

#define S INT64_C(1000000000)

enum { NOW = 1000 };

static void exactly_the_limit_fits(void **state)
{
    static const int64_t limits[] = {1, 3, 7, 60, 30000, 999983, BUCKET_LIMIT_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        struct bucket bucket = {0};
        bucket_take(&bucket, limits[i], 60 * S, limits[i], NOW);
        struct bucket_reading r = bucket_read(&bucket, limits[i], 60 * S, 1, NOW);
        assert_int_equal(r.remaining, 0);
        assert_int_equal(r.used, limits[i]);
        assert_true(r.wait_ns > 0);
    }
}

static void one_by_one_is_the_same(void **state)
{
    struct bucket bucket = {0};

    (void)state;
    for (int i = 0; i < 7; i++) {
        struct bucket_reading r = bucket_read(&bucket, 7, 60 * S, 1, NOW);
        assert_int_equal(r.wait_ns, 0);
        assert_int_equal(r.remaining, 7 - i);
        bucket_take(&bucket, 7, 60 * S, 1, NOW);
    }
    assert_true(bucket_read(&bucket, 7, 60 * S, 1, NOW).wait_ns > 0);
}

static void wait_is_when_it_fits_and_reset_when_it_is_full(void **state)
{
    struct bucket bucket = {0};

    (void)state;
    bucket_take(&bucket, 3, 60 * S, 3, 0);
    struct bucket_reading r = bucket_read(&bucket, 3, 60 * S, 1, 0);
    assert_int_equal(r.wait_ns, 20 * S);
    assert_int_equal(r.reset_ns, 60 * S);
    assert_int_not_equal(bucket_read(&bucket, 3, 60 * S, 1, 20 * S - 1).wait_ns, 0);
    assert_int_equal(bucket_read(&bucket, 3, 60 * S, 1, 20 * S).wait_ns, 0);
    assert_int_equal(bucket_read(&bucket, 3, 60 * S, 2, 20 * S).wait_ns, 20 * S);
    r = bucket_read(&bucket, 3, 60 * S, 0, 61 * S);
    assert_int_equal(r.remaining, 3);
    assert_int_equal(r.reset_ns, 0);
}

static void larger_than_the_limit_never_fits(void **state)
{
    struct bucket bucket = {0};

    (void)state;
    assert_int_equal(bucket_read(&bucket, 30000, 60 * S, 30001, 0).wait_ns, -1);
    assert_int_equal(bucket_read(&bucket, 30000, 60 * S, 30000, 0).wait_ns, 0);
}

static void reading_takes_nothing(void **state)
{
    struct bucket bucket = {0};

    (void)state;
    for (int i = 0; i < 10; i++)
        assert_int_equal(bucket_read(&bucket, 3, 60 * S, 3, 0).remaining, 3);
}

static void huge_amounts_do_not_overflow(void **state)
{
    struct bucket bucket = {0};

    (void)state;
    for (int i = 0; i < 2; i++)
        bucket_take(&bucket, 1, 60 * S, INT64_MAX / 2, 0);
    assert_true(bucket_read(&bucket, 1, 60 * S, 1, 0).wait_ns > 0);
}

static void buckets_are_shared_by_name(void **state)
{
    struct bucket_set set;

    (void)state;
    bucket_set_init(&set);
    struct bucket *a = bucket_set_get(&set, SLICE("org"), SLICE("m"), SLICE("requests"));
    assert_ptr_equal(a, bucket_set_get(&set, SLICE("org"), SLICE("m"), SLICE("requests")));
    assert_ptr_not_equal(a, bucket_set_get(&set, SLICE("org"), SLICE("n"), SLICE("requests")));
    assert_ptr_not_equal(a, bucket_set_get(&set, SLICE("or"), SLICE("gm"), SLICE("requests")));
    bucket_take(a, 1, S, 1, 5);
    bucket_set_refill(&set);
    assert_int_equal(bucket_read(a, 1, S, 1, 5).wait_ns, 0);
    bucket_set_fini(&set);
}

static void a_set_grows_and_ends(void **state)
{
    struct bucket_set set;
    struct bucket *first = NULL;

    (void)state;
    bucket_set_init(&set);
    for (int i = 0; i < BUCKETS_MAX; i++) {
        char name[16];
        int len = snprintf(name, sizeof(name), "m%d", i);
        struct bucket *b =
            bucket_set_get(&set, SLICE("o"), slice_of(name, (size_t)len), SLICE("r"));
        assert_non_null(b);
        first = first ? first : b;
    }
    assert_null(bucket_set_get(&set, SLICE("o"), SLICE("one more"), SLICE("r")));
    assert_ptr_equal(first, bucket_set_get(&set, SLICE("o"), SLICE("m0"), SLICE("r")));
    bucket_set_fini(&set);
}

static void durations_as_openai_writes_them(void **state)
{
    static const struct {
        int64_t ns;
        const char *text;
    } rows[] = {
        {0, "0s"},
        {1, "1ms"},
        {120 * S / 1000, "120ms"},
        {S, "1s"},
        {58891 * S / 1000, "58.891s"},
        {360 * S, "6m0s"},
        {3723 * S, "1h2m3s"},
        {410580 * S, "114h3m0s"},
        {999 * S / 1000 + 1, "1s"},
        {61500 * S / 1000, "1m1.500s"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buffer out = {0};
        assert_int_equal(duration_write(&out, rows[i].ns, 64), STATUS_OK);
        assert_int_equal(out.len, strlen(rows[i].text));
        assert_memory_equal(out.data, rows[i].text, out.len);
        buffer_clear(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exactly_the_limit_fits),
        cmocka_unit_test(one_by_one_is_the_same),
        cmocka_unit_test(wait_is_when_it_fits_and_reset_when_it_is_full),
        cmocka_unit_test(larger_than_the_limit_never_fits),
        cmocka_unit_test(reading_takes_nothing),
        cmocka_unit_test(huge_amounts_do_not_overflow),
        cmocka_unit_test(buckets_are_shared_by_name),
        cmocka_unit_test(a_set_grows_and_ends),
        cmocka_unit_test(durations_as_openai_writes_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
