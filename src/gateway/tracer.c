#include "gateway/tracer.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/number.h"
#include "base/rng.h"
#include "base/text.h"
#include "gateway/way_out.h"
#include "net/tls.h"
#include "net/upstream.h"

enum { TRACER_HEAD_MAX = 16384, TRACER_CONNECT_MS = 5000, TRACER_ANSWER_MS = 10000 };
enum { TRACER_CALL_MS = TRACER_CONNECT_MS + TRACER_ANSWER_MS }; /* all of one */
enum { BATCHES = TRACER_QUEUE / TRACER_BATCH + 1 };             /* one of them under way */

_Static_assert(TRACER_QUEUE % TRACER_BATCH == 0, "what waits is whole batches");

/* Spans as they are sent. There is room for TRACER_BATCH of the longest; what none needs is never
 * touched, and so costs no memory. */
struct batch {
    char *bytes;
    size_t len;
    uint32_t spans;
};

struct tracer {
    struct log *log;
    char *service;
    struct buffer head; /* request line and fields up to the value of content-length; a secret */
    uint64_t ids;       /* state of the generator of ids; only through __atomic builtins */

    pthread_mutex_t lock;
    struct batch ring[BATCHES];
    uint64_t filling, first; /* running numbers of batches, under the lock: these and those between
                                them hold spans; the thread alone moves `first` */
    bool stopping;           /* likewise */
    struct tracer_counts counts; /* only through __atomic builtins */

    /* The thread's own. */
    pthread_t thread;
    struct net_loop loop;
    uv_async_t async;
    struct wheel_timer timer; /* the next look at the ring; once stopping, the end of patience */
    struct tls_context *tls;
    struct proxy *proxy;
    struct upstream upstream;
    struct upstream_call call;
    struct wheel_timer limit; /* of the call, to the answer's last byte */
    struct buffer length;     /* the value of content-length, and the head's end */
    char frame[OTLP_FRAME_MAX];
    struct batch *batch; /* the first, when it is closed: nobody writes there; else NULL */
    unsigned tries;
    int status;
    bool sending, complained, ending;
};

/* ---- the request's head ------------------------------------------------------------------ */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Percent-decoded; bytes that would end the line are left out. */
static void put_decoded(struct text *t, struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        int high = c == '%' && i + 2 < value.len ? hex_digit(value.ptr[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(value.ptr[i + 2]) : -1;
        if (low >= 0) {
            c = (char)(high << 4 | low);
            i += 2;
        }
        if ((unsigned char)c >= ' ' && c != 0x7f)
            text_put(t, slice_of(&c, 1));
    }
}

/* RFC 9110 §5.6.2. */
static bool is_token(struct slice name)
{
    static const char others[] = "!#$%&'*+-.^_`|~";

    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i], lower = (char)(c | 0x20);
        if (!(c >= '0' && c <= '9') && !(lower >= 'a' && lower <= 'z') &&
            !memchr(others, c, sizeof others - 1))
            return false;
    }
    return name.len > 0;
}

enum status tracer_fields(struct buffer *out, struct slice headers)
{
    struct text t = text_into(out, TRACER_HEAD_MAX);
    struct slice pair;

    while (slice_next_item(&headers, ',', &pair)) {
        struct slice value = pair, name;
        if (!slice_next_item(&value, '=', &name) || !is_token(name))
            continue;
        text_put(&t, name);
        text_put(&t, SLICE(": "));
        put_decoded(&t, slice_trim(value));
        text_put(&t, SLICE("\r\n"));
    }
    return t.status;
}

static enum status write_head(struct tracer *r, const struct settings *settings)
{
    const struct service_url *url = &settings->otlp_endpoint;
    bool v6 = strchr(url->host, ':') != NULL;
    enum status status = buffer_printf(
        &r->head, TRACER_HEAD_MAX,
        "POST %s/v1/traces HTTP/1.1\r\nhost: %s%s%s:%u\r\nuser-agent: sparekey/" SPAREKEY_VERSION
        "\r\ncontent-type: application/x-protobuf\r\n",
        url->path, v6 ? "[" : "", url->host, v6 ? "]" : "", url->port);

