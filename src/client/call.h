/* A call: one request from its plan to its result, carried by a lane.
 *
 *     call_begin ─▶ plan ──send──▶ transfer ──▶ judge ──▶ plan …          ─┐
 *                     └──wait──▶ (time, or the pool changes) ──▶ plan …    ├─▶ ended ─▶ call_tell
 *                                    transfer ──▶ content ──▶ delivered ───┘
 *
 * The way of gateway/exchange.h, with libcurl in the place of net: until a stream's first content, or
 * a document's end, nothing is shown to the caller and any failure may go to another key; after that
 * nothing is repeated.
 *
 * Threads: prepared by the caller's, then touched by the lane's only. Callbacks of the user's are
 * called from call_look, call_transferred (stream) and call_tell (done): never from inside libcurl.
 */
#ifndef SPAREKEY_CLIENT_CALL_H
#define SPAREKEY_CLIENT_CALL_H

#include <curl/curl.h>

#include "client/cancel.h"
#include "client/event_reader.h"
#include "client/lane.h"
#include "client/merge.h"
#include "client/result.h"
#include "openai/endpoint.h"
#include "openai/hints.h"
#include "openai/peek.h"
#include "openai/sse.h"
#include "openai/verdict.h"

#ifdef __cplusplus
extern "C" {
#endif

#define ANSWER_BYTES_MAX                                                                           \
    ((size_t)1 << 30)         /* of one answer; a larger one is SPAREKEY_ERROR_ANSWER */
#define CALL_KEEP_BYTES 65536 /* a buffer of a spare call larger than this is freed */
#define CALL_METHOD_MAX 16
#define CALL_TYPE_MAX   128
#define CALL_LINES_MAX  64 /* headers of one request, ours included */

/* What to send and how to read the answer; its buffers move into the call. */
struct request {
    enum result_kind kind;
    const char *method;
    struct buffer path, body; /* path behind the base URL, with its query */
    char content_type[CALL_TYPE_MAX];
    bool is_json; /* the body */
    bool wants_image_url;
};

/* How the handle is set to leave this host. */
enum way_out { WAY_UNKNOWN, WAY_DIRECT, WAY_PROXY };

struct call {
    struct list link;  /* in one of the lane's lists */
    struct list ready; /* in lane->ready */
    sparekey_client *client;
    struct lane *lane;
    CURL *easy;
    enum way_out way;
    bool in_flight; /* the handle is in the lane's multi */

    /* the request */
    struct request request;
    struct buffer lines; /* the caller's headers, each ended by a zero byte */
    struct endpoint endpoint;
    sparekey_call_options options; /* `headers` NULL: they are in `lines` */
    struct cancel_seat cancel;
    bool caller_deadline;

    /* the plan */
    struct key_entry *key;
    int64_t due_ns; /* INT64_MAX: nothing by time */
    bool planned, waiting;

    /* the attempt: what goes out … */
    struct buffer url, head; /* of `head` one line holds the secret: wiped after use */
    /* … and the answer */
    int status;
    bool head_done, is_stream, failed_document, limits_told, counts_tokens, too_large, no_memory;
    char content_type[CALL_TYPE_MAX];
    struct buffer answer;
    struct sse sse;

    /* what has been shown */
    bool flowing, stopped;
    size_t delivered; /* bytes of `answer` that the reader has had */
    struct event_reader reader;
    struct merge merge;

    /* the end */
    bool ended, has_kept;
    sparekey_result *result; /* NULL: `error` says why */

    /* Written before they are read in every request, and not cleared between them. */
    struct plan plan;
    struct peek peek;
    struct hints hints;
    struct curl_slist slist[CALL_LINES_MAX];
    char detail[CURL_ERROR_SIZE];
    sparekey_error error, kept; /* of the last failed attempt; of the most useful one */
};

struct call *call_new(sparekey_client *client);
void call_free(struct call *call);

/* Ready for the next request; keeps handle and small buffers. */
void call_clear(struct call *call);

/* Takes over the request, whose buffers are then empty, and what the caller said about it. A
 * sparekey_status, with the error told. */
int call_prepare(struct call *call, struct request *request, const sparekey_call_options *options,
                 sparekey_error *error);

/* On the lane's thread. */
void call_begin(struct call *call, struct lane *lane);
void call_look(struct call *call);                         /* bytes have come */
void call_transferred(struct call *call, CURLcode result); /* no more will */
void call_check_time(struct call *call);
void call_check_cancelled(struct call *call);
void call_pool_changed(struct call *call);
void call_lost(struct call *call); /* libcurl has failed, and may have forgotten it */
void call_tell(struct call *call); /* ended and asynchronous: the done callback; then it is spare */

static inline struct call *call_of_link(struct list *link)
{
    return container_of(link, struct call, link);
}

static inline struct call *call_of_ready(struct list *ready)
{
    return container_of(ready, struct call, ready);
}

static inline struct list *call_link(struct call *call)
{
    return &call->link;
}

/* ---- transfer.c ---- */

/* A handle set up with all that never changes; NULL: no memory. */
CURL *transfer_handle(struct call *call);

/* Sends the request with call->key. False: it could not begin, which counts as no connection. */
bool transfer_start(struct call *call);

/* Takes the handle out of the lane, with its connection if it was under way. Harmless when it is out. */
void transfer_stop(struct call *call);

enum transport transfer_outcome(const struct call *call, CURLcode result);

/* Whether any byte of the request went out. */
bool transfer_sent(const struct call *call);

#ifdef __cplusplus
}
#endif
#endif
