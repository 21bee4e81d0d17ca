#include "gateway/prober.h"

#include <stdlib.h>

#include "gateway/credential.h"
#include "keyring/echo.h"
#include "openai/verdict.h"

enum {
    HEAD_MAX = HTTP_HEAD_MAX,
};

/* One probe under way, or a free place for one. */
struct probing {
    struct prober *prober;
    struct upstream_call call;
    struct key_entry *entry; /* NULL = free */
    key_id key;
    struct buffer head, tail, body;
    struct hints hints;
    char content_type[64];
    int status;
};

struct prober {
    struct worker *worker;
    struct wheel_timer timer;
    struct probing probes[PROBES_AT_ONCE];
};

static struct probing *of_call(struct upstream_call *call)
{
    return container_of(call, struct probing, call);
}

static struct keyring *ring_of(const struct probing *p)
{
    return p->prober->worker->shared->keyring;
}

static int64_t now_of(const struct probing *p)
{
    return net_now_ns(&p->prober->worker->loop);
}

static void release(struct probing *p)
{
    key_entry_unref(p->entry);
    p->entry = NULL;
    buffer_clear(&p->head);
    buffer_clear(&p->tail);
    buffer_clear(&p->body);
}

/* A probe that was lost proves nothing. */
static void lose(struct probing *p)
{
    keyring_probe_hear(ring_of(p), p->key, NULL, NULL, now_of(p));
    release(p);
}

/* ---- the answer -------------------------------------------------------------------------- */

static void judge(struct probing *p, enum transport transport)
{
    struct slice secret = secret_bytes(p->entry->secret);
    struct answer answer = {
        .transport = transport,
        .request_sent = p->call.sent,
        .status = p->status,
        .content_type = slice_str(p->content_type),
        .body = buffer_slice(&p->body),
        .hints = &p->hints,
        .family = FAMILY_MODELS,
        .wall_ms = net_wall_ms(),
    };
    struct verdict verdict;
    struct evidence evidence;
    char mask[SECRET_MASK_MAX], name[KEY_NAME_MAX];

    echo_mask_all(p->entry->secret, p->body.data, p->body.len);
    verdict_of(&answer, &verdict, &evidence);
    echo_mask_evidence(secret, &evidence);
    keyring_probe_hear(ring_of(p), p->key, &verdict, &evidence, now_of(p));
    log_line(p->prober->worker->shared->log, LOG_SEVERITY_INFO, "probed", "key %s (%s): %s",
             key_entry_mask(p->entry, mask), key_entry_name(p->entry, name),
             verdict.reaction == REACT_SUCCESS ? "accepted again" : failure_name(verdict.failure));
    release(p);
}

static void on_head(struct upstream_call *call, const struct http_head *head)
{
    struct probing *p = of_call(call);

    p->status = head->status;
    slice_copy(http_head_get(head, SLICE("content-type")), p->content_type, sizeof p->content_type);
    for (size_t i = 0; i < head->field_count; i++)
        (void)hints_field(&p->hints, head->fields[i].name, head->fields[i].value, net_wall_ms());
}

/* Only an error's body is looked at, and only its beginning. */
static void on_body(struct upstream_call *call, const char *data, size_t len)
{
    struct probing *p = of_call(call);
    size_t room = PROBER_BODY_MAX - p->body.len;

    if (p->status >= 400 && buffer_append(&p->body, slice_of(data, len < room ? len : room),
                                          PROBER_BODY_MAX) != STATUS_OK)
        p->body.len = 0; /* judged by its status then */
}

static void on_complete(struct upstream_call *call)
{
    judge(of_call(call), TRANSPORT_OK);
}

static void on_failed(struct upstream_call *call, enum status status)
{
    (void)status; /* trouble of the way there says nothing about the key */
    lose(of_call(call));
}

static const struct upstream_ops probe_ops = {
    .head = on_head, .body = on_body, .complete = on_complete, .failed = on_failed};

/* ---- sending ----------------------------------------------------------------------------- */

static enum status write_request(struct probing *p, const struct service_url *url)
{
    struct text head = text_into(&p->head, HEAD_MAX), tail = text_into(&p->tail, HEAD_MAX);

    text_put(&head, SLICE("GET "));
    text_put_str(&head, url->path);
    text_put(&head, SLICE("/models"));
    credential_put_head(&head, url, p->entry->traits);
    text_put(&tail, SLICE("\r\nuser-agent: sparekey/" SPAREKEY_VERSION "\r\n"));
    text_put(&tail, SLICE("accept: application/json\r\naccept-encoding: identity\r\n"));
    text_put(&tail, SLICE("\r\n"));
    return head.status != STATUS_OK ? head.status : tail.status;
}

static enum status send_probe(struct probing *p)
{
    struct upstream *upstream = worker_upstream(p->prober->worker, p->entry->traits->service);
    struct slice secret = secret_bytes(p->entry->secret);

    if (!upstream ||
        write_request(p, keyring_service(ring_of(p), p->entry->traits->service)) != STATUS_OK)
        return STATUS_NO_MEMORY;
    p->call.parts[0] = (struct iovec){p->head.data, p->head.len};
    p->call.parts[1] = (struct iovec){(void *)(uintptr_t)secret.ptr, secret.len};
    p->call.parts[2] = (struct iovec){p->tail.data, p->tail.len};
    p->call.part_count = 3;
    p->call.secret = p->call.may_replay = true;
    p->call.head_request = false;
    return upstream_send(upstream, &p->call, &probe_ops);
}

static void begin(struct probing *p, struct key_entry *entry, key_id key)
{
    p->entry = entry;
    p->key = key;
    p->status = 0;
    p->content_type[0] = '\0';
    hints_init(&p->hints);
    if (send_probe(p) != STATUS_OK)
        lose(p);
}

static struct probing *free_place(struct prober *prober)
{
    for (unsigned i = 0; i < PROBES_AT_ONCE; i++) {
        if (!prober->probes[i].entry)
            return &prober->probes[i];
    }
    return NULL;
}

static void look(struct wheel_timer *timer)
{
    struct prober *prober = container_of(timer, struct prober, timer);
    struct worker *w = prober->worker;
    struct probing *place;
    struct key_entry *entry;
    int64_t due_ns;
    key_id key;

    while ((place = free_place(prober)) &&
           keyring_probe_next(w->shared->keyring, net_now_ns(&w->loop), &key, &entry, &due_ns))
        begin(place, entry, key);
    net_timer_start(&w->loop, timer, PROBER_LOOK_MS);
}

enum status prober_start(struct worker *worker, struct prober **ret_prober)
{
    struct prober *prober = calloc(1, sizeof *prober);

    if (!prober)
        return STATUS_NO_MEMORY;
    prober->worker = worker;
    for (unsigned i = 0; i < PROBES_AT_ONCE; i++)
        prober->probes[i].prober = prober;
    wheel_timer_init(&prober->timer, look);
    net_timer_start(&worker->loop, &prober->timer, PROBER_LOOK_MS);
    *ret_prober = prober;
    return STATUS_OK;
}

void prober_stop(struct prober *prober)
{
    if (!prober)
        return;
    net_timer_stop(&prober->worker->loop, &prober->timer);
    for (unsigned i = 0; i < PROBES_AT_ONCE; i++) {
        if (!prober->probes[i].entry)
            continue;
        upstream_cancel(&prober->probes[i].call);
        lose(&prober->probes[i]);
    }
    free(prober);
}
