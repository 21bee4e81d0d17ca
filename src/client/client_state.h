/* The client and what is inside of it; private to this directory.
 *
 *     sparekey_client ── origin (settings and secrets, shared with direct clients)
 *        │   └─ keyring (which key now; shared by all threads)
 *        └─ lanes ── calls
 *
 * A lane is a curl multi handle with an epoll descriptor around it, and is driven by one thread at a
 * time: by the caller's own during a synchronous request (idle lanes wait in a stack, the warmest
 * connection on top), by the client's background thread, or by whoever runs a sparekey_loop. A call is
 * one request from plan_start to its result and stays in its lane. So requests share nothing but the
 * keyring, whose healthy path takes no lock, and the stack of lanes.
 *
 * Always true:
 * - no callback of the user's is called from inside libcurl, nor with a lock held;
 * - `client.lock` is never held while the keyring is called (it calls back: wake_waiting);
 * - other threads reach a lane only through lane_wake and its mail.
 */
#ifndef SPAREKEY_CLIENT_CLIENT_STATE_H
#define SPAREKEY_CLIENT_CLIENT_STATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/list.h"
#include "client/notices.h"
#include "keyring/keyring.h"
#include "settings/settings.h"
#include "sparekey/sparekey.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LANES_IDLE_MAX 64 /* lanes, with their connections, kept for the next callers */

struct lane;

/* Where keys come from: outlives whichever client is freed first. */
struct origin {
    atomic_uint references;
    struct vault *vault;
    struct settings *settings;
    char *proxy; /* of the client's maker; NULL: that of the settings */
};

struct sparekey_client {
    struct origin *origin;
    struct settings settings; /* the origin's, or of one key of them; nothing in it is owned */
    struct keyring *ring;
    pid_t process;
    struct notices notices;
    atomic_uint waiting; /* calls that a change of the pool is to wake */
    atomic_bool closing;

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t left;  /* `users` has fallen */
    struct list idle;     /* lanes */
    unsigned idle_count;
    struct list busy; /* lanes that somebody drives, or may */
    unsigned users;   /* the owner, and each that drives a lane of the busy ones but loops */
    struct lane *background;
    pthread_t thread; /* of the background lane */
};

/* SPAREKEY_OK, or why this process may not use the client now. */
int client_usable(const sparekey_client *client);

/* A lane for the calling thread, which is then a user of the client; NULL without memory or
 * descriptors. Given back with client_leave. */
struct lane *client_enter(sparekey_client *client);
void client_leave(sparekey_client *client, struct lane *lane);

/* The lane that the background thread drives, started now if need be. A sparekey_status. */
int client_background(sparekey_client *client, struct lane **ret_lane);

#ifdef __cplusplus
}
#endif
#endif
