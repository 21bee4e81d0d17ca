/* What has been alerted of lately, so that nobody is told twice. Sans-IO: time comes in.
 *
 * Events that undo each other share a subject: "all" is down or up, a key is disabled or enabled.
 * The same state of a subject is told once within ALERT_REPEAT_MS, a new state at once.
 */
#ifndef SPAREKEY_GATEWAY_ALERT_MEMORY_H
#define SPAREKEY_GATEWAY_ALERT_MEMORY_H

#include "gateway/alerts.h"
#include "observe/events.h"

#ifdef __cplusplus
extern "C" {
#endif

struct alert_memory {
    struct {
        uint64_t subject; /* hash; 0 = free */
        uint8_t kind;     /* enum event_kind told last */
        int64_t told_ms;
    } entries[ALERTS_REMEMBERED];
    bool down; /* every key is out, and that was told */
    int64_t window_ms;
    uint32_t in_window, left_out;
};

/* Whether people are to hear of this event now; remembers that they did. `*ret_left_out`: alerts
 * that ALERT_BURST has held back since the last one, and events that were missed. */
bool alert_memory_take(struct alert_memory *memory, const struct event *event, int64_t now_ms,
                       uint32_t *ret_left_out);

/* So many events were overwritten before they could be looked at; each may have been an alert, and they
 * are told as left out. */
void alert_memory_miss(struct alert_memory *memory, uint64_t events);

#ifdef __cplusplus
}
#endif
#endif
