/* Spans in protobuf, read back by a reader that knows wire types and nothing of spans. That the numbers
 * of the fields are OpenTelemetry's is what tests/support/collector.py checks, with its own package. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"
#include "gateway/otlp.h"

struct field {
    unsigned number, type;
    uint64_t value;     /* of a varint or fixed64 */
    struct slice bytes; /* of what has a length */
};

static uint64_t take_varint(struct slice *from)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        assert_true(from->len > 0);
        uint8_t byte = (uint8_t)*from->ptr;
        *from = slice_of(from->ptr + 1, from->len - 1);
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return value;
    }
    fail_msg("a varint without an end");
    return 0;
}

static struct slice take_bytes(struct slice *from, size_t len)
{
    struct slice bytes = slice_of(from->ptr, len);

    assert_true(len <= from->len);
    *from = slice_of(from->ptr + len, from->len - len);
    return bytes;
}

static uint64_t take_fixed64(struct slice *from)
{
    struct slice bytes = take_bytes(from, 8);
    uint64_t value = 0;

    for (unsigned i = 0; i < 8; i++)
        value |= (uint64_t)(uint8_t)bytes.ptr[i] << (8 * i);
    return value;
}

static struct field take_field(struct slice *from)
{
    uint64_t tag = take_varint(from);
    struct field field = {.number = (unsigned)(tag >> 3), .type = tag & 7};

    if (field.type == 0)
        field.value = take_varint(from);
    else if (field.type == 1)
        field.value = take_fixed64(from);
    else if (field.type == 2)
        field.bytes = take_bytes(from, take_varint(from));
    else
        fail_msg("wire type %u", field.type);
    return field;
}

/* The `nth` field of this number, counted from 0; number 0 when there is none. Reads to the end. */
static struct field find(struct slice message, unsigned number, size_t nth)
{
    struct field found = {0};

    while (message.len) {
        struct field field = take_field(&message);
        if (field.number == number && nth-- == 0)
            found = field;
    }
    return found;
}

static struct slice bytes_at(struct slice message, unsigned number)
{
    return find(message, number, 0).bytes;
}

static void assert_text(struct slice actual, const char *expected)
{
    if (!slice_eq(actual, slice_str(expected)))
        fail_msg("%.*s instead of %s", (int)actual.len, actual.len ? actual.ptr : "", expected);
}

/* The AnyValue of an attribute; empty when it is not there. */
static struct slice attribute(struct slice message, unsigned number, const char *key)
{
    struct field one;

    for (size_t i = 0; (one = find(message, number, i)).number; i++)
        if (slice_eq(bytes_at(one.bytes, 1), slice_str(key)))
            return bytes_at(one.bytes, 2);
    return slice_of(NULL, 0);
}

static void assert_span_text(struct slice span, const char *key, const char *expected)
{
    assert_text(bytes_at(attribute(span, 9, key), 1), expected);
}

static void assert_span_number(struct slice span, const char *key, uint64_t expected)
{
    struct field value = find(attribute(span, 9, key), 3, 0);

    assert_int_equal(value.number, 3);
    assert_int_equal(value.value, expected);
}

/* The span's message, without what stands before it. Memory for it is the caller's. */
static struct slice write_span(char out[OTLP_SPAN_MAX], const struct span *span)
{
    struct slice bytes = slice_of(out, otlp_span(out, span));
    struct field field = take_field(&bytes);

    assert_int_equal(bytes.len, 0);
    assert_int_equal(field.number, 2);
    return field.bytes;
}

static const struct span server = {.trace = {0x4bf92f3577b34da6, 1},
                                   .id = 2,
                                   .began_wall_ns = INT64_C(1790000000000000001),
                                   .ended_wall_ns = INT64_C(1790000000000000002),
                                   .kind = SPAN_SERVER,
                                   .status = 200,
                                   .attempts = 300,
                                   .family = "chat",
                                   .method = "POST",
                                   .path = "/chat/completions"};

static const struct span client = {.trace = {0x4bf92f3577b34da6, 1},
                                   .id = 3,
                                   .parent = 2,
                                   .kind = SPAN_CLIENT,
                                   .status = 429,
                                   .failed = true,
                                   .family = "chat",
                                   .verdict = "rate_limited",
                                   .mask = "sk-proj...N0IA",
                                   .key = "OPENAI_API_KEY",
                                   .request_id = "req_1"};

