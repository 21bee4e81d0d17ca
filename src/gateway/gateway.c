#include "gateway/gateway.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "gateway/recorder.h"
#include "gateway/tell.h"
#include "gateway/tracer.h"
#include "gateway/worker.h"

enum { REASON_MAX = 1024 };

struct gateway {
    struct shared shared;
    struct settings *settings;
    struct worker *workers;
    unsigned worker_count; /* initialised ones */
    unsigned running;      /* workers; only through __atomic builtins */
    int done_fd;
    int claim; /* of the address, or -1 */
    uint16_t port;
};

static int64_t now_ns(void)
{
    return (int64_t)uv_hrtime();
}

static unsigned processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    int count = CPU_COUNT(&set);
    return count > 0 ? (unsigned)count : 1;
}

static unsigned workers_wanted(const struct settings *settings)
{
    unsigned wanted = settings->workers ? settings->workers : processors();
    return wanted < GATEWAY_WORKERS_MAX ? wanted : GATEWAY_WORKERS_MAX;
}

/* The pool has changed: whoever waits asks again. Any thread. */
static void pool_changed(void *context)
{
    struct gateway *g = context;

    if (__atomic_load_n(&g->shared.waiting, __ATOMIC_SEQ_CST) == 0)
        return;
    for (unsigned i = 0; i < g->worker_count; i++)
        worker_wake(&g->workers[i]);
}

static void worker_ended(struct worker *worker)
{
    struct gateway *g = worker->gateway;
    uint64_t one = 1;

    if (__atomic_sub_fetch(&g->running, 1, __ATOMIC_SEQ_CST) == 0)
        (void)!write(g->done_fd, &one, sizeof one); /* an eventfd at 0 always takes it */
}

static void name_ourselves(struct shared *shared)
{
    uint32_t id = 0;

    /* Without chance the process number still tells two gateways of one machine apart. */
    if (getrandom(&id, sizeof id, 0) != sizeof id)
        id = (uint32_t)getpid();
    (void)snprintf(shared->via, sizeof shared->via, "sparekey-%08x", id);
    shared->request_ids = (uint64_t)id << 32;
}

/* Whether the files of certificates serve their purpose: every worker reads them by itself later. */
static enum status check_tls(const struct settings *settings, struct buffer *reason)
{
    struct tls_context *context = NULL;
    enum status status = STATUS_OK;

    if (settings->ca_file)
        status = tls_client_context_new(settings->ca_file, reason, &context);
    tls_context_free(context);
    context = NULL;
    if (status == STATUS_OK && settings->tls_cert)
        status = tls_server_context_new(settings->tls_cert, settings->tls_key, reason, &context);
    tls_context_free(context);
    return status;
}

enum status gateway_new(struct settings *settings, struct log *log, struct buffer *reason,
                        struct gateway **ret_gateway)
{
    struct gateway *g = calloc(1, sizeof *g);
    if (!g)
        return STATUS_NO_MEMORY;
    g->claim = -1;
    g->settings = settings_ref(settings);
    g->shared.log = log;
    name_ourselves(&g->shared);
    g->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    g->workers = calloc(workers_wanted(settings), sizeof *g->workers);
    enum status status = check_tls(settings, reason);
    if (status == STATUS_OK && (g->done_fd < 0 || !g->workers))
        status = STATUS_NO_MEMORY;
    if (status == STATUS_OK)
        status = events_new(&g->shared.events);
    if (status == STATUS_OK)
        status = keyring_new(settings, now_ns(), pool_changed, g, &g->shared.keyring);
    if (status != STATUS_OK) {
        gateway_free(g);
        return status;
    }
    tell_watch(&g->shared);
    *ret_gateway = g;
    return STATUS_OK;
}

static void explain_listen(const struct settings *settings, enum status status,
                           struct buffer *reason)
{
    const char *why = status == STATUS_IN_USE ? "the address is in use by another process; choose "
                                                "another with SPAREKEY_LISTEN or --listen"
                      : status == STATUS_INVALID ? "this machine has no such address"
                                                 : strerror(errno);
    if (buffer_printf(reason, REASON_MAX, "cannot listen on %s port %u: %s", settings->listen.host,
                      settings->listen.port, why) != STATUS_OK)
        reason->len = 0;
}

/* Every worker listens before any of them runs. */
static enum status open_workers(struct gateway *g, struct buffer *reason)
{
    unsigned wanted = workers_wanted(g->settings);
    uint16_t port = g->settings->listen.port;

