#include "client/merge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct slice add(struct merge *m, const char *data)
{
    struct slice text;

    assert_int_equal(merge_event(m, slice_str(data), &text), STATUS_OK);
    return text;
}

static void document_is(struct merge *m, const char *expected)
{
    json_t *document = merge_document(m), *wanted = json_loads(expected, 0, NULL);

    assert_non_null(document);
    assert_non_null(wanted);
    assert_true(json_equal(document, wanted));
    json_decref(document);
    json_decref(wanted);
}

#define CHUNK(rest) "{\"id\":\"c\",\"model\":\"m\",\"choices\":[" rest "]}"

static void a_chat_out_of_deltas(void **state)
{
    struct merge m;

    (void)state;
    merge_init(&m, STREAM_CHAT);
    assert_true(
        slice_eq(add(&m, CHUNK("{\"index\":0,\"delta\":{\"content\":\"Hel\"}}")), SLICE("Hel")));
    assert_int_equal(add(&m, CHUNK("{\"index\":1,\"delta\":{\"content\":\"other\"}}")).len, 0);
    assert_true(
        slice_eq(add(&m, CHUNK("{\"index\":0,\"delta\":{\"content\":\"lo\"}}")), SLICE("lo")));
    add(&m, CHUNK("{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}"));
    add(&m, "{\"choices\":[],\"usage\":{\"total_tokens\":9}}");
    add(&m, "no JSON adds nothing");
    document_is(&m, "{\"id\":\"c\",\"model\":\"m\",\"usage\":{\"total_tokens\":9},\"choices\":["
                    "{\"index\":0,\"finish_reason\":\"stop\",\"message\":{\"role\":\"assistant\","
                    "\"content\":\"Hello\"}},{\"index\":1,\"finish_reason\":\"\",\"message\":"
                    "{\"role\":\"assistant\",\"content\":\"other\"}}]}");
    merge_fini(&m);
}

#define CALL(rest) CHUNK("{\"index\":0,\"delta\":{\"tool_calls\":[" rest "]}}")

static void tool_calls_out_of_deltas(void **state)
{
    struct merge m;

    (void)state;
    merge_init(&m, STREAM_CHAT);
    add(&m, CALL("{\"index\":0,\"id\":\"1\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}"));
    add(&m, CALL("{\"index\":1,\"id\":\"2\",\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}"));
    add(&m, CALL("{\"index\":0,\"function\":{\"arguments\":\"{\\\"a\\\":\"}}"));
    add(&m, CALL("{\"index\":0,\"function\":{\"arguments\":\"1}\"}}"));
    json_t *document = merge_document(&m);
    const char *first = NULL, *second = NULL, *name = NULL;
    assert_int_equal(json_unpack(document, "{s:[{s:{s:[{s:{s:s, s:s}}, {s:{s:s}}]}}]}", "choices",
                                 "message", "tool_calls", "function", "arguments", &first, "name",
                                 &name, "function", "arguments", &second),
                     0);
    assert_string_equal(first, "{\"a\":1}");
    assert_string_equal(second, "{}");
    assert_string_equal(name, "f");
    json_decref(document);
    merge_fini(&m);
}

static void a_response_ends_with_itself(void **state)
{
    struct merge m;

    (void)state;
    merge_init(&m, STREAM_RESPONSES);
    add(&m,
        "{\"type\":\"response.created\",\"response\":{\"id\":\"r\",\"status\":\"in_progress\"}}");
    assert_true(slice_eq(add(&m, "{\"type\":\"response.output_text.delta\",\"delta\":\"Hi\"}"),
                         SLICE("Hi")));
    add(&m,
        "{\"type\":\"response.completed\",\"response\":{\"id\":\"r\",\"status\":\"completed\"}}");
    document_is(&m, "{\"id\":\"r\",\"status\":\"completed\"}");
    merge_fini(&m);
}

static void an_index_beyond_all_reason_is_refused(void **state)
{
    struct merge m;
    struct slice text;

    (void)state;
    merge_init(&m, STREAM_CHAT);
    assert_int_equal(merge_event(&m, SLICE(CHUNK("{\"index\":99999999,\"delta\":{}}")), &text),
                     STATUS_LIMIT);
    assert_int_equal(merge_event(&m, SLICE(CALL("{\"index\":99999999}")), &text), STATUS_LIMIT);
    merge_fini(&m);
}

static void other_protocols_have_no_document(void **state)
{
    struct merge m;

    (void)state;
    merge_init(&m, STREAM_IMAGES);
    assert_int_equal(add(&m, "{\"type\":\"image_generation.completed\"}").len, 0);
    assert_null(merge_document(&m));
    merge_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chat_out_of_deltas),
        cmocka_unit_test(tool_calls_out_of_deltas),
        cmocka_unit_test(a_response_ends_with_itself),
        cmocka_unit_test(an_index_beyond_all_reason_is_refused),
        cmocka_unit_test(other_protocols_have_no_document),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
