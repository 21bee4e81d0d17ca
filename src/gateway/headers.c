#include "gateway/headers.h"

#include "base/number.h"

enum {
    FIELDS_MAX = HTTP_HEAD_MAX + 4096, /* what a head may become after our additions */
    TIMEOUT_MAX_S = 86400,
};

/* What becomes of a field. */
enum fate {
    PASS,
    DROP,
    NOTE_AUTHORIZATION, /* dropped; the gateway looks at the value */
    NOTE_API_KEY,
    NOTE_HOST,
    NOTE_CONNECTION, /* dropped, and so is every field it names */
    LOOK_ORIGIN,     /* dropped: a browser's business with us */
    LOOK_TYPE,       /* passed; the gateway looks at the value */
    LOOK_TIMEOUT,
    LOOK_VIA,
};

struct rule {
    struct slice name;
    enum fate up, down;
};

#define RULE(text, up, down)                                                                       \
    {                                                                                              \
        {text, sizeof(text) - 1}, up, down                                                         \
    }

/* Sorted by length, so that a field is compared with few of them. Hop-by-hop fields: RFC 9110
 * §7.6.1. Framing and Date are made anew by net/server.c. Credentials, cookies and the client's
 * organisation never go up; what would bind the client to OpenAI's own host never comes down. */
static const struct rule rules[] = {
    RULE("te", DROP, DROP),
    RULE("via", LOOK_VIA, PASS),
    RULE("date", DROP, DROP),
    RULE("host", NOTE_HOST, PASS),
    RULE("cookie", DROP, PASS),
    RULE("expect", DROP, PASS),
    RULE("origin", LOOK_ORIGIN, PASS),
    RULE("alt-svc", PASS, DROP),
    RULE("trailer", DROP, DROP),
    RULE("referer", DROP, PASS),
    RULE("upgrade", DROP, DROP),
    RULE("api-key", NOTE_API_KEY, DROP),
    RULE("forwarded", DROP, PASS),
    RULE("x-real-ip", DROP, PASS),
    RULE("x-api-key", DROP, PASS),
    RULE("connection", NOTE_CONNECTION, NOTE_CONNECTION),
    RULE("keep-alive", DROP, DROP),
    RULE("set-cookie", PASS, DROP),
    RULE("content-type", LOOK_TYPE, PASS),
    RULE("authorization", NOTE_AUTHORIZATION, DROP),
    RULE("content-length", DROP, DROP),
    RULE("http2-settings", DROP, PASS),
    RULE("openai-project", DROP, PASS),
    RULE("accept-encoding", DROP, PASS),
    RULE("x-sparekey-key", DROP, DROP),
    RULE("proxy-connection", DROP, DROP),
    RULE("x-sparekey-trail", DROP, DROP),
    RULE("transfer-encoding", DROP, DROP),
    RULE("proxy-authenticate", DROP, DROP),
    RULE("proxy-authorization", DROP, DROP),
    RULE("openai-organization", DROP, PASS),
    RULE("x-sparekey-attempts", DROP, DROP),
    RULE("x-stainless-timeout", LOOK_TIMEOUT, PASS),
    RULE("x-stainless-read-timeout", LOOK_TIMEOUT, PASS),
    RULE("strict-transport-security", PASS, DROP),
};

#define LONGEST_RULE 25
_Static_assert(sizeof "strict-transport-security" - 1 == LONGEST_RULE, "longest name of the table");

static const struct rule *rule_of(struct slice name)
{
    if (name.len > LONGEST_RULE)
        return NULL;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (rules[i].name.len < name.len)
            continue;
        if (rules[i].name.len > name.len)
            return NULL;
        /* The last letter tells most names of one length apart. */
        if ((rules[i].name.ptr[name.len - 1] | 0x20) == (name.ptr[name.len - 1] | 0x20) &&
            slice_ieq(rules[i].name, name))
            return &rules[i];
    }
    return NULL;
}

/* A family dropped by its prefix, in both directions' tables. */
static bool forwarded_family(struct slice name)
{
    static const struct slice prefix = {"x-forwarded-", 12};
    return name.len > prefix.len && slice_ieq(slice_of(name.ptr, prefix.len), prefix);
}

