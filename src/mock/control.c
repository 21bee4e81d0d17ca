#include "mock/control.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "mock/errors.h"

enum { TARGET_MAX = 65536, PARAM_MAX = 600 };

struct control {
    struct mock *mock;
    struct server server;
    char host[64];
    struct list waiters; /* requests on /journal/wait */
};

/* One request at the control port; a waiter lives until its count is reached. */
struct control_request {
    struct control *control;
    struct server_conn *conn;
    struct buffer method, target, body;
    bool too_large;
    /* a waiter's */
    struct list node;
    struct wheel_timer timer;
    struct journal_filter filter;
    char key[PARAM_MAX], path[PARAM_MAX], model[PARAM_MAX];
    int64_t count, wanted;
};

static void free_request(struct control_request *r)
{
    net_timer_stop(r->control->mock->loop, &r->timer);
    list_remove(&r->node);
    buffer_clear(&r->method);
    buffer_clear(&r->target);
    buffer_clear(&r->body);
    free(r);
}

/* Takes `json`. The request is over after it. */
static void answer(struct control_request *r, int status, json_t *json)
{
    struct server_conn *conn = r->conn;
    char *text = json ? json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

    json_decref(json);
    conn->user = NULL;
    free_request(r);
    if (text)
        server_reply(conn, status, SLICE("content-type: application/json\r\n"), slice_str(text));
    else
        server_reply(conn, 500, SLICE("content-type: application/json\r\n"),
                     SLICE("{\"error\":\"out of memory\"}"));
    free(text);
}

static void answer_problem(struct control_request *r, const struct problem *problem)
{
    answer(r, 400, json_pack("{s:s, s:s}", "error", problem->message, "name", problem->member));
}

static void answer_wrong(struct control_request *r, int status, const char *message)
{
    answer(r, status, json_pack("{s:s}", "error", message));
}

/* --- the query string --- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decodes, cut to fit; a plus sign stays one (keys may hold it). */
static void decode(struct slice text, char *out, size_t size)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len && len + 1 < size; i++) {
        char c = text.ptr[i];
        if (c == '%' && i + 2 < text.len && hex_digit(text.ptr[i + 1]) >= 0 &&
            hex_digit(text.ptr[i + 2]) >= 0) {
            c = (char)(hex_digit(text.ptr[i + 1]) * 16 + hex_digit(text.ptr[i + 2]));
            i += 2;
        }
        out[len++] = c;
    }
    out[len] = '\0';
}

static struct slice path_of(const struct control_request *r)
{
    const char *mark = memchr(r->target.data, '?', r->target.len);
    return slice_of(r->target.data, mark ? (size_t)(mark - r->target.data) : r->target.len);
}

static bool param(const struct control_request *r, const char *name, char *out, size_t size)
{
    struct slice rest = slice_from(buffer_slice(&r->target), path_of(r).len + 1), item;

    out[0] = '\0';
    while (slice_next_item(&rest, '&', &item)) {
        size_t len = strlen(name);
        if (item.len > len && item.ptr[len] == '=' &&
            slice_eq(slice_of(item.ptr, len), slice_str(name))) {
            decode(slice_from(item, len + 1), out, size);
            return true;
        }
    }
    return false;
}

/* Absent: `otherwise`. False: not a number. */
static bool param_number(const struct control_request *r, const char *name, uint64_t max,
                         uint64_t otherwise, uint64_t *ret)
{
    char text[32];
    *ret = otherwise;
    return !param(r, name, text, sizeof(text)) ||
           number_parse(slice_str(text), max, ret) == STATUS_OK;
}

static bool read_state(const struct control_request *r, unsigned otherwise, unsigned *ret)
{
    static const struct {
        const char *name;
        unsigned states;
    } names[] = {
        {"arriving", 1u << JOURNAL_ARRIVING}, {"open", 1u << JOURNAL_OPEN | 1u << JOURNAL_STALLED},
        {"stalled", 1u << JOURNAL_STALLED},   {"done", 1u << JOURNAL_DONE},
        {"arrived", JOURNAL_ARRIVED},
    };
    char text[16];

    *ret = otherwise;
    if (!param(r, "state", text, sizeof(text)))
        return true;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i].name, text) == 0) {
            *ret = names[i].states;
            return true;
        }
    }
    return false;
}

