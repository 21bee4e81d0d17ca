#include "client/result.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static enum status make(enum result_kind kind, const char *text, sparekey_result **ret)
{
    struct buffer body = {0};
    struct result_source source = {
        .kind = kind, .http_status = 200, .content_type = "application/json", .body = &body};

    assert_int_equal(buffer_append(&body, slice_str(text), 1 << 20), STATUS_OK);
    enum status status = result_new(&source, ret);
    buffer_clear(&body);
    return status;
}

static sparekey_result *made(enum result_kind kind, const char *text)
{
    sparekey_result *r = NULL;

    assert_int_equal(make(kind, text, &r), STATUS_OK);
    return r;
}

static void a_chat(void **state)
{
    sparekey_tool_call call;

    (void)state;
    sparekey_result *r =
        made(RESULT_CHAT,
             "{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"message\":{\"content\":null,\"tool_"
             "calls\":[{"
             "\"id\":\"t\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},\"finish_reason\":"
             "\"tool_calls\"},{\"message\":{\"content\":\"two\"}}],\"usage\":{\"prompt_tokens\":1,"
             "\"completion_tokens\":2,\"total_tokens\":3}}");
    assert_int_equal(sparekey_result_count(r), 2);
    assert_string_equal(sparekey_result_text(r), "");
    assert_string_equal(sparekey_result_choice(r, 1), "two");
    assert_string_equal(sparekey_result_choice(r, 2), "");
    assert_string_equal(sparekey_result_finish_reason(r, 0), "tool_calls");
    assert_int_equal(sparekey_result_tool_call_count(r), 1);
    assert_int_equal(sparekey_result_tool_call(r, 0, &call), SPAREKEY_OK);
    assert_string_equal(call.name, "f");
    assert_int_equal(sparekey_result_tool_call(r, 1, &call), SPAREKEY_ERROR_ARGUMENT);
    assert_true(sparekey_result_tool_calls(r)[0] == '[');
    assert_int_equal(sparekey_result_usage(r).output_tokens, 2);
    assert_string_equal(sparekey_result_id(r), "c1");
    sparekey_result_free(r);
}

static void a_response_with_a_call(void **state)
{
    (void)state;
    sparekey_result *r = made(
        RESULT_RESPONSE,
        "{\"id\":\"r1\",\"status\":\"completed\",\"output\":[{\"type\":\"reasoning\"},{\"type\":"
        "\"message\",\"content\":[{\"type\":\"output_text\",\"text\":\"a\"},{\"type\":\"refusal\","
        "\"text\":\"no\"},{\"type\":\"output_text\",\"text\":\"b\"}]},{\"type\":\"function_call\","
        "\"call_id\":\"c\",\"name\":\"f\",\"arguments\":\"{}\"}]}");
    sparekey_tool_call call;
    assert_string_equal(sparekey_result_text(r), "ab");
    assert_string_equal(sparekey_result_finish_reason(r, 0), "completed");
    assert_int_equal(sparekey_result_tool_call(r, 0, &call), SPAREKEY_OK);
    assert_string_equal(call.id, "c");
    sparekey_result_free(r);
}

static void images_and_vectors(void **state)
{
    size_t len, count;

    (void)state;
    sparekey_result *r =
        made(RESULT_IMAGES, "{\"data\":[{\"b64_json\":\"Zm9v\"},{\"url\":\"http://x\"}]}");
    assert_memory_equal(sparekey_result_image_bytes(r, 0, &len), "foo", 3);
    assert_int_equal(len, 3);
    assert_null(sparekey_result_image_url(r, 0));
    assert_string_equal(sparekey_result_image_url(r, 1), "http://x");
    assert_null(sparekey_result_image_bytes(r, 1, &len));
    sparekey_result_free(r);

    r = made(RESULT_EMBEDDINGS, "{\"data\":[{\"index\":1,\"embedding\":[0.5,-2]},{\"index\":0,"
                                "\"embedding\":\"AACAPw==\"}]}");
    assert_true(sparekey_result_embedding(r, 0, &count)[0] == 1.0f && count == 1);
    assert_true(sparekey_result_embedding(r, 1, &count)[1] == -2.0f && count == 2);
    assert_null(sparekey_result_embedding(r, 2, &count));
    assert_int_equal(count, 0);
    sparekey_result_free(r);
}

static void what_is_wrong_is_refused(void **state)
{
    static const struct {
        enum result_kind kind;
        const char *text;
    } wrong[] = {{RESULT_CHAT, "{"},
                 {RESULT_CHAT, "[]"},
                 {RESULT_IMAGES, "{\"data\":[{\"b64_json\":\"*\"}]}"},
                 {RESULT_EMBEDDINGS, "{\"data\":[{\"index\":7,\"embedding\":[]}]}"},
                 {RESULT_EMBEDDINGS, "{\"data\":[{\"embedding\":\"AACA\"}]}"}};
    sparekey_result *r = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(make(wrong[i].kind, wrong[i].text, &r), STATUS_INVALID);
    assert_null(r);
}

static void a_raw_body_is_anything(void **state)
{
    size_t len;

    (void)state;
    sparekey_result *r = made(RESULT_RAW, "ID3...");
    assert_string_equal(sparekey_result_body(r, &len), "ID3...");
    assert_int_equal(len, 6);
    assert_int_equal(sparekey_result_count(r), 0);
    assert_int_equal(sparekey_result_usage(r).total_tokens, -1);
    sparekey_result_free(r);
}

static void nothing_at_all(void **state)
{
    (void)state;
    sparekey_result_free(NULL);
    assert_string_equal(sparekey_result_text(NULL), "");
    assert_string_equal(sparekey_result_body(NULL, NULL), "");
    assert_int_equal(sparekey_result_count(NULL), 0);
    assert_null(sparekey_result_attempt(NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chat),
        cmocka_unit_test(a_response_with_a_call),
        cmocka_unit_test(images_and_vectors),
        cmocka_unit_test(what_is_wrong_is_refused),
        cmocka_unit_test(a_raw_body_is_anything),
        cmocka_unit_test(nothing_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
