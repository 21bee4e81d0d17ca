#include "mock_test.h"

#include "mock/delivery.h"

/* Two events before content, two of content, two that close. */
static void make_stream(struct reply *reply)
{
    reply_init(reply);
    reply_stream(reply, STREAM_FORM_RESPONSES);
    for (int i = 0; i < 6; i++) {
        if (i == 2)
            reply_mark_content(reply);
        if (i == 4)
            reply_mark_terminal(reply);
        reply_event(reply, "e", json_pack("{s:i}", "i", i));
    }
}

static struct fault *make_fault(const char *text)
{
    struct problem problem;
    json_t *json = json_of(text);
    struct fault *fault = fault_new(json, &problem);
    json_decref(json);
    assert_non_null(fault);
    return fault;
}

static void streams(void **state)
{
    static const struct {
        const char *fault;
        bool head;
        size_t stop, frames;
        enum ending ending;
    } rows[] = {
        {"{'fault':'delay'}", true, 6, 6, ENDING_WHOLE},
        {"{'fault':'cut_stream'}", true, 3, 6, ENDING_ABORT},
        {"{'fault':'cut_stream','after':0}", true, 0, 6, ENDING_ABORT},
        {"{'fault':'cut_stream','after':5}", true, 5, 6, ENDING_ABORT},
        {"{'fault':'cut_stream','after':99}", true, 6, 6, ENDING_ABORT},
        {"{'fault':'reset_stream','after':1}", true, 1, 6, ENDING_RESET},
        {"{'fault':'reset_before_head'}", false, 0, 6, ENDING_RESET},
        {"{'fault':'close_before_head'}", false, 0, 6, ENDING_ABORT},
        {"{'fault':'reset_after_head'}", true, 0, 6, ENDING_RESET},
        {"{'fault':'garbage'}", false, 0, 6, ENDING_ABORT},
        {"{'fault':'missing_terminal'}", true, 4, 4, ENDING_WHOLE},
        {"{'fault':'missing_done'}", true, 5, 5, ENDING_WHOLE},
        {"{'fault':'stream_error_before_content'}", true, 3, 3, ENDING_WHOLE},
        {"{'fault':'stream_error_after_content'}", true, 4, 4, ENDING_WHOLE},
        {"{'fault':'stream_error_before_content','nested':true}", true, 4, 4, ENDING_WHOLE},
        {"{'fault':'truncated_json'}", true, 6, 6, ENDING_WHOLE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct reply reply;
        struct delivery d;
        struct fault *fault = make_fault(rows[i].fault);
        make_stream(&reply);
        delivery_plan(&d, &reply, fault);
        assert_false(reply.failed);
        assert_int_equal(d.head, rows[i].head);
        assert_int_equal(d.stop, rows[i].stop);
        assert_int_equal(reply.frame_count, rows[i].frames);
        assert_int_equal(d.ending, rows[i].ending);
        assert_int_equal(d.length, -1);
        assert_int_equal(d.whole, rows[i].ending == ENDING_WHOLE);
        fault_free(fault);
        reply_clear(&reply);
    }
}

static void bodies(void **state)
{
    static const struct {
        const char *fault;
        size_t stop;
        int64_t length;
        bool stall;
        enum ending ending;
    } rows[] = {
        {"{'fault':'delay'}", 10, 10, false, ENDING_WHOLE},
        {"{'fault':'cut_mid_body'}", 5, 10, false, ENDING_ABORT},
        {"{'fault':'reset_mid_body'}", 5, 10, false, ENDING_RESET},
        {"{'fault':'cut_stream'}", 5, 10, false, ENDING_ABORT},
        {"{'fault':'stall_mid_body'}", 5, 10, true, ENDING_WHOLE},
        {"{'fault':'wrong_content_length'}", 10, 5, false, ENDING_WHOLE},
        {"{'fault':'truncated_json'}", 5, 5, false, ENDING_WHOLE},
        {"{'fault':'empty_body'}", 0, 0, false, ENDING_WHOLE},
        {"{'fault':'missing_terminal'}", 10, 10, false, ENDING_WHOLE},
        {"{'fault':'stream_error_after_content'}", 10, 10, false, ENDING_WHOLE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct reply reply;
        struct delivery d;
        struct fault *fault = make_fault(rows[i].fault);
        reply_init(&reply);
        reply_bytes(&reply, "application/json", SLICE("0123456789"));
        delivery_plan(&d, &reply, fault);
        assert_int_equal(d.stop, rows[i].stop);
        assert_int_equal(d.length, rows[i].length);
        assert_int_equal(d.stall_at_stop, rows[i].stall);
        assert_int_equal(d.ending, rows[i].ending);
        fault_free(fault);
        reply_clear(&reply);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(streams), cmocka_unit_test(bodies)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
