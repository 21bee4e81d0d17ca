/* Cancellation: a switch that calls hang on. */
#ifndef SPAREKEY_CLIENT_CANCEL_H
#define SPAREKEY_CLIENT_CANCEL_H

#include <stdbool.h>

#include "base/list.h"
#include "client/lane.h"
#include "sparekey/sparekey.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A call's place at its switch; part of the call. */
struct cancel_seat {
    struct list link;
    sparekey_cancel *cancel; /* NULL: at none */
    struct lane *lane;
};

/* From now on the lane is woken when the switch fires. `cancel` NULL is allowed. */
void cancel_join(sparekey_cancel *cancel, struct cancel_seat *seat, struct lane *lane);

/* Harmless where it has not joined. */
void cancel_leave(struct cancel_seat *seat);

/* NULL has not fired. */
bool cancel_fired(const sparekey_cancel *cancel);

#ifdef __cplusplus
}
#endif
#endif
