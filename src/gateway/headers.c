#include "gateway/headers.h"

#include "base/number.h"
#include "openai/hints.h"

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
    LOOK_SITE,       /* likewise */
    LOOK_TYPE,       /* passed; the gateway looks at the value */
    LOOK_TIMEOUT,
    LOOK_VIA,
    LOOK_WAIT,    /* passed when it tells a time */
    LOOK_WAIT_MS, /* likewise */
};

struct rule {
    struct slice name;
    enum fate up, down;
};

/* A row says its own length, and does not compile with a wrong one: the table is found by it. */
#define RULE(length, text, up, down)                                                               \
    {                                                                                              \
        {text, sizeof(text) - 1 + 0 * sizeof(char[sizeof(text) - 1 == (length) ? 1 : -1])}, up,    \
            down                                                                                   \
    }

/* Hop-by-hop fields: RFC 9110 §7.6.1. Framing and Date are made anew by net/server.c. Credentials,
 * cookies and the client's organisation never go up; what would bind the client to OpenAI's own
 * host never comes down. */
static const struct rule rules_2[] = {
    RULE(2, "te", DROP, DROP),
};
static const struct rule rules_3[] = {
    RULE(3, "via", LOOK_VIA, PASS),
};
static const struct rule rules_4[] = {
    RULE(4, "date", DROP, DROP),
    RULE(4, "host", NOTE_HOST, PASS),
};
static const struct rule rules_6[] = {
    RULE(6, "cookie", DROP, PASS),
    RULE(6, "expect", DROP, PASS),
    RULE(6, "origin", LOOK_ORIGIN, PASS),
};
static const struct rule rules_7[] = {
    RULE(7, "alt-svc", PASS, DROP),         RULE(7, "trailer", DROP, DROP),
    RULE(7, "referer", DROP, PASS),         RULE(7, "upgrade", DROP, DROP),
    RULE(7, "api-key", NOTE_API_KEY, DROP),
};
static const struct rule rules_9[] = {
    RULE(9, "forwarded", DROP, PASS),
    RULE(9, "x-real-ip", DROP, PASS),
    RULE(9, "x-api-key", DROP, PASS),
};
static const struct rule rules_10[] = {
    RULE(10, "connection", NOTE_CONNECTION, NOTE_CONNECTION),
    RULE(10, "keep-alive", DROP, DROP),
    RULE(10, "set-cookie", PASS, DROP),
};
static const struct rule rules_11[] = {
    RULE(11, "retry-after", PASS, LOOK_WAIT),
};
static const struct rule rules_12[] = {
    RULE(12, "content-type", LOOK_TYPE, PASS),
};
static const struct rule rules_13[] = {
    RULE(13, "authorization", NOTE_AUTHORIZATION, DROP),
};
static const struct rule rules_14[] = {
    RULE(14, "content-length", DROP, DROP),         RULE(14, "http2-settings", DROP, PASS),
    RULE(14, "openai-project", DROP, PASS),         RULE(14, "x-sparekey-key", DROP, DROP),
    RULE(14, "sec-fetch-site", LOOK_SITE, PASS),    RULE(14, "x-goog-api-key", DROP, PASS),
    RULE(14, "retry-after-ms", PASS, LOOK_WAIT_MS),
};
static const struct rule rules_15[] = {
    RULE(15, "accept-encoding", DROP, PASS),
};
static const struct rule rules_16[] = {
    RULE(16, "proxy-connection", DROP, DROP),
    RULE(16, "x-sparekey-trail", DROP, DROP),
};
static const struct rule rules_17[] = {
    RULE(17, "transfer-encoding", DROP, DROP),
};
static const struct rule rules_18[] = {
    RULE(18, "proxy-authenticate", DROP, DROP),
};
static const struct rule rules_19[] = {
    RULE(19, "proxy-authorization", DROP, DROP),
    RULE(19, "openai-organization", DROP, PASS),
    RULE(19, "x-sparekey-attempts", DROP, DROP),
    RULE(19, "x-stainless-timeout", LOOK_TIMEOUT, PASS),
};
static const struct rule rules_22[] = {
    RULE(22, "sec-websocket-protocol", DROP, PASS), /* browsers put a key there */
};
static const struct rule rules_24[] = {
    RULE(24, "x-stainless-read-timeout", LOOK_TIMEOUT, PASS),
};
static const struct rule rules_25[] = {
    RULE(25, "strict-transport-security", PASS, DROP),
};

