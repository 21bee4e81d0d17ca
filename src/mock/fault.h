/* What goes wrong, and when.
 *
 * A fault is a kind out of one table and a rule: always, by rate, the next n matching requests, or
 * every n-th. A filter narrows it to a key, a path, a model, streamed or not. Faults stand in
 * lists; the first one that matches and fires is the one applied.
 *
 *   {"fault": "error:429_requests", "key": "sk-a", "count": 3}
 *   {"fault": "cut_stream", "after": 2, "rate": 0.1}
 *   {"fault": "html:502", "every": 5, "path": "/v1/responses"}
 */
#ifndef SPAREKEY_MOCK_FAULT_H
#define SPAREKEY_MOCK_FAULT_H

#include "base/list.h"
#include "base/rng.h"
#include "base/slice.h"
#include "mock/fields.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FAULTS_MAX 4096 /* of one list */

/* kind, name, takes an argument behind a colon, what it does */
#define FAULT_TABLE(X)                                                                             \
    X(FAULT_ERROR, "error", true, "the error answer of that row of the verdict table")             \
    X(FAULT_STATUS, "status", true, "that status with a JSON error of no known code")              \
    X(FAULT_HTML, "html", true, "that status with an HTML page as Cloudflare makes it")            \
    X(FAULT_INTEGER_CODE, "integer_code", false, "502 with JSON whose error.code is a number")     \
    X(FAULT_RESET_BEFORE_HEAD, "reset_before_head", false, "RST before any byte of the answer")    \
    X(FAULT_CLOSE_BEFORE_HEAD, "close_before_head", false, "FIN before any byte of the answer")    \
    X(FAULT_RESET_IN_HEAD, "reset_in_head", false, "RST in the middle of the head")                \
    X(FAULT_RESET_AFTER_HEAD, "reset_after_head", false, "RST between head and body")              \
    X(FAULT_RESET_MID_BODY, "reset_mid_body", false, "RST after half the body")                    \
    X(FAULT_CUT_MID_BODY, "cut_mid_body", false, "FIN after half the body, content-length whole")  \
    X(FAULT_STALL_BEFORE_HEAD, "stall_before_head", false, "nothing until released or left")       \
    X(FAULT_STALL_MID_BODY, "stall_mid_body", false,                                               \
      "nothing after half the body, or after `after` events (default: the first with content)")    \
    X(FAULT_CUT_STREAM, "cut_stream", false,                                                       \
      "FIN without the last chunk after `after` events (default: the first with content)")         \
    X(FAULT_RESET_STREAM, "reset_stream", false, "as cut_stream, with RST")                        \
    X(FAULT_ERROR_BEFORE_CONTENT, "stream_error_before_content", false,                            \
      "200, the events before content, then an in-stream error")                                   \
    X(FAULT_ERROR_AFTER_CONTENT, "stream_error_after_content", false,                              \
      "200, the first content, then an in-stream error")                                           \
    X(FAULT_MISSING_TERMINAL, "missing_terminal", false,                                           \
      "the stream ends cleanly before its closing events")                                         \
    X(FAULT_MISSING_DONE, "missing_done", false, "the stream ends cleanly without its last event") \
    X(FAULT_FAILED_RESPONSE, "failed_response", false,                                             \
      "responses: HTTP 200 with status \"failed\"")                                                \
    X(FAULT_GARBAGE, "garbage", false, "bytes that are not HTTP")                                  \
    X(FAULT_WRONG_LENGTH, "wrong_content_length", false, "content-length half of what is sent")    \
    X(FAULT_EMPTY_BODY, "empty_body", false, "200 without a body")                                 \
    X(FAULT_TRUNCATED_JSON, "truncated_json", false, "half the JSON, framed as if whole")          \
    X(FAULT_DELAY, "delay", false, "the true answer, `delay_ms` later")

enum fault_kind {
#define X(kind, name, argument, help) kind,
    FAULT_TABLE(X)
#undef X
        FAULT_KINDS
};

const char *fault_kind_name(enum fault_kind kind);
const char *fault_kind_help(enum fault_kind kind);

struct fault {
    struct list node;
    uint64_t id;
    enum fault_kind kind;
    int status;                    /* FAULT_STATUS, FAULT_HTML */
    char name[FIELD_TEXT_MAX + 1]; /* as given: "error:429_requests" */
    /* the filter; empty, -1: any */
    char key[FIELD_TEXT_MAX + 1], path[FIELD_TEXT_MAX + 1], model[FIELD_TEXT_MAX + 1];
    int64_t stream;
    /* the rule */
    int64_t rate_ppm; /* 1000000: always */
    int64_t count;    /* fire so often, then never; 0: no bound */
    int64_t every;    /* the n-th, 2n-th … matching request; 0: each */
    int64_t skip;     /* let so many matching requests pass first */
    int64_t seen, fired;
    /* how */
    int64_t after;          /* events before a cut or stall; -1: the first with content */
    int64_t retry_after_ms; /* with error:429…/503…; -1: the row's default */
    int64_t delay_ms;
    bool nested;                   /* in-stream errors of Responses in the observed form */
    char code[FIELD_TEXT_MAX + 1]; /* of in-stream errors and failed_response */
};

/* The request as filters see it. */
struct fault_query {
    struct slice key, path, model;
    bool stream;
};

/* A new fault, in no list. NULL: `problem` says what is wrong. */
struct fault *fault_new(const json_t *json, struct problem *problem);
void fault_free(struct fault *fault);

/* Reads an array of faults and appends them to `list`; all or none. */
bool faults_read(const json_t *array, struct list *list, uint64_t *next_id,
                 struct problem *problem);
void faults_clear(struct list *list);

/* The first of the list that matches and fires, counted; NULL: none. */
struct fault *faults_pick(struct list *list, const struct fault_query *query, struct rng *rng);

json_t *fault_json(const struct fault *fault);
json_t *faults_json(const struct list *list);

#ifdef __cplusplus
}
#endif
#endif
