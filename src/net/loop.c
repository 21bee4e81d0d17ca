#include "net/loop.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "net/dial.h"

/* Why not a uv_timer_t: that one is the timeout of every epoll_wait, which the kernel then arms and
 * disarms each time the loop sleeps, 0.4 µs of each of a request's two sleeps. A timerfd is set once
 * per slot of the wheel, and the sleeps between have no timeout. */

/* Sets the tick to the wheel's next slot. Only ever called with a slot earlier than the one it is
 * set to, or after it fired: a timer moved later is left to be found by the visit. */
static void set_tick(struct net_loop *loop)
{
    int64_t next_ms = wheel_next_ms(&loop->wheel);
    struct itimerspec at = {0}; /* as it is, it disarms */

    loop->wheel_wake_ms = next_ms;
    if (next_ms == INT64_MAX) {
        uv_unref((uv_handle_t *)&loop->tick);
    } else {
        int64_t now_ms = (int64_t)uv_now(&loop->uv);
        int64_t wait_ms = next_ms > now_ms ? next_ms - now_ms : 0;
        at.it_value.tv_sec = wait_ms / 1000;
        at.it_value.tv_nsec = wait_ms % 1000 * 1000000 + 1; /* 0 would disarm */
        uv_ref((uv_handle_t *)&loop->tick);
    }
    int rc = timerfd_settime(loop->tick_fd, 0, &at, NULL); /* what had expired is forgotten */
    assert(rc == 0);
    (void)rc;
}

static void on_tick(uv_poll_t *handle, int error, int events)
{
    struct net_loop *loop = container_of(handle, struct net_loop, tick);
    (void)error;
    (void)events;
    wheel_advance(&loop->wheel, (int64_t)uv_now(&loop->uv));
    set_tick(loop);
}

static enum status start_tick(struct net_loop *loop)
{
    loop->tick_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (loop->tick_fd < 0)
        return STATUS_IO;
    if (uv_poll_init(&loop->uv, &loop->tick, loop->tick_fd) < 0) {
        (void)close(loop->tick_fd);
        return STATUS_IO;
    }
    (void)uv_poll_start(&loop->tick, UV_READABLE, on_tick); /* fails only while closing */
    uv_unref((uv_handle_t *)&loop->tick);
    return STATUS_OK;
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
    enum status status = start_tick(loop);
    if (status != STATUS_OK) {
        (void)uv_loop_close(&loop->uv);
        free_buffers(loop);
        return status;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    wheel_init(&loop->wheel, (int64_t)uv_now(&loop->uv));
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
    uv_close((uv_handle_t *)&loop->tick, NULL);
    uv_close((uv_handle_t *)&loop->deferred_idle, NULL);
    uv_walk(&loop->uv, check_closing, NULL);
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
    dial_cache_clear(loop); /* names whose lookup ended in that run */
    int rc = uv_loop_close(&loop->uv);
    assert(rc == 0);
    (void)rc;
    (void)close(loop->tick_fd);
    free_buffers(loop);
}
