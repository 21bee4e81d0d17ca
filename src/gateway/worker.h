/* A worker: one thread, one event loop, and everything that lives on it. */
#ifndef SPAREKEY_GATEWAY_WORKER_H
#define SPAREKEY_GATEWAY_WORKER_H

#include <pthread.h>
#include <stdbool.h>

#include "gateway/handler.h"
#include "gateway/way_out.h"
#include "keyring/keyring.h"
#include "net/server.h"
#include "net/upstream.h"
#include "observe/events.h"
#include "observe/log.h"
#include "observe/metrics.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WORKER_FREE_EXCHANGES  256   /* finished exchanges kept for reuse */
#define WORKER_FREE_WORKSPACES 64    /* their workspaces */
#define WORKSPACE_KEEP_BYTES   16384 /* a buffer of a free workspace larger than this is freed */

struct exchange;
struct prober;
struct alerts;
struct tracer;
struct recorder;

/* What all workers share. Owned by the gateway. */
struct shared {
    struct keyring *keyring;
    struct log *log;
    struct events *events;
    struct tracer *tracer;     /* NULL: no traces are made */
    struct recorder *recorder; /* of the history; NULL = off */
    char via[32];              /* our name in Via: "sparekey-1a2b3c4d" */
    /* Only through __atomic builtins: */
    bool draining;
    uint32_t connections; /* of clients, all workers */
    uint64_t buffered;    /* bytes of request bodies held, all workers; small ones not counted */
    uint32_t waiting;     /* exchanges waiting for a change of the pool, all workers */
    uint64_t request_ids;
    uint64_t reload_number;       /* of the first event under the present settings */
    uint32_t event_listeners;     /* streams of events, all workers */
    uint64_t event_listeners_cut; /* of them, cut off because they did not read */
    uint64_t reloads;
    struct worker *workers; /* all of them, for who looks at their metrics */
    unsigned worker_count;
    int64_t started_wall_ms;
};

struct worker {
    struct net_loop loop;
    struct server server;
    struct shared *shared;
    struct settings *settings;                        /* a reference; swapped on this thread only */
    struct upstream *upstreams[KEYRING_SERVICES_MAX]; /* made when first used */
    struct tls_context *tls;                          /* for upstreams, made when first used */
    struct tls_context *tls_own;                      /* the listener\'s, NULL = plain HTTP */
    struct proxy *proxy; /* of the settings, NULL = none; see gateway/way_out.h */
    struct list waiting; /* exchanges to ask again when the pool changes */
    struct list free_exchanges, free_workspaces;
    unsigned free_exchange_count, free_workspace_count;
    struct buffer scratch_fields, scratch_target; /* the router's, empty between requests */
    struct wheel_timer drain_timer;
    struct metrics metrics; /* of this thread */
    struct prober *prober;  /* of the one worker that probes, else NULL */
    struct alerts *alerts;  /* of the one worker that sends them, else NULL */
    struct list event_streams;
    struct event_listener event_listener; /* subscribed while there are streams, or alerts */

    /* Messages from other threads, looked at when `async` fires. */
    uv_async_t async;
    pthread_mutex_t mail_lock;
    struct settings *new_settings; /* a reference, or NULL */
    bool want_drain, want_stop, want_wake, want_events;

    pthread_t thread;
    bool started, draining;
    void (*ended)(struct worker *worker); /* the thread is about to return */
    void *gateway;
};

/* Prepares loop and listener on the calling thread (so that errors surface before any thread
 * runs). `port` 0 takes a free one. Same errors as server_listen. */
NODISCARD
enum status worker_init(struct worker *worker, struct shared *shared, struct settings *settings,
                        uint16_t port);
/* Undoes worker_init; the thread must not run. */
void worker_fini(struct worker *worker);

/* This worker probes for all of them. Before worker_start. STATUS_NO_MEMORY. */
NODISCARD
enum status worker_probe(struct worker *worker);

NODISCARD
enum status worker_start(struct worker *worker);

/* Messages; any thread. worker_configure takes over the caller's reference. */
void worker_configure(struct worker *worker, struct settings *settings);
void worker_drain(struct worker *worker);
void worker_stop(struct worker *worker);
void worker_wake(struct worker *worker); /* the pool has changed */

/* On the worker's thread: whether somebody here listens to events may have changed. */
void worker_listen(struct worker *worker);

/* SPAREKEY_MAX_CONNECTIONS, or fewer when the limit of open files allows no more. */
uint32_t worker_connections_max(const struct settings *settings);

/* The worker's TLS context for services; NULL when it cannot be made, with the reason logged. */
struct tls_context *worker_tls(struct worker *worker);

/* The worker's connections to a service; NULL when they cannot be made, with the reason logged. */
struct upstream *worker_upstream(struct worker *worker, uint32_t service);

#ifdef __cplusplus
}
#endif
#endif
