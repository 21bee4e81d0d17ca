/* The load generator: an OpenAI SDK's requests, many at a time, and a clock.
 *
 *   bench-load closed --port P --requests N --connections C --expect FILE
 *       Closed loop: each connection asks again as soon as it was answered. One connection gives
 *       the latency of a request alone; many give the throughput.
 *   bench-load open --port P --requests N --connections C --rate R --expect FILE
 *       Open loop: request i is due at start + i / R whether or not earlier ones were answered, and
 *       its time counts from then, also while it waits for a free connection. So a server that
 *       stalls is charged for everyone who would have come meanwhile (no coordinated omission).
 *   bench-load sse --port P --requests N --connections C --rate R --chunks K
 *       Streams, begun R a second, whose chunks carry the time they were written at ("t=<ns>",
 *       bench-upstream): the samples are the chunks' journeys.
 *   bench-load idle --port P --steps 1,1000,8000
 *       Opens streams until that many have brought their first chunk, prints a line, and holds them
 *       in silence until a line arrives on stdin; then the next step.
 *
 * Every answer must be a whole 200 with the expected bytes, every stream must bring its chunks and
 * its [DONE]: the first that does not ends the run with exit 1, because a benchmark of errors is
 * worthless. A run is bounded by its count and by --limit-s; the result is one line of JSON.
 *
 * One thread, one epoll set. Requests are written with a single send: a kilobyte always fits the
 * empty socket buffer of a loopback connection, and a short write is an error like any other.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "answer.h"
#include "base/buffer.h"
#include "base/list.h"
#include "base/number.h"
#include "samples.h"
#include "watch.h"

#define CONNECTIONS_MAX   16384
#define REQUESTS_MAX      10000000
#define RATE_MAX          1000000
#define CHUNKS_MAX        100000
#define BODY_BYTES_MAX    (UINT64_C(1) << 20)
#define REQUEST_BYTES_MAX (2 * BODY_BYTES_MAX)
#define EXPECT_BYTES_MAX  (UINT64_C(1) << 20)
#define LIMIT_S_MAX       600
#define READ_BYTES        (64 * 1024)
#define EVENTS_PER_WAKE   64
#define SSE_LINE_MAX      1024 /* bench-upstream's lines are below 300 */
/* Streams being opened at one time: enough to keep a proxy busy, far below any listen backlog. */
#define OPENING_MAX 64

struct load;

struct conn {
    struct load *load;
    struct list node; /* in load.free while no request is out */
    int fd;           /* -1 until the first request */
    bool busy;
    bool content_seen, done_seen;
    int64_t due_ns; /* when the request was to be sent; its latency counts from here */
    int64_t read_ns;
    uint64_t body_bytes, chunks;
    struct answer answer;
    size_t line_len;
    char line[SSE_LINE_MAX];
};

struct options {
    uint64_t port, connections, requests, rate, body_bytes, chunks, limit_s;
    const char *expect_file, *steps, *bearer;
};

struct load {
    const struct options *options;
    const struct mode *mode;
    int epoll;
    struct sockaddr_in server;
    struct buffer request, expect;
    struct conn *conns;
    struct list free;
    uint64_t started, finished, opened, reconnects;
    struct samples samples;
    char bytes[READ_BYTES];
};

struct mode {
    const char *name;
    bool stream;
    void (*run)(struct load *l);
    void (*on_body)(struct conn *c, struct slice piece);
    void (*on_answer)(struct conn *c);
};

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...)
{
    va_list arguments;

    fputs("bench-load: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

/* ---- connections ---- */

static void conn_connect(struct conn *c)
{
    struct load *l = c->load;
    int on = 1;
    struct epoll_event interest = {.events = EPOLLIN, .data.ptr = c};

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        fail("socket: %m");
    /* Blocking: on loopback the handshake is over when connect returns. */
    if (connect(c->fd, (struct sockaddr *)&l->server, sizeof(l->server)) != 0)
        fail("connect to port %" PRIu64 ": %m", l->options->port);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &interest) != 0)
        fail("epoll_ctl: %m");
}

