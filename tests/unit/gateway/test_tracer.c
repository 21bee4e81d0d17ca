/* The tracer: the document it sends and the fields it sends it with. Queue, retries and the end are in
 * tests/e2e/test_traces.py, where there is a collector. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <string.h>

#include "gateway/tracer.h"

static json_t *parse(struct buffer *text)
{
    json_t *root = json_loadb(text->data, text->len, 0, NULL);

    assert_non_null(root);
    buffer_clear(text);
    return root;
}

/* The spans of the one scope. */
static json_t *spans_of(const json_t *root)
{
    const json_t *resource = json_array_get(json_object_get(root, "resourceSpans"), 0);
    const json_t *scope = json_array_get(json_object_get(resource, "scopeSpans"), 0);
    return json_object_get(scope, "spans");
}

static const char *string_at(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* The text or number of an attribute; NULL when it is not there. */
static const char *attribute(const json_t *span, const char *key)
{
    size_t i;
    json_t *one;

    json_array_foreach(json_object_get(span, "attributes"), i, one)
    {
        const json_t *value = json_object_get(one, "value");
        const char *text = string_at(value, "stringValue");
        if (strcmp(string_at(one, "key"), key) == 0)
            return text ? text : string_at(value, "intValue");
    }
    return NULL;
}

static void both_kinds_of_spans_are_written(void **state)
{
    (void)state;
    struct span spans[] = {
        {.trace = {0x4bf92f3577b34da6, 1},
         .id = 2,
         .began_wall_ns = INT64_C(1790000000000000001),
         .ended_wall_ns = INT64_C(1790000000000000002),
         .kind = SPAN_SERVER,
         .status = 200,
         .attempts = 1,
         .family = "chat",
         .method = "POST",
         .path = "/chat/completions"},
        {.trace = {0x4bf92f3577b34da6, 1},
         .id = 3,
         .parent = 2,
         .kind = SPAN_CLIENT,
         .status = 429,
         .failed = true,
         .family = "chat",
         .verdict = "rate_limited",
         .mask = "sk-proj...N0IA",
         .key = "OPENAI_API_KEY",
         .request_id = "req_1"},
    };
    struct buffer out = {0};
    assert_int_equal(spans_json(&out, "sparekey", spans, 2), STATUS_OK);
    json_t *root = parse(&out);
    const json_t *server = json_array_get(spans_of(root), 0);
    const json_t *client = json_array_get(spans_of(root), 1);
    assert_string_equal(string_at(server, "traceId"), "4bf92f3577b34da60000000000000001");
    assert_string_equal(string_at(server, "spanId"), "0000000000000002");
    assert_null(json_object_get(server, "parentSpanId"));
    assert_string_equal(string_at(client, "parentSpanId"), "0000000000000002");
    assert_string_equal(string_at(server, "startTimeUnixNano"), "1790000000000000001");
    assert_string_equal(attribute(server, "url.path"), "/chat/completions");
    assert_string_equal(attribute(server, "sparekey.attempts"), "1");
    assert_string_equal(attribute(server, "http.request.method"), "POST");
    assert_string_equal(attribute(server, "sparekey.endpoint"), "chat");
    assert_string_equal(attribute(server, "http.response.status_code"), "200");
    assert_null(attribute(server, "sparekey.key"));
    assert_null(attribute(client, "http.request.method"));
    assert_string_equal(attribute(client, "sparekey.key"), "sk-proj...N0IA");
    assert_string_equal(attribute(client, "sparekey.verdict"), "rate_limited");
    assert_string_equal(attribute(client, "http.response.status_code"), "429");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(client, "status"), "code")),
                     2);
    json_decref(root);
}

static void whatever_a_path_holds_the_document_stays_one(void **state)
{
    (void)state;
    struct span span = {.id = 1,
                        .kind = SPAN_SERVER,
                        .family = "unknown",
                        .method = "GET",
                        .path = "/\"\\\x01\xff\xc3(x"};
    struct buffer out = {0};
    assert_int_equal(spans_json(&out, "a \"name\"", &span, 1), STATUS_OK);
    json_t *root = parse(&out);
    assert_string_equal(attribute(json_array_get(spans_of(root), 0), "url.path"), "/?????"
                                                                                  "(x");
    json_decref(root);
}

static void a_whole_batch_of_the_longest_spans_fits(void **state)
{
    (void)state;
    static struct span spans[TRACER_BATCH];
    struct buffer out = {0};
    for (size_t i = 0; i < TRACER_BATCH; i++) {
        struct span *s = &spans[i];
        *s = (struct span){.trace = {UINT64_MAX, UINT64_MAX},
                           .id = UINT64_MAX,
                           .parent = UINT64_MAX,
                           .began_wall_ns = INT64_MAX,
                           .ended_wall_ns = INT64_MAX,
                           .kind = SPAN_CLIENT,
                           .failed = true,
                           .status = 65535,
                           .attempts = UINT32_MAX,
                           .family = "content_provenance",
                           .verdict = "organization_unverified"};
        memset(s->mask, 'm', sizeof s->mask - 1);
        memset(s->key, 'k', sizeof s->key - 1);
        memset(s->request_id, 'r', sizeof s->request_id - 1);
    }
    assert_int_equal(spans_json(&out, "", spans, 1), STATUS_OK);
    assert_true(out.len < TRACER_SPAN_BYTES); /* even with what stands around it */
    out.len = 0;
    assert_int_equal(spans_json(&out, "sparekey", spans, TRACER_BATCH), STATUS_OK);
    json_t *root = parse(&out);
    assert_int_equal(json_array_size(spans_of(root)), TRACER_BATCH);
    json_decref(root);
}

static void assert_fields(const char *headers, const char *expected)
{
    struct buffer out = {0};

    assert_int_equal(tracer_fields(&out, slice_str(headers)), STATUS_OK);
    if (!slice_eq(buffer_slice(&out), slice_str(expected)))
        fail_msg("%s: %.*s", headers, (int)out.len, out.len ? out.data : "");
    buffer_clear(&out);
}

static void headers_become_fields(void **state)
{
    (void)state;
    assert_fields("", "");
    assert_fields("a=b", "a: b\r\n");
    assert_fields("authorization=Basic%20dXNlcg==, x-b = 2",
                  "authorization: Basic dXNlcg==\r\nx-b: 2\r\n");
    assert_fields("a=%4", "a: %4\r\n");
    assert_fields("no value,bad name=1,=2,a=1", "a: 1\r\n");
}

static void no_field_can_bring_another(void **state)
{
    (void)state;
    assert_fields("a=b%0d%0ahost:%20evil", "a: bhost: evil\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_kinds_of_spans_are_written),
        cmocka_unit_test(whatever_a_path_holds_the_document_stays_one),
        cmocka_unit_test(a_whole_batch_of_the_longest_spans_fits),
        cmocka_unit_test(headers_become_fields),
        cmocka_unit_test(no_field_can_bring_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
