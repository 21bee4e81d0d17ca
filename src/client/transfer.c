#include "client/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "keyring/echo.h"

enum {
    URL_MAX = 65536,
    URL_MAX_SHORT = 512, /* of a proxy: longer hosts are none */
    HEAD_MAX = 65536,    /* lines of ours and of the caller's */
    HEAD_ROOM = SECRET_MAX_BYTES + 2048,
    ERROR_BODY_MAX = 1 << 20, /* of an error answer; what is longer is cut */
    ANSWER_RECEIVE =
        32 * 1024, /* bytes libcurl reads at once; it has a buffer of that size made for
                                   each request */
};

static int64_t wall_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- the answer arrives (inside libcurl: nothing but noting) ------------------------------ */

/* The next byte has to come by then. A deadline of the caller's holds for all of the answer, ours for
 * what has not begun to flow. */
static void expect_within(struct call *c, int64_t ms)
{
    c->due_ns = c->lane->now_ns + ms * 1000000;
    if ((!c->flowing || c->caller_deadline) && c->plan.deadline_ns < c->due_ns)
        c->due_ns = c->plan.deadline_ns;
    lane_due(c->lane, c->due_ns);
}

static void begin_answer(struct call *c)
{
    hints_init(&c->hints);
    c->content_type[0] = '\0';
    c->answer.len = 0;
    c->status = 0;
}

static void end_head(struct call *c)
{
    long status = 0;

    (void)curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200)
        return; /* 100 Continue and its like */
    c->status = (int)status;
    c->head_done = true;
    c->is_stream =
        status / 100 == 2 && slice_starts(slice_str(c->content_type), SLICE("text/event-stream"));
    c->counts_tokens = status < 400 && (c->hints.limits[LIMIT_TOKENS].limit > 0 ||
                                        c->hints.limits[LIMIT_PROJECT_TOKENS].limit > 0);
    if (c->is_stream)
        sse_init(&c->sse, c->endpoint.stream);
    expect_within(c, c->client->settings.idle_timeout_ms);
}

/* Whoever echoes the key in a field is no judge of whose it is. */
static bool tells_secret(const struct call *c, struct slice value)
{
    struct slice secret = secret_bytes(c->key->secret);

    return secret.len >= ECHO_SECRET_MIN && value.len >= secret.len &&
           memmem(value.ptr, value.len, secret.ptr, secret.len);
}

static size_t on_header(char *data, size_t size, size_t count, void *context)
{
    struct call *c = context;
    struct slice line = slice_of(data, size * count);

    while (line.len && (line.ptr[line.len - 1] == '\n' || line.ptr[line.len - 1] == '\r'))
        line.len--;
    if (slice_starts(line, SLICE("HTTP/"))) {
        begin_answer(c);
        return size * count;
    }
    if (!line.len) {
        end_head(c);
        return size * count;
    }
    const char *colon = memchr(line.ptr, ':', line.len);
    if (!colon)
        return size * count;
    struct slice name = slice_of(line.ptr, (size_t)(colon - line.ptr));
    struct slice value = slice_trim(slice_from(line, name.len + 1));
    if (tells_secret(c, value))
        return size * count;
    if (!hints_field(&c->hints, name, value, wall_ms()) && slice_ieq(name, SLICE("content-type")))
        (void)slice_copy(value, c->content_type, sizeof c->content_type);
    return size * count;
}

static enum status keep_bytes(struct call *c, struct slice bytes)
{
    if (c->status < 400)
        return buffer_append(&c->answer, bytes, ANSWER_BYTES_MAX);
    size_t room = ERROR_BODY_MAX - c->answer.len;
    return buffer_append(&c->answer, slice_of(bytes.ptr, bytes.len < room ? bytes.len : room),
                         ERROR_BODY_MAX);
}

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
    struct call *c = context;
    size_t len = size * count;
    enum status status = keep_bytes(c, slice_of(data, len));

    if (status != STATUS_OK) {
        c->too_large = status == STATUS_LIMIT;
        c->no_memory = !c->too_large;
        return CURL_WRITEFUNC_ERROR;
    }
    if (c->is_stream) {
        sse_feed(&c->sse, data, len);
        if (list_empty(&c->ready))
            list_append(&c->lane->ready, &c->ready);
    }
    expect_within(c, c->client->settings.idle_timeout_ms);
    return len;
}

/* ---- the request goes out ---------------------------------------------------------------- */