/* Fields of one length; a field is compared with these few only. */
struct rules {
    const struct rule *rows;
    size_t count;
};

#define RULES(length) [length] = {rules_##length, sizeof rules_##length / sizeof rules_##length[0]}

static const struct rules rules_by_length[] = {
    RULES(2),  RULES(3),  RULES(4),  RULES(6),  RULES(7),  RULES(9),  RULES(10),
    RULES(11), RULES(12), RULES(13), RULES(14), RULES(15), RULES(16), RULES(17),
    RULES(18), RULES(19), RULES(22), RULES(24), RULES(25),
};

static const struct rule *rule_of(struct slice name)
{
    if (name.len >= sizeof rules_by_length / sizeof rules_by_length[0])
        return NULL;
    const struct rules *rules = &rules_by_length[name.len];
    for (size_t i = 0; i < rules->count; i++) {
        if (slice_ieq(rules->rows[i].name, name))
            return &rules->rows[i];
    }
    return NULL;
}

static bool begins_with(struct slice name, struct slice prefix)
{
    return name.len >= prefix.len && slice_ieq(slice_of(name.ptr, prefix.len), prefix);
}

/* Fields without a rule pass, but for two families known by their beginning. */
static bool family_passes_up(struct slice name)
{
    return !begins_with(name, SLICE("x-forwarded-")) && !begins_with(name, SLICE("proxy-"));
}

static bool family_passes_down(struct slice name)
{
    return !begins_with(name, SLICE("proxy-"));
}

static bool is_connection(struct slice name)
{
    return slice_ieq(name, SLICE("connection"));
}

/* What copying the fields of a head needs to know beforehand. */
struct survey {
    size_t bytes;      /* of all their lines */
    bool names_fields; /* some Connection field does; by far the most frequent values do not */
};

static struct survey survey_of(const struct http_head *head)
{
    struct survey survey = {0, false};

    for (size_t i = 0; i < head->field_count; i++) {
        const struct http_field *field = &head->fields[i];
        survey.bytes += field->name.len + field->value.len + 4;
        survey.names_fields |= is_connection(field->name) &&
                               !slice_ieq(field->value, SLICE("keep-alive")) &&
                               !slice_ieq(field->value, SLICE("close"));
    }
    return survey;
}

/* Whether a Connection field of this head names the field. */
static bool named_by_connection(const struct http_head *head, struct slice name)
{
    for (size_t i = 0; i < head->field_count; i++) {
        struct slice options = head->fields[i].value, item;
        while (is_connection(head->fields[i].name) && slice_next_item(&options, ',', &item)) {
            if (slice_ieq(item, name))
                return true;
        }
    }
    return false;
}

static char *put(char *at, struct slice s)
{
    if (s.len)
        memcpy(at, s.ptr, s.len);
    return at + s.len;
}

/* Lines on their way to a buffer that has room for them. Those that go out as they came, one behind
 * another, are copied together: a head is a few such runs, not some twenty fields. */
struct lines {
    char *at;         /* where the next byte goes */
    struct slice run; /* not copied yet */
};

static void end_run(struct lines *lines)
{
    lines->at = put(lines->at, lines->run);
    lines->run.len = 0;
}

/* Whether the field stands in memory as the line that goes out: "name: value\r\n". */
static bool is_verbatim(const struct http_field *field)
{
    const char *colon = field->name.ptr + field->name.len;
    return field->value.ptr == colon + 2 && colon[0] == ':' && colon[1] == ' ' &&
           field->value.ptr[field->value.len] == '\r';
}

static void pass_field(struct lines *lines, const struct http_field *field)
{
    if (is_verbatim(field)) {
        size_t len = field->name.len + field->value.len + 4;
        if (!lines->run.len || lines->run.ptr + lines->run.len != field->name.ptr) {
            end_run(lines);
            lines->run.ptr = field->name.ptr;
        }
        lines->run.len += len;
        return;
    }
    end_run(lines);
    lines->at = put(lines->at, field->name);
    lines->at = put(lines->at, SLICE(": "));
    lines->at = put(lines->at, field->value);
    lines->at = put(lines->at, SLICE("\r\n"));
}

