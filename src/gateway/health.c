#include "gateway/health.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/number.h"
#include "base/text.h"
#include "keyring/condition.h"
#include "openai/error_body.h"
#include "pool/breaker.h"

enum { ISO_MAX = 40, VALUE_MAX = 24 };

struct summary {
    size_t total, ready, by_condition[KEY_CONDITIONS];
    uint64_t requests, successes;
};

/* Both clocks at the moment the document tells of. */
struct moment {
    int64_t now_ns, wall_ms;
};

static struct moment moment_of(int64_t now_ns)
{
    return (struct moment){now_ns, net_wall_ms()};
}

/* ---- writing ----------------------------------------------------------------------------- */

static bool is_plain(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c < 0x20 || c > 0x7e || c == '"' || c == '\\')
            return false;
    }
    return true;
}

/* Almost every string is plain, and there are many. */
static void put_string(struct text *t, struct slice s)
{
    if (!is_plain(s)) {
        if (t->status == STATUS_OK)
            t->status = json_write_string(t->out, s);
        return;
    }
    text_put(t, SLICE("\""));
    text_put(t, s);
    text_put(t, SLICE("\""));
}

/* `name` with its quotes, colon and what stands before it: ",\"name\":". */
static void put_text(struct text *t, struct slice name, struct slice value)
{
    text_put(t, name);
    put_string(t, value);
}

/* NULL is null. */
static void put_words(struct text *t, struct slice name, const char *value)
{
    if (value)
        put_text(t, name, slice_str(value));
    else {
        text_put(t, name);
        text_put(t, SLICE("null"));
    }
}

static void put_number(struct text *t, struct slice name, uint64_t value)
{
    text_put(t, name);
    text_put_number(t, value);
}

static void put_bool(struct text *t, struct slice name, bool value)
{
    text_put(t, name);
    text_put(t, value ? SLICE("true") : SLICE("false"));
}

/* ISO 8601 with milliseconds, of a monotonic time; a negative one is null: never, or not known. */
static void put_time(struct text *t, struct slice name, int64_t at_ns, struct moment moment)
{
    int64_t wall_ms = moment.wall_ms + (at_ns - moment.now_ns) / 1000000;
    time_t seconds = (time_t)(wall_ms / 1000);
    char iso[ISO_MAX];
    struct tm tm;

    text_put(t, name);
    if (at_ns < 0 || wall_ms < 0 || !gmtime_r(&seconds, &tm)) {
        text_put(t, SLICE("null"));
        return;
    }
    size_t len = strftime(iso, sizeof iso, "\"%Y-%m-%dT%H:%M:%S", &tm);
    len += (size_t)snprintf(iso + len, sizeof iso - len, ".%03dZ\"", (int)(wall_ms % 1000));
    text_put(t, slice_of(iso, len));
}

/* Ten thousandths as per cent with two decimals; "100.0" and "33.33". */
static void put_rate(struct text *t, struct slice name, uint64_t successes, uint64_t requests)
{
    uint64_t share = requests ? successes * 10000 / requests : 10000;
    char digits[VALUE_MAX];

    text_put(t, name);
    int len = share % 10 ? snprintf(digits, sizeof digits, "%u.%02u", (unsigned)(share / 100),
                                    (unsigned)(share % 100))
                         : snprintf(digits, sizeof digits, "%u.%u", (unsigned)(share / 100),
                                    (unsigned)(share % 100 / 10));
    text_put(t, slice_of(digits, (size_t)len));
}

/* A share from 0 to 1 with three decimals, rounded down; null where it is not known. */
static void put_share(struct text *t, struct slice name, int64_t left, int64_t limit)
{
    char digits[VALUE_MAX];

    text_put(t, name);
    if (limit <= 0) {
        text_put(t, SLICE("null"));
        return;
    }
    unsigned permille = left >= limit ? 1000 : (unsigned)((double)left * 1000.0 / (double)limit);
    int len = snprintf(digits, sizeof digits, "%u.%03u", permille / 1000, permille % 1000);
    text_put(t, slice_of(digits, (size_t)len));
}

static void put_amount(struct text *t, struct slice name, int64_t value)
{
    if (value < 0)
        put_words(t, name, NULL);
    else
        put_number(t, name, (uint64_t)value);
}

