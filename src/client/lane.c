#include "client/lane.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "client/call.h"

enum {
    EVENTS_AT_ONCE = 32,
    CONNECTIONS_KEPT = 64, /* idle, of one lane */
};

static int64_t clock_now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void lane_look_at_clock(struct lane *lane)
{
    lane->now_ns = clock_now_ns();
}

/* ---- libcurl's wishes -------------------------------------------------------------------- */

/* What epoll is to watch of a socket. The socket pointer says whether it is watched already. */
static int on_socket(CURL *easy, curl_socket_t socket, int what, void *context, void *watched)
{
    struct lane *lane = context;
    struct epoll_event event = {.data.fd = socket};

    (void)easy;
    if (what == CURL_POLL_REMOVE) { /* closed sockets have left by themselves */
        (void)epoll_ctl(lane->epoll, EPOLL_CTL_DEL, socket, NULL);
        return 0;
    }
    event.events = (what & CURL_POLL_IN ? (uint32_t)EPOLLIN : 0) |
                   (what & CURL_POLL_OUT ? (uint32_t)EPOLLOUT : 0);
    if (epoll_ctl(lane->epoll, watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, socket, &event) == 0) {
        (void)curl_multi_assign(lane->multi, socket, lane);
        return 0;
    }
    /* A socket number that was closed and has come back is a new one to epoll. */
    if (watched && errno == ENOENT && epoll_ctl(lane->epoll, EPOLL_CTL_ADD, socket, &event) == 0)
        return 0;
    return -1;
}

static int on_timer(CURLM *multi, long timeout_ms, void *context)
{
    struct lane *lane = context;

    (void)multi;
    lane->curl_ns = timeout_ms < 0 ? INT64_MAX : clock_now_ns() + (int64_t)timeout_ms * 1000000;
    return 0;
}

/* ---- life -------------------------------------------------------------------------------- */

static bool watch(struct lane *lane, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    return fd >= 0 && epoll_ctl(lane->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

static bool open_descriptors(struct lane *lane, bool clock)
{
    lane->epoll = epoll_create1(EPOLL_CLOEXEC);
    lane->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (clock)
        lane->clock = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    return lane->epoll >= 0 && watch(lane, lane->wake) && (!clock || watch(lane, lane->clock));
}

static bool open_multi(struct lane *lane)
{
    lane->multi = curl_multi_init();
    return lane->multi &&
           curl_multi_setopt(lane->multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK &&
           curl_multi_setopt(lane->multi, CURLMOPT_SOCKETDATA, lane) == CURLM_OK &&
           curl_multi_setopt(lane->multi, CURLMOPT_TIMERFUNCTION, on_timer) == CURLM_OK &&
           curl_multi_setopt(lane->multi, CURLMOPT_TIMERDATA, lane) == CURLM_OK &&
           curl_multi_setopt(lane->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_KEPT) == CURLM_OK;
}

struct lane *lane_new(sparekey_client *client, bool clock)
{
    struct lane *lane = calloc(1, sizeof *lane);

    if (!lane)
        return NULL;
    lane->client = client;
    lane->epoll = lane->wake = lane->clock = -1;
    lane->curl_ns = lane->calls_ns = lane->clock_ns = INT64_MAX;
    list_init(&lane->link);
    list_init(&lane->calls);
    list_init(&lane->ready);
    list_init(&lane->ended);
    list_init(&lane->spare);
    list_init(&lane->mail);
    pthread_mutex_init(&lane->mail_lock, NULL);
    if (!open_descriptors(lane, clock) || !open_multi(lane)) {
        lane_free(lane);
        return NULL;
    }
    lane->seat = keyring_seat_new(client->ring);
    return lane;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        (void)close(fd);
}

void lane_free(struct lane *lane)
{
    if (!lane)
        return;
    while (!list_empty(&lane->spare)) {
        struct call *call = call_of_link(lane->spare.next);
        list_remove(lane->spare.next);
        call_free(call);
    }
    if (lane->multi)
        (void)curl_multi_cleanup(lane->multi);
    if (lane->seat)
        keyring_seat_free(lane->client->ring, lane->seat);
    close_fd(lane->clock);
    close_fd(lane->wake);
    close_fd(lane->epoll);
    pthread_mutex_destroy(&lane->mail_lock);
    free(lane);
}

struct call *lane_take_call(struct lane *lane)
{
    if (list_empty(&lane->spare))
        return call_new(lane->client);
    struct list *first = lane->spare.next;
    list_remove(first);
    lane->spare_count--;
    return call_of_link(first);
}

void lane_return_call(struct lane *lane, struct call *call)
{
    call_clear(call);
    if (lane->spare_count == LANE_CALLS_IDLE_MAX) {
        call_free(call);
        return;
    }
    list_push(&lane->spare, call_link(call));
    lane->spare_count++;
}

/* ---- other threads ----------------------------------------------------------------------- */

void lane_wake(struct lane *lane, unsigned wish)
{
    static const uint64_t one = 1;

    if (atomic_fetch_or(&lane->wishes, wish) == 0)
        (void)!write(lane->wake, &one, sizeof one); /* full: it is readable anyway */
}

void lane_post(struct lane *lane, struct call *call)
{
    pthread_mutex_lock(&lane->mail_lock);
    list_append(&lane->mail, call_link(call));
    pthread_mutex_unlock(&lane->mail_lock);
    lane_wake(lane, LANE_MAIL);
}

/* Those that came by mail begin here. */
static void open_mail(struct lane *lane)
{
    for (;;) {
        pthread_mutex_lock(&lane->mail_lock);
        struct list *first = list_empty(&lane->mail) ? NULL : lane->mail.next;
        if (first)
            list_remove(first);
        pthread_mutex_unlock(&lane->mail_lock);
        if (!first)
            return;
        call_begin(call_of_link(first), lane);
    }
}

/* For each call in flight; it may end in there, and nothing else leaves the list. */
static void each_call(struct lane *lane, void (*visit)(struct call *call))
{
    for (struct list *at = lane->calls.next, *next; at != &lane->calls; at = next) {
        next = at->next;
        visit(call_of_link(at));
    }
}

static void grant_wishes(struct lane *lane)
{
    unsigned wishes = atomic_exchange(&lane->wishes, 0);

    if (wishes & LANE_MAIL)
        open_mail(lane);
    if (wishes & LANE_CANCEL)
        each_call(lane, call_check_cancelled);
    if (wishes & LANE_CHANGED)
        each_call(lane, call_pool_changed);
}

/* ---- a turn ------------------------------------------------------------------------------ */

static void drain(int fd)
{
    uint64_t count;

    (void)!read(fd, &count, sizeof count); /* empty: somebody woke us and took it back */
}

/* libcurl does its part; out of memory it may have forgotten any of its transfers. */
static void let_curl_act(struct lane *lane, curl_socket_t socket, int what)
{
    int running;

    if (curl_multi_socket_action(lane->multi, socket, what, &running) != CURLM_OK)
        each_call(lane, call_lost);
}

static void serve_descriptor(struct lane *lane, const struct epoll_event *event)
{
    int fd = event->data.fd;

    if (fd == lane->wake || fd == lane->clock) {
        drain(fd);
        return;
    }
    int what = (event->events & (EPOLLIN | EPOLLHUP) ? CURL_CSELECT_IN : 0) |
               (event->events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
               (event->events & EPOLLERR ? CURL_CSELECT_ERR : 0);
    let_curl_act(lane, fd, what);
}

static int64_t next_ns(const struct lane *lane)
{
    return lane->curl_ns < lane->calls_ns ? lane->curl_ns : lane->calls_ns;
}

int lane_timeout_ms(const struct lane *lane)
{
    int64_t at_ns = next_ns(lane), now_ns;

    if (atomic_load(&lane->wishes))
        return 0;
    if (at_ns == INT64_MAX)
        return -1;
    now_ns = clock_now_ns();
    if (at_ns <= now_ns)
        return 0;
    int64_t ms = (at_ns - now_ns + 999999) / 1000000;
    return ms < INT32_MAX ? (int)ms : INT32_MAX;
}

static void wait_for_something(struct lane *lane, int wait_ms)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    int limit_ms = lane_timeout_ms(lane);

    if (limit_ms >= 0 && (wait_ms < 0 || limit_ms < wait_ms))
        wait_ms = limit_ms;
    int count = epoll_wait(lane->epoll, events, EVENTS_AT_ONCE, wait_ms);
    lane_look_at_clock(lane);
    for (int i = 0; i < count; i++)
        serve_descriptor(lane, &events[i]);
}

static void serve_curl_timer(struct lane *lane)
{
    if (lane->curl_ns > lane->now_ns)
        return;
    lane->curl_ns = INT64_MAX;
    let_curl_act(lane, CURL_SOCKET_TIMEOUT, 0);
}

static void look_at_ready(struct lane *lane)
{
    while (!list_empty(&lane->ready)) {
        struct list *first = lane->ready.next;
        list_remove(first);
        call_look(call_of_ready(first));
    }
}

static void take_messages(struct lane *lane)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(lane->multi, &left))) {
        void *call = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode result = message->data.result; /* the message goes with its handle */
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
        call_transferred(call, result);
    }
}