/* Whether a Connection field of this head names the field. */
static bool named_by_connection(struct slice connection, struct slice name)
{
    struct slice item;
    while (slice_next_item(&connection, ',', &item)) {
        if (slice_ieq(item, name))
            return true;
    }
    return false;
}

static struct slice connection_options(const struct http_head *head)
{
    struct slice value = http_head_get(head, SLICE("connection"));
    /* By far the most frequent values name no field. */
    if (slice_ieq(value, SLICE("keep-alive")) || slice_ieq(value, SLICE("close")))
        return slice_of(NULL, 0);
    return value;
}

static char *put(char *at, struct slice s)
{
    if (s.len)
        memcpy(at, s.ptr, s.len);
    return at + s.len;
}

/* The buffer has room for every field: headers_room made it. */
static void append_field(struct buffer *out, const struct http_field *field)
{
    char *at = out->data + out->len;
    at = put(at, field->name);
    at = put(at, SLICE(": "));
    at = put(at, field->value);
    at = put(at, SLICE("\r\n"));
    out->len = (size_t)(at - out->data);
}

static enum status headers_room(const struct http_head *head, struct buffer *out, size_t extra)
{
    size_t need = extra;
    for (size_t i = 0; i < head->field_count; i++)
        need += head->fields[i].name.len + head->fields[i].value.len + 4;
    return buffer_reserve(out, need, FIELDS_MAX + out->len);
}

static void note_timeout(struct slice value, struct request_facts *facts)
{
    uint64_t millionths;
    if (number_parse_decimal(value, (uint64_t)TIMEOUT_MAX_S * 1000000, &millionths) == STATUS_OK &&
        millionths)
        facts->timeout_ms = (int64_t)(millionths / 1000);
}

static void note_via(struct slice value, struct slice via, struct request_facts *facts)
{
    if (slice_contains_nocase(value, via))
        facts->loop = true;
}

/* Looks at a field for the gateway's own sake; true when it may also go upstream. */
static bool examine(enum fate fate, struct slice value, struct slice via,
                    struct request_facts *facts)
{
    switch (fate) {
    case PASS: return true;
    case DROP: return false;
    case NOTE_CONNECTION: return false;
    case NOTE_AUTHORIZATION: facts->authorization = value; return false;
    case NOTE_API_KEY: facts->api_key = value; return false;
    case NOTE_HOST:
        facts->host = value;
        facts->has_host = true;
        facts->host_count++;
        return false;
    case LOOK_ORIGIN: facts->origin = value; return false;
    case LOOK_TYPE: facts->content_type = value; return true;
    case LOOK_TIMEOUT: note_timeout(value, facts); return true;
    case LOOK_VIA: note_via(value, via, facts); return true;
    }
    return false;
}

enum status headers_upstream(const struct http_head *head, struct slice via, struct buffer *out,
                             struct request_facts *ret_facts)
{
    struct slice named = connection_options(head);
    enum status status = headers_room(head, out, via.len + 64);

    *ret_facts = (struct request_facts){.timeout_ms = -1};
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < head->field_count; i++) {
        const struct http_field *field = &head->fields[i];
        const struct rule *rule = rule_of(field->name);
        bool pass =
            rule ? examine(rule->up, field->value, via, ret_facts) : !forwarded_family(field->name);
        if (pass && !(named.len && named_by_connection(named, field->name)))
            append_field(out, field);
    }
    append_field(out, &(struct http_field){SLICE("accept-encoding"), SLICE("identity")});
    char *at = put(out->data + out->len, SLICE("via: 1.1 "));
    at = put(at, via);
    at = put(at, SLICE("\r\n"));
    out->len = (size_t)(at - out->data);
    return STATUS_OK;
}

enum status headers_downstream(const struct http_head *head, struct buffer *out)
{
    struct slice named = connection_options(head);
    enum status status = headers_room(head, out, 0);

    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < head->field_count; i++) {
        const struct http_field *field = &head->fields[i];
        const struct rule *rule = rule_of(field->name);
        if ((!rule || rule->down == PASS) &&
            !(named.len && named_by_connection(named, field->name)))
            append_field(out, field);
    }
    return STATUS_OK;
}
