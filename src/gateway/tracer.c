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

_Static_assert((TRACER_QUEUE & (TRACER_QUEUE - 1)) == 0, "numbers are places modulo TRACER_QUEUE");
_Static_assert(TRACER_BATCH *TRACER_SPAN_BYTES < TRACER_BATCH_BYTES, "a batch fits its body");

enum { TRACER_HEAD_MAX = 16384, TRACER_CONNECT_MS = 5000, TRACER_ANSWER_MS = 10000 };
enum { TRACER_CALL_MS = TRACER_CONNECT_MS + TRACER_ANSWER_MS }; /* all of one */

struct tracer {
    struct log *log;
    char *service;
    struct buffer head; /* request line and fields up to the value of content-length; a secret */
    uint64_t ids;       /* state of the generator of ids; only through __atomic builtins */

    pthread_mutex_t lock;
    struct span *ring;
    uint64_t put, taken; /* running numbers, under the lock; the thread alone moves `taken` */
    bool stopping;       /* likewise */
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
    struct buffer body, length;
    size_t batch; /* spans in `body` */
    unsigned tries;
    int status;
    bool sending, complained, ending;
};

/* ---- JSON --------------------------------------------------------------------------------
 *
 * Written for every request, so without a check or a call for each piece: spans_json makes room for
 * the longest, and each function returns where its text ends. */

#define PUT(p, literal) ((char *)memcpy(p, literal, sizeof(literal) - 1) + sizeof(literal) - 1)

enum {
    HEAD_JSON_MAX = 512, /* of what stands around the spans, without the service's name */
    NAME_JSON_MAX = 48,  /* of a family's or verdict's name */
};

/* What a peer sent may be anything: bytes outside of printable ASCII, and the two that would need an
 * escape, become '?'. No branches, so that many bytes are done at once. */
static char *put_plain(char *restrict p, const char *restrict value, size_t max)
{
    size_t len = strnlen(value, max);

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)value[i];
        bool plain = (c >= ' ') & (c < 0x7f) & (c != '"') & (c != '\\');
        p[i] = (char)(plain ? c : '?');
    }
    return p + len;
}

static char *put_number(char *p, uint64_t value)
{
    return p + number_format(value, p);
}

static char *put_hex(char *p, uint64_t value)
{
    number_format_hex(value, p);
    return p + NUMBER_HEX_LEN;
}

/* Behind another attribute. An empty one is left out. */
#define PUT_TEXT(p, key, value, max)                                                               \
    (*(value) ? PUT(put_plain(PUT(p, ",{\"key\":\"" key "\",\"value\":{\"stringValue\":\""),       \
                              value, max),                                                         \
                    "\"}}")                                                                        \
              : (p))

/* OTLP writes 64-bit numbers as strings. */
#define PUT_INT(p, key, value)                                                                     \
    PUT(put_number(PUT(p, ",{\"key\":\"" key "\",\"value\":{\"intValue\":\""), value), "\"}}")

static char *put_ids(char *p, const struct span *span)
{
    p = PUT(p, "{\"traceId\":\"");
    p = put_hex(p, span->trace[0]);
    p = put_hex(p, span->trace[1]);
    p = put_hex(PUT(p, "\",\"spanId\":\""), span->id);
    if (span->parent)
        p = put_hex(PUT(p, "\",\"parentSpanId\":\""), span->parent);
    return p;
}

/* The first attribute is one that is always there: each following brings its comma. */
static char *put_server_attributes(char *p, const struct span *span)
{
    p = PUT(p, "{\"key\":\"http.request.method\",\"value\":{\"stringValue\":\"");
    p = PUT(put_plain(p, span->method, sizeof span->method), "\"}}");
    p = PUT_TEXT(p, "url.path", span->path, sizeof span->path);
    p = PUT_TEXT(p, "sparekey.endpoint", span->family, NAME_JSON_MAX);
    return PUT_INT(p, "sparekey.attempts", span->attempts);
}

