/* The gateway: workers that serve, one keyring for all, and the handles to steer them.
 *
 *   main thread:  gateway_new ─▶ gateway_start ─▶ (signals) ─▶ gateway_drain ─▶ gateway_free
 *   each worker:  its own event loop, listener (SO_REUSEPORT), upstream connections, exchanges
 *
 * Workers share the keyring (one short lock) and the settings (immutable, by reference), nothing
 * else. Threads: these functions belong to the thread that made the gateway.
 */
#ifndef SPAREKEY_GATEWAY_GATEWAY_H
#define SPAREKEY_GATEWAY_GATEWAY_H

#include <stdint.h>

#include "base/buffer.h"
#include "observe/log.h"
#include "settings/settings.h"

#ifdef __cplusplus
extern "C" {
#endif

struct gateway;

#define GATEWAY_WORKERS_MAX 256

/* Takes a reference of `settings`; `log` is borrowed and may be NULL. STATUS_NO_MEMORY;
 * STATUS_INVALID with `reason` (a CA file that cannot be read). */
NODISCARD
enum status gateway_new(struct settings *settings, struct log *log, struct buffer *reason,
                        struct gateway **ret_gateway);

/* Listens and starts the workers; on return the address is served. STATUS_IN_USE,
 * STATUS_INVALID (no such address here), STATUS_IO, STATUS_NO_MEMORY: nothing is left running and
 * `reason` says why in one line. */
NODISCARD
enum status gateway_start(struct gateway *gateway, struct buffer *reason);

/* The port served, also when settings asked for any free one. */
uint16_t gateway_port(const struct gateway *gateway);

/* "http://127.0.0.1:7539/v1", as clients should write it. */
void gateway_url(const struct gateway *gateway, char *out, size_t size);

/* Swaps in new settings: keys, strategy, timeouts, tokens, upstream, trusted certificates. Requests
 * under way keep the old ones. Address and number of workers stay. On failure everything is as
 * before and `reason` says why in one line. */
NODISCARD
enum status gateway_reload(struct gateway *gateway, struct settings *settings,
                           struct buffer *reason);

/* Begins to drain: no new connections, requests in progress finish within the drain timeout, the
 * rest is cut. Returns at once; gateway_done_fd becomes readable when all workers have ended. */
void gateway_drain(struct gateway *gateway);
/* Cuts what is still in progress. */
void gateway_stop(struct gateway *gateway);
int gateway_done_fd(const struct gateway *gateway);

/* Stops if needed, waits for the workers, frees. NULL is allowed. */
void gateway_free(struct gateway *gateway);

#ifdef __cplusplus
}
#endif
#endif
