#include "gateway/tell.h"

#include <stdarg.h>
#include <stdio.h>

#include "gateway/exchange_state.h"
#include "keyring/echo.h"
#include "pool/breaker.h"

/* ---- one event, one line ------------------------------------------------------------------ */

void tell_init(struct event *event, enum event_kind kind, const struct key_entry *key)
{
    *event = (struct event){.kind = kind};
    if (!key)
        return;
    char mask[SECRET_MASK_MAX], name[KEY_NAME_MAX];
    (void)slice_copy(slice_str(key_entry_mask(key, mask)), event->key, sizeof event->key);
    (void)slice_copy(slice_str(key_entry_name(key, name)), event->name, sizeof event->name);
}

static void say(struct event *event, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct event *event, const char *format, ...)
{
    va_list args;

    int len = snprintf(event->message, sizeof event->message, "%s", event->drill ? "drill: " : "");
    va_start(args, format);
    (void)vsnprintf(event->message + len, sizeof event->message - (size_t)len, format, args);
    va_end(args);
}

static int64_t or_none(int64_t number)
{
    return number ? number : -1;
}

static void log_event(struct log *log, enum log_severity severity, const char *name,
                      const struct event *e)
{
    const struct log_field fields[] = {
        {"keyId", e->key, 0},
        {"name", e->name, 0},
        {"account", e->account, 0},
        {"scope", e->scope ? e->scope : "", 0},
        {"reason", e->reason ? e->reason : "", 0},
        {"status", NULL, or_none(e->status)},
        {"code", e->code, 0},
        {"requestId", e->request_id, 0},
        {"model", e->model, 0},
        {"trail", e->trail, 0},
        {"attempts", NULL, or_none(e->attempts)},
        {"drill", NULL, e->drill ? LOG_TRUE : -1},
        {"count", NULL, or_none(e->count)},
    };

    log_fields(log, severity, name, fields, sizeof fields / sizeof fields[0], "%s", e->message);
}

void tell(struct shared *shared, struct event *event)
{
    (void)events_tell(shared->events, event, (int64_t)uv_hrtime(), net_wall_ms());
    if (*event->message)
        log_event(shared->log, event_severity(event), event_name(event->kind), event);
}

/* ---- keys --------------------------------------------------------------------------------- */

/* What a person has to see to: time alone does not help. */
static bool is_disabling(enum failure reason)
{
    return reason == FAILURE_REVOKED || reason == FAILURE_DEACTIVATED ||
           reason == FAILURE_MISMATCHED || reason == FAILURE_QUOTA;
}

static void describe_place(struct shared *shared, const struct pool_transition *t,
                           struct event *event)
{
    const char *service = t->scope == SCOPE_SERVICE || t->scope == SCOPE_SERVICE_MODEL
                              ? keyring_service(shared->keyring, t->service)->text
                              : "";
    (void)slice_copy(slice_str(*t->account ? t->account : service), event->account,
                     sizeof event->account);
    event->scope = scope_name(t->scope);
    event->reason = failure_name(t->reason);
    event->circuit = circuit_name(t->to);
    event->from = circuit_name(t->from);
    event->status = t->evidence.status;
    (void)slice_copy(slice_str(t->evidence.code), event->code, sizeof event->code);
    (void)slice_copy(slice_str(t->evidence.request_id), event->request_id,
                     sizeof event->request_id);
    if (t->to == CIRCUIT_OPEN)
        event->until_wall_ms = net_wall_ms() + (t->until_ns - (int64_t)uv_hrtime()) / 1000000;
}

/* "key sk-proj...N0IA (OPENAI_API_KEY)", "organization org-a", "service https://…", "egress" */
static const char *subject(const struct event *event, char *out, size_t size)
{
    if (*event->key)
        (void)snprintf(out, size, "key %s (%s)", event->key, event->name);
    else
        (void)snprintf(out, size, "%s%s%s", event->scope, *event->account ? " " : "",
                       event->account);
    return out;
}