static char *put_client_attributes(char *p, const struct span *span)
{
    p = PUT(p, "{\"key\":\"sparekey.key\",\"value\":{\"stringValue\":\"");
    p = PUT(put_plain(p, span->mask, sizeof span->mask), "\"}}");
    p = PUT_TEXT(p, "sparekey.key.name", span->key, sizeof span->key);
    p = PUT_TEXT(p, "sparekey.verdict", span->verdict, NAME_JSON_MAX);
    return PUT_TEXT(p, "sparekey.upstream.request_id", span->request_id, sizeof span->request_id);
}

static char *put_attributes(char *p, const struct span *span)
{
    p = span->kind == SPAN_SERVER ? put_server_attributes(p, span) : put_client_attributes(p, span);
    return span->status ? PUT_INT(p, "http.response.status_code", span->status) : p;
}

static char *put_span(char *p, const struct span *span)
{
    p = PUT(put_ids(p, span), "\",\"name\":\"");
    if (span->kind == SPAN_CLIENT)
        p = PUT(p, "attempt ");
    p = put_plain(p, span->family, NAME_JSON_MAX);
    p = put_number(PUT(p, "\",\"kind\":"), span->kind);
    p = put_number(PUT(p, ",\"startTimeUnixNano\":\""), (uint64_t)span->began_wall_ns);
    p = put_number(PUT(p, "\",\"endTimeUnixNano\":\""), (uint64_t)span->ended_wall_ns);
    p = put_attributes(PUT(p, "\",\"attributes\":["), span);
    return span->failed ? PUT(p, "],\"status\":{\"code\":2}}") : PUT(p, "],\"status\":{}}");
}

static char *put_service(char *p, const char *service, size_t len)
{
    p = PUT(p,
            "{\"resourceSpans\":[{\"resource\":{\"attributes\":["
            "{\"key\":\"service.version\",\"value\":{\"stringValue\":\"" SPAREKEY_VERSION "\"}}");
    p = PUT_TEXT(p, "service.name", service, len);
    return PUT(p, "]},\"scopeSpans\":[{\"scope\":{\"name\":\"sparekey\"},\"spans\":[");
}

enum status spans_json(struct buffer *out, const char *service, const struct span *spans,
                       size_t count)
{
    size_t service_len = strlen(service);
    enum status status = buffer_reserve(
        out, HEAD_JSON_MAX + service_len + count * TRACER_SPAN_BYTES, TRACER_BATCH_BYTES);

    if (status != STATUS_OK)
        return status;
    char *p = put_service(out->data + out->len, service, service_len);
    for (size_t i = 0; i < count; i++) {
        if (i)
            p = PUT(p, ",");
        p = put_span(p, &spans[i]);
    }
    p = PUT(p, "]}]}]}");
    out->len = (size_t)(p - out->data);
    return STATUS_OK;
}

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
        "\r\ncontent-type: application/json\r\n",
        url->path, v6 ? "[" : "", url->host, v6 ? "]" : "", url->port);

    if (status == STATUS_OK && settings->otlp_headers)
        status = tracer_fields(&r->head, secret_bytes(settings->otlp_headers));
    if (status == STATUS_OK)
        status = buffer_append(&r->head, SLICE("content-length: "), TRACER_HEAD_MAX);
    return status;
}

/* ---- sending ----------------------------------------------------------------------------- */

static void look(struct tracer *r);

static struct tracer *of_call(struct upstream_call *call)
{
    return container_of(call, struct tracer, call);
}

static void add(uint64_t *counter, uint64_t by)
{
    (void)__atomic_fetch_add(counter, by, __ATOMIC_RELAXED);
}

static uint64_t waiting(struct tracer *r)
{
    pthread_mutex_lock(&r->lock);
    uint64_t count = r->put - r->taken;
    pthread_mutex_unlock(&r->lock);
    return count;
}