static bool read_filter(struct control_request *r, unsigned states)
{
    param(r, "key", r->key, sizeof(r->key));
    param(r, "path", r->path, sizeof(r->path));
    param(r, "model", r->model, sizeof(r->model));
    r->filter.key = slice_str(r->key);
    r->filter.path = slice_str(r->path);
    r->filter.model = slice_str(r->model);
    return param_number(r, "since", UINT64_MAX, 0, &r->filter.since) &&
           read_state(r, states, &r->filter.states);
}

static json_t *body_json(const struct control_request *r, struct problem *problem)
{
    json_error_t error;
    /* No body is an empty object: POST /reset, POST /release. */
    if (r->body.len == 0)
        return json_object();
    json_t *json = json_loadb(r->body.data, r->body.len, JSON_REJECT_DUPLICATES, &error);
    if (!json)
        problem_set(problem, NULL, "", "not JSON: %s", error.text);
    return json;
}

/* --- settings --- */

static void key_route(struct control_request *r, struct slice encoded)
{
    char text[KEY_TEXT_MAX + 1];
    struct problem problem = {0};
    struct keyring *ring = &r->control->mock->ring;

    decode(encoded, text, sizeof(text));
    struct slice key = slice_str(text);
    if (slice_eq(buffer_slice(&r->method), SLICE("GET"))) {
        const struct mock_key *found = keyring_find(ring, key);
        if (found)
            answer(r, 200, key_json(found));
        else
            answer_wrong(r, 404, "this key is not known");
        return;
    }
    json_t *json = body_json(r, &problem);
    bool good = json && keyring_put(ring, key, json, &problem);
    json_decref(json);
    if (good)
        answer(r, 200, key_json(keyring_find(ring, key)));
    else
        answer_problem(r, &problem);
}

static void put_default(struct control_request *r)
{
    struct problem problem = {0};
    json_t *json = body_json(r, &problem);
    bool good = json && keyring_set_default(&r->control->mock->ring, json, &problem);
    json_decref(json);
    if (good)
        answer(r, 200, json_object());
    else
        answer_problem(r, &problem);
}

static void put_models(struct control_request *r)
{
    struct problem problem = {0};
    json_t *json = body_json(r, &problem);
    bool good = json && keyring_set_models(&r->control->mock->ring, json, &problem);
    json_decref(json);
    if (good)
        answer(r, 200, json_object());
    else
        answer_problem(r, &problem);
}

static void post_faults(struct control_request *r)
{
    struct problem problem = {0};
    struct keyring *ring = &r->control->mock->ring;
    json_t *json = body_json(r, &problem);
    json_t *list = json_is_array(json) ? json_incref(json) : json ? json_pack("[O]", json) : NULL;
    struct list fresh;

    list_init(&fresh);
    bool good = list && faults_read(list, &fresh, &ring->next_fault_id, &problem);
    json_decref(list);
    json_decref(json);
    if (!good) {
        answer_problem(r, &problem);
        return;
    }
    json_t *told = faults_json(&fresh);
    while (!list_empty(&fresh)) {
        struct list *node = fresh.next;
        list_remove(node);
        list_append(&ring->faults, node);
    }
    answer(r, 200, told);
}

/* Those that name the key, or all when it is empty. */
static void drop_faults(struct list *list, const char *key)
{
    struct list *next;
    for (struct list *l = list->next; l != list; l = next) {
        struct fault *fault = container_of(l, struct fault, node);
        next = l->next;
        if (key[0] == '\0' || strcmp(fault->key, key) == 0)
            fault_free(fault);
    }
}