static void conn_start(struct conn *c, int64_t due_ns)
{
    struct load *l = c->load;

    if (c->fd < 0)
        conn_connect(c);
    list_remove(&c->node);
    c->busy = true;
    c->content_seen = c->done_seen = false;
    c->body_bytes = c->chunks = 0;
    c->line_len = 0;
    c->due_ns = due_ns;
    answer_init(&c->answer);
    l->started++;
    ssize_t sent = send(c->fd, l->request.data, l->request.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent != (ssize_t)l->request.len)
        fail("send: %zd of %zu bytes: %m", sent, l->request.len);
}

static void conn_finish(struct conn *c)
{
    struct load *l = c->load;

    if (c->answer.status != 200)
        fail("an answer with status %u", c->answer.status);
    if (c->answer.close) {
        close(c->fd);
        c->fd = -1;
        l->reconnects++;
    }
    c->busy = false;
    list_append(&l->free, &c->node);
    l->finished++;
    l->mode->on_answer(c);
}

static void hear_body(void *user, struct slice piece)
{
    struct conn *c = user;

    c->load->mode->on_body(c, piece);
}

static void conn_read(struct conn *c)
{
    struct load *l = c->load;
    ssize_t got = recv(c->fd, l->bytes, sizeof(l->bytes), MSG_DONTWAIT);

    if (got < 0 && errno == EAGAIN)
        return;
    if (got < 0)
        fail("recv: %m");
    if (got == 0)
        fail("connection closed %s", c->busy ? "within an answer" : "by the server while unused");
    c->read_ns = now_ns();
    size_t used = answer_feed(&c->answer, slice_of(l->bytes, (size_t)got), hear_body, c);
    if (c->answer.state == ANSWER_BAD)
        fail("an answer that is not sound HTTP/1.1: %.*s", (int)(got < 200 ? got : 200), l->bytes);
    if (!c->busy || used != (size_t)got)
        fail("bytes behind the end of an answer");
    if (c->answer.state == ANSWER_DONE)
        conn_finish(c);
}

static void poll_until(struct load *l, int64_t until_ns)
{
    struct epoll_event events[EVENTS_PER_WAKE];
    int count = watch_until(l->epoll, events, EVENTS_PER_WAKE, until_ns);

    if (count < 0 && errno != EINTR)
        fail("epoll: %m");
    for (int i = 0; i < count; i++)
        conn_read(events[i].data.ptr);
}

static struct conn *first_free(struct load *l)
{
    return list_empty(&l->free) ? NULL : container_of(l->free.next, struct conn, node);
}

/* Every connection gets its first request; what follows is started by on_answer. */
static void run_closed(struct load *l)
{
    struct conn *c;

    while (l->started < l->options->requests && (c = first_free(l)) != NULL)
        conn_start(c, now_ns());
    while (l->finished < l->options->requests)
        poll_until(l, INT64_MAX);
}

/* ---- closed and open: whole answers, compared byte by byte ---- */

static void compare_body(struct conn *c, struct slice piece)
{
    const struct buffer *expect = &c->load->expect;

    if (piece.len > expect->len - c->body_bytes ||
        memcmp(piece.ptr, expect->data + c->body_bytes, piece.len) != 0)
        fail("an answer (status %u) with another body than expected: %.*s", c->answer.status,
             (int)(piece.len < 300 ? piece.len : 300), piece.ptr);
    c->body_bytes += piece.len;
}

static void sample_answer(struct conn *c)
{
    if (c->body_bytes != c->load->expect.len)
        fail("an answer of %" PRIu64 " bytes instead of %zu", c->body_bytes, c->load->expect.len);
    samples_add(&c->load->samples, c->read_ns - c->due_ns);
}

