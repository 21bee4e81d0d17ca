/* The stream scanner gives the same answer however a stream is cut, and the right one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "openai/sse.h"
#include "openai/verdict.h"

struct expected {
    enum stream_protocol protocol;
    const char *stream;
    bool content, error, terminal, mid_event;
    uint64_t events;
    const char *error_data; /* NULL: none kept */
    bool finished;          /* choices_finished */
};

/* The bytes lie in a block of their exact size, so that the sanitizer sees a read past the end. */
static void feed(struct sse *sse, const char *data, size_t len)
{
    char *copy = malloc(len ? len : 1);

    assert_non_null(copy);
    memcpy(copy, data, len);
    sse_feed(sse, copy, len);
    free(copy);
}

static void check(struct sse *sse, const struct expected *e)
{
    assert_int_equal(sse->content, e->content);
    assert_int_equal(sse->error, e->error);
    assert_int_equal(sse->terminal, e->terminal);
    assert_int_equal(sse->mid_event, e->mid_event);
    assert_int_equal(sse->events, e->events);
    assert_int_equal(sse->choices_finished, e->finished);
    if (e->error_data) {
        assert_int_equal(sse->error_data.len, strlen(e->error_data));
        assert_memory_equal(sse->error_data.data, e->error_data, sse->error_data.len);
    } else if (!e->mid_event) {
        assert_null(sse->error_data.data); /* nothing is held between events */
    }
    sse_clear(sse);
}

static void check_every_split(const struct expected *e)
{
    size_t len = strlen(e->stream);
    struct sse sse;

    for (size_t cut = 0; cut <= len; cut++) {
        sse_init(&sse, e->protocol);
        feed(&sse, e->stream, cut);
        feed(&sse, e->stream + cut, len - cut);
        check(&sse, e);
    }
    sse_init(&sse, e->protocol);
    for (size_t i = 0; i < len; i++)
        feed(&sse, e->stream + i, 1);
    check(&sse, e);
}

/* Also with the other two line endings. */
static void check_all(const struct expected *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        check_every_split(&cases[i]);
        if (strchr(cases[i].stream, '\r') || cases[i].error_data)
            continue;
        char cr[2048], crlf[4096];
        size_t n = 0, m = 0;
        assert_in_range(strlen(cases[i].stream), 0, sizeof cr - 1);
        for (const char *p = cases[i].stream; *p; p++) {
            cr[n++] = *p == '\n' ? '\r' : *p;
            if (*p == '\n')
                crlf[m++] = '\r';
            crlf[m++] = *p;
        }
        cr[n] = crlf[m] = '\0';
        struct expected e = cases[i];
        e.stream = cr;
        check_every_split(&e);
        e.stream = crlf;
        check_every_split(&e);
    }
}

#define CHECK_ALL(cases) check_all(cases, sizeof(cases) / sizeof *(cases))

#define ROLE                                                                                       \
    "data: "                                                                                       \
    "{\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}," \
    "\"finish_reason\":null}],\"usage\":null,\"obfuscation\":\"x9\"}\n\n"
#define HELLO                                                                                      \
    "data: "                                                                                       \
    "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello.\"},\"finish_reason\":null}]}\n\n"
#define STOP        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
#define USAGE       "data: {\"choices\":[],\"usage\":{\"total_tokens\":17}}\n\n"
#define DONE        "data: [DONE]\n\n"
#define DELTA(body) "data: {\"choices\":[{\"delta\":{" body "}}]}\n\n"

