/* A timing wheel: thousands of timeouts that almost never fire, moved on every byte.
 *
 * Moving a timer later is one store (the wheel looks at `due_ms` only when the old slot comes
 * round, and re-files the timer then); moving it earlier, arming and stopping are O(1) list
 * operations. Precision is one tick of WHEEL_TICK_MS, upward: a timer never fires early.
 * Sans-IO: the owner calls wheel_advance with the time.
 */
#ifndef SPAREKEY_NET_WHEEL_H
#define SPAREKEY_NET_WHEEL_H

#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WHEEL_TICK_MS 8
#define WHEEL_SLOTS   1024 /* one turn is 8 s; longer timeouts go round more than once */

struct wheel_timer {
    struct list node;
    int64_t due_ms;   /* when it fires */
    int64_t filed_ms; /* what its slot was chosen for: at or before due_ms */
    void (*fire)(
        struct wheel_timer *timer); /* disarmed before the call; may re-arm or free its object */
};

struct wheel {
    struct list slots[WHEEL_SLOTS];
    uint64_t occupied[WHEEL_SLOTS / 64]; /* a bit per slot that may hold a timer */
    int64_t tick;                        /* last tick that was processed */
    size_t armed;                        /* timers in the wheel */
};

void wheel_init(struct wheel *wheel, int64_t now_ms);
void wheel_timer_init(struct wheel_timer *timer, void (*fire)(struct wheel_timer *));
void wheel_start(struct wheel *wheel, struct wheel_timer *timer, int64_t due_ms);
void wheel_stop(struct wheel *wheel, struct wheel_timer *timer); /* harmless when not armed */
int wheel_armed(const struct wheel_timer *timer);

/* Fires everything due at `now_ms`, in order of ticks. */
void wheel_advance(struct wheel *wheel, int64_t now_ms);

/* When wheel_advance has something to look at next: at most one turn ahead, and possibly only to
 * re-file a timer that was moved. INT64_MAX: nothing is armed. */
int64_t wheel_next_ms(const struct wheel *wheel);

#ifdef __cplusplus
}
#endif
#endif