static void on_closed_answer(struct conn *c)
{
    sample_answer(c);
    if (c->load->started < c->load->options->requests)
        conn_start(c, now_ns());
}

static void run_open(struct load *l)
{
    const struct options *o = l->options;
    int64_t start = now_ns();
    struct conn *c;

    while (l->finished < o->requests) {
        int64_t due = start + (int64_t)(l->started * (uint64_t)NS_PER_S / o->rate);
        bool more = l->started < o->requests && (c = first_free(l)) != NULL;
        if (more && due <= now_ns())
            conn_start(c, due);
        else
            poll_until(l, more ? due : INT64_MAX);
    }
}

/* ---- streams ---- */

static void take_stamp(struct conn *c, struct slice line)
{
    const char *mark = memmem(line.ptr, line.len, "\"t=", 3);
    uint64_t stamp;

    if (!mark)
        return; /* the chunk that carries the finish_reason */
    struct slice digits = slice_from(line, (size_t)(mark - line.ptr) + 3);
    const char *end = memchr(digits.ptr, '"', digits.len);
    if (!end || number_parse(slice_of(digits.ptr, (size_t)(end - digits.ptr)), INT64_MAX, &stamp) !=
                    STATUS_OK)
        fail("a chunk without a readable time: %.*s", (int)line.len, line.ptr);
    samples_add(&c->load->samples, c->read_ns - (int64_t)stamp);
    c->chunks++;
    if (!c->content_seen)
        c->load->opened++;
    c->content_seen = true;
}

static void read_sse_line(struct conn *c, struct slice line)
{
    if (line.len == 0)
        return;
    if (c->answer.status != 200 || c->done_seen || !slice_starts(line, SLICE("data: ")))
        fail("not a chunk of a stream (status %u): %.*s", c->answer.status, (int)line.len,
             line.ptr);
    if (slice_eq(line, SLICE("data: [DONE]")))
        c->done_seen = true;
    else
        take_stamp(c, line);
}

static void split_sse(struct conn *c, struct slice piece)
{
    while (piece.len) {
        const char *newline = memchr(piece.ptr, '\n', piece.len);
        size_t run = newline ? (size_t)(newline - piece.ptr) : piece.len;
        if (run > sizeof(c->line) - c->line_len)
            fail("a line of more than %d bytes in a stream", SSE_LINE_MAX);
        memcpy(c->line + c->line_len, piece.ptr, run);
        c->line_len += run;
        if (!newline)
            return;
        read_sse_line(c, slice_of(c->line, c->line_len));
        c->line_len = 0;
        piece = slice_from(piece, run + 1);
    }
}

static void on_stream_end(struct conn *c)
{
    if (c->chunks != c->load->options->chunks || !c->done_seen)
        fail("a stream that ended after %" PRIu64 " of %" PRIu64 " chunks", c->chunks,
             c->load->options->chunks);
}

static void on_idle_end(struct conn *c)
{
    (void)c;
    fail("a stream ended that was to be held open");
}

static void hold_streams(struct load *l, uint64_t target)
{
    int newline;

    while (l->opened < target) {
        while (l->started < target && l->started - l->opened < OPENING_MAX) {
            struct conn *c = first_free(l);
            if (!c)
                fail("a step of more streams than --connections");
            conn_start(c, now_ns());
        }
        poll_until(l, INT64_MAX);
    }
    printf("{\"open\":%" PRIu64 "}\n", l->opened);
    fflush(stdout);
    while ((newline = getchar()) != '\n') {
        if (newline == EOF)
            exit(0); /* the runner is gone */
    }
    /* Whoever dropped a stream meanwhile is caught here. */
    poll_until(l, now_ns());
}

static void run_idle(struct load *l)
{
    struct slice steps = slice_str(l->options->steps), step;
    uint64_t target;

    while (slice_next_item(&steps, ',', &step)) {
        if (number_parse(step, l->options->connections, &target) != STATUS_OK)
            fail("--steps wants numbers up to --connections, separated by commas");
        hold_streams(l, target);
    }
}

