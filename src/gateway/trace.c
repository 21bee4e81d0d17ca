#include "gateway/trace.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/number.h"
#include "base/text.h"
#include "gateway/exchange_state.h"
#include "gateway/tracer.h"
#include "keyring/echo.h"

/* "00-" trace "-" span "-01" */
enum { TRACE_DIGITS = 32, SPAN_DIGITS = 16, PARENT_LEN = 3 + TRACE_DIGITS + 1 + SPAN_DIGITS + 3 };

struct trace {
    struct span request, attempt;
    size_t slot; /* where in the fields for the upstream the attempt's id stands */
};

static int64_t wall_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- traceparent ------------------------------------------------------------------------- */

/* Lower-case hexadecimal digits only. */
static bool read_hex(const char *digits, size_t len, uint64_t *ret)
{
    uint64_t value = 0;

    for (size_t i = 0; i < len; i++) {
        char c = digits[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
        value = value << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    *ret = value;
    return true;
}

/* A version to come may say more behind another dash; what stands here then means the same. */
static bool has_form(struct slice s, uint64_t version)
{
    return s.ptr[2] == '-' && s.ptr[35] == '-' && s.ptr[52] == '-' && version != 0xff &&
           (s.len == PARENT_LEN || (version > 0 && s.ptr[PARENT_LEN] == '-'));
}

bool trace_parse(struct slice s, struct trace_parent *ret)
{
    struct trace_parent parent;
    uint64_t version, flags;

    if (s.len < PARENT_LEN || !read_hex(s.ptr, 2, &version) || !has_form(s, version) ||
        !read_hex(s.ptr + 3, 16, &parent.trace[0]) || !read_hex(s.ptr + 19, 16, &parent.trace[1]) ||
        !read_hex(s.ptr + 36, 16, &parent.span) || !read_hex(s.ptr + 53, 2, &flags))
        return false;
    if ((parent.trace[0] | parent.trace[1]) == 0 || parent.span == 0)
        return false;
    parent.sampled = flags & 1;
    *ret = parent;
    return true;
}

/* How many there are; `*ret` is the first one's value. */
static size_t find_lines(const struct http_head *head, struct slice *ret)
{
    size_t count = 0;

    for (size_t i = 0; i < head->field_count; i++) {
        if (!slice_ieq(head->fields[i].name, SLICE("traceparent")))
            continue;
        if (count++ == 0)
            *ret = head->fields[i].value;
    }
    return count;
}

/* Takes the caller's line out of the fields for the upstream. */
static void remove_line(struct buffer *fields)
{
    static const char name[] = "\r\ntraceparent:";
    size_t len = sizeof name - 1;

    for (size_t i = 0; i + len <= fields->len; i++) {
        struct slice here = slice_of(fields->data + i, len);
        if (fields->data[i] != '\r' || !slice_ieq(here, slice_of(name, len)))
            continue;
        const char *end = memmem(fields->data + i + 2, fields->len - i - 2, "\r\n", 2);
        if (!end)
            return;
        memmove(fields->data + i, end, fields->len - (size_t)(end - fields->data));
        fields->len -= (size_t)(end - fields->data) - i;
        i--; /* there may be another */
    }
}

/* Puts ours there, its span's id still to be written. */
static bool add_line(struct buffer *fields, struct trace *trace)
{
    char line[] = "traceparent: 00-________________________________-________________-01\r\n";
    const size_t name = sizeof "traceparent: " - 1;

    number_format_hex(trace->request.trace[0], line + name + 3);
    number_format_hex(trace->request.trace[1], line + name + 19);
    trace->slot = fields->len + name + 36;
    return buffer_append(fields, slice_str(line), EXCHANGE_FIELDS_MAX) == STATUS_OK;
}

/* ---- spans ------------------------------------------------------------------------------- */

static void describe_request(const struct exchange *x, struct tracer *tracer,
                             const struct trace_parent *parent, struct span *span)
{
    struct slice target = buffer_slice(&x->ws->suffix);
    const char *query = target.len ? memchr(target.ptr, '?', target.len) : NULL;

    memset(span, 0, offsetof(struct span, method)); /* the texts behind are written whole */
    span->trace[0] = parent ? parent->trace[0] : tracer_id(tracer);
    span->trace[1] = parent ? parent->trace[1] : tracer_id(tracer);
    span->parent = parent ? parent->span : 0;
    span->id = tracer_id(tracer);
    span->kind = SPAN_SERVER;
    span->began_wall_ns = wall_ns();
    span->family = family_name(x->endpoint.family);
    if (query)
        target.len = (size_t)(query - target.ptr);
    (void)slice_copy(target, span->path, sizeof span->path);
    (void)slice_copy(slice_of(x->ws->method, x->ws->method_len), span->method, sizeof span->method);
}

void trace_begin(struct exchange *x, const struct http_head *head)
{
    struct tracer *tracer = x->worker->shared->tracer;
    struct trace_parent parent;
    struct slice value = {NULL, 0};
    size_t lines = find_lines(head, &value);
    bool known = lines && trace_parse(value, &parent);

    if (known && !parent.sampled)
        return;
    struct trace *trace = malloc(sizeof *trace);
    if (!trace)
        return;
    describe_request(x, tracer, known ? &parent : NULL, &trace->request);
    if (lines)
        remove_line(&x->ws->fields);
    if (add_line(&x->ws->fields, trace))
        x->meter.trace = trace;
    else
        free(trace);
}

void trace_send(struct exchange *x, const struct key_entry *entry)
{
    struct trace *trace = x->meter.trace;
    struct span *span = &trace->attempt;

    memset(span, 0, offsetof(struct span, mask));
    *span->request_id = '\0';
    memcpy(span->trace, trace->request.trace, sizeof span->trace);
    span->id = tracer_id(x->worker->shared->tracer);
    span->parent = trace->request.id;
    span->kind = SPAN_CLIENT;
    span->began_wall_ns = wall_ns();
    span->family = trace->request.family;
    (void)key_entry_mask(entry, span->mask);
    (void)key_entry_name(entry, span->key);
    number_format_hex(span->id, x->ws->fields.data + trace->slot);
    trace->request.attempts++;
}

/* That of a failure has been masked by attempt_report; what a success says may hold the key, too. */
static void take_request_id(const struct exchange *x, const struct evidence *evidence,
                            struct span *span)
{
    if (evidence) {
        (void)slice_copy(slice_str(evidence->request_id), span->request_id,
                         sizeof span->request_id);
    } else if (x->ws && x->key) {
        size_t len = slice_copy(slice_str(x->ws->hints.request_id), span->request_id,
                                sizeof span->request_id);
        echo_mask_cut(exchange_secret(x), span->request_id, len);
    }
}

void trace_judged(struct exchange *x, enum failure failure, const struct evidence *evidence)
{
    struct span *span = &x->meter.trace->attempt;

    span->ended_wall_ns = wall_ns();
    span->verdict = failure_name(failure);
    span->failed = failure != FAILURE_NONE && failure != FAILURE_ABANDONED;
    span->status = (uint16_t)(evidence && evidence->status ? evidence->status : x->status);
    take_request_id(x, evidence, span);
    tracer_add(x->worker->shared->tracer, span);
}

void trace_end(struct exchange *x)
{
    struct trace *trace = x->meter.trace;
    struct span *span = &trace->request;

    span->ended_wall_ns = wall_ns();
    span->status = x->meter.status;
    span->failed = span->status >= 500;
    tracer_add(x->worker->shared->tracer, span);
    free(trace);
    x->meter.trace = NULL;
}