static void a_request_is_a_server_span(void **state)
{
    (void)state;
    char out[OTLP_SPAN_MAX];
    struct slice span = write_span(out, &server);
    assert_true(
        slice_eq(bytes_at(span, 1), SLICE("\x4b\xf9\x2f\x35\x77\xb3\x4d\xa6\0\0\0\0\0\0\0\x01")));
    assert_true(slice_eq(bytes_at(span, 2), SLICE("\0\0\0\0\0\0\0\x02")));
    assert_int_equal(find(span, 4, 0).number, 0); /* no parent */
    assert_text(bytes_at(span, 5), "chat");
    assert_int_equal(find(span, 6, 0).value, 2);
    assert_int_equal(find(span, 7, 0).value, UINT64_C(1790000000000000001));
    assert_int_equal(find(span, 8, 0).value, UINT64_C(1790000000000000002));
    assert_int_equal(find(span, 15, 0).number, 0); /* no error */
    assert_span_text(span, "url.path", "/chat/completions");
    assert_span_text(span, "http.request.method", "POST");
    assert_span_text(span, "sparekey.endpoint", "chat");
    assert_span_number(span, "sparekey.attempts", 300);
    assert_span_number(span, "http.response.status_code", 200);
    assert_null(attribute(span, 9, "sparekey.key").ptr);
}

static void an_attempt_is_a_client_span(void **state)
{
    (void)state;
    char out[OTLP_SPAN_MAX];
    struct slice span = write_span(out, &client);
    assert_true(slice_eq(bytes_at(span, 4), SLICE("\0\0\0\0\0\0\0\x02")));
    assert_text(bytes_at(span, 5), "attempt chat");
    assert_int_equal(find(span, 6, 0).value, 3);
    assert_span_text(span, "sparekey.key", "sk-proj...N0IA");
    assert_span_text(span, "sparekey.key.name", "OPENAI_API_KEY");
    assert_span_text(span, "sparekey.verdict", "rate_limited");
    assert_span_text(span, "sparekey.upstream.request_id", "req_1");
    assert_span_number(span, "http.response.status_code", 429);
    assert_int_equal(find(bytes_at(span, 15), 3, 0).value, 2);
    assert_null(attribute(span, 9, "http.request.method").ptr);
}

static void what_is_not_known_is_left_out(void **state)
{
    (void)state;
    char out[OTLP_SPAN_MAX];
    struct span unknown = client;
    unknown.status = 0;
    *unknown.key = *unknown.request_id = '\0';
    struct slice span = write_span(out, &unknown);
    assert_null(attribute(span, 9, "sparekey.key.name").ptr);
    assert_null(attribute(span, 9, "sparekey.upstream.request_id").ptr);
    assert_null(attribute(span, 9, "http.response.status_code").ptr);
    assert_span_text(span, "sparekey.verdict", "rate_limited");
}

static void whatever_a_path_holds_the_text_is_plain(void **state)
{
    (void)state;
    char out[OTLP_SPAN_MAX];
    struct span odd = server;
    memcpy(odd.path, "/\"\\\x01\xff\xc3(x", 9);
    assert_span_text(write_span(out, &odd), "url.path",
                     "/\"\\??"
                     "?(x");
}

/* Where a length needs another byte, and where there is no terminator. */
static void a_path_of_any_length_is_read_back(void **state)
{
    (void)state;
    struct span span = server;
    for (size_t len = 0; len <= sizeof span.path; len++) {
        char out[OTLP_SPAN_MAX], path[sizeof span.path + 1] = {0};
        memset(path, 'p', len);
        memcpy(span.path, path, sizeof span.path);
        assert_span_text(write_span(out, &span), "url.path", path);
    }
}

