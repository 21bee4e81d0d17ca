/* Every path of openai-protocol.md §1 finds its family. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "openai/endpoint.h"

struct endpoint_case {
    const char *method, *path;
    enum family family;
    enum stream_protocol stream;
    bool stateful;
};

static const struct endpoint_case cases[] = {
    {"POST", "/chat/completions", FAMILY_CHAT, STREAM_CHAT, false},
    {"GET", "/chat/completions", FAMILY_CHAT, STREAM_CHAT, false},
    {"GET", "/chat/completions/chatcmpl-1", FAMILY_CHAT, STREAM_NONE, false},
    {"POST", "/chat/completions/chatcmpl-1", FAMILY_CHAT, STREAM_NONE, true},
    {"DELETE", "/chat/completions/chatcmpl-1", FAMILY_CHAT, STREAM_NONE, true},
    {"GET", "/chat/completions/chatcmpl-1/messages", FAMILY_CHAT, STREAM_NONE, false},
    {"POST", "/completions", FAMILY_COMPLETIONS, STREAM_COMPLETIONS, false},
    {"POST", "/responses", FAMILY_RESPONSES, STREAM_RESPONSES, false},
    {"GET", "/responses/resp_1", FAMILY_RESPONSES, STREAM_RESPONSES, false},
    {"DELETE", "/responses/resp_1", FAMILY_RESPONSES, STREAM_RESPONSES, true},
    {"POST", "/responses/resp_1/cancel", FAMILY_RESPONSES, STREAM_NONE, true},
    {"GET", "/responses/resp_1/input_items", FAMILY_RESPONSES, STREAM_NONE, false},
    {"POST", "/responses/input_tokens", FAMILY_RESPONSES, STREAM_NONE, false},
    {"POST", "/responses/compact", FAMILY_RESPONSES, STREAM_NONE, false},
    {"POST", "/conversations", FAMILY_CONVERSATIONS, STREAM_NONE, true},
    {"GET", "/conversations/conv_1/items/msg_1", FAMILY_CONVERSATIONS, STREAM_NONE, false},
    {"POST", "/embeddings", FAMILY_EMBEDDINGS, STREAM_NONE, false},
    {"POST", "/moderations", FAMILY_MODERATIONS, STREAM_NONE, false},
    {"POST", "/images/generations", FAMILY_IMAGES, STREAM_IMAGES, false},
    {"POST", "/images/edits", FAMILY_IMAGES, STREAM_IMAGES, false},
    {"POST", "/images/variations", FAMILY_IMAGES, STREAM_NONE, false},
    {"POST", "/audio/speech", FAMILY_AUDIO, STREAM_SPEECH, false},
    {"POST", "/audio/transcriptions", FAMILY_AUDIO, STREAM_TRANSCRIPTION, false},
    {"POST", "/audio/translations", FAMILY_AUDIO, STREAM_NONE, false},
    {"POST", "/audio/voices", FAMILY_AUDIO, STREAM_NONE, true},
    {"POST", "/audio/voice_consents", FAMILY_AUDIO, STREAM_NONE, true},
    {"GET", "/audio/voice_consents/cons_1", FAMILY_AUDIO, STREAM_NONE, false},
    {"GET", "/models", FAMILY_MODELS, STREAM_NONE, false},
    {"GET", "/models/ft:gpt:org:x:1", FAMILY_MODELS, STREAM_NONE, false},
    {"DELETE", "/models/ft:gpt:org:x:1", FAMILY_MODELS, STREAM_NONE, true},
    {"POST", "/files", FAMILY_FILES, STREAM_NONE, true},
    {"GET", "/files", FAMILY_FILES, STREAM_NONE, false},
    {"GET", "/files/file-1/content", FAMILY_FILES, STREAM_NONE, false},
    {"POST", "/uploads/upload_1/parts", FAMILY_UPLOADS, STREAM_NONE, true},
    {"POST", "/batches/batch_1/cancel", FAMILY_BATCHES, STREAM_NONE, true},
    {"POST", "/fine_tuning/jobs", FAMILY_FINE_TUNING, STREAM_NONE, true},
    {"POST", "/fine_tuning/jobs/ftjob-1/pause", FAMILY_FINE_TUNING, STREAM_NONE, true},
    {"POST", "/fine_tuning/checkpoints/m/permissions", FAMILY_FINE_TUNING, STREAM_NONE, true},
    {"POST", "/fine_tuning/alpha/graders/run", FAMILY_FINE_TUNING, STREAM_NONE, false},
    {"POST", "/vector_stores", FAMILY_VECTOR_STORES, STREAM_NONE, true},
    {"POST", "/vector_stores/vs_1/search", FAMILY_VECTOR_STORES, STREAM_NONE, false},
    {"POST", "/vector_stores/vs_1/file_batches/vsfb_1/cancel", FAMILY_VECTOR_STORES, STREAM_NONE,
     true},
    {"POST", "/assistants", FAMILY_ASSISTANTS, STREAM_NONE, true},
    {"POST", "/threads/thread_1/messages", FAMILY_ASSISTANTS, STREAM_NONE, true},
    {"POST", "/threads/runs", FAMILY_ASSISTANTS, STREAM_ASSISTANTS, true},
    {"POST", "/threads/thread_1/runs", FAMILY_ASSISTANTS, STREAM_ASSISTANTS, true},
    {"POST", "/threads/thread_1/runs/run_1/submit_tool_outputs", FAMILY_ASSISTANTS,
     STREAM_ASSISTANTS, true},
    {"GET", "/threads/thread_1/runs/run_1/steps", FAMILY_ASSISTANTS, STREAM_NONE, false},
    {"POST", "/containers/cntr_1/files", FAMILY_CONTAINERS, STREAM_NONE, true},
    {"POST", "/skills", FAMILY_SKILLS, STREAM_NONE, true},
    {"POST", "/evals/eval_1/runs", FAMILY_EVALS, STREAM_NONE, true},
    {"POST", "/videos/video_1/remix", FAMILY_VIDEOS, STREAM_NONE, true},
    {"GET", "/realtime", FAMILY_REALTIME, STREAM_NONE, false},
    {"POST", "/realtime/client_secrets", FAMILY_REALTIME, STREAM_NONE, true},
    {"POST", "/realtime/calls/rtc_1/hangup", FAMILY_REALTIME, STREAM_NONE, true},
    {"GET", "/live/sessions", FAMILY_REALTIME, STREAM_NONE, false},
    {"POST", "/chatkit/sessions", FAMILY_CHATKIT, STREAM_NONE, true},
    {"POST", "/content_provenance_checks", FAMILY_PROVENANCE, STREAM_NONE, false},
    {"GET", "/organization/usage/completions", FAMILY_ADMIN, STREAM_NONE, false},
    {"POST", "/projects/proj_1/api_keys", FAMILY_ADMIN, STREAM_NONE, true},
    /* Not ours to know. */
    {"POST", "/new_thing", FAMILY_UNKNOWN, STREAM_NONE, true},
    {"DELETE", "/new_thing/1", FAMILY_UNKNOWN, STREAM_NONE, true},
    {"GET", "/new_thing", FAMILY_UNKNOWN, STREAM_NONE, false},
    {"HEAD", "/new_thing", FAMILY_UNKNOWN, STREAM_NONE, false},
    {"POST", "/chat", FAMILY_UNKNOWN, STREAM_NONE, true},
    {"POST", "/chat/completionsx", FAMILY_UNKNOWN, STREAM_NONE, true},
    {"POST", "/embeddings/x", FAMILY_UNKNOWN, STREAM_NONE, true},
    {"POST", "/filesystem", FAMILY_UNKNOWN, STREAM_NONE, true},
    {"POST", "/Embeddings", FAMILY_UNKNOWN, STREAM_NONE, true},
};

