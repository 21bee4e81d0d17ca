#include "client/cancel.h"

#include <stdatomic.h>
#include <stdlib.h>

struct sparekey_cancel {
    atomic_bool fired;
    pthread_mutex_t lock;
    struct list seats;
};

int sparekey_cancel_new(sparekey_cancel **ret_cancel)
{
    if (!ret_cancel)
        return SPAREKEY_ERROR_ARGUMENT;
    sparekey_cancel *cancel = calloc(1, sizeof *cancel);
    if (!cancel)
        return SPAREKEY_ERROR_MEMORY;
    pthread_mutex_init(&cancel->lock, NULL);
    list_init(&cancel->seats);
    *ret_cancel = cancel;
    return SPAREKEY_OK;
}

/* A lane stays for as long as a call of it sits here. */
void sparekey_cancel_fire(sparekey_cancel *cancel)
{
    if (!cancel)
        return;
    atomic_store(&cancel->fired, true);
    pthread_mutex_lock(&cancel->lock);
    for (struct list *at = cancel->seats.next; at != &cancel->seats; at = at->next)
        lane_wake(container_of(at, struct cancel_seat, link)->lane, LANE_CANCEL);
    pthread_mutex_unlock(&cancel->lock);
}

void sparekey_cancel_free(sparekey_cancel *cancel)
{
    if (!cancel)
        return;
    pthread_mutex_destroy(&cancel->lock);
    free(cancel);
}

void cancel_join(sparekey_cancel *cancel, struct cancel_seat *seat, struct lane *lane)
{
    seat->cancel = cancel;
    seat->lane = lane;
    if (!cancel)
        return;
    pthread_mutex_lock(&cancel->lock);
    list_append(&cancel->seats, &seat->link);
    pthread_mutex_unlock(&cancel->lock);
}

void cancel_leave(struct cancel_seat *seat)
{
    if (!seat->cancel)
        return;
    pthread_mutex_lock(&seat->cancel->lock);
    list_remove(&seat->link);
    pthread_mutex_unlock(&seat->cancel->lock);
    seat->cancel = NULL;
}

bool cancel_fired(const sparekey_cancel *cancel)
{
    return cancel && atomic_load(&cancel->fired);
}