/* What has no terminator is as long as its place. */
static void the_longest_spans_fit(void **state)
{
    (void)state;
    char out[OTLP_SPAN_MAX];
    struct span longest = {.trace = {UINT64_MAX, UINT64_MAX},
                           .id = UINT64_MAX,
                           .parent = UINT64_MAX,
                           .began_wall_ns = INT64_MAX,
                           .ended_wall_ns = INT64_MAX,
                           .kind = SPAN_CLIENT,
                           .failed = true,
                           .status = UINT16_MAX,
                           .family = "a name that is longer than any of a family is, by far",
                           .verdict = "a name that is longer than any of a verdict is, by far"};
    memset(longest.mask, 'm', sizeof longest.mask);
    memset(longest.key, 'k', sizeof longest.key);
    memset(longest.request_id, 'r', sizeof longest.request_id);
    struct slice span = write_span(out, &longest);
    assert_int_equal(bytes_at(attribute(span, 9, "sparekey.key.name"), 1).len, sizeof longest.key);
    assert_true(otlp_span(out, &longest) <= OTLP_SPAN_MAX);

    longest.kind = SPAN_SERVER;
    longest.attempts = UINT32_MAX;
    memset(longest.method, 'm', sizeof longest.method);
    memset(longest.path, 'p', sizeof longest.path);
    assert_span_number(write_span(out, &longest), "sparekey.attempts", UINT32_MAX);
    assert_true(otlp_span(out, &longest) <= OTLP_SPAN_MAX);
}

/* The frame of this service around these spans, read as a whole body. */
static void assert_body(const char *service, const char *expected, const char *spans, size_t len)
{
    char *body = malloc(OTLP_FRAME_MAX + len + 1);
    assert_non_null(body);
    size_t frame_len = otlp_frame(body, service, len);
    assert_true(frame_len <= OTLP_FRAME_MAX);
    memcpy(body + frame_len, spans, len);

    struct slice rest = slice_of(body, frame_len + len);
    struct field resource_spans = take_field(&rest);
    assert_int_equal(resource_spans.number, 1);
    assert_int_equal(rest.len, 0);
    struct slice resource = bytes_at(resource_spans.bytes, 1);
    struct slice scope_spans = bytes_at(resource_spans.bytes, 2);
    assert_text(bytes_at(attribute(resource, 1, "service.name"), 1), expected);
    assert_text(bytes_at(attribute(resource, 1, "service.version"), 1), SPAREKEY_VERSION);
    assert_text(bytes_at(bytes_at(scope_spans, 1), 1), "sparekey");
    assert_int_equal(find(scope_spans, 2, 0).number, len ? 2 : 0);
    free(body);
}

static void a_frame_and_its_spans_are_a_body(void **state)
{
    (void)state;
    char out[2 * OTLP_SPAN_MAX];
    size_t len = otlp_span(out, &server);
    assert_body("sparekey", "sparekey", out, len);
    len += otlp_span(out + len, &client);
    assert_body("a \"name\"", "a \"name\"", out, len);
    assert_body("", "", out, 0);
}

/* A length of the frame takes up to three bytes; one span alone has none of 16384. */
static void a_frame_measures_any_number_of_spans(void **state)
{
    (void)state;
    enum { MANY = 512 };
    char *spans = malloc(MANY * OTLP_SPAN_MAX);
    assert_non_null(spans);
    size_t len = 0;
    for (size_t i = 0; i < MANY; i++) {
        len += otlp_span(spans + len, i % 2 ? &client : &server);
        assert_body("sparekey", "sparekey", spans, len);
    }
    free(spans);
}

static void the_name_of_a_service_is_cut(void **state)
{
    (void)state;
    char name[2 * OTLP_SERVICE_MAX] = {0}, cut[OTLP_SERVICE_MAX + 1] = {0};
    memset(name, 's', sizeof name - 1);
    memset(cut, 's', OTLP_SERVICE_MAX);
    assert_body(name, cut, "", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_a_server_span),
        cmocka_unit_test(an_attempt_is_a_client_span),
        cmocka_unit_test(what_is_not_known_is_left_out),
        cmocka_unit_test(whatever_a_path_holds_the_text_is_plain),
        cmocka_unit_test(a_path_of_any_length_is_read_back),
        cmocka_unit_test(the_longest_spans_fit),
        cmocka_unit_test(a_frame_and_its_spans_are_a_body),
        cmocka_unit_test(a_frame_measures_any_number_of_spans),
        cmocka_unit_test(the_name_of_a_service_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