/* ---- one key ----------------------------------------------------------------------------- */

static void put_evidence(struct text *t, const struct evidence *evidence)
{
    put_number(t, SLICE("{\"status\":"), evidence->status > 0 ? (uint64_t)evidence->status : 0);
    put_text(t, SLICE(",\"code\":"), slice_str(evidence->code));
    put_text(t, SLICE(",\"requestId\":"), slice_str(evidence->request_id));
    text_put(t, SLICE("}"));
}

static uint64_t ms_between(int64_t from_ns, int64_t to_ns)
{
    return to_ns > from_ns ? (uint64_t)(to_ns - from_ns) / 1000000 : 0;
}

/* Of an open breaker: what, where, for how long. */
static void put_breaker(struct text *t, const struct key_view *v, int64_t now_ns)
{
    put_words(t, SLICE(",\"reason\":{\"class\":"), failure_name(v->reason));
    put_words(t, SLICE(",\"scope\":"), scope_name(v->scope));
    put_number(t, SLICE(",\"openForMs\":"), ms_between(v->open_since_ns, now_ns));
    put_number(t, SLICE(",\"opensInMs\":"), ms_between(now_ns, v->open_until_ns));
    text_put(t, SLICE(",\"evidence\":"));
    put_evidence(t, &v->evidence);
    text_put(t, SLICE("}"));
}

static void put_reason(struct text *t, const struct key_view *v, struct moment moment)
{
    bool open = v->circuit != CIRCUIT_CLOSED;

    if (v->disabled)
        text_put(
            t, SLICE(",\"reason\":{\"class\":\"disabled\",\"scope\":\"key\",\"text\":\"disabled by "
                     "operator\"}"));
    else if (open)
        put_breaker(t, v, moment.now_ns);
    else
        text_put(t, SLICE(",\"reason\":null"));
    put_time(t, SLICE(",\"since\":"),
             v->disabled ? v->disabled_ns
             : open      ? v->open_since_ns
                         : -1,
             moment);
    text_put(t, SLICE(",\"evidence\":"));
    if (open)
        put_evidence(t, &v->evidence);
    else
        text_put(t, SLICE("null"));
    put_words(t, SLICE(",\"readmittedBy\":"), condition_readmission(v));
}

static void put_times(struct text *t, const struct key_view *v, struct moment moment)
{
    bool comes_back = v->circuit == CIRCUIT_OPEN && !v->disabled;

    put_time(t, SLICE(",\"lastUsed\":"), v->last_used_ns, moment);
    put_time(t, SLICE(",\"rateLimitResetAt\":"),
             comes_back && v->rate_limited ? v->open_until_ns : -1, moment);
    put_time(t, SLICE(",\"recoveryTime\":"), comes_back ? v->open_until_ns : -1, moment);
}

static void put_model(struct text *t, const struct model_view *m, struct moment moment)
{
    bool open = m->circuit == CIRCUIT_OPEN;

    put_words(t, SLICE("{\"model\":"), *m->name ? m->name : NULL);
    put_share(t, SLICE(",\"headroom\":{\"requests\":"), m->requests_left, m->requests_limit);
    put_share(t, SLICE(",\"tokens\":"), m->tokens_left, m->tokens_limit);
    put_amount(t, SLICE("},\"requestsLeft\":"), m->requests_left);
    put_amount(t, SLICE(",\"requestsLimit\":"), m->requests_limit);
    put_amount(t, SLICE(",\"tokensLeft\":"), m->tokens_left);
    put_amount(t, SLICE(",\"tokensLimit\":"), m->tokens_limit);
    put_words(t, SLICE(",\"circuit\":"), circuit_name(m->circuit));
    put_words(t, SLICE(",\"reason\":"),
              m->circuit == CIRCUIT_CLOSED ? NULL : failure_name(m->reason));
    put_time(t, SLICE(",\"cooldownUntil\":"), open ? m->until_ns : -1, moment);
    text_put(t, SLICE("}"));
}

static void put_models(struct text *t, const struct key_status *status, struct moment moment)
{
    text_put(t, SLICE(",\"models\":["));
    for (size_t i = 0; i < status->model_count; i++) {
        if (i > 0)
            text_put(t, SLICE(","));
        put_model(t, &status->models[i], moment);
    }
    text_put(t, SLICE("]"));
}