static void say_transition(struct event *event, const struct pool_transition *t)
{
    char text[160];

    (void)subject(event, text, sizeof text);
    switch (t->to) {
    case CIRCUIT_OPEN:
        say(event, "%s is out for %s (scope %s, status %d%s%s)", text, event->reason, event->scope,
            event->status, *event->code ? ", code " : "", event->code);
        return;
    case CIRCUIT_HALF_OPEN: say(event, "%s may be tried again by one request", text); return;
    case CIRCUIT_CLOSED: say(event, "%s serves again", text); return;
    }
}

/* Beside the breaker's own event: the key is of no use until a person has seen to it. */
static void tell_disabled(struct shared *shared, const struct event *circuit,
                          const struct pool_transition *t)
{
    bool out = t->from == CIRCUIT_CLOSED && t->to == CIRCUIT_OPEN;
    struct event event = *circuit;
    char text[160];

    if (!is_disabling(t->reason) || !(out || t->to == CIRCUIT_CLOSED))
        return;
    event.kind = out ? EVENT_KEY_DISABLED : EVENT_KEY_ENABLED;
    if (out)
        say(&event, "%s is disabled: %s", subject(&event, text, sizeof text), event.reason);
    else
        say(&event, "%s is accepted again", subject(&event, text, sizeof text));
    tell(shared, &event);
}

static void on_news(void *context, const struct pool_transition *t, const struct key_entry *entry)
{
    static const enum event_kind kinds[] = {
        [CIRCUIT_CLOSED] = EVENT_CIRCUIT_CLOSED,
        [CIRCUIT_OPEN] = EVENT_CIRCUIT_OPENED,
        [CIRCUIT_HALF_OPEN] = EVENT_CIRCUIT_HALF_OPEN,
    };
    struct shared *shared = context;
    struct event event;

    tell_init(&event, kinds[t->to], entry);
    describe_place(shared, t, &event);
    say_transition(&event, t);
    tell(shared, &event);
    tell_disabled(shared, &event, t);
}

static void on_readiness(void *context, bool ready)
{
    struct event event;

    tell_init(&event, ready ? EVENT_RECOVERED : EVENT_ALL_DOWN, NULL);
    say(&event, "%s",
        ready ? "recovered: a key can serve again"
              : "every key is out: requests fail until one "
                "recovers");
    tell(context, &event);
}

static void on_order(void *context, enum key_order order, const struct key_entry *entry)
{
    static const struct {
        enum event_kind kind;
        const char *done;
    } tellings[] = {
        [KEY_ORDER_RESET] = {EVENT_KEY_RESET, "reset"},
        [KEY_ORDER_DISABLE] = {EVENT_KEY_DISABLED, "disabled"},
        [KEY_ORDER_ENABLE] = {EVENT_KEY_ENABLED, "enabled"},
    };
    struct event event;

    tell_init(&event, tellings[order].kind, entry);
    event.reason = "operator";
    say(&event, "key %s (%s) was %s by an operator", event.key, event.name, tellings[order].done);
    tell(context, &event);
}

static void on_keys(void *context, bool came, const struct key_entry *entry, size_t count)
{
    struct event event;

    tell_init(&event, came ? EVENT_KEY_ADDED : EVENT_KEY_REMOVED, entry);
    event.count = entry ? 0 : (uint32_t)count;
    if (entry)
        say(&event, "key %s (%s) was %s", event.key, event.name, came ? "added" : "removed");
    else
        say(&event, "%zu keys were %s", count, came ? "added" : "removed");
    tell(context, &event);
}

void tell_watch(struct shared *shared)
{
    const struct keyring_watch watch = {on_news, on_order, on_readiness, on_keys, shared};

    keyring_watch(shared->keyring, &watch);
}

void tell_reloaded(struct shared *shared, size_t key_count)
{
    struct event event;

    tell_init(&event, EVENT_RELOADED, NULL); /* serve logs it in its own words */
    event.count = (uint32_t)key_count;
    say(&event, "new settings are in force, %zu keys", key_count);
    (void)events_tell(shared->events, &event, (int64_t)uv_hrtime(), net_wall_ms());
}