/* The file's certificates besides the system's, which libcurl finds in its directory. */
static bool set_trust(const struct call *c, CURL *easy)
{
    const char *file = c->client->settings.ca_file;

    return !file || curl_easy_setopt(easy, CURLOPT_CAINFO, file) == CURLE_OK;
}

/* The proxy of the settings, whose login libcurl copies. */
static bool set_settings_proxy(const struct call *c, CURL *easy)
{
    const struct service_url *proxy = &c->client->settings.proxy_host;
    char login[PROXY_LOGIN_MAX_BYTES + 1], url[URL_MAX_SHORT];

    bool v6 = strchr(proxy->host, ':') != NULL;
    (void)snprintf(url, sizeof url, "http://%s%s%s:%u", v6 ? "[" : "", proxy->host, v6 ? "]" : "",
                   (unsigned)proxy->port);
    size_t len = settings_proxy_login(&c->client->settings, login);
    char *colon = len ? strchr(login, ':') : NULL;
    if (colon)
        *colon = '\0';
    bool ok = curl_easy_setopt(easy, CURLOPT_PROXY, url) == CURLE_OK &&
              curl_easy_setopt(easy, CURLOPT_PROXYUSERNAME, len ? login : NULL) == CURLE_OK &&
              curl_easy_setopt(easy, CURLOPT_PROXYPASSWORD, colon ? colon + 1 : NULL) == CURLE_OK;
    explicit_bzero(login, sizeof login);
    return ok;
}

/* libcurl would read the environment by itself: it is always told. */
static bool set_way_out(struct call *c, const struct service_url *url)
{
    const char *given = c->client->origin->proxy;
    enum way_out way =
        given || settings_proxied(&c->client->settings, url) ? WAY_PROXY : WAY_DIRECT;
    bool ok;

    if (c->way == way)
        return true;
    if (way == WAY_DIRECT || given)
        ok = curl_easy_setopt(c->easy, CURLOPT_PROXY, given ? given : "") == CURLE_OK;
    else
        ok = set_settings_proxy(c, c->easy);
    c->way = ok ? way : WAY_UNKNOWN;
    return ok;
}

CURL *transfer_handle(struct call *c)
{
    CURL *easy = curl_easy_init();

    if (!easy)
        return NULL;
    bool ok =
        curl_easy_setopt(easy, CURLOPT_PRIVATE, c) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_USERAGENT, "libsparekey/" SPAREKEY_VERSION) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_HEADERDATA, c) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_WRITEDATA, c) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, c->detail) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)ANSWER_RECEIVE) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                         (long)c->client->settings.connect_timeout_ms) == CURLE_OK &&
        set_trust(c, easy);
    if (ok)
        return easy;
    curl_easy_cleanup(easy);
    return NULL;
}

static enum status write_url(struct call *c, const struct service_url *url)
{
    bool v6 = strchr(url->host, ':') != NULL;
    struct text t = text_into(&c->url, URL_MAX);

    c->url.len = 0;
    text_put(&t, url->tls ? SLICE("https://") : SLICE("http://"));
    text_put(&t, v6 ? SLICE("[") : SLICE(""));
    text_put_str(&t, url->host);
    text_put(&t, v6 ? SLICE("]:") : SLICE(":"));
    text_put_number(&t, url->port);
    text_put_str(&t, url->path);
    text_put(&t, buffer_slice(&c->request.path));
    text_put(&t, slice_of("", 1));
    return t.status;
}

static void put_line(struct text *t, const char *name, struct slice value)
{
    text_put_str(t, name);
    text_put(t, SLICE(": "));
    text_put(t, value);
    text_put(t, slice_of("", 1));
}

/* Our lines, one after the other, each ended by a zero byte. */
static enum status write_head(struct call *c)
{
    const struct entry_traits *traits = c->key->traits;
    struct slice secret = secret_bytes(c->key->secret);
    struct text t = text_into(&c->head, HEAD_MAX);

    c->head.len = 0;
    /* A buffer that grows would leave the secret behind. */
    if (buffer_reserve(&c->head, HEAD_ROOM, HEAD_MAX) != STATUS_OK)
        return STATUS_NO_MEMORY;
    if (traits->auth_header) {
        put_line(&t, traits->auth_header, secret);
    } else {
        text_put(&t, SLICE("authorization: Bearer "));
        text_put(&t, secret);
        text_put(&t, slice_of("", 1));
    }
    if (traits->organization)
        put_line(&t, "openai-organization", slice_str(traits->organization));
    if (traits->project)
        put_line(&t, "openai-project", slice_str(traits->project));
    if (*c->request.content_type)
        put_line(&t, "content-type", slice_str(c->request.content_type));
    text_put(&t, slice_of("expect:\0", sizeof "expect:")); /* libcurl would wait for a 100 */
    return t.status;
}

