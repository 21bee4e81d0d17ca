/* A tunnel is a poll handle and one buffer: first the request, of which `sent` bytes are gone, then
 * what the proxy answers. The service speaks after we have (TLS), so nothing may follow the head of
 * a 2xx: bytes behind it could not be handed on, and would be the proxy's own. */
#include "net/proxy.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"

enum {
    BASE64_MAX = (PROXY_LOGIN_MAX + 2) / 3 * 4 + 1,
    REQUEST_MAX = 2048, /* twice a name of 253 bytes, the credentials, and the words between */
};

struct proxy {
    unsigned references;
    char credentials[BASE64_MAX]; /* "" when there are none */
    uint16_t port;
    char host[];
};

struct tunnel {
    uv_poll_t poll;
    int fd;
    size_t sent;
    struct buffer bytes;
    tunnel_done *done;
    void *context;
};

/* ---- the proxy --------------------------------------------------------------------------- */

enum status proxy_new(const char *host, uint16_t port, struct slice login, struct proxy **ret_proxy)
{
    size_t size = strlen(host) + 1;

    if (login.len > PROXY_LOGIN_MAX)
        return STATUS_LIMIT;
    struct proxy *proxy = calloc(1, sizeof *proxy + size);
    if (!proxy)
        return STATUS_NO_MEMORY;
    proxy->references = 1;
    proxy->port = port;
    memcpy(proxy->host, host, size);
    if (login.len)
        EVP_EncodeBlock((unsigned char *)proxy->credentials, (const unsigned char *)login.ptr,
                        (int)login.len);
    *ret_proxy = proxy;
    return STATUS_OK;
}

struct proxy *proxy_ref(struct proxy *proxy)
{
    if (proxy)
        proxy->references++;
    return proxy;
}

void proxy_unref(struct proxy *proxy)
{
    if (!proxy || --proxy->references)
        return;
    explicit_bzero(proxy->credentials, sizeof proxy->credentials);
    free(proxy);
}

const char *proxy_host(const struct proxy *proxy)
{
    return proxy->host;
}

uint16_t proxy_port(const struct proxy *proxy)
{
    return proxy->port;
}

/* ---- the end of a tunnel ----------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
    free(container_of(handle, struct tunnel, poll));
}

static void drop(struct tunnel *tunnel)
{
    buffer_wipe(&tunnel->bytes);
    uv_close((uv_handle_t *)&tunnel->poll, on_closed);
}

void tunnel_cancel(struct tunnel *tunnel)
{
    if (!tunnel)
        return;
    (void)close(tunnel->fd);
    drop(tunnel);
}

static void finish(struct tunnel *tunnel, enum status status, const char *why)
{
    tunnel_done *done = tunnel->done;
    void *context = tunnel->context;
    int fd = tunnel->fd;

    drop(tunnel);
    if (status != STATUS_OK)
        (void)close(fd);
    done(context, fd, status, why);
}

/* ---- its answer -------------------------------------------------------------------------- */

