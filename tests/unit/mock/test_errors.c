/* Every row of the verdict table, said by the mock and read by the engine. */
#include "mock_test.h"

#include "mock/errors.h"
#include "openai/verdict.h"

static const struct error_subject subject = {"sk-proj-0123456789abcdefWXYZ", "org-1", "proj_1",
                                             "m-1"};

static void read_fields(const struct buffer *fields, struct hints *hints)
{
    struct slice rest = buffer_slice(fields), line;

    hints_init(hints);
    while (slice_next_item(&rest, '\n', &line)) {
        const char *colon = memchr(line.ptr, ':', line.len);
        if (!colon)
            continue;
        size_t name = (size_t)(colon - line.ptr);
        if (line.len && line.ptr[line.len - 1] == '\r')
            line.len--;
        hints_field(hints, slice_of(line.ptr, name), slice_trim(slice_from(line, name + 1)), 0);
    }
}

static void judge(const struct reply *reply, struct verdict *verdict)
{
    struct hints hints;
    struct evidence evidence;

    read_fields(&reply->fields, &hints);
    verdict_of(&(struct answer){.status = reply->status,
                                .request_sent = true,
                                .content_type = slice_str(reply->content_type),
                                .body = buffer_slice(&reply->body),
                                .hints = &hints,
                                .family = FAMILY_CHAT},
               verdict, &evidence);
}

static void each_row_is_recognised(void **state)
{
    unsigned count = 0;
    const struct verdict_row *row;

    (void)state;
    for (unsigned i = 0; (row = verdict_row(i)); i++) {
        struct reply reply;
        struct verdict verdict;

        if (!error_row_exists(slice_str(row->name)))
            continue;
        reply_init(&reply);
        error_row_answer(slice_str(row->name), &subject, -1, &reply);
        assert_false(reply.failed);
        judge(&reply, &verdict);
        if (verdict.failure != row->verdict.failure || verdict.scope != row->verdict.scope ||
            verdict.reaction != row->verdict.reaction || verdict.hop != row->verdict.hop)
            fail_msg("row %s was read as %s at %s: %.*s", row->name, failure_name(verdict.failure),
                     scope_name(verdict.scope), (int)reply.body.len, reply.body.data);
        reply_clear(&reply);
        count++;
    }
    assert_true(count > 60);
}

static void names_are_listed(void **state)
{
    unsigned i = 0;
    const char *name;

    (void)state;
    for (; (name = error_row_name(i)); i++)
        assert_true(error_row_exists(slice_str(name)));
    assert_true(i > 60);
    assert_false(error_row_exists(SLICE("reset")));
    assert_false(error_row_exists(SLICE("unknown")));
    assert_false(error_row_exists(SLICE("nothing")));
}

static void what_passes_says_when_and_what_does_not_is_silent(void **state)
{
    static const struct {
        const char *row;
        bool hint;
    } rows[] = {{"429_requests", true},
                {"503_overloaded", true},
                {"429_insufficient_quota", false},
                {"429_too_large", false},
                {"401_invalid_api_key", false}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct reply reply;
        struct hints hints;
        reply_init(&reply);
        error_row_answer(slice_str(rows[i].row), &subject, -1, &reply);
        read_fields(&reply.fields, &hints);
        assert_int_equal(hints.retry_after_ms_ns, rows[i].hint ? INT64_C(1000000000) : HINT_NONE);
        reply_clear(&reply);
    }
}

static void seconds_are_rounded_up(void **state)
{
    struct reply reply;
    struct hints hints;

    (void)state;
    reply_init(&reply);
    error_retry_after(&reply, 2001);
    read_fields(&reply.fields, &hints);
    assert_int_equal(hints.retry_after_ns, INT64_C(3000000000));
    assert_int_equal(hints.retry_after_ms_ns, INT64_C(2001000000));
    reply_clear(&reply);
}

static void a_wrong_key_is_echoed_with_stars(void **state)
{
    struct reply reply;

    (void)state;
    reply_init(&reply);
    error_invalid_key(subject.key, &reply);
    assert_true(slice_contains_nocase(buffer_slice(&reply.body),
                                      SLICE("sk-proj-********************WXYZ")));
    assert_false(slice_contains_nocase(buffer_slice(&reply.body), SLICE("0123456789")));
    reply_clear(&reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row_is_recognised),
        cmocka_unit_test(names_are_listed),
        cmocka_unit_test(what_passes_says_when_and_what_does_not_is_silent),
        cmocka_unit_test(seconds_are_rounded_up),
        cmocka_unit_test(a_wrong_key_is_echoed_with_stars),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
