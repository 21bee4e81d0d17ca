#include "gateway/otlp.h"

#include <endian.h>
#include <string.h>

#include "base/slice.h"

/* Written for every request, so without a check for each piece: the caller has made room for the
 * longest, and each function returns where its bytes end. Lengths stand before what they measure and
 * are reckoned first; only a span's own is left open and filled in at its end. */

enum wire_type { VARINT = 0, FIXED64 = 1, BYTES = 2 };

enum {
    REQUEST_RESOURCE_SPANS = 1,
    RESOURCE_SPANS_RESOURCE = 1,
    RESOURCE_SPANS_SCOPE_SPANS = 2,
    RESOURCE_ATTRIBUTES = 1,
    SCOPE_SPANS_SCOPE = 1,
    SCOPE_SPANS_SPANS = 2,
    SCOPE_NAME = 1,
    SPAN_TRACE_ID = 1,
    SPAN_ID = 2,
    SPAN_PARENT_ID = 4,
    SPAN_NAME = 5,
    SPAN_KIND = 6,
    SPAN_START_TIME = 7,
    SPAN_END_TIME = 8,
    SPAN_ATTRIBUTES = 9,
    SPAN_STATUS = 15,
    STATUS_CODE = 3,
    STATUS_CODE_ERROR = 2, /* a value */
    KEY_VALUE_KEY = 1,
    KEY_VALUE_VALUE = 2,
    ANY_STRING = 1,
    ANY_INT = 3,
};

enum {
    OPEN_LENGTH_BYTES = 2, /* as a varint: less than 16384 */
    NAME_MAX_BYTES = 48,   /* of a family's or verdict's name */
};
_Static_assert(OTLP_SPAN_MAX < 1 << (7 * OPEN_LENGTH_BYTES), "a span's length fits its varint");

/* ---- protobuf ---------------------------------------------------------------------------- */

/* A field's number is below 16: its tag is one byte. */
static inline char *put_tag(char *p, unsigned field, enum wire_type type)
{
    *p = (char)(field << 3 | type);
    return p + 1;
}

static inline char *put_varint(char *p, uint64_t value)
{
    for (; value > 0x7f; value >>= 7)
        *p++ = (char)(value | 0x80);
    *p = (char)value;
    return p + 1;
}

static inline size_t varint_size(uint64_t value)
{
    return (size_t)(63 - __builtin_clzll(value | 1)) / 7 + 1;
}

/* Begins a field of so many bytes. */
static inline char *put_length(char *p, unsigned field, size_t len)
{
    return put_varint(put_tag(p, field, BYTES), len);
}

/* What such a field has in all. */
static inline size_t field_size(size_t len)
{
    return 1 + varint_size(len) + len;
}

static inline char *put(char *p, struct slice bytes)
{
    return (char *)memcpy(p, bytes.ptr, bytes.len) + bytes.len;
}

static inline char *put_bytes(char *p, unsigned field, struct slice bytes)
{
    return put(put_length(p, field, bytes.len), bytes);
}

static inline char *put_fixed64(char *p, unsigned field, uint64_t value)
{
    uint64_t bytes = htole64(value);

    return (char *)memcpy(put_tag(p, field, FIXED64), &bytes, sizeof bytes) + sizeof bytes;
}

/* ---- texts and attributes ---------------------------------------------------------------- */

static inline size_t attribute_size(size_t key_len, size_t value_len)
{
    return field_size(key_len) + field_size(value_len);
}

/* Up to its value's first byte. */
static inline char *begin_attribute(char *p, unsigned field, struct slice key, size_t value_len)
{
    p = put_length(p, field, attribute_size(key.len, value_len));
    return put_length(put_bytes(p, KEY_VALUE_KEY, key), KEY_VALUE_VALUE, value_len);
}

/* Up to its text, which is as long as this. */
static inline char *begin_text(char *p, unsigned field, struct slice key, size_t len)
{
    return put_length(begin_attribute(p, field, key, field_size(len)), ANY_STRING, len);
}

/* What a peer sent may be anything: bytes outside of printable ASCII become '?'. No branches, so that
 * many bytes are done at once. */
static inline char *put_plain(char *restrict p, const char *restrict value, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)value[i];
        bool plain = (c >= ' ') & (c < 0x7f);
        p[i] = (char)(plain ? c : '?');
    }
    return p + len;
}

/* A span's; an empty one is left out. */
static inline char *put_span_text(char *p, struct slice key, const char *value, size_t max)
{
    size_t len = strnlen(value, max);

    return len ? put_plain(begin_text(p, SPAN_ATTRIBUTES, key, len), value, len) : p;
}

/* Of our own tables. */
static inline struct slice name_of(const char *name)
{
    return slice_of(name, strnlen(name, NAME_MAX_BYTES));
}