static void delete_faults(struct control_request *r)
{
    struct keyring *ring = &r->control->mock->ring;
    char key[KEY_TEXT_MAX + 1];

    param(r, "key", key, sizeof(key));
    drop_faults(&ring->faults, key);
    for (struct list *l = ring->keys.next; l != &ring->keys; l = l->next) {
        struct mock_key *owner = container_of(l, struct mock_key, node);
        if (key[0] == '\0' || strcmp(owner->key, key) == 0)
            drop_faults(&owner->faults, "");
    }
    answer(r, 200, json_object());
}

struct listener_order {
    int64_t for_ms;
    bool open, drop;
};

static void post_listener(struct control_request *r)
{
    static const struct field fields[] = {
        {"open", FIELD_BOOL, offsetof(struct listener_order, open), 0, NULL, "true or false"},
        {"drop", FIELD_BOOL, offsetof(struct listener_order, drop), 0, NULL, "true or false"},
        {"for_ms", FIELD_INTEGER, offsetof(struct listener_order, for_ms), 86400000, NULL,
         "milliseconds"},
    };
    struct listener_order order = {.open = true};
    struct problem problem = {0};
    struct mock *mock = r->control->mock;

    json_t *json = body_json(r, &problem);
    bool good =
        json && fields_read(fields, sizeof(fields) / sizeof(fields[0]), json, &order, &problem);
    json_decref(json);
    if (!good) {
        answer_problem(r, &problem);
        return;
    }
    enum status status = mock_listen(mock, order.open, order.drop, order.for_ms);
    if (status == STATUS_OK)
        answer(r, 200, json_pack("{s:b}", "open", (int)mock->listening));
    else
        answer_wrong(r, 409, status_text(status));
}

static void post_release(struct control_request *r)
{
    struct problem problem = {0};
    json_t *json = body_json(r, &problem);
    if (!json) {
        answer_problem(r, &problem);
        return;
    }
    const json_t *key = json_object_get(json, "key");
    json_int_t n = json_integer_value(json_object_get(json, "n"));
    unsigned released =
        mock_release(r->control->mock, slice_of(json_string_value(key), json_string_length(key)),
                     n > 0 ? (uint64_t)n : 0);
    json_decref(json);
    answer(r, 200, json_pack("{s:i}", "released", (int)released));
}

static void post_reset(struct control_request *r)
{
    struct mock *mock = r->control->mock;

    journal_clear(&mock->journal);
    bucket_set_refill(&mock->buckets);
    mock->ring.unknown = (struct tally){0};
    for (struct list *l = mock->ring.keys.next; l != &mock->ring.keys; l = l->next)
        container_of(l, struct mock_key, node)->tally = (struct tally){0};
    answer(r, 200, json_object());
}

/* --- reading --- */

static void get_journal(struct control_request *r)
{
    uint64_t limit;
    if (!read_filter(r, ~0u) ||
        !param_number(r, "limit", CONTROL_JOURNAL_LIMIT, CONTROL_JOURNAL_LIMIT, &limit))
        answer_wrong(
            r, 400,
            "since and limit are numbers; state is arriving, open, stalled, done or arrived");
    else
        answer(r, 200, journal_json(&r->control->mock->journal, &r->filter, (size_t)limit));
}

static void delete_journal(struct control_request *r)
{
    journal_clear(&r->control->mock->journal);
    answer(r, 200, json_object());
}

static void answer_waiter(struct control_request *r)
{
    const struct journal *journal = &r->control->mock->journal;
    answer(r, 200,
           json_pack("{s:b, s:I, s:I}", "reached", r->count >= r->wanted, "count",
                     (json_int_t)r->count, "last", (json_int_t)(journal->next - 1)));
}

static void wait_over(struct wheel_timer *timer)
{
    answer_waiter(container_of(timer, struct control_request, timer));
}

