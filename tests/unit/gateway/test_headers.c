/* The header rules of openai-protocol.md §4.2, each way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "gateway/headers.h"

#define VIA     SLICE("sparekey-1a2b3c4d")
#define OURS    "accept-encoding: identity\r\nvia: 1.1 sparekey-1a2b3c4d\r\n"
#define OUT_MAX 200000

enum { LINES_MAX = 16 };

enum { TEXT_MAX = 4096 };

/* Fields from "Name: value" lines, NULL-terminated, as the reader tells them: in one run of memory. */
struct fields {
    char text[TEXT_MAX];
    struct http_field at[LINES_MAX];
    struct http_head head;
};

static const struct http_head *head_of(struct fields *f, const char *const *lines)
{
    size_t count = 0, used = 0;
    for (; lines[count]; count++) {
        int len = snprintf(f->text + used, TEXT_MAX - used, "%s\r\n", lines[count]);
        assert_true(count < LINES_MAX && len > 0 && (size_t)len < TEXT_MAX - used);
        struct slice line = slice_of(f->text + used, (size_t)len - 2);
        const char *colon = memchr(line.ptr, ':', line.len);
        assert_non_null(colon);
        f->at[count].name = slice_of(line.ptr, (size_t)(colon - line.ptr));
        f->at[count].value = slice_trim(slice_from(line, (size_t)(colon + 1 - line.ptr)));
        used += (size_t)len;
    }
    f->head = (struct http_head){.fields = f->at, .field_count = count, .minor = 1};
    return &f->head;
}

#define LINES(...) ((const char *const[]){__VA_ARGS__, NULL})

static void assert_text(const struct buffer *out, const char *expected)
{
    if (!slice_eq(buffer_slice(out), slice_str(expected)))
        fail_msg("got\n%.*s\nexpected\n%s", (int)out->len, out->data ? out->data : "", expected);
}

static struct request_facts up(const char *const *lines, const char *expected)
{
    struct fields f;
    struct buffer out = {0};
    struct request_facts facts;

    assert_int_equal(headers_upstream(head_of(&f, lines), VIA, &out, &facts), STATUS_OK);
    assert_text(&out, expected);
    buffer_clear(&out);
    return facts;
}

static void down(const char *const *lines, const char *expected)
{
    struct fields f;
    struct buffer out = {0};

    assert_int_equal(headers_downstream(head_of(&f, lines), &out), STATUS_OK);
    assert_text(&out, expected);
    buffer_clear(&out);
}

/* Each in its own case and in another one. */
static void drops(void (*check)(const char *line), const char *const *names)
{
    char line[64];
    for (; *names; names++) {
        size_t len = strlen(*names);
        memcpy(line, *names, len);
        memcpy(line + len, ": x", 4);
        check(line);
        for (size_t i = 0; i < len; i++)
            line[i] = (char)(line[i] >= 'a' && line[i] <= 'z' ? line[i] - 32 : line[i]);
        check(line);
    }
}

static void dropped_up(const char *line)
{
    (void)up(LINES(line), OURS);
}

static void dropped_down(const char *line)
{
    down(LINES(line), "");
}

static void never_go_up(void **state)
{
    (void)state;
    drops(dropped_up,
          LINES("authorization", "api-key", "x-api-key", "cookie", "openai-organization",
                "openai-project", "host", "origin", "referer", "connection", "keep-alive",
                "proxy-authorization", "proxy-authenticate", "proxy-connection",
                "proxy-authentication-info", "te", "trailer", "transfer-encoding", "upgrade",
                "http2-settings", "content-length", "date", "expect", "accept-encoding",
                "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port",
                "x-forwarded-anything", "forwarded", "x-real-ip", "x-sparekey-key",
                "x-sparekey-attempts", "x-sparekey-trail"));
}

