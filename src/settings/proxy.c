/* HTTPS_PROXY and NO_PROXY, as curl and the SDKs read them: the way out for https:// services. The
 * URL may hold a password, so all of it is kept in the vault, and only where it leads is told. */
#include "base/number.h"
#include "settings/address.h"
#include "settings/loading.h"

/* The URL in its parts: "http://" "user:password@" "host:port" "/". A bare "host:port" is http. */
struct proxy_url {
    struct slice login, authority;
};

static bool skip_scheme(struct slice *text)
{
    static const struct slice http = {"http://", 7};

    if (text->len >= http.len && slice_ieq(slice_of(text->ptr, http.len), http)) {
        *text = slice_from(*text, http.len);
        return true;
    }
    return text->len == 0 || !memmem(text->ptr, text->len, "://", 3);
}

static bool split(struct slice text, struct proxy_url *ret)
{
    if (!skip_scheme(&text))
        return false;
    if (slice_ends(text, SLICE("/")))
        text.len--;
    const char *at = text.len ? memrchr(text.ptr, '@', text.len) : NULL;
    size_t login = at ? (size_t)(at - text.ptr) : 0;
    *ret = (struct proxy_url){slice_of(text.ptr, login), slice_from(text, at ? login + 1 : 0)};
    return true;
}

/* NULL: it is fine. What it says quotes nothing of the URL. */
static enum status parse(struct loading *l, struct slice url, const char **ret_why,
                         struct service_url *ret_host)
{
    struct proxy_url parts;

    *ret_why = secret_problem(url);
    if (*ret_why)
        return STATUS_INVALID;
    if (!split(url, &parts)) {
        *ret_why = "a proxy is spoken to in plain HTTP here: it must begin with http://";
        return STATUS_INVALID;
    }
    if (parts.login.len > PROXY_LOGIN_MAX_BYTES) {
        *ret_why = "user name and password are longer than 512 bytes";
        return STATUS_INVALID;
    }
    char *text = arena_printf(&l->scratch, "http://%.*s", (int)parts.authority.len,
                              parts.authority.len ? parts.authority.ptr : "");
    return text ? url_parse(slice_str(text), &l->loaded->strings, ret_why, ret_host)
                : STATUS_NO_MEMORY;
}

enum status proxy_collect(struct loading *l)
{
    const struct entry *entry = loading_find(l, slice_str(option_table[OPTION_HTTPS_PROXY].name));
    struct service_url host = {0};
    const char *why = NULL;

    struct slice url = entry ? slice_trim(entry->value) : slice_of(NULL, 0);
    if (url.len == 0) /* empty: directly */
        return STATUS_OK;
    enum status status = parse(l, url, &why, &host);
    if (status == STATUS_NO_MEMORY)
        return status;
    if (status != STATUS_OK || host.path[0]) {
        report_error(&l->reporter, &entry->origin, entry->name.ptr, "expected %s: %s",
                     PROXY_EXPECTED, why ? why : "a path has no meaning here");
        return STATUS_OK;
    }
    l->loaded->origins[OPTION_HTTPS_PROXY] = entry->origin;
    l->loaded->settings.proxy_host = host;
    return loading_put_secret(l, entry, url, &l->loaded->settings.proxy);
}

size_t settings_proxy_login(const struct settings *settings, char out[PROXY_LOGIN_MAX_BYTES + 1])
{
    struct proxy_url parts;

    if (!settings->proxy || !split(secret_bytes(settings->proxy), &parts))
        return 0;
    return slice_unescape(parts.login, false, out, PROXY_LOGIN_MAX_BYTES + 1);
}

/* ---- who is reached without it ---------------------------------------------------------------- */

/* Takes ":port" off the end; 0 when there is none. A bare IPv6 address has colons of its own. */
static uint64_t take_port(struct slice *item)
{
    const char *colon = item->len ? memrchr(item->ptr, ':', item->len) : NULL;
    uint64_t port;

    if (!colon)
        return 0;
    struct slice host = slice_of(item->ptr, (size_t)(colon - item->ptr));
    bool bare_v6 = memchr(host.ptr, ':', host.len) && !slice_ends(host, SLICE("]"));
    if (bare_v6 || number_parse(slice_from(*item, host.len + 1), UINT16_MAX, &port) != STATUS_OK)
        return 0;
    *item = host;
    return port;
}

/* The name itself or one under it: "example.com" and ".example.com" are the same. */
static bool host_matches(struct slice item, struct slice host)
{
    if (slice_eq(item, SLICE("*")))
        return true;
    if (slice_starts(item, SLICE("[")) && slice_ends(item, SLICE("]")))
        item = slice_of(item.ptr + 1, item.len - 2);
    if (slice_starts(item, SLICE(".")))
        item = slice_from(item, 1);
    if (item.len == 0 || item.len > host.len)
        return false;
    const char *tail = host.ptr + (host.len - item.len);
    return slice_ieq(slice_of(tail, item.len), item) && (tail == host.ptr || tail[-1] == '.');
}

bool settings_proxied(const struct settings *settings, const struct service_url *url)
{
    struct slice rest = slice_str(settings->no_proxy ? settings->no_proxy : ""), item;

    if (!settings->proxy || !url->tls)
        return false;
    while (slice_next_item(&rest, ',', &item)) {
        uint64_t port = take_port(&item);
        if ((port == 0 || port == url->port) && host_matches(item, slice_str(url->host)))
            return false;
    }
    return true;
}