static void test_chat(void **state)
{
    static const struct expected cases[] = {
        {STREAM_CHAT, "", .events = 0},
        {STREAM_CHAT, "\n\n\n", .events = 0},
        {STREAM_CHAT, ROLE, .events = 1},
        {STREAM_CHAT, ROLE HELLO, .content = true, .events = 2},
        {STREAM_CHAT, ROLE HELLO STOP, .content = true, .events = 3, .finished = true},
        {STREAM_CHAT, ROLE HELLO STOP USAGE DONE, .content = true, .terminal = true, .events = 5,
         .finished = true},
        {STREAM_CHAT, STOP, .content = true, .events = 1, .finished = true},
        {STREAM_CHAT, ROLE DONE, .terminal = true, .events = 2},
        /* Azure's first chunk, and the usage chunk. */
        {STREAM_CHAT, "data: {\"choices\":[],\"prompt_filter_results\":[{\"x\":1}]}\n\n",
         .events = 1},
        {STREAM_CHAT, USAGE, .events = 1},
        /* What a delta may hold. */
        {STREAM_CHAT, DELTA("\"content\":null"), .events = 1},
        {STREAM_CHAT, DELTA("\"refusal\":null,\"tool_calls\":[],\"audio\":{}"), .events = 1},
        {STREAM_CHAT, DELTA("\"refusal\":\"No.\""), .content = true, .events = 1},
        {STREAM_CHAT, DELTA("\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"\"}}]"),
         .content = true, .events = 1},
        {STREAM_CHAT, DELTA("\"function_call\":{\"name\":\"f\"}"), .content = true, .events = 1},
        {STREAM_CHAT, DELTA("\"audio\":{\"data\":\"AAAA\"}"), .content = true, .events = 1},
        {STREAM_CHAT, DELTA("\"reasoning_content\":\"Hm\""), .content = true, .events = 1},
        /* "content" elsewhere is none. */
        {STREAM_CHAT, "data: {\"content\":\"x\",\"choices\":[{\"x\":{\"content\":\"y\"}}]}\n\n",
         .events = 1},
        /* Several choices: all must finish. */
        {STREAM_CHAT,
         "data: "
         "{\"choices\":[{\"index\":0,\"finish_reason\":\"stop\"},{\"finish_reason\":null,\"index\":"
         "127}]}\n\n",
         .content = true, .events = 1},
        {STREAM_CHAT,
         "data: "
         "{\"choices\":[{\"index\":0,\"finish_reason\":\"stop\"},{\"finish_reason\":null,\"index\":"
         "127}]}\n\n"
         "data: {\"choices\":[{\"finish_reason\":\"length\",\"index\":127}]}\n\n",
         .content = true, .events = 2, .finished = true},
        /* Unfinished: a blank line ends an event, nothing else does. */
        {STREAM_CHAT, "data: [DONE]\n", .mid_event = true},
        {STREAM_CHAT, "data: [DONE]", .mid_event = true},
        {STREAM_CHAT, HELLO "data: {\"cho", .content = true, .events = 1, .mid_event = true},
        {STREAM_CHAT, ": ping", .mid_event = true},
        /* Comments, other fields, events without data. */
        {STREAM_CHAT, ": ping\n\n:\n\n", .events = 0},
        {STREAM_CHAT, "id: 7\nretry: 10\n\n", .events = 0},
        {STREAM_CHAT, "event: ping\n\n", .events = 0},
        {STREAM_CHAT, "datax: [DONE]\n\ndat: [DONE]\n\nDATA: [DONE]\n\n data: [DONE]\n\n",
         .events = 0},
        {STREAM_CHAT, "id: 1\nevent: x\n: y\ndata:[DONE]\n\n", .terminal = true, .events = 1},
        {STREAM_CHAT, "data:  [DONE]\n\n", .content = true, .events = 1}, /* two spaces: not it */
        {STREAM_CHAT, "data: [DONE] \n\n", .terminal = true,
         .events = 1}, /* SDKs match the prefix */
        {STREAM_CHAT, "data\n\n", .content = true, .events = 1},
        /* One event of several lines. */
        {STREAM_CHAT, "data: {\"choices\":\ndata: [{\"delta\":{\"content\":\ndata: \"x\"}}]}\n\n",
         .content = true, .events = 1},
        {STREAM_CHAT, "data: {\"choices\":\ndata: []}\n\n", .events = 1},
        {STREAM_CHAT, "data: [DO\ndata: NE]\n\n", .content = true, .events = 1},
        /* A byte order mark, and half of one. */
        {STREAM_CHAT,
         "\xEF\xBB\xBF"
         "data: [DONE]\n\n",
         .terminal = true, .events = 1},
        {STREAM_CHAT,
         "\xEF\xBB"
         "data: [DONE]\n\n",
         .events = 0},
        {STREAM_CHAT,
         "\n\xEF\xBB\xBF"
         "data: [DONE]\n\n",
         .events = 0},
        /* Not understood: never held. */
        {STREAM_CHAT, "data: {\"object\":\"new.thing\"}\n\n", .content = true, .events = 1},
        {STREAM_CHAT, "data: hello\n\n", .content = true, .events = 1},
        {STREAM_CHAT, "data: {\"choices\":[\n\n", .content = true, .events = 1},
        {STREAM_COMPLETIONS,
         "data: {\"choices\":[{\"text\":\"\",\"index\":0,\"finish_reason\":null}]}\n\n",
         .events = 1},
        {STREAM_COMPLETIONS,
         "data: {\"choices\":[{\"text\":\"Hi\",\"index\":0,\"finish_reason\":null}]}\n\n" DONE,
         .content = true, .terminal = true, .events = 2},
    };

    (void)state;
    CHECK_ALL(cases);
}

