/* Each form of a value, good and bad, and back to text. */
#include "fixture.h"

#include "settings/value.h"

static void reads_switches(void **state)
{
    static const struct {
        const char *text;
        int value; /* -1: refused */
    } rows[] = {
        {"true", 1},  {"TRUE", 1},  {"1", 1},      {"yes", 1},  {"on", 1},
        {"false", 0}, {"False", 0}, {"0", 0},      {"no", 0},   {"off", 0},
        {"", -1},     {"2", -1},    {"maybe", -1}, {"tru", -1}, {"truee", -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool value = rows[i].value != 1;
        enum status status = value_bool(slice_str(rows[i].text), &value);
        assert_int_equal(status, rows[i].value < 0 ? STATUS_INVALID : STATUS_OK);
        if (status == STATUS_OK)
            assert_int_equal(value, rows[i].value);
    }
}

struct scaled {
    const char *text;
    uint64_t value; /* REFUSED, or what it is */
};
#define REFUSED UINT64_MAX

static void read_scaled(const struct scaled *rows, size_t count,
                        enum status (*read)(struct slice text, uint64_t *ret))
{
    for (size_t i = 0; i < count; i++) {
        uint64_t value = 77;
        enum status status = read(slice_str(rows[i].text), &value);
        if ((status == STATUS_OK) != (rows[i].value != REFUSED))
            fail_msg("\"%s\" gives status %d", rows[i].text, status);
        assert_int_equal(value, status == STATUS_OK ? rows[i].value : 77);
    }
}

static void reads_durations(void **state)
{
    static const struct scaled rows[] = {
        {"0", 0},
        {"300000", 300000},
        {"500ms", 500},
        {"10s", 10000},
        {"2m", 120000},
        {"1h", 3600000},
        {"1d", 86400000},
        {"1.5s", 1500},
        {"0.25s", 250},
        {"10 s", 10000},
        {"2M", 120000},
        {"5MS", 5},
        {"0.5ms", REFUSED},
        {"", REFUSED},
        {"s", REFUSED},
        {"-1", REFUSED},
        {"-1s", REFUSED},
        {"+1s", REFUSED},
        {"1x", REFUSED},
        {"1s1", REFUSED},
        {"1.s", REFUSED},
        {".5s", REFUSED},
        {"1.2.3s", REFUSED},
        {"1e3", REFUSED},
        {"99999999999999999999", REFUSED},
        {"9999999999999d", REFUSED},
    };

    (void)state;
    read_scaled(rows, sizeof rows / sizeof rows[0], value_duration);
}

static void reads_sizes(void **state)
{
    static const struct scaled rows[] = {
        {"0", 0},           {"4096", 4096},        {"64K", 65536},
        {"64KiB", 65536},   {"64MiB", 64u << 20},  {"64M", 64u << 20},
        {"64m", 64u << 20}, {"1g", 1u << 30},      {"1.5GiB", 3u << 29},
        {"17B", 17},        {"64 MiB", 64u << 20}, {"0.5", REFUSED},
        {"64MB", REFUSED}, /* a million or 2^20? */
        {"M", REFUSED},     {"-5", REFUSED},       {"9999999999999G", REFUSED},
    };

    (void)state;
    read_scaled(rows, sizeof rows / sizeof rows[0], value_size);
}

/* Every option's default is a value of its own form, and printing gives that default back. */
static void prints_what_it_reads(void **state)
{
    (void)state;
    for (int id = 0; id < OPTION_IDS; id++) {
        const struct option *option = &option_table[id];
        struct settings settings = {0};
        struct arena arena = {0};
        struct buffer text = {0};
        char expected[EXPECTED_MAX];

        if (!option->standard)
            continue;
        assert_int_equal(
            value_parse(option, slice_str(option->standard), &arena, &settings, expected),
            STATUS_OK);
        assert_int_equal(value_format(option, &settings, &text), STATUS_OK);
        if (!slice_eq(buffer_slice(&text), slice_str(option->standard)))
            fail_msg("%s: %s printed as %.*s", option->name, option->standard, (int)text.len,
                     text.data);
        buffer_clear(&text);
        arena_clear(&arena);
    }
}

static void says_what_it_expects(void **state)
{
    static const struct {
        enum option_id id;
        const char *value, *expected;
    } rows[] = {
        {OPTION_FALLBACK_ENABLED, "maybe", "true or false"},
        {OPTION_WORKERS, "257", "a whole number from 0 to 256"},
        {OPTION_WORKERS, "-1", "a whole number from 0 to 256"},
        {OPTION_DRAIN_TIMEOUT, "2d",
         "a duration from 0 to 1d, as 1500 (milliseconds), 500ms, 10s or 2m"},
        {OPTION_CONNECT_TIMEOUT, "0",
         "a duration from 1ms to 1d, as 1500 (milliseconds), 500ms, 10s or 2m"},
        {OPTION_MAX_BODY, "1", "a size from 1KiB to 1GiB, as 1048576, 64M or 64MiB"},
        {OPTION_STRATEGY, "random",
         "one of primary-first, round-robin, weighted, least-loaded, headroom"},
        {OPTION_LOG_LEVEL, "loud", LOG_LEVELS_EXPECTED},
        {OPTION_TEXT_MODEL, "a\nb", "a name without control characters"},
        {OPTION_CA_FILE, "a\x7f", "the path of a file"},
        {OPTION_UPSTREAM_URL, "ftp://x",
         "an http:// or https:// URL, as https://api.openai.com/v1 (it must begin with http:// or "
         "https://)"},
        {OPTION_LISTEN, "127.0.0.1",
         "ADDRESS:PORT, as 127.0.0.1:7539, [::1]:7539 or localhost:0 (the port is missing)"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct settings settings = {0};
        struct arena arena = {0};
        char expected[EXPECTED_MAX] = "";

        assert_int_equal(value_parse(&option_table[rows[i].id], slice_str(rows[i].value), &arena,
                                     &settings, expected),
                         STATUS_INVALID);
        assert_string_equal(expected, rows[i].expected);
        arena_clear(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_switches),       cmocka_unit_test(reads_durations),
        cmocka_unit_test(reads_sizes),          cmocka_unit_test(prints_what_it_reads),
        cmocka_unit_test(says_what_it_expects),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
