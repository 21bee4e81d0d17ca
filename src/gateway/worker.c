#include "gateway/worker.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "gateway/alerts.h"
#include "gateway/event_stream.h"
#include "gateway/exchange.h"
#include "gateway/prober.h"
#include "gateway/respond.h"
#include "gateway/router.h"

static struct worker *of_loop(uv_handle_t *handle)
{
    return container_of(handle->loop, struct worker, loop.uv);
}

/* ---- upstreams --------------------------------------------------------------------------- */

static struct upstream_timeouts timeouts_from(const struct settings *settings)
{
    return (struct upstream_timeouts){
        .connect_ms = settings->connect_timeout_ms,
        .first_byte_ms = settings->first_byte_timeout_ms,
        .idle_ms = settings->idle_timeout_ms,
    };
}

struct tls_context *worker_tls(struct worker *w)
{
    struct buffer reason = {0};

    if (!w->tls && tls_client_context_new(w->settings->ca_file, &reason, &w->tls) != STATUS_OK) {
        log_line(w->shared->log, LOG_SEVERITY_ERROR, "tls_context", "%.*s", (int)reason.len,
                 reason.len ? reason.data : "");
        w->tls = NULL;
    }
    buffer_clear(&reason);
    return w->tls;
}

struct upstream *worker_upstream(struct worker *w, uint32_t service)
{
    if (w->upstreams[service])
        return w->upstreams[service];

    const struct service_url *url = keyring_service(w->shared->keyring, service);
    struct tls_context *tls = url->tls ? worker_tls(w) : NULL;
    struct upstream_timeouts timeouts = timeouts_from(w->settings);
    if (url->tls && !tls)
        return NULL;
    struct upstream *u = calloc(1, sizeof *u);
    if (!u)
        return NULL;
    if (upstream_init(u, &w->loop, url->host, url->port, tls, &timeouts) != STATUS_OK) {
        free(u);
        return NULL;
    }
    u->proxy = way_out_for(w->proxy, w->settings, url);
    __atomic_store_n(&w->upstreams[service], u, __ATOMIC_RELEASE); /* scrape.c looks at it */
    return u;
}

/* ---- messages ---------------------------------------------------------------------------- */

/* Slower than any line over which 64 MiB are sent on purpose: they may take four and a half hours.
 * Without it a byte a minute holds a connection, and what it has sent so far, for ever. */
#define BODY_RATE_MIN 4096

/* Clients may have two of three open files: a client whose request is served needs a second one,
 * upstream, while many clients are idle. Out of files, a request under way could only fail. */
uint32_t worker_connections_max(const struct settings *settings)
{
    struct rlimit files;
    uint64_t room;

    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY)
        return settings->max_connections;
    room = files.rlim_cur / 3 * 2;
    return room < settings->max_connections ? (uint32_t)room : settings->max_connections;
}

static struct server_limits limits_from(const struct settings *settings)
{
    return (struct server_limits){
        .head_timeout_ms = settings->client_timeout_ms,
        .body_timeout_ms = settings->client_timeout_ms,
        .write_timeout_ms = settings->client_timeout_ms,
        .keepalive_timeout_ms = settings->keepalive_ms,
        .body_rate_min = BODY_RATE_MIN,
        .max_connections = worker_connections_max(settings),
    };
}

/* The file may hold other certificates under the same name, so a context that reads one is always
 * made anew. One that cannot be made leaves the old one, with the reason logged. */
static void renew_tls(struct worker *w)
{
    struct tls_context *before = w->tls;

    w->tls = NULL;
    if (!worker_tls(w)) {
        w->tls = before;
        return;
    }
    for (unsigned i = 0; i < KEYRING_SERVICES_MAX; i++) {
        if (w->upstreams[i] && w->upstreams[i]->tls)
            upstream_trust(w->upstreams[i], w->tls);
    }
    tls_context_free(before);
}

/* For the listener; NULL with STATUS_OK: plain HTTP. */
static enum status own_tls(struct worker *w, struct tls_context **ret)
{
    struct buffer reason = {0};
    enum status status = STATUS_OK;

    *ret = NULL;
    if (w->settings->tls_cert)
        status = tls_server_context_new(w->settings->tls_cert, w->settings->tls_key, &reason, ret);
    if (status != STATUS_OK)
        log_line(w->shared->log, LOG_SEVERITY_ERROR, "tls_context", "%.*s", (int)reason.len,
                 reason.len ? reason.data : "");
    buffer_clear(&reason);
    return status;
}

