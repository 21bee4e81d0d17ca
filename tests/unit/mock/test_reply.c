#include "mock_test.h"

#include "mock/reply.h"

static void frames_stand_apart(void **state)
{
    struct reply reply;

    (void)state;
    reply_init(&reply);
    reply_stream(&reply, STREAM_FORM_DATA);
    for (int i = 0; i < 100; i++)
        reply_data(&reply, json_integer(i));
    reply_mark_terminal(&reply);
    reply_done(&reply);
    assert_int_equal(reply.frame_count, 101);
    assert_int_equal(reply.terminal, 100);
    assert_true(slice_eq(reply_frame(&reply, 0), SLICE("data: 0\n\n")));
    assert_true(slice_eq(reply_frame(&reply, 42), SLICE("data: 42\n\n")));
    assert_true(slice_eq(reply_frame(&reply, 100), SLICE("data: [DONE]\n\n")));
    reply_cut(&reply, 2);
    assert_true(slice_eq(buffer_slice(&reply.body), SLICE("data: 0\n\ndata: 1\n\n")));
    reply_cut(&reply, 50);
    assert_int_equal(reply.frame_count, 2);
    reply_cut(&reply, 0);
    assert_int_equal(reply.body.len, 0);
    reply_clear(&reply);
}

static void errors_have_all_four_members(void **state)
{
    struct reply reply;

    (void)state;
    reply_init(&reply);
    reply_error(&reply, 429, "t", NULL, NULL, "say \"when\"");
    json_t *json = json_loadb(reply.body.data, reply.body.len, 0, NULL);
    json_t *want =
        json_of("{'error':{'message':'say \\'when\\'','type':'t','param':null,'code':null}}");
    assert_true(json_equal(json, want));
    assert_int_equal(reply.status, 429);
    json_decref(json);
    json_decref(want);
    reply_clear(&reply);
}

static void failure_sticks(void **state)
{
    struct reply reply;

    (void)state;
    reply_init(&reply);
    reply_data(&reply, NULL);
    assert_true(reply.failed);
    reply_data(&reply, json_integer(1));
    reply_done(&reply);
    assert_true(reply.failed);
    assert_int_equal(reply.frame_count, 0);
    reply_clear(&reply);
    assert_false(reply.failed);
}

static void a_field_is_whole_or_absent(void **state)
{
    static char long_value[2000];
    struct reply reply;

    (void)state;
    reply_init(&reply);
    reply_field(&reply, "x-a", "%d", 5);
    assert_true(slice_eq(buffer_slice(&reply.fields), SLICE("x-a: 5\r\n")));
    memset(long_value, 'a', sizeof(long_value) - 1);
    reply_field(&reply, "x-b", "%s", long_value);
    assert_true(reply.failed);
    assert_int_equal(reply.fields.len, strlen("x-a: 5\r\n"));
    reply_clear(&reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_stand_apart),
        cmocka_unit_test(errors_have_all_four_members),
        cmocka_unit_test(failure_sticks),
        cmocka_unit_test(a_field_is_whole_or_absent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
