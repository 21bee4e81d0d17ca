#include "sim/queue.h"

#include <stdlib.h>

static bool before(const struct event *a, const struct event *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->serial < b->serial;
}

static bool reserve(struct queue *q)
{
    size_t capacity = q->capacity ? q->capacity * 2 : 256;
    struct event *bigger;

    if (q->count < q->capacity)
        return true;
    bigger = realloc(q->heap, capacity * sizeof(*bigger));
    if (!bigger)
        return false;
    q->heap = bigger;
    q->capacity = capacity;
    return true;
}

enum status queue_put(struct queue *q, struct event event)
{
    size_t at;

    if (!reserve(q))
        return STATUS_NO_MEMORY;
    event.serial = q->serial++;
    for (at = q->count++; at > 0 && before(&event, &q->heap[(at - 1) / 2]); at = (at - 1) / 2)
        q->heap[at] = q->heap[(at - 1) / 2];
    q->heap[at] = event;
    return STATUS_OK;
}

bool queue_take(struct queue *q, struct event *ret_event)
{
    struct event last;
    size_t at = 0;

    if (q->count == 0)
        return false;
    *ret_event = q->heap[0];
    last = q->heap[--q->count];
    for (size_t child = 1; child < q->count; child = 2 * at + 1) {
        if (child + 1 < q->count && before(&q->heap[child + 1], &q->heap[child]))
            child++;
        if (!before(&q->heap[child], &last))
            break;
        q->heap[at] = q->heap[child];
        at = child;
    }
    q->heap[at] = last;
    return true;
}

void queue_fini(struct queue *q)
{
    free(q->heap);
    *q = (struct queue){0};
}
