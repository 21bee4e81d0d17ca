#include "gateway/health.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* How one key counts in the summary: exactly one of the three. */
enum condition { CONDITION_HEALTHY, CONDITION_RATE_LIMITED, CONDITION_UNHEALTHY };

struct summary {
    size_t total, by_condition[3];
    uint64_t requests, successes;
};

static enum condition condition_of(const struct key_view *view)
{
    if (view->circuit == CIRCUIT_CLOSED)
        return CONDITION_HEALTHY;
    return view->rate_limited ? CONDITION_RATE_LIMITED : CONDITION_UNHEALTHY;
}

/* Per cent with two decimals; 100 before the first request. */
static double success_rate(uint64_t successes, uint64_t requests)
{
    if (requests == 0)
        return 100.0;
    return (double)(successes * 10000 / requests) / 100.0;
}

static const char *circuit_name(enum circuit circuit)
{
    switch (circuit) {
    case CIRCUIT_CLOSED: return "closed";
    case CIRCUIT_OPEN: return "open";
    case CIRCUIT_HALF_OPEN: return "half-open";
    }
    return "unknown";
}

/* What an open breaker adds: why, since when, for how long. */
static int add_reason(json_t *key, const struct key_view *v, int64_t now_ns)
{
    return json_object_set_new(
        key, "reason",
        json_pack(
            "{s:s, s:s, s:I, s:I, s:{s:i, s:s, s:s}}", "class", failure_name(v->reason), "scope",
            scope_name(v->scope), "openForMs", (json_int_t)((now_ns - v->open_since_ns) / 1000000),
            "opensInMs",
            (json_int_t)(v->open_until_ns > now_ns ? (v->open_until_ns - now_ns) / 1000000 : 0),
            "evidence", "status", v->evidence.status, "code", v->evidence.code, "requestId",
            v->evidence.request_id));
}

static json_t *key_json(const struct key_status *status, int64_t now_ns)
{
    const struct key_view *v = &status->view;
    enum condition condition = condition_of(v);
    json_t *key =
        json_pack("{s:s, s:s, s:b, s:I, s:I, s:I, s:f, s:b, s:s, s:I}", "keyId", status->mask,
                  "name", status->name, "isHealthy", condition == CONDITION_HEALTHY, "errorCount",
                  (json_int_t)v->consecutive_errors, "successCount", (json_int_t)v->successes,
                  "totalRequests", (json_int_t)v->requests, "successRate",
                  success_rate(v->successes, v->requests), "isRateLimited",
                  condition == CONDITION_RATE_LIMITED, "circuit", circuit_name(v->circuit),
                  "inFlight", (json_int_t)v->in_flight);

    if (key && v->organization.len)
        (void)json_object_set_new(key, "organization", json_string(status->organization));
    if (key && v->project.len)
        (void)json_object_set_new(key, "project", json_string(status->project));
    if (key && v->circuit != CIRCUIT_CLOSED)
        (void)add_reason(key, v, now_ns);
    return key;
}

static void count(struct summary *s, const struct key_view *view)
{
    s->total++;
    s->by_condition[condition_of(view)]++;
    s->requests += view->requests;
    s->successes += view->successes;
}

static const char *overall(const struct summary *s)
{
    if (s->by_condition[CONDITION_HEALTHY] == 0)
        return "unhealthy";
    return s->by_condition[CONDITION_UNHEALTHY] ? "degraded" : "healthy";
}

char *health_document(struct keyring *ring, int64_t now_ns, bool *ret_ready)
{
    struct summary s = {0};
    struct key_status status;
    json_t *keys = json_array();

    for (size_t i = 0; keyring_status(ring, i, now_ns, &status); i++) {
        count(&s, &status.view);
        (void)json_array_append_new(keys, key_json(&status, now_ns));
    }
    *ret_ready = s.by_condition[CONDITION_HEALTHY] > 0;
    json_t *root =
        json_pack("{s:b, s:s, s:{s:I, s:I, s:I, s:I, s:f}, s:o}", "success", *ret_ready,
                  "overallStatus", overall(&s), "summary", "totalKeys", (json_int_t)s.total,
                  "healthyKeys", (json_int_t)s.by_condition[CONDITION_HEALTHY], "rateLimitedKeys",
                  (json_int_t)s.by_condition[CONDITION_RATE_LIMITED], "unhealthyKeys",
                  (json_int_t)s.by_condition[CONDITION_UNHEALTHY], "overallSuccessRate",
                  success_rate(s.successes, s.requests), "keys", keys);
    char *text = root ? json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
    json_decref(root);
    return text;
}

/* ---- the route --------------------------------------------------------------------------- */

/* Made on a thread of the pool: ten thousand keys take longer than a loop may stand still. */
struct report {
    int64_t now_ns;
    bool ready;
    char *text; /* NULL: out of memory */
};

static void make_report(struct own_request *own)
{
    struct report *report = own->state;
    report->text = health_document(own->worker->shared->keyring, report->now_ns, &report->ready);
}

static void reply_report(struct own_request *own)
{
    struct report report = *(struct report *)own->state;

    free(own->state);
    if (report.text)
        own_reply_json(own, report.ready ? 200 : 503, slice_str(report.text));
    else
        own_reply_error(own, 503, "out_of_memory", "The gateway is out of memory; try again.");
    free(report.text);
}

void health_answer(struct own_request *own)
{
    struct report *report = calloc(1, sizeof *report);

    if (!report) {
        own_reply_error(own, 503, "out_of_memory", "The gateway is out of memory; try again.");
        return;
    }
    report->now_ns = net_now_ns(&own->worker->loop);
    own->state = report;
    own_background(own, make_report, reply_report);
}
