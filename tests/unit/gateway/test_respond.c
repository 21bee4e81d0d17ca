/* Answers made here, as a client reads them: OpenAI's error shape, whatever the words are. */
#include "answer_test.h"

#include <jansson.h>

#include "gateway/respond.h"

static void gone(struct server_conn *request)
{
    (void)request;
}

static const struct server_ops ops = {.head = wire_head,
                                      .body = wire_body,
                                      .complete = wire_complete,
                                      .gone = gone,
                                      .error = respond_server_error};

static int set_up(void **state)
{
    (void)state;
    return wire_set_up_with(&ops);
}

static int tear_down(void **state)
{
    (void)state;
    return wire_tear_down();
}

/* The answer's body is {"error": {message, type, param, code}} and nothing else. */
static void assert_error(const char *message, const char *code)
{
    json_t *root = json_loads(wire.body, 0, NULL), *error;

    assert_non_null(root);
    assert_int_equal(json_object_size(root), 1);
    error = json_object_get(root, "error");
    assert_int_equal(json_object_size(error), 4);
    assert_string_equal(json_string_value(json_object_get(error, "message")), message);
    assert_string_equal(json_string_value(json_object_get(error, "type")), "sparekey_error");
    assert_true(json_is_null(json_object_get(error, "param")));
    assert_string_equal(json_string_value(json_object_get(error, "code")), code);
    json_decref(root);
}

static void answer_429(struct server_conn *request)
{
    respond_error(request, 429, "no_key_ready", SLICE("retry-after: 7\r\nx-a: b\r\n"),
                  "All %d keys are \"cooling\\down\".", 3);
}

static void an_error_is_openais(void **state)
{
    (void)state;
    const char *whole = wire_answer(answer_429, "HTTP/1.1 429 Too Many Requests\r\n");
    assert_non_null(strstr(whole, "\r\ncontent-type: application/json\r\n"));
    assert_non_null(strstr(whole, "\r\nretry-after: 7\r\nx-a: b\r\n\r\n"));
    assert_error("All 3 keys are \"cooling\\down\".", "no_key_ready");
}

static void answer_at_length(struct server_conn *request)
{
    static char words[2000];
    memset(words, 'w', sizeof words - 1);
    respond_error(request, 503, "long", slice_of(NULL, 0), "%s", words);
}

/* Too many words are cut; the document stays one. */
static void long_words_are_cut(void **state)
{
    (void)state;
    char expected[512];
    memset(expected, 'w', sizeof expected - 1);
    expected[sizeof expected - 1] = '\0';
    (void)wire_answer(answer_at_length, "HTTP/1.1 503 Service Unavailable\r\n");
    assert_error(expected, "long");
}

static void answer_json(struct server_conn *request)
{
    respond_json(request, 200, SLICE("{\"a\":1}"));
}

static void a_document_is_not_cached(void **state)
{
    (void)state;
    const char *whole = wire_answer(answer_json, "HTTP/1.1 200 OK\r\n");
    assert_non_null(strstr(whole, "\r\ncontent-type: application/json\r\n"));
    assert_non_null(strstr(whole, "\r\ncache-control: no-store\r\n"));
    assert_string_equal(wire.body, "{\"a\":1}");
}

/* What the server refuses before anybody hears of it has the same shape. */
static void errors_of_the_server(void **state)
{
    (void)state;
    assert_non_null(strstr(wire_ask("GARBAGE\r\n\r\n"), "HTTP/1.1 400 Bad Request\r\n"));
    assert_error("The request is not valid HTTP/1.1.", "malformed_request");

    static const struct {
        int status;
        const char *code;
    } rows[] = {
        {408, "request_timeout"}, {431, "header_fields_too_large"}, {400, "malformed_request"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buffer out = {0};
        respond_server_error(&wire.server, rows[i].status, "It is \"so\".", &out);
        assert_int_equal(buffer_append(&out, slice_of("", 1), out.len + 1), STATUS_OK);
        wire.body = out.data;
        assert_error("It is \"so\".", rows[i].code);
        buffer_clear(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_error_is_openais, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_words_are_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_document_is_not_cached, set_up, tear_down),
        cmocka_unit_test_setup_teardown(errors_of_the_server, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
