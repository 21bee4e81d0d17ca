/* What both programs of the benchmark need around their loop: a clock, and epoll with nanoseconds. */
#ifndef SPAREKEY_BENCH_WATCH_H
#define SPAREKEY_BENCH_WATCH_H

#include <stdint.h>
#include <sys/epoll.h>
#include <time.h>

#define NS_PER_S INT64_C(1000000000)

/* CLOCK_MONOTONIC: the same for every process of this machine, so that one may stamp and another
 * compare. */
static inline int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* Waits until an event or `until_ns`; INT64_MAX waits for ever. Returns as epoll_wait does. */
static inline int watch_until(int epoll, struct epoll_event *events, int room, int64_t until_ns)
{
    if (until_ns == INT64_MAX)
        return epoll_pwait2(epoll, events, room, NULL, NULL);

    int64_t left = until_ns - now_ns();
    if (left < 0)
        left = 0;
    struct timespec timeout = {left / NS_PER_S, left % NS_PER_S};
    return epoll_pwait2(epoll, events, room, &timeout, NULL);
}

#endif
