#include "cli/fetch.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "gateway/credential.h"
#include "gateway/way_out.h"
#include "keyring/echo.h"
#include "net/tls.h"

struct fetcher {
    struct net_loop loop;
    struct tls_context *tls; /* NULL until a service needs it */
    struct upstream *upstreams[FETCH_SERVICES_MAX];
    const struct service_url *services[FETCH_SERVICES_MAX];
    size_t service_count;
    struct fetch *items;
    size_t count, begun, ended;
    uv_timer_t start; /* fires once: calls begin on the loop */
    uv_poll_t interrupt;
    bool watches, stopping;
    const struct settings *settings;
    struct proxy *proxy;
};

static struct fetch *of_call(struct upstream_call *call)
{
    return container_of(call, struct fetch, call);
}

static void go_on(struct fetcher *f);

static void stop(struct fetcher *f)
{
    if (f->stopping)
        return;
    f->stopping = true;
    uv_close((uv_handle_t *)&f->start, NULL);
    if (f->watches)
        uv_close((uv_handle_t *)&f->interrupt, NULL);
    for (size_t i = 0; i < f->service_count; i++)
        upstream_stop(f->upstreams[i]);
}

static void end(struct fetch *item, enum status status)
{
    struct fetcher *f = item->fetcher;

    item->status = status;
    item->took_ms = net_wall_ms() - item->sent_wall_ms;
    if (item->secret.len && item->body.len)
        echo_mask_error(item->secret, item->body.data, item->body.len);
    if (status != STATUS_OK && !item->reason[0])
        (void)slice_copy(slice_str(status_text(status)), item->reason, sizeof item->reason);
    buffer_clear(&item->head);
    f->ended++;
    if (f->ended == f->count)
        stop(f);
    else if (!f->stopping)
        go_on(f);
}

static void on_head(struct upstream_call *call, const struct http_head *head)
{
    struct fetch *item = of_call(call);
    struct slice date = http_head_get(head, SLICE("date"));

    item->code = head->status;
    slice_copy(http_head_get(head, SLICE("content-type")), item->content_type,
               sizeof item->content_type);
    for (size_t i = 0; i < head->field_count; i++)
        (void)hints_field(&item->hints, head->fields[i].name, head->fields[i].value, net_wall_ms());
    if (!date.len || http_date_parse(date, &item->date_wall_ms) != STATUS_OK)
        item->date_wall_ms = -1;
}

static void on_body(struct upstream_call *call, const char *data, size_t len)
{
    struct fetch *item = of_call(call);

    if (item->only_errors && item->code < 400)
        return;
    enum status status = buffer_append(&item->body, slice_of(data, len), FETCH_ANSWER_MAX);

    if (status == STATUS_OK)
        return;
    upstream_cancel(call);
    if (status == STATUS_LIMIT)
        (void)slice_copy(SLICE("the answer is larger than 64 MiB"), item->reason,
                         sizeof item->reason);
    end(item, status);
}

static void on_complete(struct upstream_call *call)
{
    end(of_call(call), STATUS_OK);
}

static void on_failed(struct upstream_call *call, enum status status)
{
    struct fetch *item = of_call(call);

    (void)slice_copy(slice_str(call->upstream->failure), item->reason, sizeof item->reason);
    end(item, status);
}

static const struct upstream_ops ops = {
    .head = on_head, .body = on_body, .complete = on_complete, .failed = on_failed};

/* ---- sending ----------------------------------------------------------------------------- */

static struct upstream *upstream_of(struct fetcher *f, const struct service_url *url)
{
    static const struct upstream_timeouts timeouts = {FETCH_CONNECT_MS, FETCH_ANSWER_MS,
                                                      FETCH_ANSWER_MS};

    for (size_t i = 0; i < f->service_count; i++) {
        if (f->services[i] == url)
            return f->upstreams[i];
    }
    struct upstream *u = f->service_count < FETCH_SERVICES_MAX ? calloc(1, sizeof *u) : NULL;
    if (!u || upstream_init(u, &f->loop, url->host, url->port, url->tls ? f->tls : NULL,
                            &timeouts) != STATUS_OK) {
        free(u);
        return NULL;
    }
    u->proxy = way_out_for(f->proxy, f->settings, url);
    f->services[f->service_count] = url;
    f->upstreams[f->service_count++] = u;
    return u;
}