/* Writes the next batch; it ends where the ring does. Its places are taken until it is written, so
 * nobody writes there meanwhile. Returns the number of spans. */
static size_t write_batch(struct tracer *r)
{
    uint64_t first = r->taken % TRACER_QUEUE, count = waiting(r);

    if (count > TRACER_QUEUE - first)
        count = TRACER_QUEUE - first;
    if (count > TRACER_BATCH)
        count = TRACER_BATCH;
    if (count && spans_json(&r->body, r->service, r->ring + first, count) != STATUS_OK) {
        r->body.len = 0;
        add(&r->counts.lost, count);
    }
    pthread_mutex_lock(&r->lock);
    r->taken += count;
    pthread_mutex_unlock(&r->lock);
    return r->body.len ? count : 0;
}

static bool is_stopping(struct tracer *r)
{
    pthread_mutex_lock(&r->lock);
    bool stopping = r->stopping;
    pthread_mutex_unlock(&r->lock);
    return stopping;
}

static void forget_batch(struct tracer *r, uint64_t *counter)
{
    add(counter, r->batch);
    r->batch = 0;
    r->tries = 0;
    r->body.len = 0;
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
        look(r);
}

static void on_complete(struct upstream_call *call)
{
    struct tracer *r = of_call(call);
    char why[32];

    if (r->status / 100 == 2) {
        r->sending = r->complained = false;
        net_timer_stop(&r->loop, &r->limit);
        forget_batch(r, &r->counts.exported);
        look(r);
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

static void put_part(struct tracer *r, const struct buffer *b)
{
    r->call.parts[r->call.part_count++] = (struct iovec){b->data, b->len};
}

static void send_batch(struct tracer *r)
{
    r->length.len = 0;
    enum status status = buffer_printf(&r->length, 64, "%zu\r\n\r\n", r->body.len);
    r->call = (struct upstream_call){.may_replay = true, .secret = true};
    put_part(r, &r->head);
    put_part(r, &r->length);
    put_part(r, &r->body);
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

/* Something may be there to be sent. */
static void look(struct tracer *r)
{
    if (r->sending || r->ending)
        return;
    if (!r->batch)
        r->batch = write_batch(r);
    if (r->batch)
        send_batch(r);
    else if (is_stopping(r))
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
    look(r);
}

static void woken(uv_async_t *async)
{
    struct net_loop *loop = container_of(async->loop, struct net_loop, uv);
    struct tracer *r = container_of(loop, struct tracer, loop);

    if (is_stopping(r) && !r->ending)
        net_timer_start(&r->loop, &r->timer, TRACER_FLUSH_MS);
    look(r);
}

static void *run(void *argument)
{
    struct tracer *r = argument;

    (void)uv_run(&r->loop.uv, UV_RUN_DEFAULT);
    return NULL;
}

/* ---- any thread -------------------------------------------------------------------------- */

void tracer_add(struct tracer *r, const struct span *span)
{
    pthread_mutex_lock(&r->lock);
    uint64_t before = r->put - r->taken;
    if (before < TRACER_QUEUE)
        r->ring[r->put++ % TRACER_QUEUE] = *span;
    pthread_mutex_unlock(&r->lock);
    if (before == TRACER_QUEUE)
        add(&r->counts.dropped, 1);
    if (before + 1 == TRACER_BATCH)
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
    buffer_clear(&r->body);
    buffer_clear(&r->length);
    pthread_mutex_destroy(&r->lock);
    free(r->service);
    free(r->ring);
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
    r->ring = calloc(TRACER_QUEUE, sizeof *r->ring);
    r->service = strdup(settings->service_name ? settings->service_name : "sparekey");
    if (getrandom(&r->ids, sizeof r->ids, 0) != sizeof r->ids)
        r->ids = uv_hrtime(); /* ids need variety, not secrecy */
    enum status status = r->ring && r->service ? write_head(r, settings) : STATUS_NO_MEMORY;
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
