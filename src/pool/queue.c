#include "pool/queue.h"

#include <stdlib.h>

#include "pool/invariant.h"

struct queue *queue_find(const struct pool *pool, const struct route *route)
{
    struct queue *q = pool->queues;

    while (q && !route_is(&q->route, route))
        q = q->next;
    return q;
}

static struct queue *queue_make(struct pool *pool, const struct route *route)
{
    struct queue *q;
    unsigned lines = 0;

    for (q = pool->queues; q; q = q->next)
        lines++;
    q = lines < QUEUES_MAX ? malloc(sizeof(*q)) : NULL;
    if (!q)
        return NULL;
    *q = (struct queue){.next = pool->queues, .route = *route, .pace_ns = QUEUE_GAP_NS};
    list_init(&q->plans);
    pool->queues = q;
    return q;
}

static struct plan *plan_at(struct list *link)
{
    return container_of(link, struct plan, line);
}

/* Before the first who is younger. One that was sent and comes back is old and belongs near the
 * front, one that is new near the end. */
static struct list *place_for(struct queue *q, const struct plan *plan)
{
    struct list *at = q->plans.prev;

    if (plan->attempt_count == 0) {
        while (at != &q->plans && plan_at(at)->age > plan->age)
            at = at->prev;
        return at->next;
    }
    at = q->plans.next;
    while (at != &q->plans && plan_at(at)->age < plan->age)
        at = at->next;
    return at;
}

bool queue_join(struct plan *plan)
{
    struct pool *pool = plan->pool;
    struct queue *q = queue_find(pool, &plan->route);

    if (q && q->count >= pool->options.queue_max)
        return false;
    if (!q && pool->options.queue_max > 0)
        q = queue_make(pool, &plan->route);
    if (!q)
        return false;
    list_insert_before(place_for(q, plan), &plan->line);
    plan->queue = q;
    q->count++;
    TALLY_SET(&pool->waiting, pool->waiting + 1);
    return true;
}

static void queue_drop(struct pool *pool, struct queue *q)
{
    struct queue **at = &pool->queues;

    while (*at != q)
        at = &(*at)->next;
    *at = q->next;
    free(q);
}

bool queue_is_first(const struct plan *plan)
{
    return plan->queue->plans.next == &plan->line;
}

static void call_first(struct queue *q)
{
    POST(&plan_at(q->plans.next)->called, true);
}

void queue_tell(struct pool *pool)
{
    pool->epoch++;
    for (struct queue *q = pool->queues; q; q = q->next)
        call_first(q);
}

/* Leaves, and the next is called if he was told to come after `late_ns`. */
static void leave(struct plan *plan, int64_t late_ns)
{
    struct queue *q = plan->queue;
    bool first = queue_is_first(plan);

    list_remove(&plan->line);
    plan->queue = NULL;
    TALLY_SET(&plan->pool->waiting, plan->pool->waiting - 1);
    if (--q->count == 0) {
        queue_drop(plan->pool, q);
    } else if (first && plan_at(q->plans.next)->told_ns > late_ns) {
        call_first(q);
        plan->pool->epoch++;
    }
}

void queue_leave(struct plan *plan)
{
    if (plan->queue)
        leave(plan, INT64_MIN);
}

void queue_go(struct plan *plan, int64_t now_ns)
{
    struct queue *q = plan->queue;

    if (q->room_ns > now_ns)
        q->room_ns = now_ns; /* he has found some */
    leave(plan, queue_turn_ns(q, 1, now_ns) + QUEUE_GAP_NS);
}

unsigned queue_place(const struct plan *plan, const struct queue *q, int64_t now_ns)
{
    unsigned place = 0;

    for (struct list *at = q->plans.next; at != &q->plans && place < QUEUE_PLACES; at = at->next) {
        const struct plan *other = plan_at(at);
        if (other == plan)
            break;
        place += now_ns - other->told_ns < QUEUE_GRACE_NS;
    }
    return place;
}

int64_t queue_turn_ns(const struct queue *q, unsigned place, int64_t now_ns)
{
    int64_t from_ns = q->room_ns > now_ns ? q->room_ns : now_ns;
    int64_t pace_ns = q->pace_ns > QUEUE_GAP_NS ? q->pace_ns : QUEUE_GAP_NS;

    return from_ns + (int64_t)place * pace_ns;
}

void queue_free(struct pool *pool)
{
    for (struct queue *q = pool->queues, *next; q; q = next) {
        next = q->next;
        free(q);
    }
}

void queue_check(const struct pool *pool)
{
    size_t waiting = 0;

    for (const struct queue *q = pool->queues; q; q = q->next) {
        uint64_t age = 0;
        uint32_t count = 0;
        for (struct list *at = q->plans.next; at != &q->plans; at = at->next, count++) {
            const struct plan *plan = plan_at(at);
            INVARIANT(plan->queue == q && route_is(&plan->route, &q->route),
                      "a request waits in a foreign line");
            INVARIANT(plan->age > age, "a line is not by age");
            INVARIANT(plan->current == KEY_NONE, "a request waits while it is being served");
            age = plan->age;
        }
        INVARIANT(count == q->count && count > 0, "%u wait in a line of %u", count, q->count);
        INVARIANT(queue_find(pool, &q->route) == q, "two lines for one kind of request");
        waiting += count;
    }
    INVARIANT(waiting == pool->waiting, "%zu wait, %zu are counted", waiting, pool->waiting);
}