/* ---- setting up ---- */

static const struct mode modes[] = {
    {"closed", false, run_closed, compare_body, on_closed_answer},
    {"open", false, run_open, compare_body, sample_answer},
    {"sse", true, run_open, split_sse, on_stream_end},
    {"idle", true, run_idle, split_sse, on_idle_end},
};

/* The head that openai-python 3 sends, so that every rule a proxy has for headers finds work. */
static const char head_format[] = "POST /v1/chat/completions HTTP/1.1\r\n"
                                  "Host: 127.0.0.1:%" PRIu64 "\r\n"
                                  "Accept-Encoding: gzip, deflate\r\n"
                                  "Connection: keep-alive\r\n"
                                  "Accept: application/json\r\n"
                                  "Content-Type: application/json\r\n"
                                  "User-Agent: OpenAI/Python 3.3.1\r\n"
                                  "X-Stainless-Lang: python\r\n"
                                  "X-Stainless-Package-Version: 3.3.1\r\n"
                                  "X-Stainless-OS: Linux\r\n"
                                  "X-Stainless-Arch: x64\r\n"
                                  "X-Stainless-Runtime: CPython\r\n"
                                  "X-Stainless-Runtime-Version: 3.11.2\r\n"
                                  "Authorization: Bearer %s\r\n"
                                  "X-Stainless-Async: false\r\n"
                                  "x-stainless-retry-count: 0\r\n"
                                  "x-stainless-read-timeout: 600\r\n"
                                  "Content-Length: %zu\r\n\r\n";

static void build_request(struct load *l)
{
    const struct options *o = l->options;
    const char *start = l->mode->stream
                            ? "{\"model\":\"gpt-5.4-mini\",\"stream\":true,\"messages\":"
                              "[{\"role\":\"user\",\"content\":\""
                            : "{\"model\":\"gpt-5.4-mini\",\"messages\":"
                              "[{\"role\":\"user\",\"content\":\"";
    static const char end[] = "\"}]}";
    size_t fixed = strlen(start) + strlen(end);
    size_t padding = o->body_bytes > fixed ? (size_t)o->body_bytes - fixed : 0;

    if (buffer_printf(&l->request, REQUEST_BYTES_MAX, head_format, o->port, o->bearer,
                      fixed + padding) != STATUS_OK ||
        buffer_append(&l->request, slice_str(start), REQUEST_BYTES_MAX) != STATUS_OK)
        fail("out of memory");
    for (size_t i = 0; i < padding; i++) {
        struct slice letter = slice_of(&"tell me more about keep alive "[i % 30], 1);
        if (buffer_append(&l->request, letter, REQUEST_BYTES_MAX) != STATUS_OK)
            fail("out of memory");
    }
    if (buffer_append(&l->request, slice_str(end), REQUEST_BYTES_MAX) != STATUS_OK)
        fail("out of memory");
}

static void read_expected(struct load *l)
{
    const char *path = l->options->expect_file;
    size_t got;

    if (l->mode->stream)
        return;
    FILE *file = path ? fopen(path, "rb") : NULL;
    if (!file)
        fail("--expect wants a readable file with the body of every answer");
    while ((got = fread(l->bytes, 1, sizeof(l->bytes), file)) > 0) {
        if (buffer_append(&l->expect, slice_of(l->bytes, got), EXPECT_BYTES_MAX) != STATUS_OK)
            fail("%s is too large", path);
    }
    fclose(file);
}

static struct load *load_new(const struct options *o, const struct mode *mode)
{
    struct load *l = calloc(1, sizeof(*l));
    size_t room = (size_t)(o->requests * (mode->stream ? o->chunks : 1));

