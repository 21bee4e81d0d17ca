#include "net/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    ACCEPTS_A_TURN = 64,   /* accepted before other events have their turn */
    ACCEPT_PAUSE_MS = 100, /* when descriptors have run out */
};

static void listener_ready(uv_poll_t *poll, int status, int events);

static void accept_again(struct wheel_timer *timer)
{
    struct listener *listener = container_of(timer, struct listener, pause);
    if (listener->poll)
        (void)uv_poll_start(listener->poll, UV_READABLE, listener_ready);
}

static void listener_ready(uv_poll_t *poll, int status, int events)
{
    struct listener *listener = poll->data;
    (void)status;
    (void)events;

    for (int i = 0; i < ACCEPTS_A_TURN && listener->poll; i++) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            listener->accepted(listener, fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            (void)uv_poll_stop(poll);
            net_timer_start(listener->loop, &listener->pause, ACCEPT_PAUSE_MS);
            return;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        } /* else: that client is gone already; the next one */
    }
}

/* Fills a numeric address; its length, or 0. */
static socklen_t parse_address(const char *host, uint16_t port, struct sockaddr_storage *ret)
{
    struct sockaddr_in *v4 = (void *)ret;
    struct sockaddr_in6 *v6 = (void *)ret;

    memset(ret, 0, sizeof *ret);
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        return sizeof *v4;
    }
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        return sizeof *v6;
    }
    return 0;
}

static enum status bind_listener(int fd, const struct sockaddr_storage *address, socklen_t len)
{
    int on = 1;

    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0)
        return STATUS_IO;
    if (bind(fd, (const struct sockaddr *)address, len) != 0)
        return errno == EADDRINUSE      ? STATUS_IN_USE
               : errno == EADDRNOTAVAIL ? STATUS_INVALID
                                        : STATUS_IO;
    return listen(fd, LISTENER_BACKLOG) == 0 ? STATUS_OK
           : errno == EADDRINUSE             ? STATUS_IN_USE
                                             : STATUS_IO;
}

static uint16_t bound_port(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;

    if (getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        return 0;
    return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                               : ((struct sockaddr_in *)&address)->sin_port);
}

void listener_init(struct listener *listener, struct net_loop *loop,
                   void (*accepted)(struct listener *listener, int fd))
{
    *listener = (struct listener){.loop = loop, .accepted = accepted, .fd = -1};
    wheel_timer_init(&listener->pause, accept_again);
}

static void free_poll(uv_handle_t *handle)
{
    free(handle);
}

/* The handle is on the heap because it outlives listener_close by a turn of the loop. */
static enum status watch(struct listener *listener, int fd)
{
    uv_poll_t *poll = malloc(sizeof *poll);

    if (!poll)
        return STATUS_NO_MEMORY;
    if (uv_poll_init(&listener->loop->uv, poll, fd) != 0) {
        free(poll);
        return STATUS_IO;
    }
    poll->data = listener;
    if (uv_poll_start(poll, UV_READABLE, listener_ready) != 0) {
        uv_close((uv_handle_t *)poll, free_poll);
        return STATUS_IO;
    }
    listener->poll = poll;
    return STATUS_OK;
}

enum status listener_open(struct listener *listener, const char *host, uint16_t port)
{
    struct sockaddr_storage address;
    socklen_t len = parse_address(host, port, &address);
    if (!len)
        return STATUS_INVALID;

    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return STATUS_IO;
    enum status status = bind_listener(fd, &address, len);
    if (status == STATUS_OK)
        status = watch(listener, fd);
    if (status != STATUS_OK) {
        close(fd);
        return status;
    }
    listener->fd = fd;
    listener->port = bound_port(fd);
    return STATUS_OK;
}

void listener_close(struct listener *listener)
{
    if (!listener->poll)
        return;
    net_timer_stop(listener->loop, &listener->pause);
    uv_close((uv_handle_t *)listener->poll, free_poll);
    listener->poll = NULL;
    close(listener->fd);
    listener->fd = -1;
}

/* Whether nobody listens on this address yet: a socket that shares with nobody asks. */
static bool is_free(const struct sockaddr_storage *address, socklen_t len)
{
    int on = 1, fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return true; /* listener_open will say what is wrong */
    bool free = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
                bind(fd, (const struct sockaddr *)address, len) == 0 || errno != EADDRINUSE;
    close(fd);
    return free;
}

bool listener_port_free(const char *host, uint16_t port)
{
    struct sockaddr_storage address;
    socklen_t len = parse_address(host, port, &address);

    return !len || is_free(&address, len);
}

/* A name of the abstract kind: it belongs to the network namespace, as ports do, leaves no file, and
 * is gone with its process. The user's number keeps users apart, who cannot share a port anyway. */
static socklen_t claim_name(const struct sockaddr_storage *address, uint16_t port,
                            struct sockaddr_un *ret)
{
    char text[INET6_ADDRSTRLEN] = "";
    const void *bytes = address->ss_family == AF_INET6
                            ? (const void *)&((const struct sockaddr_in6 *)address)->sin6_addr
                            : (const void *)&((const struct sockaddr_in *)address)->sin_addr;

    (void)inet_ntop(address->ss_family, bytes, text, sizeof text);
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    int len = snprintf(ret->sun_path + 1, sizeof ret->sun_path - 1, "sparekey-listens-%u-%s-%u",
                       (unsigned)geteuid(), text, port);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
}

enum status listener_claim(const char *host, uint16_t port, int *ret_claim)
{
    struct sockaddr_storage address;
    struct sockaddr_un name;
    socklen_t len = parse_address(host, port, &address);
    int fd = -1;

    *ret_claim = -1;
    if (!len || port == 0)
        return STATUS_OK;
    socklen_t name_len = claim_name(&address, port, &name);
    /* First the claim, then the question: of two that start at once, one fails at the claim. */
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind(fd, (const struct sockaddr *)&name, name_len) != 0) {
        bool taken = errno == EADDRINUSE;
        close(fd);
        fd = -1;
        if (taken)
            return STATUS_IN_USE;
    }
    if (!is_free(&address, len)) {
        if (fd >= 0)
            close(fd);
        return STATUS_IN_USE;
    }
    *ret_claim = fd;
    return STATUS_OK;
}
