/* The streams of the mock as the gateway's own scanner reads them, and the text they carry. */
#include "mock_test.h"

#include "mock/shapes.h"
#include "scanner.h"

static void make(struct call *call, const char *path, const char *text, struct reply *reply)
{
    json_t *json = json_of(text);
    char *body = json_dumps(json, 0);

    *call = (struct call){.serial = 5, .created = 1790000000};
    reply_init(reply);
    call->route = route_find(SLICE("POST"), slice_str(path), call->id, reply);
    assert_non_null(call->route);
    assert_true(call_read(call, SLICE("application/json"), slice_str(body), reply));
    call->route->answer(call, reply);
    assert_false(reply->failed);
    free(body);
    json_decref(json);
}

static const struct {
    const char *path, *body;
    enum stream_protocol protocol;
} streams[] = {
    {"/v1/chat/completions",
     "{'model':'m','stream':true,'n':2,'messages':[{'role':'user','content':'hi all'}]}",
     STREAM_CHAT},
    {"/v1/chat/completions",
     "{'model':'m','stream':true,'stream_options':{'include_usage':true},'messages':[{'role':'user'"
     ","
     "'content':''}]}",
     STREAM_CHAT},
    {"/v1/completions", "{'model':'m','stream':true,'prompt':'a b'}", STREAM_COMPLETIONS},
    {"/v1/responses", "{'model':'m','stream':true,'input':'a b'}", STREAM_RESPONSES},
    {"/v1/images/generations", "{'model':'m','stream':true,'prompt':'a','partial_images':2}",
     STREAM_IMAGES},
    {"/v1/audio/speech", "{'model':'m','stream_format':'sse','input':'a'}", STREAM_SPEECH},
};

/* Content begins at the event marked so, the end at the last one, and nowhere before. */
static void marks_are_where_the_scanner_sees_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
        struct call call;
        struct reply reply;
        make(&call, streams[i].path, streams[i].body, &reply);
        assert_int_not_equal(reply.form, STREAM_FORM_NONE);
        struct scanner *scanner = scanner_new(streams[i].protocol);
        for (size_t f = 0; f < reply.frame_count; f++) {
            struct slice frame = reply_frame(&reply, f);
            assert_false(scanner_terminal(scanner));
            scanner_feed(scanner, frame);
            if (scanner_content(scanner) != (f >= reply.first_content))
                fail_msg("%s: event %zu: %.*s", streams[i].path, f, (int)frame.len, frame.ptr);
        }
        assert_true(scanner_terminal(scanner));
        assert_false(scanner_error(scanner));
        assert_true(reply.terminal < reply.frame_count);
        scanner_free(scanner);
        call_clear(&call);
        reply_clear(&reply);
    }
}

static void in_stream_errors_are_seen(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
        for (int nested = 0; nested < 2; nested++) {
            struct call call;
            struct reply reply;
            make(&call, streams[i].path, streams[i].body, &reply);
            reply_cut(&reply, reply.first_content);
            reply_stream_error(&reply, "server_error", "server_error", "sorry", nested);
            struct scanner *scanner = scanner_new(streams[i].protocol);
            scanner_feed(scanner, buffer_slice(&reply.body));
            assert_true(scanner_error(scanner));
            assert_false(scanner_content(scanner));
            scanner_free(scanner);
            call_clear(&call);
            reply_clear(&reply);
        }
    }
}

/* All deltas of choice `index`, one behind the other. */
static void join_chat(const struct reply *reply, int index, char *out, size_t size)
{
    size_t len = 0;
    out[0] = '\0';
    for (size_t f = 0; f + 1 < reply->frame_count; f++) {
        struct slice frame = slice_from(reply_frame(reply, f), strlen("data: "));
        json_t *json = json_loadb(frame.ptr, frame.len, JSON_DISABLE_EOF_CHECK, NULL);
        assert_non_null(json);
        json_t *choice = json_array_get(json_object_get(json, "choices"), 0);
        json_t *text = json_object_get(json_object_get(choice, "delta"), "content");
        if (text && json_integer_value(json_object_get(choice, "index")) == index)
            len += slice_copy(slice_str(json_string_value(text)), out + len, size - len);
        json_decref(json);
    }
}

static void a_stream_says_what_the_whole_says(void **state)
{
    struct call call;
    struct reply reply;
    char text[256];

    (void)state;
    make(&call, streams[0].path, streams[0].body, &reply);
    join_chat(&reply, 0, text, sizeof(text));
    assert_string_equal(text, "echo: hi all");
    join_chat(&reply, 1, text, sizeof(text));
    assert_string_equal(text, "echo[1]: hi all");
    call_clear(&call);
    reply_clear(&reply);
    make(&call, streams[0].path,
         "{'model':'m','n':2,'messages':[{'role':'user','content':'hi all'}]}", &reply);
    assert_true(slice_contains_nocase(buffer_slice(&reply.body), SLICE("\"echo: hi all\"")));
    assert_true(slice_contains_nocase(buffer_slice(&reply.body), SLICE("\"echo[1]: hi all\"")));
    call_clear(&call);
    reply_clear(&reply);
}

static void no_chunk_has_an_error_member(void **state)
{
    struct call call;
    struct reply reply;

    (void)state;
    make(&call, streams[0].path, streams[0].body, &reply);
    assert_false(slice_contains_nocase(buffer_slice(&reply.body), SLICE("\"error\"")));
    assert_false(slice_contains_nocase(buffer_slice(&reply.body), SLICE("\"usage\"")));
    call_clear(&call);
    reply_clear(&reply);
}

static void sequence_numbers_have_no_gap(void **state)
{
    struct call call;
    struct reply reply;
    char want[64];

    (void)state;
    make(&call, streams[3].path, streams[3].body, &reply);
    for (size_t f = 0; f < reply.frame_count; f++) {
        int len = snprintf(want, sizeof(want), "\"sequence_number\":%zu,", f);
        assert_true(slice_contains_nocase(reply_frame(&reply, f), slice_of(want, (size_t)len)));
    }
    call_clear(&call);
    reply_clear(&reply);
}

static void padding_is_kept(void **state)
{
    struct call call = {.answer_bytes = 1000, .stream_events = 500};
    struct buffer text = {0};
    struct slice rest, piece;
    size_t pieces = 0;

    (void)state;
    assert_true(echo_text(&call, 0, &text));
    assert_true(text.len >= 1000);
    rest = buffer_slice(&text);
    while (echo_piece(&rest, &piece))
        pieces++;
    assert_true(pieces >= 500);
    buffer_clear(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marks_are_where_the_scanner_sees_them),
        cmocka_unit_test(in_stream_errors_are_seen),
        cmocka_unit_test(a_stream_says_what_the_whole_says),
        cmocka_unit_test(no_chunk_has_an_error_member),
        cmocka_unit_test(sequence_numbers_have_no_gap),
        cmocka_unit_test(padding_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
