/* A request as the API understands it: which endpoint, which model, streamed or not, what text. */
#ifndef SPAREKEY_MOCK_CALL_H
#define SPAREKEY_MOCK_CALL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "mock/reply.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CALL_NAME_MAX   128               /* model names and ids in paths */
#define CALL_N_MAX      128               /* "n": openai-protocol.md §7 */
#define CALL_TEXT_MAX   ((size_t)1 << 20) /* of the text that is echoed */
#define CALL_FIELDS_MAX 64                /* parts of a multipart form */

struct call;

struct route {
    const char *method, *path; /* path: under /v1; a trailing "/" takes one id behind it */
    const char *family;        /* as in a key's `scopes` */
    const char *scope;         /* as OpenAI names it in "Missing scopes" */
    bool limited;              /* counted in the rate limits, model needed */
    bool form;                 /* multipart/form-data */
    void (*answer)(const struct call *call, struct reply *reply);
};

struct call {
    const struct route *route;
    json_t *body; /* an object; NULL for GET. A form becomes an object of strings; its file part an
                     object {filename, bytes} */
    char model[CALL_NAME_MAX + 1];
    char id[CALL_NAME_MAX + 1]; /* the id in the path */
    bool stream;
    int n;
    uint64_t serial; /* of this request: ids in the answer are made from it */
    int64_t created; /* Unix seconds */
    int64_t prompt_tokens, max_output_tokens;
    struct buffer text;     /* the last user text: what the answer echoes */
    size_t answer_bytes;    /* pad the text of the answer to this length, 0: no padding */
    uint32_t stream_events; /* at least so many content events, 0: one a word */
    json_t *models;         /* borrowed: names GET /models lists; NULL: the built-in ones */
};

/* The route of `path` (no query string, with "/v1"). NULL: `reply` holds OpenAI's 404 or 405. */
const struct route *route_find(struct slice method, struct slice path, char id[CALL_NAME_MAX + 1],
                               struct reply *reply);

/* Reads the body for `call->route`, set before. False: `reply` holds the 400 that OpenAI would
 * answer. Always call_clear afterwards. */
bool call_read(struct call *call, struct slice content_type, struct slice body,
               struct reply *reply);
void call_clear(struct call *call);

/* The routes, for GET /state and tests: i from 0, NULL behind the last. */
const struct route *route_at(size_t i);

#ifdef __cplusplus
}
#endif
#endif