    if (!l || !samples_init(&l->samples, room))
        fail("out of memory");
    l->options = o;
    l->mode = mode;
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->server.sin_family = AF_INET;
    l->server.sin_port = htons((uint16_t)o->port);
    l->server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    list_init(&l->free);
    l->conns = calloc((size_t)o->connections, sizeof(*l->conns));
    if (!l->conns || l->epoll < 0)
        fail("cannot set up: %m");
    for (uint64_t i = 0; i < o->connections; i++) {
        l->conns[i].load = l;
        l->conns[i].fd = -1;
        list_append(&l->free, &l->conns[i].node);
    }
    build_request(l);
    read_expected(l);
    return l;
}

static void load_free(struct load *l)
{
    for (uint64_t i = 0; i < l->options->connections; i++) {
        if (l->conns[i].fd >= 0)
            close(l->conns[i].fd);
    }
    close(l->epoll);
    free(l->conns);
    samples_fini(&l->samples);
    buffer_clear(&l->request);
    buffer_clear(&l->expect);
    free(l);
}

struct option_row {
    const char *name;
    uint64_t *number; /* or */
    const char **text;
    uint64_t max;
};

static void read_option(const struct option_row *rows, const char *name, const char *value)
{
    for (; rows->name; rows++) {
        if (strcmp(rows->name, name) != 0)
            continue;
        if (rows->text)
            *rows->text = value;
        else if (number_parse(slice_str(value), rows->max, rows->number) != STATUS_OK)
            fail("%s wants a number up to %" PRIu64, name, rows->max);
        return;
    }
    fail("unknown option %s", name);
}

static void read_options(char **arguments, struct options *o)
{
    const struct option_row rows[] = {
        {"--port", &o->port, NULL, 65535},
        {"--connections", &o->connections, NULL, CONNECTIONS_MAX},
        {"--requests", &o->requests, NULL, REQUESTS_MAX},
        {"--rate", &o->rate, NULL, RATE_MAX},
        {"--body-bytes", &o->body_bytes, NULL, BODY_BYTES_MAX},
        {"--chunks", &o->chunks, NULL, CHUNKS_MAX},
        {"--limit-s", &o->limit_s, NULL, LIMIT_S_MAX},
        {"--expect", NULL, &o->expect_file, 0},
        {"--steps", NULL, &o->steps, 0},
        {"--bearer", NULL, &o->bearer, 0},
        {NULL, NULL, NULL, 0},
    };

    for (; *arguments; arguments += 2) {
        if (!arguments[1])
            fail("%s wants a value", *arguments);
        read_option(rows, arguments[0], arguments[1]);
    }
    if (o->port == 0 || o->connections == 0 || o->rate == 0 || o->limit_s == 0)
        fail("--port, --connections, --rate and --limit-s cannot be 0");
}

static const struct mode *find_mode(const char *name)
{
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (name && strcmp(modes[i].name, name) == 0)
            return &modes[i];
    }
    fail("usage: bench-load closed|open|sse|idle --port P [options]");
}

int main(int argc, char **argv)
{
    struct options o = {.connections = 1,
                        .rate = 1000,
                        .body_bytes = 300,
                        .limit_s = 60,
                        .steps = "1",
                        .bearer = "sk-proj-bench"};
    const struct mode *mode = find_mode(argc > 1 ? argv[1] : NULL);

    read_options(argv + 2, &o);
    alarm((unsigned)o.limit_s);        /* SIGALRM ends a run that hangs */
    prctl(PR_SET_TIMERSLACK, 1, 0, 0); /* the open loop's timers, else 50 µs late */

    struct load *l = load_new(&o, mode);
    int64_t start = now_ns();
    mode->run(l);
    printf("{\"mode\":\"%s\",\"requests\":%" PRIu64 ",\"elapsed_ns\":%" PRId64
           ",\"reconnects\":%" PRIu64 ",\"samples\":%zu,",
           mode->name, l->finished, now_ns() - start, l->reconnects, l->samples.count);
    samples_print(&l->samples);
    puts("}");
    load_free(l);
    return 0;
}