static void test_chat_errors(void **state)
{
#define OVERLOADED "{\"error\":{\"message\":\"busy\",\"type\":\"server_error\",\"code\":null}}"
    static const struct expected cases[] = {
        {STREAM_CHAT, "data: " OVERLOADED "\n\n", .error = true, .terminal = true, .events = 1,
         .error_data = OVERLOADED},
        {STREAM_CHAT, ROLE "data: " OVERLOADED "\n\n" DONE, .error = true, .terminal = true,
         .events = 3, .error_data = OVERLOADED},
        /* After the error nothing is content any more. */
        {STREAM_CHAT, "data: " OVERLOADED "\n\n" HELLO, .error = true, .terminal = true,
         .events = 2, .error_data = OVERLOADED, .finished = false},
        {STREAM_CHAT, HELLO "data: " OVERLOADED "\n\n", .content = true, .error = true,
         .terminal = true, .events = 2, .error_data = OVERLOADED},
        /* The first one is kept. */
        {STREAM_CHAT, "data: " OVERLOADED "\n\ndata: {\"error\":\"second\"}\n\n", .error = true,
         .terminal = true, .events = 2, .error_data = OVERLOADED},
        {STREAM_CHAT, "data: {\"id\":\"x\",\"error\" : {\"code\":1}, \"z\":2}\n\n", .error = true,
         .terminal = true, .events = 1, .error_data = "{\"error\" : {\"code\":1}, \"z\":2}"},
        {STREAM_CHAT, "data: {\"error\":\"plain\"}\n\n", .error = true, .terminal = true,
         .events = 1, .error_data = "{\"error\":\"plain\"}"},
        {STREAM_CHAT, "event: error\ndata: {\"message\":\"x\"}\n\n", .error = true,
         .terminal = true, .events = 1, .error_data = "{\"message\":\"x\"}"},
        {STREAM_CHAT, "data: {\"error\":\ndata: {\"code\":\"x\"}}\n\n", .error = true,
         .terminal = true, .events = 1, .error_data = "{\"error\":\n{\"code\":\"x\"}}"},
        /* No error: null, false, empty; or not at the top. */
        {STREAM_CHAT, "data: {\"error\":null,\"choices\":[]}\n\n", .events = 1},
        {STREAM_CHAT, "data: {\"error\":false,\"choices\":[]}\n\n", .events = 1},
        {STREAM_CHAT, "data: {\"error\":\"\",\"choices\":[]}\n\n", .events = 1},
        {STREAM_CHAT, "data: {\"choices\":[{\"delta\":{\"x\":null},\"error\":{\"code\":1}}]}\n\n",
         .events = 1},
        {STREAM_CHAT, "data: {\"error\":null,\"error\":1}\n\n", .error = true, .terminal = true,
         .events = 1, .error_data = "{\"error\":1}"},
        /* Not dispatched yet. */
        {STREAM_CHAT, "data: " OVERLOADED "\n", .mid_event = true},
    };

    (void)state;
    CHECK_ALL(cases);
}

#define EVENT(name) "event: " name "\ndata: {\"type\":\"" name "\",\"sequence_number\":0}\n\n"
#define TYPED(name) "data: {\"type\":\"" name "\",\"sequence_number\":0}\n\n"