static void never_come_down(void **state)
{
    (void)state;
    drops(dropped_down, LINES("set-cookie", "alt-svc", "strict-transport-security", "connection",
                              "keep-alive", "proxy-authenticate", "proxy-authorization",
                              "proxy-connection", "proxy-authentication-info", "te", "trailer",
                              "transfer-encoding", "upgrade", "content-length", "date",
                              "x-sparekey-key", "x-sparekey-attempts", "x-sparekey-trail"));
}

static void only_a_wait_that_is_one_comes_down(void **state)
{
    static const char *const none[] = {"-1",
                                       "nan",
                                       "inf",
                                       "soon",
                                       "1,5",
                                       "2s",
                                       "0x10",
                                       "1e3",
                                       "",
                                       "-0",
                                       "+1",
                                       "1 2",
                                       "Sun, 06 Nov 1994"};
    static const char *const some[] = {"0", "1", "1.5", "600", "Sun, 06 Nov 1994 08:49:37 GMT"};
    char line[80], out[96];

    (void)state;
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        (void)snprintf(line, sizeof line, "Retry-After: %s", none[i]);
        dropped_down(line);
        (void)snprintf(line, sizeof line, "retry-after-ms: %s", none[i]);
        dropped_down(line);
    }
    dropped_down("retry-after-ms: Sun, 06 Nov 1994 08:49:37 GMT");
    for (size_t i = 0; i < sizeof some / sizeof some[0]; i++) {
        (void)snprintf(line, sizeof line, "Retry-After: %s", some[i]);
        (void)snprintf(out, sizeof out, "%s\r\n", line);
        down(LINES(line), out);
    }
    down(LINES("Retry-After-Ms: 534.5"), "Retry-After-Ms: 534.5\r\n");
}

static void an_encoding_is_whatever_is_not_identity(void **state)
{
    (void)state;
    assert_true(headers_say_encoded(SLICE("a: b\r\nContent-Encoding: gzip\r\n")));
    assert_true(headers_say_encoded(SLICE("content-encoding: gzip, identity\r\n")));
    assert_true(
        headers_say_encoded(SLICE("content-encoding: identity\r\ncontent-encoding: br\r\n")));
    assert_false(headers_say_encoded(SLICE("content-encoding: Identity\r\nx: gzip\r\n")));
    assert_false(headers_say_encoded(SLICE("")));
}

static void what_passes_up_is_not_touched(void **state)
{
    (void)state;
    (void)up(LINES("User-Agent: OpenAI/Python 2.1.0", "OpenAI-Beta: assistants=v2",
                   "OpenAI-Safety-Identifier: u1", "X-Stainless-Retry-Count: 0",
                   "X-Client-Request-Id: r", "traceparent: 00-a-b-01",
                   "Content-Type: multipart/form-data; boundary=\"a, B\"", "accept: */*",
                   "Content-Encoding: gzip", "x-forwarde: near", "proxies: near", "empty:"),
             "User-Agent: OpenAI/Python 2.1.0\r\nOpenAI-Beta: assistants=v2\r\n"
             "OpenAI-Safety-Identifier: u1\r\nX-Stainless-Retry-Count: 0\r\n"
             "X-Client-Request-Id: r\r\ntraceparent: 00-a-b-01\r\n"
             "Content-Type: multipart/form-data; boundary=\"a, B\"\r\naccept: */*\r\n"
             "Content-Encoding: gzip\r\nx-forwarde: near\r\nproxies: near\r\nempty: \r\n" OURS);
}

static void what_passes_down_is_not_touched(void **state)
{
    (void)state;
    down(LINES("content-type: application/json; charset=utf-8", "x-request-id: req_1",
               "retry-after: 3", "retry-after-ms: 2500", "x-should-retry: false",
               "x-ratelimit-remaining-requests: 99", "openai-organization: org",
               "openai-processing-ms: 12", "Content-Disposition: attachment", "Location: /v1/x",
               "Content-Encoding: br", "Cache-Control: no-cache", "Via: 1.1 other"),
         "content-type: application/json; charset=utf-8\r\nx-request-id: req_1\r\n"
         "retry-after: 3\r\nretry-after-ms: 2500\r\nx-should-retry: false\r\n"
         "x-ratelimit-remaining-requests: 99\r\nopenai-organization: org\r\n"
         "openai-processing-ms: 12\r\nContent-Disposition: attachment\r\nLocation: /v1/x\r\n"
         "Content-Encoding: br\r\nCache-Control: no-cache\r\nVia: 1.1 other\r\n");
}

