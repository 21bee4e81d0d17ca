/* What happens next: events by time, and among equals by the order they were put in, so that a
 * run has one course only. A binary heap. */
#ifndef SPAREKEY_SIM_QUEUE_H
#define SPAREKEY_SIM_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct event {
    int64_t at_ns;
    uint64_t serial; /* set by queue_put */
    uint32_t kind, subject;
    uint32_t ticket; /* lets the receiver tell a stale event */
};

struct queue {
    struct event *heap;
    size_t count, capacity;
    uint64_t serial;
};

/* `{0}` is an empty queue. STATUS_NO_MEMORY. */
NODISCARD
enum status queue_put(struct queue *queue, struct event event);

/* Takes the earliest. False: there is none. */
bool queue_take(struct queue *queue, struct event *ret_event);

void queue_fini(struct queue *queue);

#ifdef __cplusplus
}
#endif
#endif