static void test_responses(void **state)
{
    static const struct expected cases[] = {
        {STREAM_RESPONSES,
         EVENT("response.created") EVENT("response.queued") EVENT("response.in_progress")
             TYPED("keepalive"),
         .events = 4},
        {STREAM_RESPONSES, TYPED("response.created") TYPED("response.in_progress"), .events = 2},
        {STREAM_RESPONSES, EVENT("response.output_item.added"), .content = true, .events = 1},
        {STREAM_RESPONSES, TYPED("response.output_text.delta"), .content = true, .events = 1},
        {STREAM_RESPONSES, EVENT("response.something.new"), .content = true, .events = 1},
        {STREAM_RESPONSES, "data: {}\n\n", .content = true, .events = 1},
        {STREAM_RESPONSES, "data: {\"type\":5}\n\n", .content = true, .events = 1},
        {STREAM_RESPONSES, EVENT("response.created") EVENT("response.completed"), .content = true,
         .terminal = true, .events = 2},
        {STREAM_RESPONSES, TYPED("response.incomplete"), .content = true, .terminal = true,
         .events = 1},
        {STREAM_RESPONSES, "data: {\"sequence_number\":9,\"type\":\"response.completed\"}\n\n",
         .content = true, .terminal = true, .events = 1},
        {STREAM_RESPONSES, EVENT("response.created") DONE, .events = 2},
        {STREAM_RESPONSES, "data: {\"sequence_number\":0}\nevent: response.created\n\n",
         .events = 1},
        /* Begun is enough: an event need not be whole to be content … */
        {STREAM_RESPONSES, "event: response.output_text.delta\ndata: {", .content = true,
         .mid_event = true},
        {STREAM_RESPONSES, "data: {\"type\":\"response.output_text.delta\"", .content = true,
         .mid_event = true},
        /* … but must be to be the end. */
        {STREAM_RESPONSES, "event: response.completed\ndata: {\"type\":\"response.completed\"}\n",
         .content = true, .mid_event = true},
        /* Errors: nested, flat, and the failed response. */
        {STREAM_RESPONSES,
         EVENT("response.created") "event: error\ndata: "
                                   "{\"type\":\"error\",\"code\":\"c\"}\n\n" EVENT(
                                       "response.failed"),
         .error = true, .terminal = true, .events = 3,
         .error_data = "{\"type\":\"error\",\"code\":\"c\"}"},
        {STREAM_RESPONSES, "data: {\"type\":\"error\",\"error\":{\"code\":\"c\"}}\n\n",
         .error = true, .terminal = true, .events = 1,
         .error_data = "{\"type\":\"error\",\"error\":{\"code\":\"c\"}}"},
        {STREAM_RESPONSES, "data: {\"sequence_number\":2,\"type\":\"error\",\"code\":\"c\"}\n\n",
         .error = true, .terminal = true, .events = 1,
         .error_data = "{\"type\":\"error\",\"code\":\"c\"}"},
        {STREAM_RESPONSES,
         "event: response.failed\ndata: {\"response\":{\"error\":{\"code\":\"c\"}}}\n\n",
         .error = true, .terminal = true, .events = 1,
         .error_data = "{\"response\":{\"error\":{\"code\":\"c\"}}}"},
        {STREAM_RESPONSES, "data: {\"type\":\"response.failed\",\"response\":{}}\n\n",
         .error = true, .terminal = true, .events = 1,
         .error_data = "{\"type\":\"response.failed\",\"response\":{}}"},
        {STREAM_RESPONSES,
         "data: {\"response\":{\"error\":null},\"type\":\"response.created\"}\n\n", .events = 1},
    };

    (void)state;
    CHECK_ALL(cases);
}