static void wait_journal(struct control_request *r)
{
    uint64_t wanted, timeout_ms;
    if (!read_filter(r, JOURNAL_ARRIVED) || !param_number(r, "count", INT32_MAX, 1, &wanted) ||
        !param_number(r, "timeout_ms", CONTROL_WAIT_MAX_MS, 10000, &timeout_ms)) {
        answer_wrong(r, 400,
                     "count, timeout_ms (up to 600000) and since are numbers; state is "
                     "arriving, open, stalled, done or arrived");
        return;
    }
    r->wanted = (int64_t)wanted;
    r->count = (int64_t)journal_count(&r->control->mock->journal, &r->filter);
    if (r->count >= r->wanted || timeout_ms == 0) {
        answer_waiter(r);
        return;
    }
    list_append(&r->control->waiters, &r->node);
    net_timer_start(r->control->mock->loop, &r->timer, (int64_t)timeout_ms);
}

/* A request has moved: whoever counts it hears of it. The answer is left to the loop's next turn
 * (a timer of no length), because this is called from the middle of an exchange. */
static void journal_moved(struct journal *journal, const struct journal_entry *entry,
                          enum journal_state from, enum journal_state to)
{
    struct control *control = journal->user;

    for (struct list *l = control->waiters.next; l != &control->waiters; l = l->next) {
        struct control_request *r = container_of(l, struct control_request, node);
        if (r->count >= r->wanted)
            continue; /* its answer is on the way */
        r->count += journal_matches(&r->filter, entry, to);
        r->count -= journal_matches(&r->filter, entry, from);
        if (r->count >= r->wanted)
            net_timer_start(control->mock->loop, &r->timer, 0);
    }
}

static void get_counters(struct control_request *r)
{
    const struct mock *mock = r->control->mock;
    json_t *keys = json_object();
    uint64_t total = mock->ring.unknown.requests;

    for (const struct list *l = mock->ring.keys.next; l != &mock->ring.keys; l = l->next) {
        const struct mock_key *key = container_of(l, struct mock_key, node);
        total += key->tally.requests;
        json_object_set_new(keys, key->key, tally_json(&key->tally));
    }
    answer(r, 200,
           json_pack("{s:I, s:o, s:o, s:I, s:I}", "total", (json_int_t)total, "keys", keys,
                     "unknown", tally_json(&mock->ring.unknown), "connections",
                     (json_int_t)mock->server.accepted, "journal_dropped",
                     (json_int_t)mock->journal.dropped));
}

static json_t *fault_names(void)
{
    json_t *names = json_array();
    for (unsigned i = 0; i < FAULT_KINDS; i++)
        json_array_append_new(names, json_string(fault_kind_name((enum fault_kind)i)));
    return names;
}

static json_t *row_names(void)
{
    json_t *names = json_array();
    const char *name;
    for (unsigned i = 0; (name = error_row_name(i)); i++)
        json_array_append_new(names, json_string(name));
    return names;
}

static void get_state(struct control_request *r)
{
    const struct mock *mock = r->control->mock;
    json_t *json = keyring_json(&mock->ring);

    json_object_set_new(json, "listening", json_boolean(mock->listening));
    json_object_set_new(json, "connections", json_integer((json_int_t)mock->server.conn_count));
    json_object_set_new(json, "requests_open",
                        json_integer((json_int_t)mock->server.request_count));
    json_object_set_new(json, "fault_names", fault_names());
    json_object_set_new(json, "error_rows", row_names());
    answer(r, 200, json);
}

/* --- dispatch --- */

static const struct {
    const char *method, *path;
    void (*serve)(struct control_request *r);
} control_routes[] = {
    {"PUT", "/default", put_default},       {"PUT", "/models", put_models},
    {"POST", "/faults", post_faults},       {"DELETE", "/faults", delete_faults},
    {"POST", "/listener", post_listener},   {"POST", "/release", post_release},
    {"POST", "/reset", post_reset},         {"GET", "/journal", get_journal},
    {"DELETE", "/journal", delete_journal}, {"GET", "/journal/wait", wait_journal},
    {"GET", "/counters", get_counters},     {"GET", "/state", get_state},
};

