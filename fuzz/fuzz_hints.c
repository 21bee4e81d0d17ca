/* Headers of an answer, one "name: value" a line; each value also as a duration, date and text. */
#include "fuzz.h"

#include "openai/hints.h"

static void check_number(int64_t value)
{
    FUZZ_CHECK(value >= HINT_NONE);
}

static void check_wait(int64_t ns)
{
    FUZZ_CHECK(ns >= HINT_NONE && ns <= HINT_WAIT_MAX_NS);
}

static void one_line(struct hints *hints, struct slice line)
{
    const char *colon = memchr(line.ptr, ':', line.len);
    size_t name_len = colon ? (size_t)(colon - line.ptr) : line.len;
    struct slice value = slice_from(line, colon ? name_len + 1 : line.len);
    int64_t parsed = 0;

    (void)hints_field(hints, slice_of(line.ptr, name_len), value, INT64_C(784111777000));
    if (duration_parse(value, &parsed) == STATUS_OK)
        check_wait(parsed);
    if (http_date_parse(value, &parsed) == STATUS_OK)
        check_number(parsed);
    check_wait(message_wait_ns(value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_of((const char *)data, size), line;
    struct hints hints;

    hints_init(&hints);
    while (slice_next_item(&rest, '\n', &line))
        one_line(&hints, line);
    check_wait(hints.retry_after_ns);
    check_wait(hints.retry_after_ms_ns);
    for (int i = 0; i < LIMIT_DIMENSIONS; i++) {
        check_number(hints.limits[i].limit);
        check_number(hints.limits[i].remaining);
        check_wait(hints.limits[i].reset_ns);
    }
    check_wait(hints_wait_ns(&hints, slice_of((const char *)data, size)));
    return 0;
}