void tell_draining(struct shared *shared)
{
    struct event event;

    tell_init(&event, EVENT_DRAINING, NULL);
    say(&event, "the gateway is stopping and finishes the requests in progress");
    (void)events_tell(shared->events, &event, (int64_t)uv_hrtime(), net_wall_ms());
}

/* ---- requests ----------------------------------------------------------------------------- */

/* As many classes as fit, none of them cut. */
static void write_trail(const struct plan *plan, struct event *event)
{
    size_t len = 0;

    for (unsigned i = 0; i < plan->attempt_count; i++) {
        struct slice name = slice_str(failure_name(plan->attempts[i].failure));
        if (plan->attempts[i].failure == FAILURE_NONE)
            continue;
        if (len + name.len + 2 > sizeof event->trail)
            return;
        if (len)
            event->trail[len++] = ',';
        len += slice_copy(name, event->trail + len, sizeof event->trail - len);
    }
}

/* The upstream's id of the request; one that echoes the key shows its mask. */
static void copy_request_id(const struct exchange *x, struct event *event)
{
    struct evidence evidence = {0};

    if (!x->ws || !x->key)
        return;
    (void)slice_copy(slice_str(x->ws->hints.request_id), evidence.request_id,
                     sizeof evidence.request_id);
    echo_mask_evidence(exchange_secret(x), &evidence);
    (void)slice_copy(slice_str(evidence.request_id), event->request_id, sizeof event->request_id);
}

static void describe_request(const struct exchange *x, enum event_kind kind, struct event *event)
{
    tell_init(event, kind, x->key);
    write_trail(&x->plan, event);
    event->status = x->status;
    event->attempts = x->plan.attempt_count;
    event->drill = x->drill;
    copy_request_id(x, event);
    if (x->ws)
        (void)slice_copy(peek_model(&x->ws->peek), event->model, sizeof event->model);
}

/* " (request req_1)", or nothing */
static const char *request_text(const struct event *event, char *out, size_t size)
{
    out[0] = '\0';
    if (*event->request_id)
        (void)snprintf(out, size, " (request %s)", event->request_id);
    return out;
}

void tell_served(struct exchange *x)
{
    struct event event;
    char request[EVENT_ID_MAX + 16];

    describe_request(x, EVENT_FAILOVER, &event);
    event.attempts++; /* the one that succeeds is not in the plan's list yet */
    (void)request_text(&event, request, sizeof request);
    if (*event.trail) {
        say(&event, "served by key %s (%s) after %u failed attempt%s: %s%s", event.key, event.name,
            x->plan.attempt_count, x->plan.attempt_count == 1 ? "" : "s", event.trail, request);
        tell(x->worker->shared, &event);
    } else {
        say(&event, "served by key %s (%s), status %d%s", event.key, event.name, event.status,
            request);
        log_event(x->worker->shared->log, LOG_SEVERITY_DEBUG, "served", &event);
    }
}

void tell_returned(struct exchange *x, int status)
{
    struct event event;
    char request[EVENT_ID_MAX + 16];

    if (x->plan.attempt_count < 2)
        return; /* the caller's own error, or the only key's: it reads it itself */
    describe_request(x, EVENT_FAILOVER, &event);
    event.status = status;
    say(&event, "given up with the upstream's status %d after %u attempts: %s%s", status,
        event.attempts, event.trail, request_text(&event, request, sizeof request));
    tell(x->worker->shared, &event);
}

void tell_gave_up(struct exchange *x, const struct plan_step *step, const char *request_id,
                  const char *advice)
{
    struct event event;

    describe_request(x, EVENT_GAVE_UP, &event);
    event.status = step->status;
    event.reason = failure_name(step->failure);
    (void)slice_copy(slice_str(request_id), event.request_id, sizeof event.request_id);
    say(&event, "status %d after %u attempt%s: %s (request %s)", step->status, event.attempts,
        event.attempts == 1 ? "" : "s", advice, request_id);
    tell(x->worker->shared, &event);
}

void tell_cut(struct exchange *x)
{
    struct event event;

    describe_request(x, EVENT_ANSWER_CUT, &event);
    say(&event, "the answer of key %s (%s) was cut in the middle", event.key, event.name);
    tell(x->worker->shared, &event);
}
