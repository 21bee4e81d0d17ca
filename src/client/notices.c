#include "client/notices.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "pool/breaker.h"

struct notice {
    struct list link;
    bool of_health;
    int level;
    char event[NOTICE_EVENT_MAX];
    char text[NOTICE_TEXT_MAX];
    /* of health */
    struct pool_transition transition;
    char mask[SECRET_MASK_MAX], name[KEY_NAME_MAX];
};

void notices_init(struct notices *n, const sparekey_client_options *options)
{
    n->on_log = options->on_log;
    n->on_health = options->on_health;
    n->user = options->user;
    n->wanted = n->on_log || n->on_health;
    pthread_mutex_init(&n->lock, NULL);
    list_init(&n->queue);
}

void notices_fini(struct notices *n)
{
    while (!list_empty(&n->queue)) {
        struct notice *notice = container_of(n->queue.next, struct notice, link);
        list_remove(&notice->link);
        free(notice);
    }
    pthread_mutex_destroy(&n->lock);
}

/* ---- queueing ---------------------------------------------------------------------------- */

static void queue(struct notices *n, struct notice *notice)
{
    pthread_mutex_lock(&n->lock);
    bool room = notice && n->count < NOTICES_MAX;
    if (room) {
        list_append(&n->queue, &notice->link);
        n->count++;
    } else {
        n->dropped++;
    }
    pthread_mutex_unlock(&n->lock);
    if (!room)
        free(notice);
}

void notices_log(struct notices *n, enum notice_level level, const char *event, const char *format,
                 ...)
{
    va_list arguments;

    if (!n->on_log)
        return;
    struct notice *notice = calloc(1, sizeof *notice);
    if (notice) {
        notice->level = (int)level;
        (void)snprintf(notice->event, sizeof notice->event, "%s", event);
        va_start(arguments, format);
        (void)vsnprintf(notice->text, sizeof notice->text, format, arguments);
        va_end(arguments);
    }
    queue(n, notice);
}

static const char *circuit_event(enum circuit to)
{
    return to == CIRCUIT_OPEN     ? "circuit_opened"
           : to == CIRCUIT_CLOSED ? "circuit_closed"
                                  : "circuit_half_open";
}

static void log_transition(struct notices *n, const struct pool_transition *t, const char *mask,
                           const char *name)
{
    const char *whose = *mask ? mask : *t->account ? t->account : "the service";

    notices_log(n, t->to == CIRCUIT_OPEN ? NOTICE_WARNING : NOTICE_INFO, circuit_event(t->to),
                "%s%s%s%s: %s to %s, %s of %s", whose, *name ? " (" : "", name, *name ? ")" : "",
                circuit_name(t->from), circuit_name(t->to), failure_name(t->reason),
                scope_name(t->scope));
}

void notices_health(struct notices *n, const struct pool_transition *t,
                    const struct key_entry *entry)
{
    char mask[SECRET_MASK_MAX] = "", name[KEY_NAME_MAX] = "";

    if (entry) {
        (void)key_entry_mask(entry, mask);
        (void)key_entry_name(entry, name);
    }
    log_transition(n, t, mask, name);
    if (!n->on_health)
        return;
    struct notice *notice = calloc(1, sizeof *notice);
    if (notice) {
        notice->of_health = true;
        notice->transition = *t;
        (void)slice_copy(slice_str(mask), notice->mask, sizeof notice->mask);
        (void)slice_copy(slice_str(name), notice->name, sizeof notice->name);
    }
    queue(n, notice);
}

/* ---- telling ----------------------------------------------------------------------------- */

static int64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void tell_health(const struct notices *n, const struct notice *notice)
{
    const struct pool_transition *t = &notice->transition;
    int64_t left_ns = t->to == CIRCUIT_OPEN ? t->until_ns - now_ns() : 0;
    sparekey_health_change change = {
        .key = notice->mask,
        .name = notice->name,
        .account = t->account,
        .from = circuit_name(t->from),
        .to = circuit_name(t->to),
        .scope = scope_name(t->scope),
        .reason = failure_name(t->reason),
        .http_status = t->evidence.status,
        .open_ms = left_ns > 0 ? left_ns / 1000000 : 0,
    };

    n->on_health(n->user, &change);
}

static void tell_one(const struct notices *n, const struct notice *notice)
{
    if (notice->of_health)
        tell_health(n, notice);
    else
        n->on_log(n->user, notice->level, notice->event, notice->text);
}

/* The next to be told, NULL: none. Under the lock. */
static struct notice *take(struct notices *n)
{
    if (list_empty(&n->queue))
        return NULL;
    struct notice *notice = container_of(n->queue.next, struct notice, link);
    list_remove(&notice->link);
    n->count--;
    return notice;
}

static void tell_dropped(const struct notices *n, unsigned dropped)
{
    char text[64];

    if (!dropped || !n->on_log)
        return;
    (void)snprintf(text, sizeof text, "%u notices had no room and were dropped", dropped);
    n->on_log(n->user, NOTICE_WARNING, "log_dropped", text);
}

void notices_tell(struct notices *n)
{
    struct notice *notice = NULL;

    if (!n->wanted)
        return;
    pthread_mutex_lock(&n->lock);
    bool mine = !n->telling;
    while (mine && (n->dropped || (notice = take(n)))) {
        unsigned dropped = n->dropped;
        n->dropped = 0;
        n->telling = true;
        pthread_mutex_unlock(&n->lock);
        tell_dropped(n, dropped);
        if (notice)
            tell_one(n, notice);
        free(notice);
        notice = NULL;
        pthread_mutex_lock(&n->lock);
        n->telling = false;
    }
    pthread_mutex_unlock(&n->lock);
}
