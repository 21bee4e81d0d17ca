#include "gateway/credential.h"

static void put_host(struct text *t, const struct service_url *url)
{
    bool v6 = strchr(url->host, ':') != NULL;

    text_put(t, v6 ? SLICE("host: [") : SLICE("host: "));
    text_put_str(t, url->host);
    if (v6)
        text_put(t, SLICE("]"));
    if (url->port != (url->tls ? 443 : 80)) {
        text_put(t, SLICE(":"));
        text_put_number(t, url->port);
    }
    text_put(t, SLICE("\r\n"));
}

static void put_line(struct text *t, struct slice name, const char *value)
{
    if (!value)
        return;
    text_put(t, name);
    text_put_str(t, value);
    text_put(t, SLICE("\r\n"));
}

void credential_put_host(struct text *t, const struct service_url *url)
{
    text_put(t, SLICE(" HTTP/1.1\r\n"));
    put_host(t, url);
}

void credential_put_head(struct text *t, const struct service_url *url,
                         const struct entry_traits *key)
{
    credential_put_host(t, url);
    put_line(t, SLICE("openai-organization: "), key->organization);
    put_line(t, SLICE("openai-project: "), key->project);
    text_put_str(t, key->auth_header ? key->auth_header : "authorization");
    text_put(t, key->auth_header ? SLICE(": ") : SLICE(": Bearer "));
}
