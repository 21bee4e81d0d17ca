#include "cli/gateway_client.h"

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "settings/address.h"

static int refuse(const char *url, const char *why)
{
    (void)fprintf(stderr,
                  "sparekey: --url: expected the gateway's URL, as http://127.0.0.1:7539; "
                  "%.200s: %s\n",
                  url, why);
    return EXIT_USAGE;
}

/* With or without /v1, as it stands in OPENAI_BASE_URL. */
static int take_url(struct gateway_client *c, const char *url)
{
    const char *why = "out of memory";
    char own[LISTEN_URL_MAX];

    if (!url && c->settings->listen.port == 0) {
        (void)fputs("sparekey: SPAREKEY_LISTEN has port 0, any free one: say where the gateway is "
                    "with --url\n",
                    stderr);
        return EXIT_USAGE;
    }
    if (!url) {
        settings_listen_url(c->settings, c->settings->listen.port, own);
        url = own;
    }
    if (url_parse(slice_str(url), &c->arena, &why, &c->url) != STATUS_OK)
        return refuse(url, why);
    if (c->url.path[0] && strcmp(c->url.path, "/v1") != 0)
        return refuse(url, "its path must be empty or /v1");
    return EXIT_OK;
}

int gateway_client_open(struct gateway_client *c, char **arguments, const char *url)
{
    memset(c, 0, sizeof *c);
    int code = cli_load_settings(arguments, NULL, &c->vault, &c->settings, NULL);
    return code == EXIT_OK ? take_url(c, url) : EXIT_USAGE;
}

void gateway_client_close(struct gateway_client *c)
{
    settings_unref(c->settings);
    vault_free(c->vault);
    arena_clear(&c->arena);
}

void gateway_client_ask(const struct gateway_client *c, const char *target, struct fetch *fetch)
{
    const struct settings *settings = c->settings;
    const struct secret *token =
        settings->client_token_count ? settings->client_tokens[0] : settings->admin_token;

    memset(fetch, 0, sizeof *fetch);
    fetch->service = &c->url;
    fetch->secret = token ? secret_bytes(token) : slice_of(NULL, 0);
    (void)slice_copy(slice_str(target), fetch->target, sizeof fetch->target);
}

bool gateway_client_understands(const struct gateway_client *c, const struct fetch *fetch,
                                char *why, size_t size)
{
    if (fetch->status != STATUS_OK)
        (void)snprintf(why, size, "no gateway answers at http%s://%s:%u: %s", c->url.tls ? "s" : "",
                       c->url.host, c->url.port, fetch->reason);
    else if (fetch->code == 401)
        (void)snprintf(why, size,
                       "the gateway asks for a token: set SPAREKEY_CLIENT_TOKENS to one of its "
                       "client tokens");
    else if (fetch->code != 200 && fetch->code != 503)
        (void)snprintf(why, size, "what answers at http%s://%s:%u is no sparekey gateway (HTTP %d)",
                       c->url.tls ? "s" : "", c->url.host, c->url.port, fetch->code);
    else
        return true;
    return false;
}
