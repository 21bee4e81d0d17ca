/* Three things in a row, or four, under one timeout:
 *
 *   conn_dial ─▶ lookup ──addresses──▶ race ──descriptor──▶ (tunnel) ─▶ conn_take (TLS) ─▶ conn_opened
 *                (shared per name)     (attempts)           with a proxy
 *
 * A `struct dial` lives from conn_dial to `opened` (or conn_close) and is freed at once. What libuv
 * may still call back about outlives it by itself: a lookup belongs to the loop's cache and serves
 * every dial that waits for the name; an attempt is a poll handle that frees itself when closed.
 *
 * Attempts are raw non-blocking sockets under uv_poll, not uv_tcp_t: only the winner becomes the
 * connection's handle, so the connection holds one handle, not one per address. uv_close on a poll
 * handle takes the descriptor out of epoll at once, which is what lets uv_tcp_open have it.
 *
 * While `starting` is set, conn_dial is on the stack and every end is told from the loop instead.
 */
#include "net/dial.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/conn_inner.h"

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

struct address_list {
    uint8_t count;
    union address at[DIAL_ADDRESSES_MAX];
};

struct dial {
    struct conn *conn;
    struct tls_context *tls; /* a reference, or NULL */
    struct wheel_timer timeout, stagger;
    struct list waiting;  /* in a lookup's `dials` */
    struct list attempts; /* sockets being connected */
    struct address_list addresses;
    uint8_t next; /* address to try next */
    bool starting;
    struct proxy *proxy;   /* a reference, or NULL */
    struct tunnel *tunnel; /* being asked for */
    const char *service;   /* the name for TLS; `host` unless a proxy stands between */
    uint16_t service_port, port;
    char host[]; /* where TCP goes; the service's name behind it */
};

/* One name in the loop's cache: being looked up (`busy`), or known. */
struct lookup {
    uv_getaddrinfo_t request;
    struct list node;
    struct list dials; /* waiting for it */
    int64_t expires_ms;
    bool busy, forgotten;
    struct address_list addresses;
    char host[];
};

struct attempt {
    uv_poll_t poll;
    struct list node;
    struct dial *dial; /* NULL once closing */
    int fd;
};

static void race(struct dial *dial);

/* ---- the end of a dial ---- */

static void close_attempt(struct attempt *attempt);

static void stop_race(struct dial *dial)
{
    net_timer_stop(dial->conn->loop, &dial->stagger);
    while (!list_empty(&dial->attempts)) {
        struct attempt *attempt = container_of(dial->attempts.next, struct attempt, node);
        int fd = attempt->fd;
        close_attempt(attempt);
        (void)close(fd);
    }
}

/* A lookup that nobody waits for any more is cancelled if it has no thread yet; else it goes on and
 * its answer is cached. */
static void leave_lookup(struct dial *dial)
{
    struct list *neighbour = dial->waiting.next;
    bool alone = neighbour == dial->waiting.prev && neighbour != &dial->waiting;
    list_remove(&dial->waiting);
    if (!alone)
        return;
    struct lookup *lookup = container_of(neighbour, struct lookup, dials);
    if (lookup->busy && uv_cancel((uv_req_t *)&lookup->request) == 0) {
        lookup->forgotten = true;
        list_remove(&lookup->node); /* nobody may join it now */
    }
}

void dial_cancel(struct dial *dial)
{
    if (!dial)
        return;
    struct conn *conn = dial->conn;
    stop_race(dial);
    leave_lookup(dial);
    tunnel_cancel(dial->tunnel);
    net_timer_stop(conn->loop, &dial->timeout);
    tls_context_free(dial->tls);
    proxy_unref(dial->proxy);
    conn->dial = NULL;
    free(dial);
}

static void finish(struct dial *dial, enum status status)
{
    if (!dial->starting) {
        conn_opened(dial->conn, status); /* ends the dial */
        return;
    }
    stop_race(dial);
    net_timer_stop(dial->conn->loop, &dial->timeout);
    conn_opened_soon(dial->conn, status);
}

static void on_timeout(struct wheel_timer *timer)
{
    struct dial *dial = container_of(timer, struct dial, timeout);
    dial->conn->error = UV_ETIMEDOUT;
    finish(dial, STATUS_TIMEOUT);
}

/* ---- the race ---- */

static void forget_name(struct net_loop *loop, const char *host);

static void on_attempt_closed(uv_handle_t *handle)
{
    free(container_of(handle, struct attempt, poll));
}

