#include "observe/events.h"

#include <pthread.h>
#include <stdlib.h>

#include "observe/json_text.h"

#define SECOND_NS INT64_C(1000000000)

_Static_assert((EVENTS_KEPT & (EVENTS_KEPT - 1)) == 0, "numbers are places modulo EVENTS_KEPT");

static const struct {
    const char *name;
    enum log_severity severity;
    enum log_component component;
    bool of_requests;
} kinds[] = {
#define X(kind, name, severity, component, of_requests) {name, severity, component, of_requests},
    EVENT_TABLE(X)
#undef X
};

/* How many of a kind may still come now: EVENTS_BURST at most, EVENTS_RATE more each second. */
struct allowance {
    int64_t full_ns; /* when it will be, or was, full again */
    uint32_t kept_back;
};

struct events {
    pthread_mutex_t lock;
    uint64_t next; /* number of the next event */
    struct list listeners;
    struct allowance allowances[EVENT_KINDS];
    struct event ring[EVENTS_KEPT];
};

const char *event_name(enum event_kind kind)
{
    return (unsigned)kind < EVENT_KINDS ? kinds[kind].name : "unknown";
}

enum log_severity event_severity(const struct event *event)
{
    return event->drill ? LOG_SEVERITY_INFO : kinds[event->kind].severity;
}

enum status events_new(struct events **ret_events)
{
    struct events *events = calloc(1, sizeof *events);

    if (!events)
        return STATUS_NO_MEMORY;
    pthread_mutex_init(&events->lock, NULL);
    list_init(&events->listeners);
    events->next = 1;
    *ret_events = events;
    return STATUS_OK;
}

void events_free(struct events *events)
{
    if (!events)
        return;
    pthread_mutex_destroy(&events->lock);
    free(events);
}

/* ---- telling ------------------------------------------------------------------------------ */

static bool allow(struct allowance *allowance, int64_t now_ns)
{
    const int64_t each_ns = SECOND_NS / EVENTS_RATE;
    int64_t from_ns = allowance->full_ns > now_ns ? allowance->full_ns : now_ns;

    if (from_ns + each_ns - now_ns > each_ns * EVENTS_BURST) {
        allowance->kept_back++;
        return false;
    }
    allowance->full_ns = from_ns + each_ns;
    return true;
}

static void wake_all(struct events *events)
{
    for (struct list *at = events->listeners.next; at != &events->listeners; at = at->next) {
        struct event_listener *listener = container_of(at, struct event_listener, node);
        listener->wake(listener);
    }
}

static void keep(struct events *events, const struct event *event, int64_t wall_ms)
{
    struct allowance *allowance = &events->allowances[event->kind];
    struct event *kept = &events->ring[events->next % EVENTS_KEPT];

    *kept = *event;
    kept->number = events->next++;
    kept->wall_ms = wall_ms;
    if (allowance->kept_back)
        kept->count = (kept->count ? kept->count : 1) + allowance->kept_back;
    allowance->kept_back = 0;
}

bool events_tell(struct events *events, const struct event *event, int64_t now_ns, int64_t wall_ms)
{
    if (!events)
        return true;
    pthread_mutex_lock(&events->lock);
    bool kept = !kinds[event->kind].of_requests || allow(&events->allowances[event->kind], now_ns);
    if (kept) {
        keep(events, event, wall_ms);
        wake_all(events);
    }
    pthread_mutex_unlock(&events->lock);
    return kept;
}

/* ---- reading ------------------------------------------------------------------------------ */

uint64_t events_next_number(struct events *events)
{
    pthread_mutex_lock(&events->lock);
    uint64_t next = events->next;
    pthread_mutex_unlock(&events->lock);
    return next;
}

bool events_read(struct events *events, uint64_t *position, struct event *ret_event,
                 uint64_t *ret_missed)
{
    pthread_mutex_lock(&events->lock);
    uint64_t at = *position == 0 || *position > events->next ? 1 : *position;
    uint64_t oldest = events->next > EVENTS_KEPT ? events->next - EVENTS_KEPT : 1;
    uint64_t missed = at < oldest ? oldest - at : 0;
    at += missed;
    bool found = at < events->next;
    if (found) {
        *ret_event = events->ring[at % EVENTS_KEPT];
        *position = at + 1;
        *ret_missed = missed;
    }
    pthread_mutex_unlock(&events->lock);
    return found;
}

void events_subscribe(struct events *events, struct event_listener *listener)
{
    pthread_mutex_lock(&events->lock);
    list_append(&events->listeners, &listener->node);
    pthread_mutex_unlock(&events->lock);
}

void events_unsubscribe(struct events *events, struct event_listener *listener)
{
    pthread_mutex_lock(&events->lock);
    list_remove(&listener->node);
    pthread_mutex_unlock(&events->lock);
}

/* ---- JSON --------------------------------------------------------------------------------- */

static void put_name(struct text *t, const char *name)
{
    text_put(t, SLICE(",\""));
    text_put_str(t, name);
    text_put(t, SLICE("\":"));
}

static void put_string(struct text *t, const char *name, const char *value)
{
    if (!value || !*value)
        return;
    put_name(t, name);
    json_put_string(t, slice_str(value));
}

static void put_number(struct text *t, const char *name, uint64_t value)
{
    if (!value)
        return;
    put_name(t, name);
    text_put_number(t, value);
}

static void put_time(struct text *t, const char *name, int64_t wall_ms)
{
    char time[JSON_TIME_MAX];

    if (wall_ms)
        put_string(t, name, json_time(wall_ms, time));
}

static void put_trail(struct text *t, const char *trail)
{
    struct slice rest = slice_str(trail), item;
    unsigned count = 0;

    if (!*trail)
        return;
    put_name(t, "trail");
    text_put(t, SLICE("["));
    while (slice_next_item(&rest, ',', &item)) {
        if (count++)
            text_put(t, SLICE(","));
        json_put_string(t, item);
    }
    text_put(t, SLICE("]"));
}

enum status event_json(const struct event *event, struct buffer *out)
{
    struct text t = text_into(out, out->len + EVENT_JSON_MAX);

    text_put(&t, SLICE("{\"id\":"));
    text_put_number(&t, event->number);
    put_string(&t, "event", event_name(event->kind));
    put_string(&t, "severity", log_severity_name(event_severity(event)));
    put_string(&t, "component", log_component_name(kinds[event->kind].component));
    put_time(&t, "time", event->wall_ms);
    put_string(&t, "keyId", event->key);
    put_string(&t, "name", event->name);
    put_string(&t, "account", event->account);
    put_string(&t, "scope", event->scope);
    put_string(&t, "reason", event->reason);
    put_string(&t, "circuit", event->circuit);
    put_string(&t, "from", event->from);
    put_time(&t, "until", event->until_wall_ms);
    put_number(&t, "status", event->status > 0 ? (uint64_t)event->status : 0);
    put_string(&t, "code", event->code);
    put_string(&t, "requestId", event->request_id);
    put_string(&t, "model", event->model);
    put_trail(&t, event->trail);
    put_number(&t, "attempts", event->attempts);
    if (event->drill)
        text_put(&t, SLICE(",\"drill\":true"));
    put_number(&t, "count", event->count);
    put_string(&t, "message", event->message);
    text_put(&t, SLICE("}"));
    return t.status;
}