static void put_key(struct text *t, const struct key_status *status, struct moment moment)
{
    const struct key_view *v = &status->view;
    enum key_condition condition = key_condition_of(v);

    put_words(t, SLICE("{\"keyId\":"), status->mask);
    put_words(t, SLICE(",\"name\":"), status->name);
    put_bool(t, SLICE(",\"isHealthy\":"), condition == KEY_HEALTHY);
    put_number(t, SLICE(",\"errorCount\":"), v->consecutive_errors);
    put_number(t, SLICE(",\"successCount\":"), v->successes);
    put_number(t, SLICE(",\"totalRequests\":"), v->requests);
    put_rate(t, SLICE(",\"successRate\":"), v->successes, v->requests);
    put_bool(t, SLICE(",\"isRateLimited\":"), condition == KEY_RATE_LIMITED);
    put_times(t, v, moment);
    put_words(t, SLICE(",\"circuit\":"), circuit_name(v->circuit));
    put_bool(t, SLICE(",\"disabled\":"), v->disabled);
    put_reason(t, v, moment);
    put_words(t, SLICE(",\"organization\":"), v->organization.len ? status->organization : NULL);
    put_words(t, SLICE(",\"project\":"), v->project.len ? status->project : NULL);
    put_number(t, SLICE(",\"inFlight\":"), v->in_flight);
    put_models(t, status, moment);
    text_put(t, SLICE("}"));
}

enum status health_key(const struct key_status *status, int64_t now_ns, struct buffer *out)
{
    struct text t = text_into(out, HEALTH_BYTES_MAX);

    put_key(&t, status, moment_of(now_ns));
    return t.status;
}

/* ---- all of them ------------------------------------------------------------------------- */

static void count(struct summary *s, const struct key_view *view)
{
    s->total++;
    s->ready += key_is_ready(view);
    s->by_condition[key_condition_of(view)]++;
    s->requests += view->requests;
    s->successes += view->successes;
}

/* The keys' part, while they are being walked. */
struct listing {
    const struct health_query *query;
    struct moment moment;
    struct summary summary;
    uint64_t matched, shown;
    struct text keys;
};

static void list_key(struct listing *l, const struct key_status *status)
{
    const struct health_query *q = l->query;

    count(&l->summary, &status->view);
    if (q->condition != KEY_CONDITIONS && key_condition_of(&status->view) != q->condition)
        return;
    if (l->matched++ < q->offset || l->shown >= q->limit)
        return;
    if (l->shown++)
        text_put(&l->keys, SLICE(","));
    put_key(&l->keys, status, l->moment);
}

static void list_all(struct listing *l, struct keyring *ring, struct key_status *batch)
{
    size_t at = 0, got;

    while ((got = keyring_statuses(ring, at, l->moment.now_ns, batch)) > 0) {
        for (size_t i = 0; i < got; i++)
            list_key(l, &batch[i]);
        at += got;
    }
}

static void put_summary(struct text *t, const struct summary *s)
{
    put_number(t, SLICE(",\"summary\":{\"totalKeys\":"), s->total);
    put_number(t, SLICE(",\"healthyKeys\":"), s->by_condition[KEY_HEALTHY]);
    put_number(t, SLICE(",\"rateLimitedKeys\":"), s->by_condition[KEY_RATE_LIMITED]);
    put_number(t, SLICE(",\"unhealthyKeys\":"), s->by_condition[KEY_UNHEALTHY]);
    put_rate(t, SLICE(",\"overallSuccessRate\":"), s->successes, s->requests);
    text_put(t, SLICE("}"));
}

static void put_page(struct text *t, const struct listing *l)
{
    put_number(t, SLICE(",\"page\":{\"offset\":"), l->query->offset);
    put_number(t, SLICE(",\"limit\":"), l->query->limit);
    put_number(t, SLICE(",\"shown\":"), l->shown);
    put_number(t, SLICE(",\"matched\":"), l->matched);
    text_put(t, SLICE("}"));
}

static enum status assemble(const struct listing *l, struct buffer *out)
{
    struct text t = text_into(out, HEALTH_BYTES_MAX);