static inline char *put_span_name(char *p, struct slice key, struct slice name)
{
    return put(begin_text(p, SPAN_ATTRIBUTES, key, name.len), name);
}

static inline char *put_span_number(char *p, struct slice key, uint64_t value)
{
    p = begin_attribute(p, SPAN_ATTRIBUTES, key, 1 + varint_size(value));
    return put_varint(put_tag(p, ANY_INT, VARINT), value);
}

/* ---- spans ------------------------------------------------------------------------------- */

static char *put_ids(char *p, const struct span *span)
{
    uint64_t ids[] = {htobe64(span->trace[0]), htobe64(span->trace[1]), htobe64(span->id),
                      htobe64(span->parent)};

    p = put_bytes(p, SPAN_TRACE_ID, slice_of((const char *)ids, 16));
    p = put_bytes(p, SPAN_ID, slice_of((const char *)(ids + 2), 8));
    return span->parent ? put_bytes(p, SPAN_PARENT_ID, slice_of((const char *)(ids + 3), 8)) : p;
}

static char *put_name(char *p, const struct span *span)
{
    struct slice before = span->kind == SPAN_CLIENT ? SLICE("attempt ") : SLICE("");
    struct slice family = name_of(span->family);

    p = put_length(p, SPAN_NAME, before.len + family.len);
    return put(put(p, before), family);
}

static char *put_server_attributes(char *p, const struct span *span)
{
    p = put_span_text(p, SLICE("http.request.method"), span->method, sizeof span->method);
    p = put_span_text(p, SLICE("url.path"), span->path, sizeof span->path);
    p = put_span_name(p, SLICE("sparekey.endpoint"), name_of(span->family));
    return put_span_number(p, SLICE("sparekey.attempts"), span->attempts);
}

static char *put_client_attributes(char *p, const struct span *span)
{
    p = put_span_text(p, SLICE("sparekey.key"), span->mask, sizeof span->mask);
    p = put_span_text(p, SLICE("sparekey.key.name"), span->key, sizeof span->key);
    p = put_span_name(p, SLICE("sparekey.verdict"), name_of(span->verdict));
    return put_span_text(p, SLICE("sparekey.upstream.request_id"), span->request_id,
                         sizeof span->request_id);
}

static char *put_attributes(char *p, const struct span *span)
{
    p = span->kind == SPAN_SERVER ? put_server_attributes(p, span) : put_client_attributes(p, span);
    return span->status ? put_span_number(p, SLICE("http.response.status_code"), span->status) : p;
}

static char *put_error(char *p)
{
    p = put_length(p, SPAN_STATUS, 2);
    return put_varint(put_tag(p, STATUS_CODE, VARINT), STATUS_CODE_ERROR);
}

size_t otlp_span(char out[OTLP_SPAN_MAX], const struct span *span)
{
    char *length = put_tag(out, SCOPE_SPANS_SPANS, BYTES), *first = length + OPEN_LENGTH_BYTES;
    char *p = put_name(put_ids(first, span), span);

    p = put_varint(put_tag(p, SPAN_KIND, VARINT), span->kind);
    p = put_fixed64(p, SPAN_START_TIME, (uint64_t)span->began_wall_ns);
    p = put_fixed64(p, SPAN_END_TIME, (uint64_t)span->ended_wall_ns);
    p = put_attributes(p, span);
    if (span->failed)
        p = put_error(p);
    size_t len = (size_t)(p - first);
    length[0] = (char)(len | 0x80);
    length[1] = (char)(len >> 7);
    return (size_t)(p - out);
}

size_t otlp_frame(char out[OTLP_FRAME_MAX], const char *service, size_t spans_bytes)
{
    const struct slice name = SLICE("service.name"), version = SLICE("service.version");
    const struct slice value = SLICE(SPAREKEY_VERSION), scope = SLICE("sparekey");
    size_t service_len = strnlen(service, OTLP_SERVICE_MAX);
    size_t resource = field_size(attribute_size(name.len, field_size(service_len))) +
                      field_size(attribute_size(version.len, field_size(value.len)));
    size_t spans = field_size(field_size(scope.len)) + spans_bytes;

    char *p = put_length(out, REQUEST_RESOURCE_SPANS, field_size(resource) + field_size(spans));
    p = put_length(p, RESOURCE_SPANS_RESOURCE, resource);
    p = put_plain(begin_text(p, RESOURCE_ATTRIBUTES, name, service_len), service, service_len);
    p = put(begin_text(p, RESOURCE_ATTRIBUTES, version, value.len), value);
    p = put_length(p, RESOURCE_SPANS_SCOPE_SPANS, spans);
    p = put_length(p, SCOPE_SPANS_SCOPE, field_size(scope.len));
    p = put_bytes(p, SCOPE_NAME, scope);
    return (size_t)(p - out);
}
