/* An upstream for the stream measures: answers every POST with server-sent events.
 *
 *   bench-upstream --chunks K --interval-us U
 *       Each stream brings a chunk at once and then one every U microseconds, K in all, then the
 *       finish_reason, [DONE] and the end. Each carries the moment it was written ("t=<ns>").
 *   bench-upstream --chunks 1 --hold 1
 *       One chunk, then silence for as long as the client stays: an idle open stream.
 *
 * Prints the port it listens on (127.0.0.1, chosen by the kernel) and serves until it is killed,
 * until its parent dies, or for --limit-s.
 *
 * All streams tick at the same interval, so the stream that ticked last is the one due last: the
 * timers are a plain queue, appended at the end and taken from the front.
 *
 * The requests come from bench-load through a proxy, nobody else: a head and a body with a
 * Content-Length below REQUEST_MAX. What does not fit this is dropped with its connection.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/list.h"
#include "base/number.h"
#include "watch.h"

#define REQUEST_MAX     4096
#define CHUNKS_MAX      100000
#define INTERVAL_US_MAX 10000000
#define LIMIT_S_MAX     3600
#define LISTEN_BACKLOG  4096
#define EVENTS_PER_WAKE 64
#define CHUNK_TEXT_MAX  512

struct stream {
    struct list tick; /* in upstream.ticking while chunks are to come */
    int fd;
    bool answering;
    int64_t due_ns;
    uint64_t chunks_left;
    size_t request_len;
    char request[REQUEST_MAX];
};

struct upstream {
    int epoll, listener;
    uint64_t chunks, interval_us, hold, limit_s;
    struct list ticking; /* by due_ns, ascending */
};

static const char answer_head[] = "HTTP/1.1 200 OK\r\n"
                                  "Content-Type: text/event-stream; charset=utf-8\r\n"
                                  "Transfer-Encoding: chunked\r\n"
                                  "Connection: keep-alive\r\n"
                                  "Cache-Control: no-cache\r\n"
                                  "openai-organization: bench-org\r\n"
                                  "openai-processing-ms: 187\r\n"
                                  "openai-project: proj_bench\r\n"
                                  "openai-version: 2020-10-01\r\n"
                                  "x-ratelimit-limit-requests: 10000\r\n"
                                  "x-ratelimit-limit-tokens: 30000000\r\n"
                                  "x-ratelimit-remaining-requests: 9999\r\n"
                                  "x-ratelimit-remaining-tokens: 29999912\r\n"
                                  "x-ratelimit-reset-requests: 6ms\r\n"
                                  "x-ratelimit-reset-tokens: 0s\r\n"
                                  "x-request-id: req_6f1d0c8b7a5e4d3c2b1a0f9e8d7c6b5a\r\n\r\n";

#define CHUNK_START                                                                                \
    "data: {\"id\":\"chatcmpl-Bench0123456789\",\"object\":\"chat.completion.chunk\","             \
    "\"created\":1790000000,\"model\":\"gpt-5.4-mini\",\"choices\":[{\"index\":0,"
#define FINISH_EVENTS CHUNK_START "\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"

static void die(const char *what)
{
    fprintf(stderr, "bench-upstream: %s: %m\n", what);
    exit(1);
}

static void stream_close(struct stream *s)
{
    list_remove(&s->tick);
    close(s->fd);
    free(s);
}

/* Sends the text as one HTTP chunk. False when the connection is of no more use. */
static bool send_chunk(const struct stream *s, const char *head, const char *text, const char *end)
{
    char out[sizeof(answer_head) + CHUNK_TEXT_MAX];
    int len = snprintf(out, sizeof(out), "%s%zx\r\n%s\r\n%s", head, strlen(text), text, end);

    /* A reader so slow that a few hundred bytes do not fit spoils the measure: better no stream. */
    return len > 0 && (size_t)len < sizeof(out) &&
           send(s->fd, out, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT) == len;
}

static bool send_stamp(const struct stream *s, const char *head)
{
    char text[CHUNK_TEXT_MAX];

    snprintf(text, sizeof(text),
             CHUNK_START "\"delta\":{\"content\":\"t=%" PRId64 "\"},\"finish_reason\":null}]}\n\n",
             now_ns());
    return send_chunk(s, head, text, "");
}

/* After a chunk: wait for the next, hold, or end the answer. */
static void stream_after_chunk(struct upstream *u, struct stream *s, bool sent)
{
    list_remove(&s->tick);
    if (!sent) {
        stream_close(s);
    } else if (--s->chunks_left > 0) {
        s->due_ns += (int64_t)u->interval_us * 1000;
        list_append(&u->ticking, &s->tick);
    } else if (!u->hold) {
        s->answering = false;
        if (!send_chunk(s, "", FINISH_EVENTS, "0\r\n\r\n"))
            stream_close(s);
    }
}