void lane_due(struct lane *lane, int64_t at_ns)
{
    if (at_ns < lane->calls_ns)
        lane->calls_ns = at_ns;
}

/* `calls_ns` is a bound: times move back more often than they come. */
static void serve_timers(struct lane *lane)
{
    if (lane->calls_ns > lane->now_ns)
        return;
    lane->calls_ns = INT64_MAX;
    each_call(lane, call_check_time);
}

/* The calls whose end is to be told; callbacks may begin others. */
static void tell_ended(struct lane *lane)
{
    while (!list_empty(&lane->ended)) {
        struct list *first = lane->ended.next;
        list_remove(first);
        call_tell(call_of_link(first));
    }
}

/* Whoever waits for the descriptor alone is woken by it. */
static void set_clock(struct lane *lane)
{
    int64_t at_ns = next_ns(lane);
    struct itimerspec when = {.it_value = {0, 0}};

    if (lane->clock < 0 || at_ns == lane->clock_ns)
        return;
    lane->clock_ns = at_ns;
    if (at_ns != INT64_MAX) {
        when.it_value.tv_sec = (time_t)(at_ns / 1000000000);
        when.it_value.tv_nsec = (long)(at_ns % 1000000000);
    }
    (void)timerfd_settime(lane->clock, TFD_TIMER_ABSTIME, &when, NULL);
}

void lane_turn(struct lane *lane, int wait_ms)
{
    if (lane->curl_ns == INT64_MAX || lane->curl_ns > lane->now_ns)
        wait_for_something(lane, wait_ms);
    serve_curl_timer(lane);
    look_at_ready(lane);
    take_messages(lane);
    grant_wishes(lane);
    serve_timers(lane);
    tell_ended(lane);
    set_clock(lane);
    notices_tell(&lane->client->notices);
}

struct pool_reader *lane_begin(struct lane *lane)
{
    lane->running = true;
    lane_look_at_clock(lane);
    return keyring_sit(lane->client->ring, lane->seat);
}

void lane_end(struct lane *lane, struct pool_reader *before)
{
    lane->running = false;
    (void)keyring_sit(lane->client->ring, before);
}
