/* SPAREKEY_ALERT_WEBHOOK: a URL whose path is a password, so all of it is kept in the vault, and
 * only where it leads to is told. */
#include <arpa/inet.h>
#include <stdlib.h>

#include "settings/address.h"
#include "settings/loading.h"

/* "https://host:port" of the URL; what follows is the target. */
static struct slice origin_of(struct slice url)
{
    struct slice scheme_end = SLICE("://");
    const char *at = url.len ? memmem(url.ptr, url.len, scheme_end.ptr, scheme_end.len) : NULL;
    size_t len = at ? (size_t)(at - url.ptr) + scheme_end.len : 0;

    while (len < url.len && url.ptr[len] != '/' && url.ptr[len] != '?')
        len++;
    return slice_of(url.ptr, len);
}

struct slice settings_alert_target(const struct settings *settings)
{
    struct slice url = secret_bytes(settings->alert_webhook);
    struct slice target = slice_from(url, origin_of(url).len);

    return target.len ? target : SLICE("/");
}

static bool is_this_machine(const char *host)
{
    struct listen_address address = {.host = (char *)(uintptr_t)host};

    return strcmp(host, "localhost") == 0 || listen_is_loopback(&address);
}

/* NULL: it is fine. What it says quotes nothing of the URL. */
static const char *problem_of(struct loading *l, struct slice url, struct service_url *ret_host)
{
    struct slice origin = origin_of(url), target = slice_from(url, origin.len);
    const char *why = secret_problem(url);

    if (why)
        return why;
    if (url_parse(origin, &l->loaded->strings, &why, ret_host) != STATUS_OK)
        return why ? why : "it is no URL";
    if (target.len && (target.ptr[0] == '?' || memchr(target.ptr, '#', target.len)))
        return "behind the host it needs a path, and a fragment has no meaning here";
    if (!ret_host->tls && !is_this_machine(ret_host->host))
        return "http:// would send it in the clear";
    return NULL;
}

enum status webhook_collect(struct loading *l)
{
    const struct entry *entry = loading_find(l, slice_str(option_table[OPTION_ALERT_WEBHOOK].name));
    struct settings *settings = &l->loaded->settings;
    struct service_url host = {0};

    struct slice url = entry ? slice_trim(entry->value) : slice_of(NULL, 0);
    if (url.len == 0) /* empty: off */
        return STATUS_OK;
    const char *problem = problem_of(l, url, &host);
    if (problem) {
        report_error(&l->reporter, &entry->origin, entry->name.ptr, "expected %s: %s",
                     WEBHOOK_EXPECTED, problem);
        return STATUS_OK;
    }
    l->loaded->origins[OPTION_ALERT_WEBHOOK] = entry->origin;
    settings->alert_host = host;
    return loading_put_secret(l, entry, url, &settings->alert_webhook);
}