static struct lines lines_into(const struct buffer *out)
{
    return (struct lines){out->data + out->len, {NULL, 0}};
}

static void end_lines(struct lines *lines, struct buffer *out)
{
    end_run(lines);
    out->len = (size_t)(lines->at - out->data);
}

void headers_drop_line(struct buffer *lines, struct slice name)
{
    size_t from = 0, kept = 0;

    while (from < lines->len) {
        struct slice rest = slice_of(lines->data + from, lines->len - from);
        const char *lf = memchr(rest.ptr, '\n', rest.len);
        size_t len = lf ? (size_t)(lf - rest.ptr) + 1 : rest.len;
        if (!(begins_with(rest, name) && rest.len > name.len && rest.ptr[name.len] == ':')) {
            memmove(lines->data + kept, rest.ptr, len);
            kept += len;
        }
        from += len;
    }
    lines->len = kept;
}

bool headers_say_encoded(struct slice lines)
{
    struct slice line, name;

    while (slice_next_item(&lines, '\n', &line)) {
        struct slice value = line;
        if (line.len && line.ptr[line.len - 1] == '\r')
            value.len--;
        if (slice_next_item(&value, ':', &name) && slice_ieq(name, SLICE("content-encoding")) &&
            !slice_ieq(slice_trim(value), SLICE("identity")))
            return true;
    }
    return false;
}

static void note_timeout(struct slice value, struct request_facts *facts)
{
    uint64_t millionths;
    if (number_parse_decimal(value, (uint64_t)TIMEOUT_MAX_S * 1000000, &millionths) == STATUS_OK &&
        millionths)
        facts->timeout_ms = (int64_t)((millionths + 999) / 1000); /* never 0: that is no timeout */
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
    case LOOK_SITE: facts->fetch_site = value; return false;
    case LOOK_TYPE: facts->content_type = value; return true;
    case LOOK_TIMEOUT: note_timeout(value, facts); return true;
    case LOOK_VIA: note_via(value, via, facts); return true;
    case LOOK_WAIT:
    case LOOK_WAIT_MS: return true; /* an answer's business */
    }
    return false;
}

enum status headers_upstream(const struct http_head *head, struct slice via, struct buffer *out,
                             struct request_facts *ret_facts)
{
    static const struct slice ours = SLICE("accept-encoding: identity\r\nvia: 1.1 ");
    struct survey survey = survey_of(head);
    size_t room = survey.bytes + ours.len + via.len + 2;
    enum status status = buffer_reserve(out, room, FIELDS_MAX + out->len);

    *ret_facts = (struct request_facts){.timeout_ms = -1};
    if (status != STATUS_OK)
        return status;
    struct lines lines = lines_into(out);
    for (size_t i = 0; i < head->field_count; i++) {
        const struct http_field *field = &head->fields[i];
        const struct rule *rule = rule_of(field->name);
        bool pass =
            rule ? examine(rule->up, field->value, via, ret_facts) : family_passes_up(field->name);
        if (pass && !(survey.names_fields && named_by_connection(head, field->name)))
            pass_field(&lines, field);
    }
    end_run(&lines);
    lines.at = put(lines.at, ours);
    lines.at = put(lines.at, via);
    lines.at = put(lines.at, SLICE("\r\n"));
    end_lines(&lines, out);
    return STATUS_OK;
}

/* A wait that is none ("-1", "nan") would be read as one by some client. */
static bool comes_down(const struct http_field *field)
{
    const struct rule *rule = rule_of(field->name);

    if (!rule)
        return family_passes_down(field->name);
    if (rule->down == LOOK_WAIT || rule->down == LOOK_WAIT_MS)
        return retry_after_readable(field->value, rule->down == LOOK_WAIT_MS);
    return rule->down == PASS;
}

enum status headers_downstream(const struct http_head *head, struct buffer *out)
{
    struct survey survey = survey_of(head);
    enum status status = buffer_reserve(out, survey.bytes, FIELDS_MAX + out->len);

    if (status != STATUS_OK)
        return status;
    struct lines lines = lines_into(out);
    for (size_t i = 0; i < head->field_count; i++) {
        const struct http_field *field = &head->fields[i];
        if (comes_down(field) && !(survey.names_fields && named_by_connection(head, field->name)))
            pass_field(&lines, field);
    }
    end_lines(&lines, out);
    return STATUS_OK;
}
