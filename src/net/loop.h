/* A worker's event loop and what its connections share.
 *
 * One thread runs one loop; everything here belongs to that thread unless it says otherwise.
 * Connections own no read buffer: bytes are read into the loop's scratch, handed to the owner's
 * callback and gone when it returns; what must outlive the callback is copied by who needs it. So
 * an idle connection costs its own struct and nothing else.
 */
#ifndef SPAREKEY_NET_LOOP_H
#define SPAREKEY_NET_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/list.h"
#include "base/status.h"
#include "net/wheel.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NET_SCRATCH_BYTES 65536 /* one read takes at most this much */
#define NET_CORK_BYTES    32768 /* small writes of one turn collected before they go out */

struct conn;

struct net_loop {
    uv_loop_t uv;
    struct wheel wheel;    /* all timeouts of connections and requests */
    uv_poll_t tick;        /* watches tick_fd; keeps the loop running while a timer is armed */
    int tick_fd;           /* a timerfd set to the wheel's next slot, see loop.c */
    int64_t wheel_wake_ms; /* what it is set to, INT64_MAX asleep */
    char *scratch;         /* NET_SCRATCH_BYTES: bytes just read */
    char *plain;           /* NET_SCRATCH_BYTES: bytes just decrypted */
    char *cork;            /* NET_CORK_BYTES: see conn_cork */
    size_t cork_len;
    bool cork_secret;    /* wipe it when it is empty again */
    unsigned cork_depth; /* conn_cork calls not undone yet */
    struct conn *corked; /* whose bytes stand in `cork`, or NULL */
    char *cipher;        /* NET_SCRATCH_BYTES: bytes just encrypted, empty between calls */
    size_t cipher_len;
    struct list deferred;      /* connections with something to say from the loop, see conn.c */
    struct list deferred_mark; /* the end of what this turn tells */
    uv_idle_t deferred_idle;   /* runs while `deferred` is not empty */
    struct list resolver_cache;
    void *owner; /* the worker's, not looked at here */
};

/* Ignores SIGPIPE for the process: a peer that left is a write error here, not a signal.
 * STATUS_NO_MEMORY, STATUS_IO. */
NODISCARD
enum status net_loop_init(struct net_loop *loop);

/* Every handle must be closed or closing before this; it waits for what was closed and for name
 * lookups that could not be cancelled. A handle left open is an assertion failure. */
void net_loop_fini(struct net_loop *loop);

/* Monotonic time as of the loop's last wake-up; one clock for all loops of the process. */
static inline int64_t net_now_ns(const struct net_loop *loop)
{
    return (int64_t)uv_now(&loop->uv) * 1000000;
}

/* Unix time in milliseconds. */
int64_t net_wall_ms(void);

/* Arms `timer` to fire `delay_ms` from the loop's now (rounded up to the wheel's tick), moving it
 * if it was armed already. Starts the loop's tick when it was asleep. */
void net_timer_start(struct net_loop *loop, struct wheel_timer *timer, int64_t delay_ms);
void net_timer_stop(struct net_loop *loop, struct wheel_timer *timer);

#ifdef __cplusplus
}
#endif
#endif