/* The descriptor is the caller's afterwards. */
static void close_attempt(struct attempt *attempt)
{
    list_remove(&attempt->node);
    attempt->dial = NULL;
    uv_close((uv_handle_t *)&attempt->poll, on_attempt_closed);
}

/* The descriptor leads to the service. */
static void take(struct dial *dial, int fd)
{
    enum status status = conn_take(dial->conn, fd, dial->tls, dial->tls ? dial->service : NULL);

    if (status != STATUS_OK)
        finish(dial, status == STATUS_NO_MEMORY ? STATUS_CONNECT : status);
    else if (!dial->tls)
        finish(dial, STATUS_OK);
    /* else the handshake ends the dial, or `timeout` does */
}

/* Whatever a proxy did wrong, the service was not reached. */
static void on_tunnel(void *context, int fd, enum status status, const char *why)
{
    struct dial *dial = context;

    dial->tunnel = NULL;
    if (status == STATUS_OK) {
        take(dial, fd);
        return;
    }
    dial->conn->reason = why;
    finish(dial, STATUS_CONNECT);
}

static void ask_proxy(struct dial *dial, int fd)
{
    struct tunnel_ask ask = {dial->proxy, dial->service, dial->service_port, on_tunnel, dial};

    if (tunnel_begin(dial->conn->loop, fd, &ask, &dial->tunnel) == STATUS_OK)
        return;
    (void)close(fd);
    dial->conn->error = UV_ENOMEM;
    finish(dial, STATUS_CONNECT);
}

static void won(struct dial *dial, int fd)
{
    stop_race(dial);
    dial->conn->error = 0;
    if (dial->proxy)
        ask_proxy(dial, fd);
    else
        take(dial, fd);
}

static void on_poll(uv_poll_t *handle, int poll_status, int events)
{
    (void)events;
    struct attempt *attempt = container_of(handle, struct attempt, poll);
    struct dial *dial = attempt->dial;
    int fd = attempt->fd, error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    if (error == 0 && poll_status < 0)
        error = -poll_status;
    close_attempt(attempt);
    if (error == 0) {
        won(dial, fd);
        return;
    }
    (void)close(fd);
    dial->conn->error = uv_translate_sys_error(error);
    race(dial);
}

static struct attempt *watch(struct dial *dial, int fd)
{
    struct attempt *attempt = malloc(sizeof *attempt);
    if (!attempt)
        return NULL;
    list_init(&attempt->node);
    attempt->dial = dial;
    attempt->fd = fd;
    if (uv_poll_init_socket(&dial->conn->loop->uv, &attempt->poll, fd) < 0) {
        free(attempt);
        return NULL;
    }
    if (uv_poll_start(&attempt->poll, UV_WRITABLE, on_poll) < 0) {
        close_attempt(attempt);
        return NULL;
    }
    return attempt;
}

static socklen_t address_len(const union address *address)
{
    return address->any.sa_family == AF_INET6 ? sizeof address->v6 : sizeof address->v4;
}

enum attempt_result { ATTEMPT_FAILED, ATTEMPT_BEGUN, ATTEMPT_WON };

static enum attempt_result try_address(struct dial *dial, union address *address)
{
    int kind = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    int fd = socket(address->any.sa_family, kind, 0);
    if (fd < 0) {
        dial->conn->error = uv_translate_sys_error(errno);
        return ATTEMPT_FAILED;
    }
    if (address->any.sa_family == AF_INET6)
        address->v6.sin6_port = htons(dial->port);
    else
        address->v4.sin_port = htons(dial->port);
    int rc = connect(fd, &address->any, address_len(address));
    if (rc == 0) {
        won(dial, fd);
        return ATTEMPT_WON;
    }
    struct attempt *attempt = errno == EINPROGRESS ? watch(dial, fd) : NULL;
    if (!attempt) {
        dial->conn->error = uv_translate_sys_error(errno);
        (void)close(fd);
        return ATTEMPT_FAILED;
    }
    list_append(&dial->attempts, &attempt->node);
    return ATTEMPT_BEGUN;
}

