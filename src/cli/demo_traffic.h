/* The demo's application: chat completions at a steady pace, as if there were no failures. */
#ifndef SPAREKEY_CLI_DEMO_TRAFFIC_H
#define SPAREKEY_CLI_DEMO_TRAFFIC_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define DEMO_REQUESTS    300 /* of one run */
#define DEMO_INTERVAL_MS 20  /* between two requests: 50 a second */
#define DEMO_REFRESH_MS  250 /* between two looks at the keys */

struct demo_result {
    unsigned sent, succeeded, failed;
    unsigned by_status[6]; /* failures: [0] no answer at all, [4] 4xx, [5] 5xx */
    double latency_ms_median;
};

struct demo_target {
    const char *host;
    uint16_t port;
    const char *key;    /* what the application holds as its API key */
    const char *health; /* path to look at while running, or NULL */
    /* Called every DEMO_REFRESH_MS with the health document (empty when there is none). */
    void (*show)(void *context, const struct demo_result *so_far, struct slice health);
    void *context;
};

/* Sends DEMO_REQUESTS and waits for every answer. STATUS_NO_MEMORY, STATUS_IO. */
NODISCARD
enum status demo_traffic_run(const struct demo_target *target, struct demo_result *ret_result);

#ifdef __cplusplus
}
#endif
#endif