/* For connections accepted from now on. What cannot be read leaves the old certificate. */
static void renew_own_tls(struct worker *w)
{
    struct tls_context *next;

    if (own_tls(w, &next) != STATUS_OK)
        return;
    tls_context_free(w->tls_own);
    w->tls_own = w->server.tls = next;
}

/* Without memory the old way stays. */
static void renew_proxy(struct worker *w)
{
    struct proxy *before = w->proxy, *next;

    if (way_out_proxy(w->settings, &next) != STATUS_OK) {
        log_line(w->shared->log, LOG_SEVERITY_ERROR, "proxy_unchanged",
                 "HTTPS_PROXY: out of memory; the reload did not change the proxy");
        return;
    }
    if (!before && !next)
        return;
    w->proxy = next;
    for (uint32_t i = 0; i < KEYRING_SERVICES_MAX; i++) {
        if (w->upstreams[i])
            upstream_reroute(w->upstreams[i], way_out_for(next, w->settings,
                                                          keyring_service(w->shared->keyring, i)));
    }
    proxy_unref(before);
}

static void swap_settings(struct worker *w, struct settings *settings)
{
    struct upstream_timeouts timeouts = timeouts_from(settings);
    bool reads_file = w->settings->ca_file || settings->ca_file;

    settings_unref(w->settings);
    w->settings = settings;
    if (w->tls && reads_file)
        renew_tls(w);
    renew_proxy(w);
    renew_own_tls(w);
    w->server.limits = limits_from(settings);
    alerts_configure(w->alerts);
    for (unsigned i = 0; i < KEYRING_SERVICES_MAX; i++) {
        if (w->upstreams[i])
            w->upstreams[i]->timeouts = timeouts;
    }
}

static void drain_timed_out(struct wheel_timer *timer)
{
    struct worker *w = container_of(timer, struct worker, drain_timer);
    server_close_all(&w->server);
}

static void stop_prober(struct worker *w)
{
    prober_stop(w->prober);
    w->prober = NULL;
}

static void begin_drain(struct worker *w)
{
    if (w->draining)
        return;
    w->draining = true;
    stop_prober(w);
    alerts_stop(w->alerts);
    event_streams_end(w);
    net_timer_start(&w->loop, &w->drain_timer, w->settings->drain_timeout_ms);
    server_drain(&w->server);
}

static void wake_waiting(struct worker *w)
{
    struct list asked, *first;

    /* Those that must wait on go back into the list: each is looked at once. */
    list_init(&asked);
    while (!list_empty(&w->waiting)) {
        first = w->waiting.next;
        list_remove(first);
        list_append(&asked, first);
    }
    while (!list_empty(&asked)) {
        first = asked.next;
        list_remove(first);
        struct exchange *x = exchange_of_waiting(first);
        if (exchange_is_called(x))
            exchange_wake(x);
        else
            list_append(&w->waiting, first);
    }
}

static void post(struct worker *w, struct settings *settings, bool *flag);

/* Any thread, under the lock of the events. */
static void events_told(struct event_listener *listener)
{
    struct worker *w = container_of(listener, struct worker, event_listener);

    post(w, NULL, &w->want_events);
}

static void pass_events(struct worker *w)
{
    alerts_wake(w->alerts);
    event_streams_wake(w);
}

void worker_listen(struct worker *w)
{
    bool wants = alerts_on(w->alerts) || !list_empty(&w->event_streams);
    bool listens = w->event_listener.wake != NULL;

    if (wants == listens)
        return;
    if (wants) {
        w->event_listener.wake = events_told;
        events_subscribe(w->shared->events, &w->event_listener);
    } else {
        events_unsubscribe(w->shared->events, &w->event_listener);
        w->event_listener.wake = NULL;
    }
}

static void mail_arrived(uv_async_t *async)
{
    struct worker *w = of_loop((uv_handle_t *)async);

    pthread_mutex_lock(&w->mail_lock);
    struct settings *settings = w->new_settings;
    bool drain = w->want_drain, stop = w->want_stop, wake = w->want_wake;
    bool events = w->want_events;
    w->new_settings = NULL;
    w->want_wake = w->want_events = false;
    pthread_mutex_unlock(&w->mail_lock);

    if (settings)
        swap_settings(w, settings);
    if (wake)
        wake_waiting(w);
    if (events)
        pass_events(w);
    if (drain || stop)
        begin_drain(w);
    if (stop)
        server_close_all(&w->server);
}

