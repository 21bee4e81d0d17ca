#include "net/loop.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "net/dial.h"

static void on_wheel(uv_timer_t *handle);

/* Sets the tick to the wheel's next slot. Only ever called with a slot earlier than the one it is
 * set to, or after it fired: a timer moved later is left to be found by the visit. */
static void set_tick(struct net_loop *loop)
{
    int64_t next_ms = wheel_next_ms(&loop->wheel);
    loop->wheel_wake_ms = next_ms;
    if (next_ms == INT64_MAX) {
        (void)uv_timer_stop(&loop->wheel_timer);
        return;
    }
    int64_t now_ms = (int64_t)uv_now(&loop->uv);
    uint64_t wait_ms = next_ms > now_ms ? (uint64_t)(next_ms - now_ms) : 0;
    (void)uv_timer_start(&loop->wheel_timer, on_wheel, wait_ms, 0);
}

static void on_wheel(uv_timer_t *handle)
{
    struct net_loop *loop = container_of(handle, struct net_loop, wheel_timer);
    wheel_advance(&loop->wheel, (int64_t)uv_now(&loop->uv));
    set_tick(loop);
}

void net_timer_start(struct net_loop *loop, struct wheel_timer *timer, int64_t delay_ms)
{
    int64_t now_ms = (int64_t)uv_now(&loop->uv);
    if (loop->wheel.armed == 0)
        wheel_advance(&loop->wheel, now_ms); /* fires nothing; the hand catches up after a sleep */
    wheel_start(&loop->wheel, timer, now_ms + (delay_ms > 0 ? delay_ms : 0));
    if (timer->filed_ms <= loop->wheel_wake_ms - WHEEL_TICK_MS) /* an earlier slot than that */
        set_tick(loop);
}

void net_timer_stop(struct net_loop *loop, struct wheel_timer *timer)
{
    wheel_stop(&loop->wheel, timer);
    if (loop->wheel.armed == 0 && loop->wheel_wake_ms != INT64_MAX)
        set_tick(loop);
}

int64_t net_wall_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void free_buffers(struct net_loop *loop)
{
    free(loop->scratch);
    free(loop->plain);
    free(loop->cork);
    free(loop->cipher);
}

static enum status make_buffers(struct net_loop *loop)
{
    loop->scratch = malloc(NET_SCRATCH_BYTES);
    loop->plain = malloc(NET_SCRATCH_BYTES);
    loop->cork = malloc(NET_CORK_BYTES);
    loop->cipher = malloc(NET_SCRATCH_BYTES);
    if (loop->scratch && loop->plain && loop->cork && loop->cipher)
        return STATUS_OK;
    free_buffers(loop);
    return STATUS_NO_MEMORY;
}

enum status net_loop_init(struct net_loop *loop)
{
    *loop = (struct net_loop){.wheel_wake_ms = INT64_MAX};
    list_init(&loop->resolver_cache);
    list_init(&loop->deferred);
    list_init(&loop->deferred_mark);
    if (make_buffers(loop) != STATUS_OK)
        return STATUS_NO_MEMORY;
    int rc = uv_loop_init(&loop->uv);
    if (rc < 0) {
        free_buffers(loop);
        return rc == UV_ENOMEM ? STATUS_NO_MEMORY : STATUS_IO;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    wheel_init(&loop->wheel, (int64_t)uv_now(&loop->uv));
    (void)uv_timer_init(&loop->uv, &loop->wheel_timer);
    (void)uv_idle_init(&loop->uv, &loop->deferred_idle);
    return STATUS_OK;
}

static void check_closing(uv_handle_t *handle, void *unused)
{
    (void)unused;
    (void)handle;
    assert(uv_is_closing(handle));
}

void net_loop_fini(struct net_loop *loop)
{
    dial_cache_clear(loop);
    uv_close((uv_handle_t *)&loop->wheel_timer, NULL);
    uv_close((uv_handle_t *)&loop->deferred_idle, NULL);
    uv_walk(&loop->uv, check_closing, NULL);
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
    dial_cache_clear(loop); /* names whose lookup ended in that run */
    int rc = uv_loop_close(&loop->uv);
    assert(rc == 0);
    (void)rc;
    free_buffers(loop);
}
