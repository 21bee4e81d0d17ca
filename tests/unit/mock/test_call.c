#include "mock_test.h"

#include "mock/call.h"

/* Reads a body for a path; fills `reply` when it is refused. */
static bool read_call(struct call *call, const char *path, const char *type, const char *body,
                      struct reply *reply)
{
    *call = (struct call){0};
    reply_init(reply);
    call->route = route_find(SLICE("POST"), slice_str(path), call->id, reply);
    return call->route && call_read(call, slice_str(type), slice_str(body), reply);
}

static bool read_json(struct call *call, const char *path, const char *text, struct reply *reply)
{
    char body[1024];
    size_t len = slice_copy(slice_str(text), body, sizeof(body));
    for (size_t i = 0; i < len; i++)
        body[i] = body[i] == '\'' ? '"' : body[i];
    return read_call(call, path, "application/json", body, reply);
}

static void routes_and_their_refusals(void **state)
{
    static const struct {
        const char *method, *path, *id;
        int status;
        const char *code;
    } rows[] = {
        {"POST", "/v1/chat/completions", "", 200, NULL},
        {"GET", "/v1/models", "", 200, NULL},
        {"GET", "/v1/models/ft:a:b", "ft:a:b", 200, NULL},
        {"GET", "/v1/models/", "", 404, "unknown_url"},
        {"GET", "/v1/chat/completions", "", 405, "method_not_supported"},
        {"POST", "/v1/nothing", "", 404, "unknown_url"},
        {"POST", "/chat/completions", "", 404, "unknown_url"},
        {"POST", "/", "", 404, "unknown_url"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char id[CALL_NAME_MAX + 1];
        struct reply reply;
        reply_init(&reply);
        const struct route *route =
            route_find(slice_str(rows[i].method), slice_str(rows[i].path), id, &reply);
        assert_int_equal(route != NULL, rows[i].status == 200);
        assert_int_equal(reply.status, rows[i].status);
        assert_string_equal(id, rows[i].id);
        if (rows[i].code)
            assert_true(slice_contains_nocase(buffer_slice(&reply.body), slice_str(rows[i].code)));
        reply_clear(&reply);
    }
}

static void what_is_read(void **state)
{
    static const struct {
        const char *path, *body, *text;
        bool stream;
        int n;
        int64_t max;
    } rows[] = {
        {"/v1/chat/completions",
         "{'model':'m','messages':[{'role':'user','content':'one'},{'role':'assistant','content':"
         "'two'},{'role':'user','content':'three'}],'n':3,'max_tokens':7}",
         "three", false, 3, 7},
        {"/v1/chat/completions",
         "{'model':'m','stream':true,'messages':[{'role':'user','content':[{'type':'text','text':"
         "'a'},{'type':'image_url'},{'type':'text','text':'b'}]}]}",
         "ab", true, 1, 0},
        {"/v1/responses", "{'model':'m','input':'hi','max_output_tokens':9}", "hi", false, 1, 9},
        {"/v1/responses",
         "{'model':'m','input':[{'role':'user','content':[{'type':'input_text','text':'x'}]}]}",
         "x", false, 1, 0},
        {"/v1/completions", "{'model':'m','prompt':['p','q'],'n':null}", "pq", false, 1, 0},
        {"/v1/audio/speech", "{'model':'m','input':'say','stream_format':'sse'}", "say", true, 1,
         0},
        {"/v1/moderations", "{'input':'t'}", "t", false, 1, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct call call;
        struct reply reply;
        assert_true(read_json(&call, rows[i].path, rows[i].body, &reply));
        assert_true(slice_eq(buffer_slice(&call.text), slice_str(rows[i].text)));
        assert_int_equal(call.stream, rows[i].stream);
        assert_int_equal(call.n, rows[i].n);
        assert_int_equal(call.max_output_tokens, rows[i].max);
        call_clear(&call);
        reply_clear(&reply);
    }
}

static void what_is_refused(void **state)
{
    static const struct {
        const char *path, *body, *word;
    } rows[] = {
        {"/v1/chat/completions", "{", "could not parse the JSON"},
        {"/v1/chat/completions", "", "could not parse the JSON"},
        {"/v1/chat/completions", "[]", "could not parse the JSON"},
        {"/v1/chat/completions", "{'messages':[]}", "you must provide a model"},
        {"/v1/chat/completions", "{'model':5,'messages':[]}", "invalid_type"},
        {"/v1/chat/completions", "{'model':'m'}", "'messages'"},
        {"/v1/chat/completions", "{'model':'m','messages':[],'n':0}", "invalid_value"},
        {"/v1/chat/completions", "{'model':'m','messages':[],'n':'2'}", "invalid_type"},
        {"/v1/embeddings", "{'model':'m'}", "'input'"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct call call;
        struct reply reply;
        assert_false(read_json(&call, rows[i].path, rows[i].body, &reply));
        assert_int_equal(reply.status, 400);
        assert_true(slice_contains_nocase(buffer_slice(&reply.body), slice_str(rows[i].word)));
        call_clear(&call);
        reply_clear(&reply);
    }
}

#define FORM                                                                                       \
    "--xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n"               \
    "Content-Type: audio/wav\r\n\r\nAB\r\n--no\r\nCD\r\n"                                          \
    "--xyz\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nw-1\r\n"                       \
    "--xyz\r\nContent-Disposition: form-data; name=\"stream\"\r\n\r\ntrue\r\n--xyz--\r\n"

static void a_form(void **state)
{
    struct call call;
    struct reply reply;

    (void)state;
    assert_true(read_call(&call, "/v1/audio/transcriptions", "multipart/form-data; boundary=xyz",
                          FORM, &reply));
    assert_string_equal(call.model, "w-1");
    assert_true(call.stream);
    const json_t *file = json_object_get(call.body, "file");
    assert_string_equal(json_string_value(json_object_get(file, "filename")), "a.wav");
    assert_int_equal(json_integer_value(json_object_get(file, "bytes")), 12);
    call_clear(&call);
    assert_true(read_call(&call, "/v1/audio/transcriptions",
                          "Multipart/Form-Data; boundary=\"xyz\"; a=b", FORM, &reply));
    call_clear(&call);
    reply_clear(&reply);
}

/* Every cut of a form is either read or refused, and never read beyond its end (the sanitizers
 * watch: the body is in memory of exactly its size). */
static void a_form_cut_anywhere(void **state)
{
    (void)state;
    for (size_t len = 0; len < strlen(FORM); len++) {
        struct call call = {0};
        struct reply reply;
        char *body = malloc(len ? len : 1);
        assert_non_null(body);
        memcpy(body, FORM, len);
        reply_init(&reply);
        call.route = route_find(SLICE("POST"), SLICE("/v1/audio/transcriptions"), call.id, &reply);
        bool good = call_read(&call, SLICE("multipart/form-data; boundary=xyz"),
                              slice_of(body, len), &reply);
        assert_int_equal(good, reply.status == 200);
        call_clear(&call);
        reply_clear(&reply);
        free(body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_and_their_refusals), cmocka_unit_test(what_is_read),
        cmocka_unit_test(what_is_refused),           cmocka_unit_test(a_form),
        cmocka_unit_test(a_form_cut_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
