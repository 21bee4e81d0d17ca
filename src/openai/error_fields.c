#include "openai/json_scan.h"
#include "openai/verdict.h"

/* Reads an error out of a body with the scanner the request peek uses: unlike a document parser it
 * keeps what came before the place where a body was cut, or before a byte that is no UTF-8. */

/* Where a field was found; a better place overrules a lesser one whatever their order. */
enum place { PLACE_NONE, PLACE_FLAT, PLACE_RESPONSE, PLACE_ERROR };

enum member {
    MEMBER_OTHER,
    MEMBER_CODE,
    MEMBER_TYPE,
    MEMBER_PARAM,
    MEMBER_MESSAGE,
    MEMBER_ERROR,
    MEMBER_RESPONSE
};

enum { MEMBERS = 5 }; /* those that are read */

struct reader {
    struct error_fields *fields;
    unsigned base; /* 1 inside a top-level array */
    /* The last key seen at each level that matters, from the outside in. */
    enum member path[3];
    enum place best[MEMBERS];
    bool started;
};

static enum member find_member(const struct json_token *key)
{
    static const struct slice names[] = {
        [MEMBER_CODE] = SLICE("code"),   [MEMBER_TYPE] = SLICE("type"),
        [MEMBER_PARAM] = SLICE("param"), [MEMBER_MESSAGE] = SLICE("message"),
        [MEMBER_ERROR] = SLICE("error"), [MEMBER_RESPONSE] = SLICE("response"),
    };

    for (enum member m = MEMBER_CODE; m <= MEMBER_RESPONSE; m++) {
        if (!key->cut && slice_eq(key->text, names[m]))
            return m;
    }
    return MEMBER_OTHER;
}

static void store(struct reader *r, enum member member, enum place place,
                  const struct json_token *value)
{
    struct error_fields *f = r->fields;
    struct slice text = value->text;

    if (place < r->best[member])
        return;
    r->best[member] = place;
    if (value->event == SCAN_SCALAR && slice_eq(text, SLICE("null")))
        text = slice_of(NULL, 0);
    if (member == MEMBER_MESSAGE) {
        slice_copy(text, f->message, sizeof f->message);
        return;
    }
    char *out = member == MEMBER_CODE ? f->code : member == MEMBER_TYPE ? f->type : f->param;
    if (text.len >= sizeof f->code)
        text.len = 0; /* a cut code could be another one */
    slice_copy(text, out, sizeof f->code);
}

/* A string or scalar at `level` objects deep. */
static void read_value(struct reader *r, unsigned level, const struct json_token *value)
{
    enum member inner = level ? r->path[level - 1] : MEMBER_OTHER;
    bool fields = inner >= MEMBER_CODE && inner <= MEMBER_MESSAGE;

    if (level == 1 && inner == MEMBER_ERROR && value->event == SCAN_STRING)
        store(r, MEMBER_MESSAGE, PLACE_ERROR, value);
    else if (level == 1 && fields)
        store(r, inner, PLACE_FLAT, value);
    else if (level == 2 && fields && r->path[0] == MEMBER_ERROR)
        store(r, inner, PLACE_ERROR, value);
    else if (level == 3 && fields && r->path[0] == MEMBER_RESPONSE && r->path[1] == MEMBER_ERROR)
        store(r, inner, PLACE_RESPONSE, value);
}

static void on_token(void *ctx, const struct json_token *token)
{
    struct reader *r = ctx;

    if (!r->started) {
        r->started = true;
        r->base = token->event == SCAN_ARRAY ? 1 : 0;
    }
    unsigned level = token->depth - r->base;
    if (token->depth < r->base || level > 3)
        return;
    switch (token->event) {
    case SCAN_KEY: r->path[level - 1] = find_member(token); return;
    case SCAN_STRING:
    case SCAN_SCALAR: read_value(r, level, token); return;
    case SCAN_OBJECT:
    case SCAN_ARRAY:
        /* A list inside must not lend its items the name of the member it stands under. */
        if (token->event == SCAN_ARRAY && level)
            r->path[level - 1] = MEMBER_OTHER;
        if (level < 3)
            r->path[level] = MEMBER_OTHER;
        return;
    case SCAN_CLOSE: return;
    }
}

static struct slice skip_space(struct slice s)
{
    if (slice_starts(s, SLICE("\xEF\xBB\xBF")))
        s = slice_from(s, 3);
    while (s.len && strchr(" \t\r\n", s.ptr[0]) && s.ptr[0])
        s = slice_from(s, 1);
    return s;
}

void error_fields_read(struct slice content_type, struct slice body, struct error_fields *ret)
{
    static const struct slice html = SLICE("text/html");
    char text[sizeof ret->message];
    struct reader reader = {.fields = ret};
    struct json_sink sink = {on_token, &reader, text, sizeof text};
    struct json_scan scan;

    ret->code[0] = ret->type[0] = ret->param[0] = ret->message[0] = '\0';
    body = skip_space(body);
    bool json = body.len && (body.ptr[0] == '{' || body.ptr[0] == '[');
    bool page_type =
        content_type.len >= html.len && slice_ieq(slice_of(content_type.ptr, html.len), html);
    ret->html = !json && ((body.len && body.ptr[0] == '<') || page_type);
    if (!json)
        return;
    json_scan_init(&scan);
    json_scan_feed(&scan, &sink, body.ptr, body.len);
    (void)json_scan_finish(&scan, &sink); /* broken or cut: what was read stands */
    /* The flat event's own type says what it is, not what went wrong. */
    if (strcmp(ret->type, "error") == 0 || strcmp(ret->type, "response.failed") == 0)
        ret->type[0] = '\0';
}
