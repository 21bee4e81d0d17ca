#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/check.h"

enum { PATH_MAX_BYTES = 4096 };

/* ---- files ------------------------------------------------------------------------------- */

static void check_secret_file(const char *path, struct findings *f)
{
    struct stat st;

    if (!path || stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return;
    if (st.st_mode & S_IWOTH)
        findings_add(f, SEVERITY_ERROR, "world_writable", path, "chmod 600 the file",
                     "anyone on this machine can write it (mode %03o), and so choose keys and "
                     "upstream",
                     st.st_mode & 0777);
    else if (st.st_mode & S_IROTH)
        findings_add(f, SEVERITY_WARNING, "world_readable", path, "chmod 600 the file",
                     "anyone on this machine can read the secrets in it (mode %03o)",
                     st.st_mode & 0777);
}

static void check_files(const struct settings *s, struct findings *f)
{
    if (s->env_file) {
        check_secret_file(s->env_file, f);
    } else {
        check_secret_file(".env.local", f);
        check_secret_file(".env", f);
    }
    check_secret_file(s->config_file ? s->config_file : "sparekey.yaml", f);
    check_secret_file(s->keys_file, f);
    check_secret_file(s->client_tokens_file, f);
}

/* What the history needs: to write the file, and others beside it. */
static void check_state_file(const char *path, struct findings *f)
{
    char copy[PATH_MAX_BYTES];
    struct stat st;

    if (!path)
        return;
    (void)slice_copy(slice_str(path), copy, sizeof copy);
    const char *directory = dirname(copy);
    bool exists = stat(path, &st) == 0;
    const char *bad = exists && !S_ISREG(st.st_mode)        ? "it is no regular file"
                      : exists && access(path, R_OK | W_OK) ? strerror(errno)
                      : access(directory, W_OK | X_OK)      ? strerror(errno)
                                                            : NULL;
    if (bad)
        findings_add(f, SEVERITY_WARNING, "unwritable_state", path,
                     "name a file in a directory that the gateway may write "
                     "(SPAREKEY_STATE_FILE)",
                     "the state file or its directory cannot be written: %s", bad);
}

/* ---- the network as set up here ---------------------------------------------------------- */

/* The variable that is set, in either case, and that the gateway does not use; NULL: none. */
static const char *find_proxy(char **environment)
{
    static const char *const names[] = {"http_proxy=", "HTTP_PROXY=", "all_proxy=", "ALL_PROXY="};

    for (; environment && *environment; environment++) {
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
            size_t len = strlen(names[i]);
            if (strncmp(*environment, names[i], len) == 0 && (*environment)[len])
                return names[i];
        }
    }
    return NULL;
}

static void check_proxy(const struct settings *s, char **environment, struct findings *f)
{
    const char *found = s->proxy ? NULL : find_proxy(environment);
    char name[32];

    if (!found)
        return;
    (void)slice_copy(slice_of(found, strlen(found) - 1), name, sizeof name);
    findings_add(
        f, SEVERITY_NOTE, "proxy_unused", name,
        "nothing, where the service is reached directly (--live tells); else name the proxy "
        "in HTTPS_PROXY",
        "the gateway connects directly: of these variables it reads HTTPS_PROXY alone");
}

static bool is_loopback(const char *host)
{
    return strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
           strcmp(host, "::1") == 0;
}

static void check_plain(const struct service_url *url, struct findings *f)
{
    if (!url->tls && !is_loopback(url->host))
        findings_add(f, SEVERITY_WARNING, "plain_upstream", url->text, "use https://",
                     "keys go over the network unencrypted");
}

static void check_address(const struct settings *s, struct findings *f)
{
    struct buffer why = {0};

    if (!settings_servable(s, &why))
        findings_add(f, SEVERITY_ERROR, "open_gateway", "SPAREKEY_LISTEN",
                     "set SPAREKEY_CLIENT_TOKENS, or listen on 127.0.0.1", "%.*s", (int)why.len,
                     why.len ? why.data : "");
    buffer_clear(&why);
}

void check_place(const struct settings *s, char **environment, struct findings *f)
{
    const struct service_url *last = NULL;

    check_files(s, f);
    check_state_file(s->state_file, f);
    check_address(s, f);
    check_proxy(s, environment, f);
    check_plain(&s->upstream, f);
    for (size_t i = 0; i < s->key_count; i++) { /* neighbours mostly share theirs */
        const struct service_url *url = s->keys[i].traits->service;
        if (url && url != last)
            check_plain(url, f);
        last = url;
    }
}