/* The head up to the secret, or all of it. */
static enum status write_head(struct fetch *item)
{
    const struct entry_traits key = {.organization = (char *)(uintptr_t)item->organization,
                                     .project = (char *)(uintptr_t)item->project,
                                     .auth_header = (char *)(uintptr_t)item->auth_header};
    struct text head = text_into(&item->head, HTTP_HEAD_MAX);

    text_put(&head, SLICE("GET "));
    text_put_str(&head, item->target);
    credential_put_head(&head, item->service, &key);
    return head.status;
}

static enum status send_item(struct fetcher *f, struct fetch *item)
{
    static const char tail[] = "\r\nuser-agent: sparekey/" SPAREKEY_VERSION
                               "\r\naccept: application/json\r\naccept-encoding: identity\r\n\r\n";
    struct upstream *upstream = upstream_of(f, item->service);

    if (!upstream || write_head(item) != STATUS_OK)
        return STATUS_NO_MEMORY;
    struct slice secret = item->secret.len ? item->secret : SLICE("none");
    item->call.parts[0] = (struct iovec){item->head.data, item->head.len};
    item->call.parts[1] = (struct iovec){(void *)(uintptr_t)secret.ptr, secret.len};
    item->call.parts[2] = (struct iovec){(void *)(uintptr_t)tail, sizeof tail - 1};
    item->call.part_count = 3;
    item->call.secret = item->call.may_replay = true;
    return upstream_send(upstream, &item->call, &ops);
}

static void begin(struct fetcher *f, struct fetch *item)
{
    item->fetcher = f;
    item->sent_wall_ms = net_wall_ms();
    item->date_wall_ms = -1;
    hints_init(&item->hints);
    enum status status = send_item(f, item);
    if (status != STATUS_OK)
        end(item, status);
}

static void go_on(struct fetcher *f)
{
    while (f->begun < f->count && f->begun - f->ended < FETCH_AT_ONCE)
        begin(f, &f->items[f->begun++]);
}

static void on_start(uv_timer_t *timer)
{
    go_on(timer->data);
}

static void cancel_all(uv_poll_t *poll, int status, int events)
{
    struct fetcher *f = poll->data;

    (void)status, (void)events;
    stop(f);
    for (size_t i = 0; i < f->count; i++) {
        if (i < f->begun && f->items[i].call.conn) {
            upstream_cancel(&f->items[i].call);
            end(&f->items[i], STATUS_CANCELLED);
        } else if (i >= f->begun) {
            f->items[i].status = STATUS_CANCELLED;
        }
    }
}

/* ---- a run ------------------------------------------------------------------------------- */

static bool needs_tls(const struct fetch *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (items[i].service->tls)
            return true;
    }
    return false;
}

static void run_loop(struct fetcher *f, int interrupt_fd)
{
    (void)uv_timer_init(&f->loop.uv, &f->start);
    f->start.data = f->interrupt.data = f;
    f->watches = interrupt_fd >= 0 && uv_poll_init(&f->loop.uv, &f->interrupt, interrupt_fd) == 0;
    if (f->watches)
        (void)uv_poll_start(&f->interrupt, UV_READABLE, cancel_all);
    (void)uv_timer_start(&f->start, on_start, 0, 0);
    (void)uv_run(&f->loop.uv, UV_RUN_DEFAULT);
    for (size_t i = 0; i < f->service_count; i++) {
        upstream_fini(f->upstreams[i]);
        free(f->upstreams[i]);
    }
}

enum status fetch_run(struct fetch *items, size_t count, const struct settings *settings,
                      int interrupt_fd, struct buffer *reason)
{
    struct fetcher *f = calloc(1, sizeof *f);
    enum status status = f ? net_loop_init(&f->loop) : STATUS_NO_MEMORY;

    if (status != STATUS_OK || count == 0) {
        if (status == STATUS_OK)
            net_loop_fini(&f->loop);
        free(f);
        return status;
    }
    f->items = items;
    f->count = count;
    f->settings = settings;
    status = way_out_proxy(settings, &f->proxy);
    if (status == STATUS_OK && needs_tls(items, count))
        status = tls_client_context_new(settings->ca_file, reason, &f->tls);
    if (status == STATUS_OK)
        run_loop(f, interrupt_fd);
    net_loop_fini(&f->loop);
    tls_context_free(f->tls);
    proxy_unref(f->proxy);
    free(f);
    return status;
}