static void dispatch(struct control_request *r)
{
    struct slice path = path_of(r), method = buffer_slice(&r->method);
    bool known = false;

    for (size_t i = 0; i < sizeof(control_routes) / sizeof(control_routes[0]); i++) {
        if (!slice_eq(path, slice_str(control_routes[i].path)))
            continue;
        if (slice_eq(method, slice_str(control_routes[i].method))) {
            control_routes[i].serve(r);
            return;
        }
        known = true;
    }
    if (slice_starts(path, SLICE("/keys/")) &&
        (slice_eq(method, SLICE("PUT")) || slice_eq(method, SLICE("GET"))))
        key_route(r, slice_from(path, strlen("/keys/")));
    else
        answer_wrong(r, known ? 405 : 404, "no such control route; docs/mock.md lists them");
}

static void on_head(struct server_conn *conn, const struct http_head *head)
{
    struct server *server = conn->server;
    struct control_request *r = calloc(1, sizeof(*r));

    if (r) {
        r->control = server->user;
        r->conn = conn;
        list_init(&r->node);
        wheel_timer_init(&r->timer, wait_over);
        if (buffer_append(&r->method, head->method, TARGET_MAX) == STATUS_OK &&
            buffer_append(&r->target, head->target, TARGET_MAX) == STATUS_OK) {
            conn->user = r;
            if (head->expect_continue)
                server_continue(conn);
            return;
        }
        free_request(r);
    }
    server_reply(conn, 503, SLICE("content-type: application/json\r\n"),
                 SLICE("{\"error\":\"out of memory\"}"));
}

static void on_body(struct server_conn *conn, const char *data, size_t len)
{
    struct control_request *r = conn->user;
    if (!r->too_large &&
        buffer_append(&r->body, slice_of(data, len), CONTROL_BODY_MAX) != STATUS_OK)
        r->too_large = true;
}

static void on_complete(struct server_conn *conn)
{
    struct control_request *r = conn->user;
    if (r->too_large)
        answer_wrong(r, 413, "larger than 16 MiB");
    else
        dispatch(r);
}

static void on_gone(struct server_conn *conn)
{
    struct control_request *r = conn->user;
    conn->user = NULL;
    if (r)
        free_request(r);
}

static void on_error(struct server *server, int status, const char *message, struct buffer *out)
{
    (void)server;
    (void)status;
    if (buffer_printf(out, 1024, "{\"error\":\"%s\"}", message) != STATUS_OK)
        out->len = 0;
}

static const struct server_ops control_ops = {
    .head = on_head, .body = on_body, .complete = on_complete, .gone = on_gone, .error = on_error};

enum status control_new(struct mock *mock, const char *host, uint16_t port,
                        struct control **ret_control)
{
    static const struct server_limits limits = {
        .head_timeout_ms = 60000,
        .body_timeout_ms = 60000,
        .keepalive_timeout_ms = 600000,
        .max_connections = 1024,
    };
    struct control *control = calloc(1, sizeof(*control));
    if (!control)
        return STATUS_NO_MEMORY;
    control->mock = mock;
    list_init(&control->waiters);
    slice_copy(slice_str(host), control->host, sizeof(control->host));
    server_init(&control->server, mock->loop, &control_ops, &limits, NULL, control);
    enum status status = server_listen(&control->server, host, port);
    if (status != STATUS_OK) {
        free(control);
        return status;
    }
    mock->journal.moved = journal_moved;
    mock->journal.user = control;
    *ret_control = control;
    return STATUS_OK;
}

void control_url(const struct control *control, char *out, size_t size)
{
    bool v6 = strchr(control->host, ':') != NULL;
    snprintf(out, size, "http://%s%s%s:%u", v6 ? "[" : "", control->host, v6 ? "]" : "",
             server_port(&control->server));
}

void control_close(struct control *control)
{
    if (!control)
        return;
    server_unlisten(&control->server);
    server_close_all(&control->server);
}

void control_free(struct control *control)
{
    free(control);
}