static void check(const struct endpoint_case *c, struct slice path)
{
    struct endpoint e = endpoint_lookup(slice_str(c->method), path);

    if (e.family != c->family)
        print_error("%s %.*s: %s\n", c->method, (int)path.len, path.ptr, family_name(e.family));
    assert_int_equal(e.family, c->family);
    assert_int_equal(e.stream, c->stream);
    assert_int_equal(e.stateful, c->stateful);
}

static void test_paths(void **state)
{
    char path[128];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check(&cases[i], slice_str(cases[i].path));
        int len = snprintf(path, sizeof path, "/v1%s", cases[i].path);
        check(&cases[i], slice_of(path, (size_t)len));
        len = snprintf(path, sizeof path, "/v1%s/", cases[i].path);
        check(&cases[i], slice_of(path, (size_t)len));
    }
}

static void test_odd_paths(void **state)
{
    static const char *const paths[] = {
        "",          "/", "/v1", "/v1/", "/v1x/embeddings", "//", "*", "v1", "/v1/v1/embeddings",
        "embeddings"};

    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct endpoint e = endpoint_lookup(SLICE("POST"), slice_str(paths[i]));
        assert_int_equal(e.family, FAMILY_UNKNOWN);
        assert_true(e.stateful);
    }
    assert_int_equal(endpoint_lookup(SLICE("GET"), slice_of(NULL, 0)).family, FAMILY_UNKNOWN);
}

