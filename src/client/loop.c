#include "client/loop.h"

#include <stdlib.h>

#include "client/call.h"
#include "client/fault.h"

int sparekey_loop_new(sparekey_client *client, sparekey_loop **ret_loop, sparekey_error *error)
{
    if (!client || !ret_loop)
        return fault_argument(error, client ? "ret_loop" : "client", "is NULL");
    int code = client_usable(client);
    if (code != SPAREKEY_OK)
        return fault_set(error, code, "%s", sparekey_status_text(code));
    sparekey_loop *loop = calloc(1, sizeof *loop);
    struct lane *lane = loop ? lane_new(client, true) : NULL;
    if (!lane) {
        free(loop);
        return fault_set(error, SPAREKEY_ERROR_SYSTEM,
                         "no memory or no descriptors for a loop (ulimit -n)");
    }
    loop->client = client;
    loop->lane = lane;
    pthread_mutex_lock(&client->lock);
    list_append(&client->busy, &lane->link);
    pthread_mutex_unlock(&client->lock);
    *ret_loop = loop;
    return SPAREKEY_OK;
}

int sparekey_loop_fd(const sparekey_loop *loop)
{
    return loop ? loop->lane->epoll : -1;
}

int sparekey_loop_timeout_ms(const sparekey_loop *loop)
{
    return loop ? lane_timeout_ms(loop->lane) : -1;
}

int sparekey_loop_run(sparekey_loop *loop, int wait_ms)
{
    if (!loop || loop->lane->running)
        return SPAREKEY_ERROR_ARGUMENT;
    struct lane *lane = loop->lane;
    struct pool_reader *before = lane_begin(lane);
    lane_turn(lane, wait_ms < 0 ? -1 : wait_ms);
    lane_end(lane, before);
    return (int)lane->call_count;
}

void sparekey_loop_free(sparekey_loop *loop)
{
    if (!loop)
        return;
    struct lane *lane = loop->lane;
    struct pool_reader *before = lane_begin(lane);
    lane->quitting = true;
    lane_wake(lane, LANE_CANCEL | LANE_MAIL);
    lane_turn(lane, 0);
    lane_end(lane, before);
    pthread_mutex_lock(&loop->client->lock);
    list_remove(&lane->link);
    pthread_mutex_unlock(&loop->client->lock);
    lane_free(lane);
    free(loop);
}