static const char *reason_of(const char *status)
{
    if (memcmp(status, "407", 3) == 0)
        return "the proxy wants other credentials (407): see HTTPS_PROXY";
    if (memcmp(status, "403", 3) == 0)
        return "the proxy does not allow this address (403)";
    if (*status == '4')
        return "the proxy refused the tunnel (4xx)";
    if (*status == '5')
        return "the proxy could not reach the service (5xx)";
    return "the proxy answered CONNECT neither with 2xx nor with an error";
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Whether the bytes begin as "HTTP/1.x 200" does, as far as they go. */
static bool is_answer(const struct buffer *bytes)
{
    static const char form[] = "HTTP/1.d ddd";

    for (size_t i = 0; i < bytes->len && i < sizeof form - 1; i++) {
        bool fits = form[i] == 'd' ? is_digit(bytes->data[i]) : form[i] == bytes->data[i];
        if (!fits)
            return false;
    }
    return true;
}

static void judge(struct tunnel *tunnel)
{
    enum { STATUS_AT = sizeof "HTTP/1.1 " - 1 };
    struct buffer *bytes = &tunnel->bytes;
    const char *end = memmem(bytes->data, bytes->len, "\r\n\r\n", 4);

    if (!is_answer(bytes))
        finish(tunnel, STATUS_PROTOCOL, "the proxy does not speak HTTP");
    else if (!end && bytes->len == PROXY_ANSWER_MAX)
        finish(tunnel, STATUS_PROTOCOL, "the head of the proxy's answer is too long");
    else if (!end)
        return; /* more is to come */
    else if (bytes->data[STATUS_AT] != '2')
        finish(tunnel, STATUS_CONNECT, reason_of(bytes->data + STATUS_AT));
    else if (end + 4 != bytes->data + bytes->len)
        finish(tunnel, STATUS_PROTOCOL, "the proxy sent bytes of its own into the tunnel");
    else
        finish(tunnel, STATUS_OK, "");
}

static void receive(struct tunnel *tunnel)
{
    struct buffer *bytes = &tunnel->bytes;
    ssize_t count = recv(tunnel->fd, bytes->data + bytes->len, PROXY_ANSWER_MAX - bytes->len, 0);

    if (count > 0) {
        bytes->len += (size_t)count;
        judge(tunnel);
    } else if (count == 0) {
        finish(tunnel, STATUS_EOF, "the proxy hung up");
    } else if (errno != EAGAIN && errno != EINTR) {
        finish(tunnel, STATUS_RESET, "the connection to the proxy broke");
    }
}

/* ---- the request ------------------------------------------------------------------------- */

static void on_poll(uv_poll_t *handle, int status, int events);

/* From writing to listening: the same buffer takes the answer. */
static void listen_for_answer(struct tunnel *tunnel)
{
    buffer_wipe(&tunnel->bytes);
    if (buffer_reserve(&tunnel->bytes, PROXY_ANSWER_MAX, PROXY_ANSWER_MAX) != STATUS_OK ||
        uv_poll_start(&tunnel->poll, UV_READABLE, on_poll) != 0)
        finish(tunnel, STATUS_NO_MEMORY, "no memory for the proxy's answer");
}

static void send_request(struct tunnel *tunnel)
{
    struct buffer *bytes = &tunnel->bytes;
    ssize_t count =
        send(tunnel->fd, bytes->data + tunnel->sent, bytes->len - tunnel->sent, MSG_NOSIGNAL);

    if (count < 0) {
        if (errno != EAGAIN && errno != EINTR)
            finish(tunnel, STATUS_RESET, "the connection to the proxy broke");
        return;
    }
    tunnel->sent += (size_t)count;
    if (tunnel->sent == bytes->len)
        listen_for_answer(tunnel);
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
    struct tunnel *tunnel = container_of(handle, struct tunnel, poll);

    if (status < 0)
        finish(tunnel, STATUS_RESET, "the connection to the proxy broke");
    else if (events & UV_READABLE)
        receive(tunnel);
    else
        send_request(tunnel);
}

/* "host:port", an IPv6 address in brackets. */
static void put_authority(struct text *text, const struct tunnel_ask *ask)
{
    bool v6 = strchr(ask->host, ':') != NULL;

    text_put_str(text, v6 ? "[" : "");
    text_put_str(text, ask->host);
    text_put_str(text, v6 ? "]:" : ":");
    text_put_number(text, ask->port);
}

static enum status write_request(struct buffer *out, const struct tunnel_ask *ask)
{
    struct text text = text_into(out, REQUEST_MAX);

    text.status = buffer_reserve(out, REQUEST_MAX, REQUEST_MAX); /* credentials lie in one place */
    text_put_str(&text, "CONNECT ");
    put_authority(&text, ask);
    text_put_str(&text, " HTTP/1.1\r\nHost: ");
    put_authority(&text, ask);
    if (ask->proxy->credentials[0]) {
        text_put_str(&text, "\r\nProxy-Authorization: Basic ");
        text_put_str(&text, ask->proxy->credentials);
    }
    text_put_str(&text, "\r\n\r\n");
    return text.status;
}

enum status tunnel_begin(struct net_loop *loop, int fd, const struct tunnel_ask *ask,
                         struct tunnel **ret_tunnel)
{
    struct tunnel *tunnel = calloc(1, sizeof *tunnel);

    if (!tunnel)
        return STATUS_NO_MEMORY;
    tunnel->fd = fd;
    tunnel->done = ask->done;
    tunnel->context = ask->context;
    if (write_request(&tunnel->bytes, ask) != STATUS_OK ||
        uv_poll_init_socket(&loop->uv, &tunnel->poll, fd) != 0) {
        buffer_wipe(&tunnel->bytes);
        free(tunnel);
        return STATUS_NO_MEMORY;
    }
    if (uv_poll_start(&tunnel->poll, UV_WRITABLE, on_poll) != 0) {
        drop(tunnel);
        return STATUS_IO;
    }
    *ret_tunnel = tunnel;
    return STATUS_OK;
}