    if (status == STATUS_OK && settings->otlp_headers)
        status = tracer_fields(&r->head, secret_bytes(settings->otlp_headers));
    if (status == STATUS_OK)
        status = buffer_append(&r->head, SLICE("content-length: "), TRACER_HEAD_MAX);
    return status;
}

/* ---- sending ----------------------------------------------------------------------------- */

static void look(struct tracer *r, bool due);

static struct tracer *of_call(struct upstream_call *call)
{
    return container_of(call, struct tracer, call);
}

static void add(uint64_t *counter, uint64_t by)
{
    (void)__atomic_fetch_add(counter, by, __ATOMIC_RELAXED);
}

static bool is_stopping(struct tracer *r)
{
    pthread_mutex_lock(&r->lock);
    bool stopping = r->stopping;
    pthread_mutex_unlock(&r->lock);
    return stopping;
}

/* The batch to be sent next, closed. NULL: there is none, or unless `due` it is not full yet. */
static struct batch *take_batch(struct tracer *r, bool due)
{
    pthread_mutex_lock(&r->lock);
    struct batch *batch = &r->ring[r->first % BATCHES];
    bool open = r->first == r->filling;
    bool wanted = !open || batch->spans == TRACER_BATCH || (due && batch->spans);
    if (wanted && open)
        r->filling++;
    pthread_mutex_unlock(&r->lock);
    return wanted ? batch : NULL;
}

/* Its place is free again. */
static void forget_batch(struct tracer *r, uint64_t *counter)
{
    add(counter, r->batch->spans);
    r->batch->len = 0;
    r->batch->spans = 0;
    r->batch = NULL;
    r->tries = 0;
    pthread_mutex_lock(&r->lock);
    r->first++;
    pthread_mutex_unlock(&r->lock);
}

/* Said once, until spans are taken again. */
static void complain(struct tracer *r, const char *why)
{
    if (!r->complained)
        log_line(r->log, LOG_SEVERITY_WARN, "traces_refused",
                 "the collector does not take spans: %s", why);
    r->complained = true;
}

static void on_head(struct upstream_call *call, const struct http_head *head)
{
    of_call(call)->status = head->status;
}

static void on_body(struct upstream_call *call, const char *data, size_t len)
{
    (void)call, (void)data, (void)len; /* what it says is for its own log */
}

/* Not taken, for now or for good. */
static void fail(struct tracer *r, bool for_good, const char *why)
{
    r->sending = false;
    net_timer_stop(&r->loop, &r->limit);
    complain(r, why);
    if (for_good || ++r->tries == TRACER_TRIES || is_stopping(r))
        forget_batch(r, &r->counts.lost);
    if (is_stopping(r))
        look(r, false);
}

static void on_complete(struct upstream_call *call)
{
    struct tracer *r = of_call(call);
    char why[32];

    if (r->status / 100 == 2) {
        r->sending = r->complained = false;
        net_timer_stop(&r->loop, &r->limit);
        forget_batch(r, &r->counts.exported);
        look(r, false);
        return;
    }
    (void)snprintf(why, sizeof why, "status %d", r->status);
    fail(r, r->status != 429 && r->status != 502 && r->status != 503 && r->status != 504, why);
}

static void on_failed(struct upstream_call *call, enum status status)
{
    struct tracer *r = of_call(call);

    fail(r, false, *r->upstream.failure ? r->upstream.failure : status_text(status));
}

/* It may answer byte by byte for ever: then it has said what it had to say in the head, or nothing. */
static void limit_reached(struct wheel_timer *timer)
{
    struct tracer *r = container_of(timer, struct tracer, limit);

    upstream_cancel(&r->call);
    if (r->status)
        on_complete(&r->call);
    else
        fail(r, false, status_text(STATUS_TIMEOUT));
}

static const struct upstream_ops callbacks = {
    .head = on_head, .body = on_body, .complete = on_complete, .failed = on_failed};

static void put_part(struct tracer *r, char *bytes, size_t len)
{
    r->call.parts[r->call.part_count++] = (struct iovec){bytes, len};
}