static void fields_named_by_connection_are_dropped(void **state)
{
    (void)state;
    (void)up(LINES("X-A: 1", "Connection: keep-alive, x-a,X-B", "x-b: 2", "x-c: 3"),
             "x-c: 3\r\n" OURS);
    (void)up(LINES("Connection: close", "X-A: 1", "Connection: x-a", "connection: , X-B ,",
                   "x-b: 2", "x-c: 3"),
             "x-c: 3\r\n" OURS);
    (void)up(LINES("Connection: keep-alive", "keep: 1"), "keep: 1\r\n" OURS);
    down(LINES("Connection: keep-alive", "Connection: x-a", "x-a: 1", "x-b: 2"), "x-b: 2\r\n");
}

/* Naming what the gateway looks at hides nothing from it. */
static void facts_survive_connection(void **state)
{
    (void)state;
    struct request_facts facts = up(LINES("Connection: host, origin, via", "Host: a", "Origin: b",
                                          "Via: 1.1 sparekey-1a2b3c4d"),
                                    OURS);
    assert_true(facts.has_host && facts.loop);
    assert_true(slice_eq(facts.host, SLICE("a")));
    assert_true(slice_eq(facts.origin, SLICE("b")));
}

static void facts_of_a_request(void **state)
{
    (void)state;
    struct request_facts facts =
        up(LINES("Host: localhost:1", "Authorization: Bearer sk-x", "Api-Key: k",
                 "origin: http://a", "content-type: a/b; c=d"),
           "content-type: a/b; c=d\r\n" OURS);
    assert_true(slice_eq(facts.host, SLICE("localhost:1")));
    assert_true(slice_eq(facts.authorization, SLICE("Bearer sk-x")));
    assert_true(slice_eq(facts.api_key, SLICE("k")));
    assert_true(slice_eq(facts.origin, SLICE("http://a")));
    assert_true(slice_eq(facts.content_type, SLICE("a/b; c=d")));
    assert_true(facts.has_host && !facts.loop);
    assert_int_equal(facts.host_count, 1);
    assert_int_equal(facts.timeout_ms, -1);
    facts = up(LINES("x: y", "host: a", "HOST: b"), "x: y\r\n" OURS);
    assert_int_equal(facts.host_count, 2);
    facts = up(LINES("Host:"), OURS);
    assert_true(facts.has_host);
}

static void timeouts(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        int64_t expected_ms;
    } rows[] = {
        {"x-stainless-read-timeout: 600", 600000},
        {"X-Stainless-Timeout: 60", 60000},
        {"x-stainless-timeout: 0.5", 500},
        {"x-stainless-timeout: 1.2345", 1235},
        {"x-stainless-timeout: 0.0001", 1},
        {"x-stainless-timeout: 86400", 86400000},
        {"x-stainless-timeout: 86401", -1},
        {"x-stainless-timeout: 0", -1},
        {"x-stainless-timeout: -1", -1},
        {"x-stainless-timeout: NaN", -1},
        {"x-stainless-timeout: 1e3", -1},
        {"x-stainless-timeout:", -1},
        {"x-stainless-timeout: 99999999999999999999999", -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fields f;
        struct buffer out = {0};
        struct request_facts facts;
        assert_int_equal(headers_upstream(head_of(&f, LINES(rows[i].line)), VIA, &out, &facts),
                         STATUS_OK);
        if (facts.timeout_ms != rows[i].expected_ms)
            fail_msg("%s: %lld", rows[i].line, (long long)facts.timeout_ms);
        buffer_clear(&out);
    }
}