static void test_other_protocols(void **state)
{
    static const struct expected cases[] = {
        {STREAM_IMAGES, EVENT("image_generation.partial_image"), .content = true, .events = 1},
        {STREAM_IMAGES, EVENT("image_generation.completed"), .content = true, .terminal = true,
         .events = 1},
        {STREAM_IMAGES, EVENT("image_edit.completed"), .content = true, .terminal = true,
         .events = 1},
        {STREAM_SPEECH, TYPED("speech.audio.delta"), .content = true, .events = 1},
        {STREAM_SPEECH, TYPED("speech.audio.delta") TYPED("speech.audio.done"), .content = true,
         .terminal = true, .events = 2},
        {STREAM_TRANSCRIPTION, TYPED("transcript.text.delta"), .content = true, .events = 1},
        {STREAM_TRANSCRIPTION, TYPED("transcript.text.done"), .content = true, .terminal = true,
         .events = 1},
        {STREAM_ASSISTANTS, "event: thread.run.created\ndata: {\"id\":\"r\"}\n\n", .events = 1},
        {STREAM_ASSISTANTS, "event: thread.message.delta\ndata: {\"id\":\"r\"}\n\n",
         .content = true, .events = 1},
        {STREAM_ASSISTANTS, "event: done\ndata: [DONE]\n\n", .content = true, .terminal = true,
         .events = 1},
        {STREAM_ASSISTANTS, "event: error\ndata: {\"code\":\"c\"}\n\n", .error = true,
         .terminal = true, .events = 1, .error_data = "{\"code\":\"c\"}"},
        {STREAM_NONE, "", .content = true, .terminal = true},
        {STREAM_NONE, "data: {\"error\":1}\n\n", .content = true, .terminal = true},
    };

    (void)state;
    CHECK_ALL(cases);
}

/* A line far longer than any buffer: content from its beginning, and nothing is kept of it. */
static void test_long_data_line(void **state)
{
    static const char head[] = "event: image_generation.partial_image\n"
                               "data: {\"type\":\"image_generation.partial_image\",\"b64_json\":\"";
    size_t image = 8u << 20;
    char *bytes = malloc(image);
    struct sse sse;

    (void)state;
    assert_non_null(bytes);
    memset(bytes, 'A', image);
    sse_init(&sse, STREAM_IMAGES);
    sse_feed(&sse, head, sizeof head - 1);
    assert_true(sse.content);
    assert_int_equal(sse.events, 0);
    for (size_t at = 0; at < image; at += 16384)
        sse_feed(&sse, bytes + at, 16384);
    assert_null(sse.error_data.data);
    sse_feed(&sse, "\"}\n\n", 4);
    assert_int_equal(sse.events, 1);
    assert_false(sse.mid_event);
    sse_clear(&sse);
    free(bytes);
}

static void test_error_data_is_bounded(void **state)
{
    char filler[4096];
    struct sse sse;

    (void)state;
    memset(filler, 'x', sizeof filler);
    sse_init(&sse, STREAM_CHAT);
    feed(&sse, "data: {\"error\":{\"code\":\"c\",\"message\":\"", 39);
    for (int i = 0; i < 16; i++)
        feed(&sse, filler, sizeof filler);
    feed(&sse, "\"}}\n\n", 5);
    assert_true(sse.error);
    assert_int_equal(sse.error_data.len, SSE_ERROR_MAX);
    sse_clear(&sse);
}

/* What we write is read by our own scanner as an error, in the form the SDKs raise on. */
static void test_write_error(void **state)
{
    static const enum stream_protocol protocols[] = {
        STREAM_CHAT,   STREAM_COMPLETIONS,   STREAM_RESPONSES, STREAM_IMAGES,
        STREAM_SPEECH, STREAM_TRANSCRIPTION, STREAM_ASSISTANTS};

    (void)state;
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++) {
        for (int mid = 0; mid < 2; mid++) {
            struct buffer out = {0};
            struct sse sse;
            sse_init(&sse, protocols[i]);
            if (mid)
                feed(&sse, "data: {\"half", 12);
            assert_int_equal(sse.mid_event, mid);
            assert_int_equal(sse_write_error(protocols[i], sse.mid_event, SLICE("cut \"here\""),
                                             SLICE("stream_cut"), &out),
                             STATUS_OK);
            feed(&sse, out.data, out.len);
            assert_true(sse.error);
            assert_false(sse.mid_event);
            struct error_fields fields;
            error_fields_read(slice_of(NULL, 0), buffer_slice(&sse.error_data), &fields);
            assert_string_equal(fields.code, "stream_cut");
            assert_string_equal(fields.message, "cut \"here\"");
            assert_non_null(memmem(out.data, out.len, "\"error\":{\"message\":", 19));
            sse_clear(&sse);
            buffer_clear(&out);
        }
    }
}