static void post(struct worker *w, struct settings *settings, bool *flag)
{
    pthread_mutex_lock(&w->mail_lock);
    if (settings) {
        settings_unref(w->new_settings);
        w->new_settings = settings;
    }
    if (flag)
        *flag = true;
    pthread_mutex_unlock(&w->mail_lock);
    uv_async_send(&w->async);
}

void worker_configure(struct worker *w, struct settings *settings)
{
    post(w, settings, NULL);
}

void worker_drain(struct worker *w)
{
    post(w, NULL, &w->want_drain);
}

void worker_stop(struct worker *w)
{
    post(w, NULL, &w->want_stop);
}

void worker_wake(struct worker *w)
{
    post(w, NULL, &w->want_wake);
}

/* ---- life -------------------------------------------------------------------------------- */

/* The last connection is gone: close what keeps the loop running. */
static void all_drained(struct server *server)
{
    struct worker *w = server->user;

    net_timer_stop(&w->loop, &w->drain_timer);
    for (unsigned i = 0; i < KEYRING_SERVICES_MAX; i++) {
        if (w->upstreams[i])
            upstream_stop(w->upstreams[i]);
    }
    if (!uv_is_closing((uv_handle_t *)&w->async))
        uv_close((uv_handle_t *)&w->async, NULL);
}

static void *run(void *argument)
{
    struct worker *w = argument;

    (void)uv_run(&w->loop.uv, UV_RUN_DEFAULT);
    w->ended(w);
    return NULL;
}

enum status worker_init(struct worker *w, struct shared *shared, struct settings *settings,
                        uint16_t port)
{
    struct server_limits limits = limits_from(settings);

    memset(w, 0, sizeof *w);
    enum status status = net_loop_init(&w->loop);
    if (status != STATUS_OK)
        return status;
    if (uv_async_init(&w->loop.uv, &w->async, mail_arrived) != 0) {
        net_loop_fini(&w->loop);
        return STATUS_IO;
    }
    w->loop.owner = w;
    w->shared = shared;
    w->settings = settings_ref(settings);
    list_init(&w->waiting);
    list_init(&w->free_exchanges);
    list_init(&w->free_workspaces);
    list_init(&w->event_streams);
    wheel_timer_init(&w->drain_timer, drain_timed_out);
    pthread_mutex_init(&w->mail_lock, NULL);
    status = own_tls(w, &w->tls_own);
    server_init(&w->server, &w->loop, &router_ops, &limits, w->tls_own, w);
    w->server.drained_down = all_drained;
    w->server.all_conns = &shared->connections;
    if (status == STATUS_OK)
        status = way_out_proxy(settings, &w->proxy);
    if (status == STATUS_OK)
        status = server_listen(&w->server, settings->listen.host, port);
    if (status != STATUS_OK)
        worker_fini(w);
    return status;
}

enum status worker_probe(struct worker *w)
{
    enum status status = prober_start(w, &w->prober);
    return status == STATUS_OK ? alerts_start(w, &w->alerts) : status;
}

enum status worker_start(struct worker *w)
{
    if (pthread_create(&w->thread, NULL, run, w) != 0)
        return STATUS_NO_MEMORY;
    w->started = true;
    return STATUS_OK;
}

void worker_fini(struct worker *w)
{
    if (!w->started) { /* the loop has never run: let it close its handles */
        w->draining = true;
        stop_prober(w);
        alerts_stop(w->alerts);
        server_drain(&w->server);
        if (!uv_is_closing((uv_handle_t *)&w->async))
            uv_close((uv_handle_t *)&w->async, NULL);
        (void)uv_run(&w->loop.uv, UV_RUN_DEFAULT);
    }
    for (unsigned i = 0; i < KEYRING_SERVICES_MAX; i++) {
        if (w->upstreams[i])
            upstream_fini(w->upstreams[i]);
        free(w->upstreams[i]);
    }
    alerts_free(w->alerts);
    exchange_free_reserve(w);
    buffer_clear(&w->scratch_fields);
    buffer_clear(&w->scratch_target);
    tls_context_free(w->tls);
    tls_context_free(w->tls_own);
    proxy_unref(w->proxy);
    net_loop_fini(&w->loop);
    settings_unref(w->new_settings);
    settings_unref(w->settings);
    pthread_mutex_destroy(&w->mail_lock);
}