static void a_via_of_our_own_marks_a_loop(void **state)
{
    (void)state;
    assert_true(
        up(LINES("Via: 1.1 sparekey-1a2b3c4d"), "Via: 1.1 sparekey-1a2b3c4d\r\n" OURS).loop);
    assert_true(up(LINES("Via: 1.0 fred", "via: 1.1 p.example, 1.1 SPAREKEY-1A2B3C4D (x)"),
                   "Via: 1.0 fred\r\nvia: 1.1 p.example, 1.1 SPAREKEY-1A2B3C4D (x)\r\n" OURS)
                    .loop);
    assert_false(
        up(LINES("Via: 1.1 sparekey-ffffffff"), "Via: 1.1 sparekey-ffffffff\r\n" OURS).loop);
}

/* Lines that do not stand as they go out are written anew, wherever they are among the others. */
static void spaces_around_values_are_one(void **state)
{
    (void)state;
    down(LINES("a: 1", "b:2", "c:   3", "d: 4  ", "e:", "f: 6", "set-cookie: x", "g: 7", "h: 8"),
         "a: 1\r\nb: 2\r\nc: 3\r\nd: 4\r\ne: \r\nf: 6\r\ng: 7\r\nh: 8\r\n");
}

static void lines_are_taken_out(void **state)
{
    struct buffer lines = {0};

    (void)state;
    assert_int_equal(buffer_append(&lines,
                                   SLICE("X-Should-Retry: true\r\na: x-should-retry: 1\r\n"
                                         "x-should-retry-not: 1\r\nx-should-retry:false\r\n"),
                                   OUT_MAX),
                     STATUS_OK);
    headers_drop_line(&lines, SLICE("x-should-retry"));
    assert_text(&lines, "a: x-should-retry: 1\r\nx-should-retry-not: 1\r\n");
    headers_drop_line(&lines, SLICE("b"));
    assert_text(&lines, "a: x-should-retry: 1\r\nx-should-retry-not: 1\r\n");
    buffer_clear(&lines);
    headers_drop_line(&lines, SLICE("b"));
}

/* What is in the buffer stays, and a head as large as heads get fits behind it. */
static void appends(void **state)
{
    (void)state;
    static char value[HTTP_HEAD_MAX];
    struct http_field fields[HTTP_FIELDS_MAX];
    struct http_head head = {.fields = fields, .field_count = HTTP_FIELDS_MAX};
    struct request_facts facts;
    struct buffer out = {0};

    memset(value, 'v', sizeof value);
    for (size_t i = 0; i < HTTP_FIELDS_MAX; i++)
        fields[i] = (struct http_field){SLICE("n"), slice_of(value, HTTP_HEAD_MAX / 128 - 4)};
    assert_int_equal(buffer_append(&out, SLICE("kept"), OUT_MAX), STATUS_OK);
    assert_int_equal(headers_upstream(&head, VIA, &out, &facts), STATUS_OK);
    assert_int_equal(headers_downstream(&head, &out), STATUS_OK);
    assert_memory_equal(out.data, "keptn: vvv", 10);
    assert_int_equal(out.len,
                     4 + 2 * HTTP_FIELDS_MAX * (HTTP_HEAD_MAX / 128 + 1) + sizeof OURS - 1);
    buffer_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_go_up),
        cmocka_unit_test(never_come_down),
        cmocka_unit_test(only_a_wait_that_is_one_comes_down),
        cmocka_unit_test(an_encoding_is_whatever_is_not_identity),
        cmocka_unit_test(what_passes_up_is_not_touched),
        cmocka_unit_test(what_passes_down_is_not_touched),
        cmocka_unit_test(fields_named_by_connection_are_dropped),
        cmocka_unit_test(facts_survive_connection),
        cmocka_unit_test(facts_of_a_request),
        cmocka_unit_test(timeouts),
        cmocka_unit_test(a_via_of_our_own_marks_a_loop),
        cmocka_unit_test(spaces_around_values_are_one),
        cmocka_unit_test(lines_are_taken_out),
        cmocka_unit_test(appends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