    put_bool(&t, SLICE("{\"success\":"), l->summary.ready > 0);
    put_words(&t, SLICE(",\"overallStatus\":"),
              condition_overall(l->summary.ready, l->summary.by_condition[KEY_UNHEALTHY]));
    put_summary(&t, &l->summary);
    if (l->query->paged || l->shown < l->matched)
        put_page(&t, l);
    text_put(&t, SLICE(",\"keys\":["));
    text_put(&t, buffer_slice(l->keys.out));
    text_put(&t, SLICE("]}"));
    return l->keys.status != STATUS_OK ? l->keys.status : t.status;
}

struct health_query health_query_all(void)
{
    return (struct health_query){.limit = HEALTH_KEYS_MAX, .condition = KEY_CONDITIONS};
}

enum status health_document(struct keyring *ring, const struct health_query *query, int64_t now_ns,
                            struct buffer *out, bool *ret_ready)
{
    struct buffer keys = {0};
    struct listing l = {
        .query = query, .moment = moment_of(now_ns), .keys = text_into(&keys, HEALTH_BYTES_MAX)};
    struct key_status *batch = malloc(KEYRING_STATUSES_AT_ONCE * sizeof *batch);
    enum status status = STATUS_NO_MEMORY;

    if (batch) {
        list_all(&l, ring, batch);
        status = assemble(&l, out);
    }
    if (status == STATUS_OK)
        *ret_ready = l.summary.ready > 0;
    free(batch);
    buffer_clear(&keys);
    return status;
}

/* ---- the route --------------------------------------------------------------------------- */

/* Made on a thread of the pool: ten thousand keys take longer than a loop may stand still. */
struct report {
    struct health_query query;
    int64_t now_ns;
    bool ready;
    enum status status;
    struct buffer text;
};

static void make_report(struct own_request *own)
{
    struct report *report = own->state;

    /* Read at the moment the wall clock is, or every time shown would be off by the difference. */
    report->now_ns = (int64_t)uv_hrtime();
    report->status = health_document(own->worker->shared->keyring, &report->query, report->now_ns,
                                     &report->text, &report->ready);
}

static void reply_report(struct own_request *own)
{
    struct report *report = own->state;

    own->state = NULL;
    if (report->status == STATUS_OK)
        own_reply_json(own, report->ready ? 200 : 503, buffer_slice(&report->text));
    else
        own_reply_error(own, 503, "out_of_memory", "The gateway is out of memory; try again.");
    buffer_clear(&report->text);
    free(report);
}

static bool read_number(const struct own_request *own, const char *name, uint64_t max,
                        struct health_query *query, uint64_t *value)
{
    char text[VALUE_MAX];

    if (!own_parameter(own, name, text, sizeof text))
        return true;
    query->paged = true;
    return number_parse(slice_str(text), max, value) == STATUS_OK;
}

static bool read_state(const struct own_request *own, struct health_query *query)
{
    static const char *const names[KEY_CONDITIONS] = {"healthy", "rateLimited", "unhealthy"};
    char text[VALUE_MAX];
    unsigned i = 0;

    if (!own_parameter(own, "state", text, sizeof text))
        return true;
    query->paged = true;
    while (i < KEY_CONDITIONS && strcmp(names[i], text) != 0)
        i++;
    query->condition = (enum key_condition)i;
    return i < KEY_CONDITIONS;
}

static const char *read_query(const struct own_request *own, struct health_query *query)
{
    if (!read_number(own, "limit", HEALTH_KEYS_MAX, query, &query->limit))
        return "limit must be a whole number from 0 to 10000.";
    if (!read_number(own, "offset", UINT32_MAX, query, &query->offset))
        return "offset must be a whole number.";
    if (!read_state(own, query))
        return "state must be healthy, rateLimited or unhealthy.";
    return NULL;
}

_Static_assert(HEALTH_KEYS_MAX == 10000, "as said above");

void health_answer(struct own_request *own)
{
    struct health_query query = health_query_all();
    const char *wrong = read_query(own, &query);
    struct report *report = wrong ? NULL : calloc(1, sizeof *report);

    if (!report) {
        if (wrong)
            own_reply_error(own, 400, "invalid_query", "%s", wrong);
        else
            own_reply_error(own, 503, "out_of_memory", "The gateway is out of memory; try again.");
        return;
    }
    report->query = query;
    own->state = report;
    own_background(own, make_report, reply_report);
}
