/* What the gateway answers by itself, in one table. */
#include <stdio.h>

#include "gateway/event_stream.h"
#include "gateway/health.h"
#include "gateway/history_route.h"
#include "gateway/keys_route.h"
#include "gateway/own.h"
#include "gateway/scrape.h"
#include "gateway/test_fallback.h"

static void answer_alive(struct own_request *own)
{
    own_reply_json(own, 200, SLICE("{\"status\":\"ok\"}\n"));
}

static void answer_ready(struct own_request *own)
{
    if (__atomic_load_n(&own->worker->shared->draining, __ATOMIC_SEQ_CST))
        own_reply_json(own, 503, SLICE("{\"status\":\"draining\"}\n"));
    else
        own_reply_json(own, 200, SLICE("{\"status\":\"ready\"}\n"));
}

static void answer_root(struct own_request *own)
{
    own_reply_json(own, 200,
                   SLICE("{\"service\":\"sparekey " SPAREKEY_VERSION "\",\"base_url\":\"/v1\","
                         "\"health\":\"/api/openai/health\"}\n"));
}

const struct own_route own_routes[] = {
    {"/healthz", false, OWN_GET, OWN_OPEN, answer_alive},
    {"/readyz", false, OWN_GET, OWN_OPEN, answer_ready},
    {"/api/openai/health", false, OWN_GET, OWN_CLIENT, health_answer},
    {"/api/openai/events", false, OWN_GET, OWN_CLIENT, event_stream_answer},
    {"/api/openai/test-fallback", false, OWN_GET | OWN_POST, OWN_ADMIN, test_fallback_answer},
    {KEYS_ROUTE_PREFIX, true, OWN_POST, OWN_ADMIN, keys_route_answer},
    {"/metrics", false, OWN_GET, OWN_CLIENT, scrape_answer},
    {"/api/openai/history", false, OWN_GET, OWN_CLIENT, history_answer},
    {"/", false, OWN_GET, OWN_CLIENT, answer_root},
    {NULL, false, 0, OWN_OPEN, NULL},
};