/* Begins the next attempt; the dial fails when none is left to begin or to wait for. */
static void race(struct dial *dial)
{
    struct net_loop *loop = dial->conn->loop;
    net_timer_stop(loop, &dial->stagger);
    enum attempt_result result = ATTEMPT_FAILED;
    while (result == ATTEMPT_FAILED && dial->next < dial->addresses.count)
        result = try_address(dial, &dial->addresses.at[dial->next++]);
    if (result == ATTEMPT_WON)
        return;
    if (list_empty(&dial->attempts)) {
        forget_name(loop, dial->host);
        finish(dial, STATUS_CONNECT);
        return;
    }
    if (dial->next < dial->addresses.count)
        net_timer_start(loop, &dial->stagger, DIAL_STAGGER_MS);
}

static void on_stagger(struct wheel_timer *timer)
{
    race(container_of(timer, struct dial, stagger));
}

/* ---- names ---- */

static bool add_address(struct address_list *list, const struct sockaddr *address)
{
    if (list->count == DIAL_ADDRESSES_MAX)
        return false;
    union address *to = &list->at[list->count];
    if (address->sa_family == AF_INET)
        memcpy(&to->v4, address, sizeof to->v4);
    else if (address->sa_family == AF_INET6)
        memcpy(&to->v6, address, sizeof to->v6);
    else
        return false;
    list->count++;
    return true;
}

/* The next entry at or after `*at` whose family is, or is not, `family`. */
static const struct addrinfo *next_of(const struct addrinfo *at, int family, bool same)
{
    while (at && (at->ai_family == family) != same)
        at = at->ai_next;
    return at;
}

/* Families alternate, beginning with that of the system's first choice (RFC 8305, section 4). */
static void interleave(const struct addrinfo *found, struct address_list *ret)
{
    int family = found->ai_family;
    const struct addrinfo *side[2] = {found, next_of(found, family, false)};
    for (unsigned turn = 0; side[0] || side[1]; turn ^= 1) {
        if (!side[turn])
            continue;
        (void)add_address(ret, side[turn]->ai_addr);
        side[turn] = next_of(side[turn]->ai_next, family, turn == 0);
    }
}

static void free_lookup(struct lookup *lookup)
{
    list_remove(&lookup->node);
    free(lookup);
}

static void on_resolved(uv_getaddrinfo_t *request, int uv_error, struct addrinfo *found)
{
    struct lookup *lookup = container_of(request, struct lookup, request);
    struct net_loop *loop = container_of(request->loop, struct net_loop, uv);
    lookup->busy = false;
    if (uv_error == 0 && found)
        interleave(found, &lookup->addresses);
    uv_freeaddrinfo(found);
    bool known = lookup->addresses.count > 0;
    lookup->expires_ms = (int64_t)uv_now(&loop->uv) + DIAL_DNS_TTL_MS;

    /* Out of the cache while dials hear of it: one of them may forget the name. */
    list_remove(&lookup->node);
    while (!list_empty(&lookup->dials)) {
        struct dial *dial = container_of(lookup->dials.next, struct dial, waiting);
        list_remove(&dial->waiting);
        dial->addresses = lookup->addresses;
        dial->conn->error = uv_error;
        if (known)
            race(dial);
        else
            finish(dial, STATUS_DNS);
    }
    if (known && !lookup->forgotten)
        list_append(&loop->resolver_cache, &lookup->node);
    else
        free_lookup(lookup);
}

static struct lookup *find_lookup(struct net_loop *loop, const char *host)
{
    int64_t now_ms = (int64_t)uv_now(&loop->uv);
    for (struct list *at = loop->resolver_cache.next; at != &loop->resolver_cache; at = at->next) {
        struct lookup *lookup = container_of(at, struct lookup, node);
        if (strcasecmp(lookup->host, host) != 0)
            continue;
        if (lookup->busy || now_ms < lookup->expires_ms)
            return lookup;
        free_lookup(lookup);
        return NULL;
    }
    return NULL;
}

/* Room for one more name: the oldest that is not being looked up goes. */
static void trim_cache(struct net_loop *loop)
{
    struct lookup *oldest = NULL;
    unsigned count = 0;
    for (struct list *at = loop->resolver_cache.prev; at != &loop->resolver_cache; at = at->prev) {
        struct lookup *lookup = container_of(at, struct lookup, node);
        count++;
        if (!lookup->busy)
            oldest = lookup;
    }
    if (count >= DIAL_NAMES_MAX && oldest)
        free_lookup(oldest);
}

static struct lookup *add_lookup(struct net_loop *loop, const char *host)
{
    size_t size = strlen(host) + 1;
    struct lookup *lookup = malloc(sizeof *lookup + size);
    if (!lookup)
        return NULL;
    *lookup = (struct lookup){.expires_ms = INT64_MAX};
    memcpy(lookup->host, host, size);
    list_init(&lookup->dials);
    trim_cache(loop);
    list_append(&loop->resolver_cache, &lookup->node);
    return lookup;
}

