/* A lane: libcurl's multi interface behind one descriptor, and the calls that it carries.
 *
 *     lane_turn: epoll ─▶ libcurl ─▶ calls that got bytes ─▶ calls whose transfer ended ─▶ mail and
 *                wishes of other threads ─▶ timers ─▶ calls that ended: their callbacks ─▶ notices
 *
 * Threads: one drives the lane at a time; lane_post and lane_wake may be called from any.
 */
#ifndef SPAREKEY_CLIENT_LANE_H
#define SPAREKEY_CLIENT_LANE_H

#include <curl/curl.h>

#include "client/client_state.h"

#ifdef __cplusplus
extern "C" {
#endif

struct call;

#define LANE_CALLS_IDLE_MAX                                                                        \
    16 /* calls, with their handles and buffers, kept for the next requests */

/* Wishes of other threads, bits of lane.wishes. */
enum {
    LANE_MAIL = 1,    /* there are new calls */
    LANE_CANCEL = 2,  /* some call is to be cancelled, or all are because the client closes */
    LANE_CHANGED = 4, /* the pool has changed: those that wait ask again */
};

struct lane {
    struct list link; /* in client->idle or client->busy */
    sparekey_client *client;
    CURLM *multi;
    int epoll, wake;
    int clock; /* a descriptor that becomes readable at the next time limit; -1: none is needed */
    int64_t clock_ns;  /* what it is set to */
    int64_t now_ns;    /* read once a turn */
    int64_t curl_ns;   /* when libcurl wants a call, INT64_MAX: not */
    int64_t calls_ns;  /* no call has anything to do before */
    struct list calls; /* in flight */
    unsigned call_count;
    struct list ready; /* got bytes */
    struct list ended; /* to be told */
    struct list spare;
    unsigned spare_count;
    struct pool_reader *seat;
    bool running, quitting; /* quitting: calls end as they begin */
    pthread_t runner;       /* of a busy lane that is no loop's; under the client's lock */
    atomic_uint wishes;
    pthread_mutex_t mail_lock;
    struct list mail;
};

/* `clock`: the lane is driven by somebody who only waits for its descriptor. NULL: no memory, or no
 * descriptors. */
struct lane *lane_new(sparekey_client *client, bool clock);

/* No call may be in flight. NULL is allowed. */
void lane_free(struct lane *lane);

/* Any thread. */
void lane_wake(struct lane *lane, unsigned wish);

/* Hands a call over, from any thread. */
void lane_post(struct lane *lane, struct call *call);

/* Around the turns of one thread: its seat in the keyring. */
struct pool_reader *lane_begin(struct lane *lane);
void lane_end(struct lane *lane, struct pool_reader *before);

/* Waits at most so long (-1: until something happens) and does what there is to do. */
void lane_turn(struct lane *lane, int wait_ms);

/* Milliseconds until there is something to do, -1: never by time alone. */
int lane_timeout_ms(const struct lane *lane);

/* The time now is; for whoever is not inside a turn. */
void lane_look_at_clock(struct lane *lane);

/* A call has something to do at that time, or now has bytes. */
void lane_due(struct lane *lane, int64_t at_ns);

/* A call for a new request, NULL: no memory. And back. */
struct call *lane_take_call(struct lane *lane);
void lane_return_call(struct lane *lane, struct call *call);

#ifdef __cplusplus
}
#endif
#endif
