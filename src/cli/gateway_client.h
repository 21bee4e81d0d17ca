/* What status and top share: which gateway, with which token, and asking it. */
#ifndef SPAREKEY_CLI_GATEWAY_CLIENT_H
#define SPAREKEY_CLI_GATEWAY_CLIENT_H

#include "cli/fetch.h"
#include "settings/arena.h"

#ifdef __cplusplus
extern "C" {
#endif

/* EXIT codes of a question to a running gateway. */
enum { EXIT_UNHEALTHY = 1, EXIT_UNREACHABLE = 2 };

struct gateway_client {
    struct vault *vault;
    struct settings *settings;
    struct arena arena;
    struct service_url url; /* without the path: "http://127.0.0.1:7539" */
};

/* `url` NULL: the one that these settings would serve. Messages go to standard error. EXIT_OK, or
 * EXIT_USAGE; gateway_client_close is due in any case. */
int gateway_client_open(struct gateway_client *client, char **arguments, const char *url);
void gateway_client_close(struct gateway_client *client);

/* Prepares a question; the token of a client, or else of the admin, goes with it. */
void gateway_client_ask(const struct gateway_client *client, const char *target,
                        struct fetch *fetch);

/* Whether the answer is a health document (200 or 503); else why not, in one line. */
bool gateway_client_understands(const struct gateway_client *client, const struct fetch *fetch,
                                char *why, size_t size);

#ifdef __cplusplus
}
#endif
#endif