static void send_batch(struct tracer *r)
{
    size_t frame_len = otlp_frame(r->frame, r->service, r->batch->len);

    r->length.len = 0;
    enum status status = buffer_printf(&r->length, 64, "%zu\r\n\r\n", frame_len + r->batch->len);
    r->call = (struct upstream_call){.may_replay = true, .secret = true};
    put_part(r, r->head.data, r->head.len);
    put_part(r, r->length.data, r->length.len);
    put_part(r, r->frame, frame_len);
    put_part(r, r->batch->bytes, r->batch->len);
    r->status = 0;
    r->sending = true;
    if (status != STATUS_OK || upstream_send(&r->upstream, &r->call, &callbacks) != STATUS_OK) {
        r->sending = false;
        forget_batch(r, &r->counts.lost);
        return;
    }
    net_timer_start(&r->loop, &r->limit, TRACER_CALL_MS);
}

static void end(struct tracer *r)
{
    if (r->ending)
        return;
    r->ending = true;
    upstream_cancel(&r->call);
    net_timer_stop(&r->loop, &r->timer);
    net_timer_stop(&r->loop, &r->limit);
    upstream_stop(&r->upstream);
    uv_close((uv_handle_t *)&r->async, NULL);
}

/* Something may be there to be sent: a full batch, or when it is `due`, and at the end, whatever waits
 * and what was refused. Under load a batch is full before the answer to the last one is here, and sending less
 * would cost a call for a handful of spans. */
static void look(struct tracer *r, bool due)
{
    bool stopping = is_stopping(r);

    due = due || stopping;
    if (r->sending || r->ending || (r->batch && !due))
        return;
    if (!r->batch)
        r->batch = take_batch(r, due);
    if (r->batch)
        send_batch(r);
    else if (stopping)
        end(r);
}

static void timer_fired(struct wheel_timer *timer)
{
    struct tracer *r = container_of(timer, struct tracer, timer);

    if (is_stopping(r)) {
        end(r); /* what waits still is of no use to anybody */
        return;
    }
    net_timer_start(&r->loop, timer, TRACER_INTERVAL_MS);
    look(r, true);
}

static void woken(uv_async_t *async)
{
    struct net_loop *loop = container_of(async->loop, struct net_loop, uv);
    struct tracer *r = container_of(loop, struct tracer, loop);

    if (is_stopping(r) && !r->ending)
        net_timer_start(&r->loop, &r->timer, TRACER_FLUSH_MS);
    look(r, false);
}

static void *run(void *argument)
{
    struct tracer *r = argument;

    (void)uv_run(&r->loop.uv, UV_RUN_DEFAULT);
    return NULL;
}

/* ---- any thread -------------------------------------------------------------------------- */

/* Under the lock. NULL: all are full. */
static struct batch *open_batch(struct tracer *r)
{
    struct batch *batch = &r->ring[r->filling % BATCHES];

    if (batch->spans < TRACER_BATCH)
        return batch;
    return r->filling - r->first < BATCHES - 1 ? &r->ring[++r->filling % BATCHES] : NULL;
}

void tracer_add(struct tracer *r, const struct span *span)
{
    char bytes[OTLP_SPAN_MAX];
    size_t len = otlp_span(bytes, span);
    bool full = false;

    pthread_mutex_lock(&r->lock);
    struct batch *batch = open_batch(r);
    if (batch) {
        memcpy(batch->bytes + batch->len, bytes, len);
        batch->len += len;
        full = ++batch->spans == TRACER_BATCH;
    }
    pthread_mutex_unlock(&r->lock);
    if (!batch)
        add(&r->counts.dropped, 1);
    if (full)
        uv_async_send(&r->async);
}

uint64_t tracer_id(struct tracer *r)
{
    /* rng_next, its step made atomic. */
    struct rng rng = {__atomic_fetch_add(&r->ids, UINT64_C(0x9E3779B97F4A7C15), __ATOMIC_RELAXED)};
    uint64_t id = rng_next(&rng);

    return id ? id : 1;
}

void tracer_count(const struct tracer *r, struct tracer_counts *ret)
{
    ret->exported = __atomic_load_n(&r->counts.exported, __ATOMIC_RELAXED);
    ret->dropped = __atomic_load_n(&r->counts.dropped, __ATOMIC_RELAXED);
    ret->lost = __atomic_load_n(&r->counts.lost, __ATOMIC_RELAXED);
}

/* ---- life -------------------------------------------------------------------------------- */