static void forget_name(struct net_loop *loop, const char *host)
{
    struct lookup *lookup = find_lookup(loop, host);
    if (lookup && !lookup->busy && lookup->expires_ms != INT64_MAX)
        free_lookup(lookup);
}

void dial_cache_clear(struct net_loop *loop)
{
    struct list *next = loop->resolver_cache.next;
    while (next != &loop->resolver_cache) {
        struct lookup *lookup = container_of(next, struct lookup, node);
        next = next->next;
        if (lookup->busy)
            lookup->forgotten = true;
        else
            free_lookup(lookup);
    }
}

enum status dial_cache_pin(struct net_loop *loop, const char *host,
                           const struct sockaddr *const *addresses, int count)
{
    struct address_list list = {0};
    for (int i = 0; i < count; i++) {
        if (!add_address(&list, addresses[i]))
            return STATUS_INVALID;
    }
    struct lookup *lookup = find_lookup(loop, host);
    if (count < 1 || (lookup && lookup->busy))
        return STATUS_INVALID;
    if (!lookup)
        lookup = add_lookup(loop, host);
    if (!lookup)
        return STATUS_NO_MEMORY;
    lookup->expires_ms = INT64_MAX;
    lookup->addresses = list;
    return STATUS_OK;
}

/* ---- beginning ---- */

static bool parse_numeric(const char *host, struct address_list *ret)
{
    union address address = {0};
    if (uv_ip4_addr(host, 0, &address.v4) != 0 && uv_ip6_addr(host, 0, &address.v6) != 0)
        return false;
    return add_address(ret, &address.any);
}

/* Joins a lookup under way, or begins one. */
static void resolve(struct dial *dial, struct lookup *lookup)
{
    static const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct net_loop *loop = dial->conn->loop;
    if (!lookup) {
        lookup = add_lookup(loop, dial->host);
        if (!lookup) {
            finish(dial, STATUS_DNS);
            return;
        }
        int rc = uv_getaddrinfo(&loop->uv, &lookup->request, on_resolved, dial->host, NULL, &hints);
        if (rc < 0) {
            free_lookup(lookup);
            dial->conn->error = rc;
            finish(dial, STATUS_DNS);
            return;
        }
        lookup->busy = true;
    }
    list_append(&lookup->dials, &dial->waiting);
}

static void begin(struct dial *dial)
{
    if (parse_numeric(dial->host, &dial->addresses)) {
        race(dial);
        return;
    }
    struct lookup *lookup = find_lookup(dial->conn->loop, dial->host);
    if (!lookup || lookup->busy) {
        resolve(dial, lookup);
        return;
    }
    dial->addresses = lookup->addresses;
    race(dial);
}

/* TCP goes to the proxy if there is one; the service's name is kept behind its. */
static struct dial *dial_new(struct conn *conn, const struct dial_target *target)
{
    const char *host = target->proxy ? proxy_host(target->proxy) : target->host;
    size_t host_size = strlen(host) + 1, service_size = strlen(target->host) + 1;
    struct dial *dial = malloc(sizeof *dial + host_size + service_size);

    if (!dial)
        return NULL;
    *dial = (struct dial){
        .conn = conn,
        .tls = target->tls,
        .proxy = proxy_ref(target->proxy),
        .service = dial->host + host_size,
        .service_port = target->port,
        .port = target->proxy ? proxy_port(target->proxy) : target->port,
        .starting = true,
    };
    memcpy(dial->host, host, host_size);
    memcpy(dial->host + host_size, target->host, service_size);
    if (dial->tls)
        tls_context_ref(dial->tls);
    return dial;
}

void conn_dial(struct conn *conn, const struct dial_target *target, int64_t timeout_ms)
{
    conn_opening(conn);
    struct dial *dial = dial_new(conn, target);
    if (!dial) {
        conn->error = UV_ENOMEM;
        conn_opened_soon(conn, STATUS_CONNECT);
        return;
    }
    list_init(&dial->waiting);
    list_init(&dial->attempts);
    wheel_timer_init(&dial->timeout, on_timeout);
    wheel_timer_init(&dial->stagger, on_stagger);
    conn->dial = dial;
    net_timer_start(conn->loop, &dial->timeout, timeout_ms);
    begin(dial);
    dial->starting = false;
}