static void stream_answer(struct upstream *u, struct stream *s)
{
    s->answering = true;
    s->request_len = 0;
    s->chunks_left = u->chunks;
    s->due_ns = now_ns();
    stream_after_chunk(u, s, send_stamp(s, answer_head));
}

/* Whether the head and all of the body have arrived. */
static bool request_complete(const struct stream *s)
{
    static const char name[] = "content-length:";
    struct slice text = slice_of(s->request, s->request_len), line;
    uint64_t length = 0;
    const char *end = memmem(text.ptr, text.len, "\r\n\r\n", 4);

    if (!end)
        return false;
    struct slice head = slice_of(text.ptr, (size_t)(end - text.ptr));
    while (slice_next_item(&head, '\n', &line)) {
        if (line.len && line.ptr[line.len - 1] == '\r')
            line.len--;
        if (line.len > sizeof(name) && strncasecmp(line.ptr, name, sizeof(name) - 1) == 0 &&
            number_parse(slice_trim(slice_from(line, sizeof(name) - 1)), REQUEST_MAX, &length) !=
                STATUS_OK)
            return false;
    }
    return text.len - (size_t)(end + 4 - text.ptr) >= length;
}

static void stream_read(struct upstream *u, struct stream *s)
{
    size_t room = sizeof(s->request) - s->request_len;
    ssize_t got = recv(s->fd, s->request + s->request_len, room, MSG_DONTWAIT);

    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0 || s->answering) {
        stream_close(s);
        return;
    }
    s->request_len += (size_t)got;
    if (request_complete(s))
        stream_answer(u, s);
}

static void accept_streams(struct upstream *u)
{
    int fd, on = 1;

    while ((fd = accept4(u->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        struct stream *s = calloc(1, sizeof(*s));
        struct epoll_event interest = {.events = EPOLLIN, .data.ptr = s};
        if (!s)
            die("calloc");
        s->fd = fd;
        list_init(&s->tick);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        if (epoll_ctl(u->epoll, EPOLL_CTL_ADD, fd, &interest) != 0)
            die("epoll_ctl");
    }
    if (errno != EAGAIN && errno != ECONNABORTED)
        die("accept");
}

static void tick(struct upstream *u)
{
    while (!list_empty(&u->ticking)) {
        struct stream *s = container_of(u->ticking.next, struct stream, tick);
        if (s->due_ns > now_ns())
            return;
        stream_after_chunk(u, s, send_stamp(s, ""));
    }
}

static void serve(struct upstream *u)
{
    struct epoll_event events[EVENTS_PER_WAKE];

    for (;;) {
        int64_t due = list_empty(&u->ticking)
                          ? INT64_MAX
                          : container_of(u->ticking.next, struct stream, tick)->due_ns;
        int count = watch_until(u->epoll, events, EVENTS_PER_WAKE, due);
        if (count < 0 && errno != EINTR)
            die("epoll");
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr)
                stream_read(u, events[i].data.ptr);
            else
                accept_streams(u);
        }
        tick(u);
    }
}

static void listen_on_loopback(struct upstream *u)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    struct epoll_event interest = {.events = EPOLLIN, .data.ptr = NULL};

    u->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    u->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (u->listener < 0 || u->epoll < 0 ||
        bind(u->listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(u->listener, LISTEN_BACKLOG) != 0 ||
        getsockname(u->listener, (struct sockaddr *)&address, &len) != 0 ||
        epoll_ctl(u->epoll, EPOLL_CTL_ADD, u->listener, &interest) != 0)
        die("listen");
    printf("%u\n", ntohs(address.sin_port));
    fflush(stdout);
}

static bool read_option(struct upstream *u, const char *name, const char *value)
{
    const struct {
        const char *name;
        uint64_t *number;
        uint64_t max;
    } rows[] = {{"--chunks", &u->chunks, CHUNKS_MAX},
                {"--interval-us", &u->interval_us, INTERVAL_US_MAX},
                {"--hold", &u->hold, 1},
                {"--limit-s", &u->limit_s, LIMIT_S_MAX}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(rows[i].name, name) == 0)
            return number_parse(slice_str(value), rows[i].max, rows[i].number) == STATUS_OK;
    }
    return false;
}

int main(int argc, char **argv)
{
    struct upstream u = {.chunks = 1, .interval_us = 10000, .limit_s = 600};

    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc || !read_option(&u, argv[i], argv[i + 1]) || u.chunks == 0) {
            fprintf(stderr, "usage: bench-upstream [--chunks K] [--interval-us U] [--hold 0|1]"
                            " [--limit-s S]\n");
            return 2;
        }
    }
    list_init(&u.ticking);
    alarm((unsigned)u.limit_s);
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    prctl(PR_SET_TIMERSLACK, 1, 0, 0);
    listen_on_loopback(&u);
    serve(&u);
}
