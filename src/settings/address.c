#include "settings/address.h"

#include <arpa/inet.h>

#include "base/number.h"

enum { HOST_MAX = 253 }; /* RFC 1035 §2.3.4, as text */

static enum status refuse(const char **ret_why, const char *why)
{
    *ret_why = why;
    return STATUS_INVALID;
}

static bool is_ip(struct slice text, int family)
{
    char copy[INET6_ADDRSTRLEN];
    struct in6_addr address;

    if (text.len >= sizeof copy || (text.len && memchr(text.ptr, '\0', text.len)))
        return false;
    (void)slice_copy(text, copy, sizeof copy);
    return inet_pton(family, copy, &address) == 1;
}

static bool is_host_name(struct slice host)
{
    if (host.len == 0 || host.len > HOST_MAX || host.ptr[0] == '.' || host.ptr[0] == '-')
        return false;
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!alnum && c != '.' && c != '-' && c != '_')
            return false;
    }
    return true;
}

static enum status parse_port(struct slice text, uint64_t least, const char **ret_why,
                              uint16_t *ret_port)
{
    uint64_t port;

    if (number_parse(text, UINT16_MAX, &port) != STATUS_OK || port < least)
        return refuse(ret_why, least ? "the port must be a number from 1 to 65535"
                                     : "the port must be a number from 0 to 65535");
    *ret_port = (uint16_t)port;
    return STATUS_OK;
}

/* "host", "host:port", "[v6]" or "[v6]:port". `*ret_port` is empty with a NULL pointer when no
 * colon is there. */
static enum status split_authority(struct slice text, const char **ret_why, struct slice *ret_host,
                                   struct slice *ret_port)
{
    bool bracket = text.len && text.ptr[0] == '[';
    const char *end = text.len ? memchr(text.ptr, bracket ? ']' : ':', text.len) : NULL;

    if (bracket && !end)
        return refuse(ret_why, "the bracket of the IPv6 address is not closed");
    size_t len = end ? (size_t)(end - text.ptr) : text.len;
    *ret_host = slice_of(text.ptr + bracket, len - bracket);
    struct slice rest = slice_of(text.ptr + len + bracket, text.len - len - bracket);
    if (bracket && !is_ip(*ret_host, AF_INET6))
        return refuse(ret_why, "the address in brackets is not an IPv6 address");
    if (rest.len && rest.ptr[0] != ':')
        return refuse(ret_why, "only :PORT may follow the address");
    *ret_port = rest.len ? slice_of(rest.ptr + 1, rest.len - 1) : slice_of(NULL, 0);
    return STATUS_OK;
}

/* ---- URLs ------------------------------------------------------------------------------------- */

static enum status check_characters(struct slice text, const char **ret_why)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c <= ' ' || c >= 0x7f || strchr("\"<>\\^`{|}", c))
            return refuse(ret_why, "it has a space or another character that URLs do not have");
        if (c == '?' || c == '#')
            return refuse(ret_why, "a query or fragment has no meaning here");
    }
    return STATUS_OK;
}

static enum status take_scheme(struct slice *text, const char **ret_why, bool *ret_tls)
{
    static const struct slice http = {"http://", 7}, https = {"https://", 8};

    if (text->len >= https.len && slice_ieq(slice_of(text->ptr, https.len), https)) {
        *ret_tls = true;
        *text = slice_from(*text, https.len);
        return STATUS_OK;
    }
    if (text->len >= http.len && slice_ieq(slice_of(text->ptr, http.len), http)) {
        *ret_tls = false;
        *text = slice_from(*text, http.len);
        return STATUS_OK;
    }
    return refuse(ret_why, "it must begin with http:// or https://");
}

static enum status parse_authority(struct slice authority, struct arena *arena,
                                   const char **ret_why, struct service_url *url)
{
    struct slice host, port;

    if (authority.len && memchr(authority.ptr, '@', authority.len))
        return refuse(ret_why, "credentials in the URL are refused");
    enum status status = split_authority(authority, ret_why, &host, &port);
    if (status != STATUS_OK)
        return status;
    bool bracket = authority.len && authority.ptr[0] == '[';
    if (!bracket && !is_host_name(host))
        return refuse(ret_why, "it names no valid host");
    url->port = url->tls ? 443 : 80;
    if (port.ptr)
        status = parse_port(port, 1, ret_why, &url->port);
    if (status != STATUS_OK)
        return status;
    url->host = arena_copy(arena, host);
    return url->host ? STATUS_OK : STATUS_NO_MEMORY;
}

enum status url_parse(struct slice text, struct arena *arena, const char **ret_why,
                      struct service_url *ret_url)
{
    struct service_url url = {0};
    struct slice rest = text;

    enum status status = check_characters(text, ret_why);
    if (status == STATUS_OK)
        status = take_scheme(&rest, ret_why, &url.tls);
    if (status != STATUS_OK)
        return status;
    while (rest.len && rest.ptr[rest.len - 1] == '/') {
        rest.len--;
        text.len--;
    }
    const char *slash = rest.len ? memchr(rest.ptr, '/', rest.len) : NULL;
    size_t len = slash ? (size_t)(slash - rest.ptr) : rest.len;
    status = parse_authority(slice_of(rest.ptr, len), arena, ret_why, &url);
    if (status != STATUS_OK)
        return status;
    url.path = arena_copy(arena, slice_from(rest, len));
    url.text = arena_copy(arena, text);
    if (!url.path || !url.text)
        return STATUS_NO_MEMORY;
    *ret_url = url;
    return STATUS_OK;
}

/* ---- addresses to listen on ------------------------------------------------------------------- */

static struct slice numeric_host(struct slice host)
{
    if (slice_ieq(host, SLICE("localhost")))
        return SLICE("127.0.0.1");
    if (slice_eq(host, SLICE("*")))
        return SLICE("0.0.0.0");
    return host;
}

enum status listen_parse(struct slice text, struct arena *arena, const char **ret_why,
                         struct listen_address *ret_address)
{
    struct listen_address address = {0};
    struct slice host, port;
    uint64_t number;

    if (number_parse(text, UINT64_MAX, &number) == STATUS_OK) { /* "8080" */
        host = SLICE("127.0.0.1");
        port = text;
    } else {
        enum status status = split_authority(text, ret_why, &host, &port);
        if (status != STATUS_OK)
            return status;
    }
    host = numeric_host(host);
    if (!is_ip(host, AF_INET) && !is_ip(host, AF_INET6))
        return refuse(ret_why, "the address must be a numeric one, or localhost");
    if (!port.ptr)
        return refuse(ret_why, "the port is missing");
    enum status status = parse_port(port, 0, ret_why, &address.port);
    if (status != STATUS_OK)
        return status;
    address.host = arena_copy(arena, host);
    if (!address.host)
        return STATUS_NO_MEMORY;
    *ret_address = address;
    return STATUS_OK;
}

bool listen_is_loopback(const struct listen_address *address)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (inet_pton(AF_INET, address->host, &v4) == 1)
        return (ntohl(v4.s_addr) >> 24) == 127;
    if (inet_pton(AF_INET6, address->host, &v6) != 1)
        return false;
    return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
}