static void free_memory(struct tracer *r)
{
    tls_context_free(r->tls);
    proxy_unref(r->proxy);
    buffer_wipe(&r->head);
    buffer_clear(&r->length);
    pthread_mutex_destroy(&r->lock);
    free(r->service);
    for (size_t i = 0; i < BATCHES; i++)
        free(r->ring[i].bytes);
    free(r);
}

static enum status make_tls(struct tracer *r, const struct settings *settings)
{
    struct buffer reason = {0};
    enum status status = tls_client_context_new(settings->ca_file, &reason, &r->tls);

    if (status != STATUS_OK)
        log_line(r->log, LOG_SEVERITY_ERROR, "tls_context", "%.*s", (int)reason.len,
                 reason.len ? reason.data : "");
    buffer_clear(&reason);
    return status;
}

static enum status open_loop(struct tracer *r, const struct service_url *url)
{
    static const struct upstream_timeouts timeouts = {
        .connect_ms = TRACER_CONNECT_MS,
        .first_byte_ms = TRACER_ANSWER_MS,
        .idle_ms = TRACER_ANSWER_MS,
    };
    enum status status = net_loop_init(&r->loop);

    if (status != STATUS_OK)
        return status;
    if (uv_async_init(&r->loop.uv, &r->async, woken) != 0) {
        net_loop_fini(&r->loop);
        return STATUS_IO;
    }
    wheel_timer_init(&r->timer, timer_fired);
    wheel_timer_init(&r->limit, limit_reached);
    status = upstream_init(&r->upstream, &r->loop, url->host, url->port, r->tls, &timeouts);
    if (status != STATUS_OK) {
        uv_close((uv_handle_t *)&r->async, NULL);
        (void)uv_run(&r->loop.uv, UV_RUN_DEFAULT);
        net_loop_fini(&r->loop);
    }
    return status;
}

static void close_loop(struct tracer *r)
{
    upstream_fini(&r->upstream);
    net_loop_fini(&r->loop);
}

static enum status start_thread(struct tracer *r)
{
    net_timer_start(&r->loop, &r->timer, TRACER_INTERVAL_MS);
    if (pthread_create(&r->thread, NULL, run, r) == 0)
        return STATUS_OK;
    end(r);
    (void)uv_run(&r->loop.uv, UV_RUN_DEFAULT);
    close_loop(r);
    return STATUS_NO_MEMORY;
}

static bool make_ring(struct tracer *r)
{
    for (size_t i = 0; i < BATCHES; i++) {
        r->ring[i].bytes = malloc(TRACER_BATCH * OTLP_SPAN_MAX);
        if (!r->ring[i].bytes)
            return false;
    }
    return true;
}

enum status tracer_start(const struct settings *settings, struct log *log, struct tracer **ret)
{
    *ret = NULL;
    if (!settings->otlp_endpoint.host)
        return STATUS_OK;
    struct tracer *r = calloc(1, sizeof *r);
    if (!r)
        return STATUS_NO_MEMORY;
    pthread_mutex_init(&r->lock, NULL);
    r->log = log;
    r->service = strdup(settings->service_name ? settings->service_name : "sparekey");
    if (getrandom(&r->ids, sizeof r->ids, 0) != sizeof r->ids)
        r->ids = uv_hrtime(); /* ids need variety, not secrecy */
    enum status status = make_ring(r) && r->service ? write_head(r, settings) : STATUS_NO_MEMORY;
    if (status == STATUS_OK && settings->otlp_endpoint.tls)
        status = make_tls(r, settings);
    if (status == STATUS_OK)
        status = way_out_proxy(settings, &r->proxy);
    if (status == STATUS_OK)
        status = open_loop(r, &settings->otlp_endpoint);
    if (status == STATUS_OK)
        r->upstream.proxy = way_out_for(r->proxy, settings, &settings->otlp_endpoint);
    if (status == STATUS_OK)
        status = start_thread(r);
    if (status == STATUS_OK)
        *ret = r;
    else
        free_memory(r);
    return status;
}

void tracer_stop(struct tracer *r)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    r->stopping = true;
    pthread_mutex_unlock(&r->lock);
    uv_async_send(&r->async);
    (void)pthread_join(r->thread, NULL);
    close_loop(r);
    free_memory(r);
}
