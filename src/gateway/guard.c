#include "gateway/guard.h"

/* "Bearer x" → "x"; anything else → empty. */
static struct slice bearer(struct slice authorization)
{
    struct slice scheme = slice_of(authorization.ptr, authorization.len < 7 ? 0 : 7);
    if (!slice_ieq(scheme, SLICE("Bearer ")))
        return slice_of(NULL, 0);
    return slice_trim(slice_from(authorization, 7));
}

/* Every token is compared, so that time does not tell which one came close. */
static bool token_known(const struct settings *settings, struct slice presented)
{
    bool known = false;
    for (size_t i = 0; i < settings->client_token_count; i++)
        known |= secret_equals(settings->client_tokens[i], presented);
    return known;
}

/* Without ":port"; an IPv6 literal keeps its brackets. */
static struct slice without_port(struct slice host)
{
    size_t i = host.len;

    while (i > 0 && host.ptr[i - 1] >= '0' && host.ptr[i - 1] <= '9')
        i--;
    if (i > 0 && host.ptr[i - 1] == ':' &&
        (host.ptr[0] != '[' || (i > 1 && host.ptr[i - 2] == ']')))
        return slice_of(host.ptr, i - 1);
    return host;
}

static bool has_brackets(struct slice host)
{
    return host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
}

/* 127.0.0.0/8 written out: "127." and then digits and dots only, so that no name can pass. */
static bool is_loopback_v4(struct slice host)
{
    if (!slice_starts(host, SLICE("127.")))
        return false;
    for (size_t i = 4; i < host.len; i++) {
        if (host.ptr[i] != '.' && (host.ptr[i] < '0' || host.ptr[i] > '9'))
            return false;
    }
    return true;
}

bool guard_host_is_local(struct slice host, struct slice listen_host)
{
    host = without_port(host);
    if (has_brackets(host)) { /* IPv6, and only there */
        host = slice_of(host.ptr + 1, host.len - 2);
        return slice_eq(host, SLICE("::1")) || slice_ieq(host, listen_host);
    }
    return slice_ieq(host, SLICE("localhost")) || is_loopback_v4(host) ||
           (host.len && slice_ieq(host, listen_host) && !memchr(host.ptr, ':', host.len));
}

static bool origin_is_local(struct slice origin, struct slice listen_host)
{
    if (slice_starts(origin, SLICE("http://")))
        return guard_host_is_local(slice_from(origin, 7), listen_host);
    if (slice_starts(origin, SLICE("https://")))
        return guard_host_is_local(slice_from(origin, 8), listen_host);
    return false; /* "null", extensions, files */
}

/* Scheme aside: the Host tells none, and a proxy in front of us may speak TLS. */
static bool origin_is_host(struct slice origin, struct slice host)
{
    if (slice_starts(origin, SLICE("http://")))
        return slice_ieq(slice_from(origin, 7), host);
    return slice_starts(origin, SLICE("https://")) && slice_ieq(slice_from(origin, 8), host);
}

/* Without tokens: what only the gateway's own page may make a browser ask. Another port of this
 * machine is "same-site" and a local origin, but may be anybody's program. */
static enum guard_answer check_own(const struct settings *settings,
                                   const struct request_facts *facts)
{
    enum guard_answer answer = guard_check(settings, facts);

    if (answer != GUARD_PASS)
        return answer;
    if (facts->origin.len && !origin_is_host(facts->origin, facts->host))
        return GUARD_ORIGIN;
    if (facts->fetch_site.len && !slice_ieq(facts->fetch_site, SLICE("same-origin")) &&
        !slice_ieq(facts->fetch_site, SLICE("none")))
        return GUARD_ORIGIN;
    return GUARD_PASS;
}

/* What the client presents: as bearer, or in the header of Azure's clients. */
static struct slice presented(const struct request_facts *facts)
{
    struct slice token = bearer(facts->authorization);
    return token.len ? token : facts->api_key;
}

enum guard_answer guard_check_admin(const struct settings *settings,
                                    const struct request_facts *facts)
{
    if (!settings->client_token_count && !settings->admin_token)
        return check_own(settings, facts);
    struct slice token = presented(facts);
    return settings->admin_token && token.len && secret_equals(settings->admin_token, token)
               ? GUARD_PASS
               : GUARD_ADMIN;
}

enum guard_answer guard_check_page(const struct settings *settings,
                                   const struct request_facts *facts)
{
    return settings->client_token_count ? GUARD_PASS : check_own(settings, facts);
}

enum guard_answer guard_check(const struct settings *settings, const struct request_facts *facts)
{
    struct slice listen_host = slice_str(settings->listen.host);

    if (settings->client_token_count) {
        struct slice token = presented(facts);
        return token.len && token_known(settings, token) ? GUARD_PASS : GUARD_TOKEN;
    }
    if (facts->has_host && !guard_host_is_local(facts->host, listen_host))
        return GUARD_HOST;
    if (facts->origin.len && !origin_is_local(facts->origin, listen_host))
        return GUARD_ORIGIN;
    /* A page may make a browser GET without an Origin (an image, a link), but not without this. */
    if (slice_ieq(facts->fetch_site, SLICE("cross-site")))
        return GUARD_ORIGIN;
    return GUARD_PASS;
}