/* An empty segment is no id. */
static void test_empty_segment(void **state)
{
    (void)state;
    assert_int_equal(endpoint_lookup(SLICE("POST"), SLICE("/vector_stores//search")).stateful,
                     true);
}

static void test_names(void **state)
{
    (void)state;
    for (enum family f = FAMILY_UNKNOWN; f < FAMILY_COUNT; f++) {
        for (enum family g = FAMILY_UNKNOWN; g < f; g++)
            assert_string_not_equal(family_name(f), family_name(g));
    }
    assert_string_equal(family_name(FAMILY_CHAT), "chat");
    assert_string_equal(family_name(FAMILY_COUNT), "unknown");
}

/* One word for a family and the State column of its create calls. */
static void test_stateful_families(void **state)
{
    static const enum family stateless[] = {
        FAMILY_CHAT,   FAMILY_COMPLETIONS, FAMILY_RESPONSES, FAMILY_EMBEDDINGS, FAMILY_MODERATIONS,
        FAMILY_IMAGES, FAMILY_AUDIO,       FAMILY_MODELS,    FAMILY_PROVENANCE};

    (void)state;
    for (enum family f = FAMILY_UNKNOWN; f < FAMILY_COUNT; f++) {
        bool expected = true;
        for (size_t i = 0; i < sizeof stateless / sizeof *stateless; i++)
            expected = expected && f != stateless[i];
        assert_int_equal(family_stateful(f), expected);
    }
}

static void objects_are_named_by_paths(void **state)
{
    static const char *const objects[] = {
        "/v1/files/file-1",         "/files/file-1/content",        "/responses/resp_1",
        "/responses/resp_1/cancel", "/chat/completions/chatcmpl-1", "/vector_stores/vs_1/search",
        "/threads/thread_1/runs",   "/conversations/conv_1/items",
    };
    static const char *const others[] = {
        "/v1/files",          "/files/",
        "/responses",         "/chat/completions",
        "/models/gpt-5",      "/embeddings",
        "/responses/compact", "/batches",
        "/unknown/x",         "/fine_tuning/alpha/graders/run",
    };

    (void)state;
    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++)
        assert_true(endpoint_lookup(SLICE("GET"), slice_str(objects[i])).names_object);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(endpoint_lookup(SLICE("GET"), slice_str(others[i])).names_object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_are_named_by_paths),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_odd_paths),
        cmocka_unit_test(test_empty_segment),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_stateful_families),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