static void test_write_error_to_binary_stream(void **state)
{
    struct buffer out = {0};

    (void)state;
    assert_int_equal(sse_write_error(STREAM_NONE, true, SLICE("m"), SLICE("c"), &out), STATUS_OK);
    assert_int_equal(out.len, 0);
}

static void test_random_bytes(void **state)
{
    static const char *const words[] = {"data: ",
                                        "data:",
                                        "event: ",
                                        "error",
                                        "\n",
                                        "\n\n",
                                        "\r",
                                        "\r\n",
                                        "{",
                                        "}",
                                        "[",
                                        "]",
                                        "\"type\":",
                                        "\"error\":",
                                        "\"choices\":",
                                        "\"delta\":",
                                        "\"content\":",
                                        "null",
                                        "\"x\"",
                                        ",",
                                        "[DONE]",
                                        ":",
                                        " ",
                                        "response.created",
                                        "response.completed",
                                        "\"index\":1",
                                        "\xEF\xBB\xBF",
                                        "\"finish_reason\":"};
    struct rng rng = {7};

    (void)state;
    for (int round = 0; round < 20000; round++) {
        char bytes[512];
        size_t len = 0, count = (size_t)rng_below(&rng, 24);
        for (size_t i = 0; i < count; i++) {
            const char *word = words[rng_below(&rng, sizeof words / sizeof *words)];
            memcpy(bytes + len, word, strlen(word));
            len += strlen(word);
            if (rng_below(&rng, 16) == 0)
                bytes[len++] = (char)rng_next(&rng);
        }
        enum stream_protocol protocol =
            (enum stream_protocol)(1 + rng_below(&rng, STREAM_ASSISTANTS));
        struct sse whole, cut;
        size_t at = (size_t)rng_below(&rng, len + 1);
        sse_init(&whole, protocol);
        feed(&whole, bytes, len);
        sse_init(&cut, protocol);
        feed(&cut, bytes, at);
        feed(&cut, bytes + at, len - at);
        struct expected e = {.protocol = protocol,
                             .content = whole.content,
                             .error = whole.error,
                             .terminal = whole.terminal,
                             .mid_event = whole.mid_event,
                             .events = whole.events,
                             .finished = whole.choices_finished};
        if (whole.error) {
            assert_int_equal(whole.error_data.len, cut.error_data.len);
            assert_memory_equal(whole.error_data.data, cut.error_data.data, whole.error_data.len);
        }
        e.mid_event = e.mid_event || whole.error;
        assert_int_equal(cut.mid_event, whole.mid_event);
        cut.mid_event = e.mid_event;
        check(&cut, &e);
        sse_clear(&whole);
    }
}

static void the_last_blank_line_may_be_missing(void **state)
{
    static const struct {
        enum stream_protocol protocol;
        const char *text;
        bool completes;
    } cases[] = {
        {STREAM_CHAT, "data: [DONE]\n", true},
        {STREAM_CHAT, "data: [DONE]", false}, /* it may have been longer */
        {STREAM_CHAT, "data: {\"choices\":[]}\n", false},
        {STREAM_CHAT, "data: [DONE]\n\n", false}, /* complete already */
        {STREAM_RESPONSES, "event: response.completed\ndata: {\"type\":\"response.completed\"}\n",
         true},
        {STREAM_RESPONSES, "event: response.completed\ndata: {\"type\":\"resp", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sse sse;
        sse_init(&sse, cases[i].protocol);
        sse_feed(&sse, cases[i].text, strlen(cases[i].text));
        bool before = sse.terminal, mid_event = sse.mid_event;
        if (sse_finish(&sse) != cases[i].completes)
            fail_msg("%s", cases[i].text);
        assert_int_equal(sse.terminal, before || cases[i].completes);
        assert_int_equal(sse.mid_event, mid_event && !cases[i].completes);
        sse_clear(&sse);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_blank_line_may_be_missing),
        cmocka_unit_test(test_chat),
        cmocka_unit_test(test_chat_errors),
        cmocka_unit_test(test_responses),
        cmocka_unit_test(test_other_protocols),
        cmocka_unit_test(test_long_data_line),
        cmocka_unit_test(test_error_data_is_bounded),
        cmocka_unit_test(test_write_error),
        cmocka_unit_test(test_write_error_to_binary_stream),
        cmocka_unit_test(test_random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