/* libcurl only reads the list: its nodes are ours, and point into our buffers. */
static size_t list_lines(struct call *c, const struct buffer *lines, size_t count)
{
    for (size_t at = 0; at < lines->len && count < CALL_LINES_MAX; count++) {
        c->slist[count].data = lines->data + at;
        c->slist[count].next = NULL;
        if (count)
            c->slist[count - 1].next = &c->slist[count];
        at += strlen(lines->data + at) + 1;
    }
    return count;
}

static bool set_method(struct call *c)
{
    CURL *easy = c->easy;
    const char *method = c->request.method;
    bool get = strcmp(method, "GET") == 0, post = strcmp(method, "POST") == 0;
    const struct buffer *body = &c->request.body;

    if (curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, get || post ? NULL : method) != CURLE_OK)
        return false;
    if (strcmp(method, "HEAD") == 0)
        return curl_easy_setopt(easy, CURLOPT_NOBODY, 1L) == CURLE_OK;
    if (curl_easy_setopt(easy, CURLOPT_NOBODY, 0L) != CURLE_OK)
        return false;
    if (!post && !body->len)
        return curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L) == CURLE_OK;
    return curl_easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body->len ? body->data : "") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body->len) == CURLE_OK;
}

static bool arrange(struct call *c)
{
    const struct service_url *url = keyring_service(c->client->ring, c->key->traits->service);

    if (!c->easy)
        c->easy = transfer_handle(c);
    if (!c->easy || !set_way_out(c, url) || write_url(c, url) != STATUS_OK ||
        write_head(c) != STATUS_OK)
        return false;
    size_t count = list_lines(c, &c->head, 0);
    (void)list_lines(c, &c->lines, count);
    return curl_easy_setopt(c->easy, CURLOPT_URL, c->url.data) == CURLE_OK &&
           curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, c->slist) == CURLE_OK && set_method(c);
}

static void wipe_head(struct call *c)
{
    if (c->head.data)
        explicit_bzero(c->head.data, c->head.capacity);
    c->head.len = 0;
}

bool transfer_start(struct call *c)
{
    begin_answer(c);
    c->detail[0] = '\0';
    if (!arrange(c)) {
        wipe_head(c);
        c->no_memory = true;
        return false;
    }
    expect_within(c, c->client->settings.first_byte_timeout_ms);
    if (curl_multi_add_handle(c->lane->multi, c->easy) != CURLM_OK) {
        wipe_head(c);
        c->no_memory = true;
        return false;
    }
    c->in_flight = true;
    return true;
}

void transfer_stop(struct call *c)
{
    if (!c->in_flight)
        return;
    c->in_flight = false;
    list_remove(&c->ready);
    (void)curl_multi_remove_handle(c->lane->multi, c->easy);
    wipe_head(c);
}

/* ---- how it ended ------------------------------------------------------------------------ */

bool transfer_sent(const struct call *c)
{
    long bytes = 0;

    return c->easy && curl_easy_getinfo(c->easy, CURLINFO_REQUEST_SIZE, &bytes) == CURLE_OK &&
           bytes > 0;
}

static enum transport broken(const struct call *c, enum transport before_head)
{
    if (c->head_done)
        return TRANSPORT_CUT;
    return before_head;
}

enum transport transfer_outcome(const struct call *c, CURLcode result)
{
    bool sent = transfer_sent(c);

    switch ((int)result) {
    case CURLE_OK: return TRANSPORT_OK;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY: return TRANSPORT_DNS;
    case CURLE_COULDNT_CONNECT: return TRANSPORT_CONNECT;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR: return sent ? TRANSPORT_RESET : TRANSPORT_TLS;
    case CURLE_OPERATION_TIMEDOUT: return sent ? TRANSPORT_TIMEOUT : TRANSPORT_CONNECT;
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_BAD_CONTENT_ENCODING: return broken(c, TRANSPORT_GARBAGE);
    default: return broken(c, sent ? TRANSPORT_RESET : TRANSPORT_CONNECT);
    }
}
