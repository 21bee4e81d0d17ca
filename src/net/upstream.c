/* A connection is in exactly one list: `busy` with its call, or `idle`, newest first.
 *
 *   dial ─▶ DIALLING ─▶ SENDING ─▶ AWAITING ──whole answer──▶ IDLE ──next call──▶ SENDING …
 *               └────────────┴──────────┴── failure, cancel, unwanted bytes ──▶ (closing)
 *
 * A closing connection has no call and no list; it only waits for its `closed`.
 */
#include "net/upstream.h"

#include <stdlib.h>
#include <string.h>

#include "net/dial.h"

enum {
    SWEEPS = 6, /* idle connections are looked over so many times while they may idle */
};

struct upstream_conn {
    struct conn conn;
    struct http_reader reader;
    struct upstream *upstream;
    struct upstream_call *call; /* NULL when idle or closing */
    struct list node;
    struct wheel_timer timer; /* first byte, then idle gaps; ignored while idle */
    int64_t idle_since_ns;
    uint32_t trust;   /* of the upstream when this was dialled */
    size_t part_sent; /* bytes of parts[part_index] handed to the socket */
    uint8_t part_index;
    bool served;    /* has answered a request before */
    bool got_bytes; /* of the current answer */
    bool keep;      /* the peer will take another request */
    bool finished;  /* the whole answer is here */
    bool paused;    /* the caller wants no bytes now */
    bool closing;
};

static struct upstream_conn *of_conn(struct conn *conn)
{
    return container_of(conn, struct upstream_conn, conn);
}

static struct upstream_conn *of_reader(struct http_reader *reader)
{
    return container_of(reader, struct upstream_conn, reader);
}

static enum status dial_for(struct upstream *u, struct upstream_call *call);

/* Counters that other threads read; this thread alone writes them. */
static void count(uint32_t *counter, int by)
{
    __atomic_store_n(counter, *counter + (uint32_t)by, __ATOMIC_RELAXED);
}