    enum status claimed = listener_claim(g->settings->listen.host, port, &g->claim);
    if (claimed != STATUS_OK) {
        explain_listen(g->settings, claimed, reason);
        return claimed;
    }
    while (g->worker_count < wanted) {
        struct worker *w = &g->workers[g->worker_count];
        enum status status = worker_init(w, &g->shared, g->settings, port);
        if (status != STATUS_OK) {
            explain_listen(g->settings, status, reason);
            return status;
        }
        w->gateway = g;
        w->ended = worker_ended;
        port = server_port(&w->server);
        g->worker_count++;
    }
    g->port = port;
    return STATUS_OK;
}

static void warn_of_few_files(const struct gateway *g)
{
    uint32_t most = worker_connections_max(g->settings);

    if (most < g->settings->max_connections)
        log_line(g->shared.log, LOG_SEVERITY_WARN, "few_open_files",
                 "the limit of open files (ulimit -n) allows %u connections of clients, fewer than "
                 "the %u of SPAREKEY_MAX_CONNECTIONS",
                 most, g->settings->max_connections);
}

enum status gateway_start(struct gateway *g, struct buffer *reason)
{
    enum status status = open_workers(g, reason);

    g->shared.workers = g->workers;
    g->shared.worker_count = g->worker_count;
    g->shared.started_wall_ms = net_wall_ms();

    warn_of_few_files(g);

    if (status == STATUS_OK)
        status = recorder_start(g->settings, g->shared.keyring, g->shared.log, &g->shared.recorder);
    __atomic_store_n(&g->running, g->worker_count, __ATOMIC_SEQ_CST);
    if (status == STATUS_OK)
        status = tracer_start(g->settings, g->shared.log, &g->shared.tracer);
    if (status == STATUS_OK)
        status = worker_probe(&g->workers[0]);
    for (unsigned i = 0; i < g->worker_count && status == STATUS_OK; i++)
        status = worker_start(&g->workers[i]);
    if (status != STATUS_OK && reason->len == 0)
        (void)!buffer_printf(reason, REASON_MAX, "cannot start the workers: %s",
                             status_text(status));
    return status;
}

uint16_t gateway_port(const struct gateway *g)
{
    return g->port;
}

void gateway_url(const struct gateway *g, char *out, size_t size)
{
    char origin[LISTEN_URL_MAX];

    settings_listen_url(g->settings, g->port, origin);
    (void)snprintf(out, size, "%s/v1", origin);
}

static void explain_reload(enum status status, struct buffer *reason)
{
    if (reason->len)
        return;
    if (status == STATUS_LIMIT)
        (void)!buffer_printf(reason, REASON_MAX,
                             "more than %d different base URLs since the start; restart to forget "
                             "those that are no longer used",
                             KEYRING_SERVICES_MAX);
    else
        (void)!buffer_printf(reason, REASON_MAX, "%s", status_text(status));
}

enum status gateway_reload(struct gateway *g, struct settings *settings, struct buffer *reason)
{
    enum status status = check_tls(settings, reason);
    if (status == STATUS_OK)
        status = keyring_load(g->shared.keyring, settings, now_ns());
    if (status != STATUS_OK) {
        explain_reload(status, reason);
        return status;
    }
    __atomic_store_n(&g->shared.reload_number, events_next_number(g->shared.events),
                     __ATOMIC_RELEASE);
    __atomic_add_fetch(&g->shared.reloads, 1, __ATOMIC_RELAXED);
    settings_unref(g->settings);
    g->settings = settings_ref(settings);
    for (unsigned i = 0; i < g->worker_count; i++)
        worker_configure(&g->workers[i], settings_ref(settings));
    tell_reloaded(&g->shared, settings->key_count);
    return STATUS_OK;
}

void gateway_drain(struct gateway *g)
{
    tell_draining(&g->shared);
    __atomic_store_n(&g->shared.draining, true, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < g->worker_count; i++)
        worker_drain(&g->workers[i]);
}

void gateway_stop(struct gateway *g)
{
    __atomic_store_n(&g->shared.draining, true, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < g->worker_count; i++)
        worker_stop(&g->workers[i]);
}

int gateway_done_fd(const struct gateway *g)
{
    return g->done_fd;
}

void gateway_free(struct gateway *g)
{
    if (!g)
        return;
    gateway_stop(g);
    for (unsigned i = 0; i < g->worker_count; i++) {
        if (g->workers[i].started)
            (void)pthread_join(g->workers[i].thread, NULL);
    }
    for (unsigned i = 0; i < g->worker_count; i++)
        worker_fini(&g->workers[i]);
    tracer_stop(g->shared.tracer);
    free(g->workers);
    recorder_stop(g->shared.recorder);
    keyring_free(g->shared.keyring);
    events_free(g->shared.events);
    settings_unref(g->settings);
    if (g->done_fd >= 0)
        close(g->done_fd);
    if (g->claim >= 0)
        close(g->claim);
    free(g);
}