static void tally(uint64_t *counter)
{
    __atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

/* ---- leaving ----------------------------------------------------------------------------- */

static void close_conn(struct upstream_conn *uc)
{
    struct upstream *u = uc->upstream;

    if (uc->closing)
        return;
    uc->closing = true;
    list_remove(&uc->node);
    net_timer_stop(u->loop, &uc->timer);
    conn_close(&uc->conn);
}

/* Takes the call off its connection. */
static struct upstream_call *detach(struct upstream_conn *uc)
{
    struct upstream_call *call = uc->call;

    uc->call = NULL;
    call->conn = NULL;
    count(&uc->upstream->busy_count, -1);
    return call;
}

/* A reused connection that died before it answered anything was closed by the peer while it idled
 * (RFC 9112 §9.3.1): nobody's fault, one fresh try. It may as well have read the whole request and
 * died of it: hence only what may reach the service twice. */
static bool stale(const struct upstream_conn *uc, enum status status)
{
    return uc->served && !uc->got_bytes && uc->call->may_replay && !uc->call->replayed &&
           (status == STATUS_RESET || status == STATUS_EOF || status == STATUS_IO);
}

static void fail(struct upstream_conn *uc, enum status status)
{
    bool again = stale(uc, status);
    struct upstream *u = uc->upstream;
    struct upstream_call *call = detach(uc);

    slice_copy(slice_str(conn_error_text(&uc->conn)), u->failure, sizeof u->failure);
    close_conn(uc);
    if (again) {
        call->replayed = true;
        call->sent = false;
        tally(&u->replayed);
        if (dial_for(u, call) == STATUS_OK)
            return;
        status = STATUS_NO_MEMORY;
    }
    call->ops->failed(call, status);
}

static void make_idle(struct upstream_conn *uc)
{
    struct upstream *u = uc->upstream;

    uc->idle_since_ns = net_now_ns(u->loop);
    list_remove(&uc->node);
    list_push(&u->idle, &uc->node);
    count(&u->idle_count, +1);
    if (u->idle_count == 1)
        net_timer_start(u->loop, &u->sweep, u->idle_keep_ms / SWEEPS);
    if (u->idle_count > UPSTREAM_IDLE_MAX) {
        count(&u->idle_count, -1);
        close_conn(container_of(u->idle.prev, struct upstream_conn, node));
    }
}

static void sweep_fired(struct wheel_timer *timer)
{
    struct upstream *u = container_of(timer, struct upstream, sweep);
    int64_t oldest = net_now_ns(u->loop) - u->idle_keep_ms * 1000000;

    while (!list_empty(&u->idle)) {
        struct upstream_conn *uc = container_of(u->idle.prev, struct upstream_conn, node);
        if (uc->idle_since_ns > oldest)
            break;
        count(&u->idle_count, -1);
        close_conn(uc);
    }
    if (u->idle_count)
        net_timer_start(u->loop, &u->sweep, u->idle_keep_ms / SWEEPS);
}

/* ---- sending ----------------------------------------------------------------------------- */

static bool all_sent(const struct upstream_conn *uc)
{
    return uc->part_index == uc->call->part_count;
}

/* Hands the next UPSTREAM_SEND_STEP bytes to the connection. */
static void send_step(struct upstream_conn *uc)
{
    struct upstream_call *call = uc->call;
    struct iovec step[UPSTREAM_PARTS_MAX];
    size_t room = UPSTREAM_SEND_STEP;
    int count = 0;

    while (room && !all_sent(uc)) {
        const struct iovec *part = &call->parts[uc->part_index];
        size_t len = part->iov_len - uc->part_sent;
        if (len > room)
            len = room;
        step[count++] = (struct iovec){(char *)part->iov_base + uc->part_sent, len};
        room -= len;
        uc->part_sent += len;
        if (uc->part_sent == part->iov_len) {
            uc->part_index++;
            uc->part_sent = 0;
        }
    }
    call->sent = true;
    conn_write(&uc->conn, step, count, call->secret ? CONN_WRITE_SECRET : 0);
}

/* A body larger than the socket takes is fed as it drains, never copied whole. */
static void send_more(struct upstream_conn *uc)
{
    /* At the mark itself too: `drained` follows only when it was passed. */
    while (uc->call && !all_sent(uc) && conn_queued(&uc->conn) <= CONN_HIGH_WATER &&
           uc->conn.state == CONN_OPEN && !uc->conn.broken)
        send_step(uc);
}

static void begin_request(struct upstream_conn *uc)
{
    uc->part_index = 0;
    uc->part_sent = 0;
    uc->got_bytes = uc->finished = false;
    http_reader_expect_no_body(&uc->reader, uc->call->head_request);
    net_timer_start(uc->upstream->loop, &uc->timer, uc->upstream->timeouts.first_byte_ms);
    send_more(uc);
}

/* ---- receiving --------------------------------------------------------------------------- */

/* Whether the callback just made left this connection's call in place. */
static enum status still(const struct upstream_conn *uc, const struct upstream_call *call)
{
    return uc->call == call && !uc->closing ? STATUS_OK : STATUS_CANCELLED;
}

static enum status on_head(struct http_reader *reader, const struct http_head *head)
{
    struct upstream_conn *uc = of_reader(reader);
    struct upstream_call *call = uc->call;

    if (!call)
        return STATUS_PROTOCOL; /* an answer nobody asked for */
    uc->keep = head->keep_alive;
    call->answered = true;
    call->ops->head(call, head);
    return still(uc, call);
}

static enum status on_body(struct http_reader *reader, const char *data, size_t len)
{
    struct upstream_conn *uc = of_reader(reader);
    struct upstream_call *call = uc->call;

    call->ops->body(call, data, len);
    return still(uc, call);
}

/* Only noted: what follows in the same read decides whether the connection is kept, and `complete`
 * may begin the next call at once. */
static enum status on_complete(struct http_reader *reader)
{
    of_reader(reader)->finished = true;
    return STATUS_OK;
}

static const struct http_reader_ops reader_ops = {on_head, on_body, on_complete};

/* The whole answer is here: the connection is put away and the call ends. */
static void finish_call(struct upstream_conn *uc, bool keep)
{
    keep = keep && uc->keep && all_sent(uc) && conn_queued(&uc->conn) == 0 &&
           uc->conn.state == CONN_OPEN && !uc->upstream->stopping &&
           uc->trust == uc->upstream->trust;
    struct upstream_call *call = detach(uc);

    if (keep) {
        uc->served = true;
        uc->paused = false;
        make_idle(uc);
        conn_read_start(&uc->conn);
    } else {
        close_conn(uc);
    }
    call->ops->complete(call);
}

static void close_idle(struct upstream_conn *uc)
{
    count(&uc->upstream->idle_count, -1);
    close_conn(uc);
}

static void conn_received(struct conn *conn, char *data, size_t len)
{
    struct upstream_conn *uc = of_conn(conn);
    struct upstream_call *call = uc->call;
    size_t used = 0;

    if (uc->closing)
        return;
    if (!call) { /* bytes nobody asked for */
        close_idle(uc);
        return;
    }
    uc->got_bytes = true;
    enum status status = http_reader_feed(&uc->reader, data, len, &used);
    if (uc->closing) /* cancelled */
        return;
    if (status != STATUS_OK) {
        fail(uc, status);
        return;
    }
    if (uc->finished) { /* more than the answer makes the connection suspect */
        finish_call(uc, used == len);
        return;
    }
    if (call->answered)
        net_timer_start(uc->upstream->loop, &uc->timer, uc->upstream->timeouts.idle_ms);
    if (call->ops->flush)
        call->ops->flush(call);
}

static void conn_ended(struct conn *conn, enum status status)
{
    struct upstream_conn *uc = of_conn(conn);

    if (uc->closing)
        return;
    if (!uc->call) {
        close_idle(uc);
        return;
    }
    if (status == STATUS_EOF && uc->got_bytes) {
        /* May complete an answer delimited by closing. */
        enum status end = http_reader_end(&uc->reader);
        if (end == STATUS_OK && uc->finished) {
            finish_call(uc, false);
            return;
        }
    }
    fail(uc, status);
}

static void conn_opened(struct conn *conn, enum status status)
{
    struct upstream_conn *uc = of_conn(conn);

    if (uc->closing)
        return;
    if (status != STATUS_OK)
        fail(uc, status);
    else
        begin_request(uc);
}

static void conn_drained(struct conn *conn)
{
    struct upstream_conn *uc = of_conn(conn);

    if (!uc->call)
        return;
    if (!uc->call->answered && !all_sent(uc)) /* the wait for an answer begins with the last byte */
        net_timer_start(uc->upstream->loop, &uc->timer, uc->upstream->timeouts.first_byte_ms);
    send_more(uc);
}

static void conn_closed(struct conn *conn)
{
    struct upstream_conn *uc = of_conn(conn);

    uc->upstream->conn_count--;
    http_reader_clear(&uc->reader);
    free(uc);
}

static const struct conn_ops conn_callbacks = {
    .opened = conn_opened,
    .received = conn_received,
    .ended = conn_ended,
    .drained = conn_drained,
    .closed = conn_closed,
};

static void timer_fired(struct wheel_timer *timer)
{
    struct upstream_conn *uc = container_of(timer, struct upstream_conn, timer);
    if (!uc->call)
        return;
    if (uc->paused) /* it is we who do not read */
        net_timer_start(uc->upstream->loop, timer, uc->upstream->timeouts.idle_ms);
    else
        fail(uc, STATUS_TIMEOUT);
}

/* ---- calls ------------------------------------------------------------------------------- */

static void attach(struct upstream_conn *uc, struct upstream_call *call)
{
    uc->call = call;
    call->conn = uc;
    list_remove(&uc->node);
    list_append(&uc->upstream->busy, &uc->node);
    count(&uc->upstream->busy_count, +1);
}

static enum status dial_for(struct upstream *u, struct upstream_call *call)
{
    struct upstream_conn *uc = calloc(1, sizeof *uc);
    if (!uc)
        return STATUS_NO_MEMORY;
    uc->upstream = u;
    u->conn_count++;
    conn_init(&uc->conn, u->loop, &conn_callbacks);
    http_reader_init(&uc->reader, true, &reader_ops);
    wheel_timer_init(&uc->timer, timer_fired);
    list_init(&uc->node);
    attach(uc, call);
    tally(&u->dialled);
    uc->trust = u->trust;
    conn_dial(&uc->conn, &(struct dial_target){u->host, u->port, u->tls, u->proxy},
              u->timeouts.connect_ms);
    return STATUS_OK;
}

static struct upstream_conn *newest_idle(const struct upstream *u)
{
    return list_empty(&u->idle) ? NULL : container_of(u->idle.next, struct upstream_conn, node);
}

enum status upstream_send(struct upstream *u, struct upstream_call *call,
                          const struct upstream_ops *ops)
{
    call->upstream = u;
    call->ops = ops;
    call->answered = call->sent = call->replayed = false;
    struct upstream_conn *uc = newest_idle(u);
    if (!uc || (!call->may_replay &&
                net_now_ns(u->loop) - uc->idle_since_ns > UPSTREAM_FRESH_MS * INT64_C(1000000)))
        return dial_for(u, call);
    count(&u->idle_count, -1);
    tally(&u->reused);
    attach(uc, call);
    begin_request(uc);
    return STATUS_OK;
}

void upstream_cancel(struct upstream_call *call)
{
    struct upstream_conn *uc = call->conn;
    if (!uc)
        return;
    (void)detach(uc);
    close_conn(uc);
}

void upstream_pause(struct upstream_call *call)
{
    if (call->conn && !call->conn->paused) {
        call->conn->paused = true;
        conn_read_stop(&call->conn->conn);
    }
}

void upstream_resume(struct upstream_call *call)
{
    struct upstream_conn *uc = call->conn;

    if (!uc || !uc->paused)
        return;
    uc->paused = false;
    conn_read_start(&uc->conn);
    if (call->answered) /* the silence before was ours */
        net_timer_start(uc->upstream->loop, &uc->timer, uc->upstream->timeouts.idle_ms);
}

bool upstream_release_request(struct upstream_call *call)
{
    struct upstream_conn *uc = call->conn;
    if (uc && (!call->answered || !all_sent(uc)))
        return false;
    call->part_count = 0;
    if (uc)
        uc->part_index = 0;
    return true;
}

/* ---- the service ------------------------------------------------------------------------- */

enum status upstream_init(struct upstream *u, struct net_loop *loop, const char *host,
                          uint16_t port, struct tls_context *tls,
                          const struct upstream_timeouts *timeouts)
{
    memset(u, 0, sizeof *u);
    u->host = strdup(host);
    if (!u->host)
        return STATUS_NO_MEMORY;
    u->loop = loop;
    u->port = port;
    u->tls = tls;
    u->timeouts = *timeouts;
    u->idle_keep_ms = UPSTREAM_IDLE_MS;
    list_init(&u->idle);
    list_init(&u->busy);
    wheel_timer_init(&u->sweep, sweep_fired);
    return STATUS_OK;
}

static void close_all_idle(struct upstream *u)
{
    while (!list_empty(&u->idle))
        close_idle(container_of(u->idle.next, struct upstream_conn, node));
}

void upstream_trust(struct upstream *u, struct tls_context *tls)
{
    u->tls = tls;
    u->trust++;
    close_all_idle(u);
}

void upstream_reroute(struct upstream *u, struct proxy *proxy)
{
    u->proxy = proxy;
    u->trust++;
    close_all_idle(u);
}

void upstream_stop(struct upstream *u)
{
    u->stopping = true;
    net_timer_stop(u->loop, &u->sweep);
    close_all_idle(u);
}

void upstream_fini(struct upstream *u)
{
    free(u->host);
    u->host = NULL;
}
