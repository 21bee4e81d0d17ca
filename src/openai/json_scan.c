#include "openai/json_scan.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* The states of RFC 8259's grammar, one byte of look-ahead:
 *
 *     VALUE ──{──▶ FIRST_KEY ──"…"──▶ COLON ──:──▶ VALUE ──…──▶ AFTER ──,──▶ KEY or VALUE
 *       │└───[──▶ FIRST_ITEM                                    │└──} or ]──▶ AFTER, one level up
 *       └──"──▶ STRING ⇄ ESCAPE ⇄ UNICODE                       └── depth 0: only white space left
 *
 * Strings are read in runs up to the next quote, backslash or control byte, found 16 bytes at a
 * time: a 20 MB image in base64 is one run. */
enum state {
    VALUE,
    FIRST_ITEM, /* behind "[": a value or "]" */
    FIRST_KEY,  /* behind "{": a key or "}" */
    KEY,
    COLON,
    AFTER, /* behind a value */
    STRING,
    ESCAPE,
    UNICODE,
    SCALAR,
    BAD,
};

_Static_assert(SCAN_DEPTH_MAX % 64 == 0 && SCAN_DEPTH_MAX <= UINT16_MAX,
               "open containers are bits");

struct cursor {
    struct json_scan *scan;
    const struct json_sink *sink;
    const char *at, *end;
};

static bool inside_object(const struct json_scan *scan)
{
    unsigned top = scan->depth - 1u;
    return scan->depth && (scan->object[top / 64] >> (top % 64) & 1);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static void emit(struct cursor *c, enum json_event event)
{
    struct json_scan *scan = c->scan;
    bool has_text = event == SCAN_KEY || event == SCAN_STRING || event == SCAN_SCALAR;
    size_t seen = has_text ? scan->text_len : 0;
    bool cut = seen > c->sink->text_size;
    struct json_token token = {
        .event = event,
        .depth = scan->depth,
        .text = slice_of(c->sink->text, cut ? c->sink->text_size : seen),
        .cut = cut,
        .end = c->at,
    };
    c->sink->token(c->sink->ctx, &token);
}

/* Adds to the token in progress what there is room for, and counts the rest. */
static void keep(struct cursor *c, const char *bytes, size_t len)
{
    struct json_scan *scan = c->scan;
    size_t have = scan->text_len;

    if (have < c->sink->text_size && len) {
        size_t room = c->sink->text_size - have;
        memcpy(c->sink->text + have, bytes, len < room ? len : room);
    }
    scan->text_len = len > UINT32_MAX - have ? UINT32_MAX : (uint32_t)(have + len);
}

static void keep_code_point(struct cursor *c, uint32_t cp)
{
    char out[4];
    size_t len;

    if (cp < 0x80) {
        out[0] = (char)cp;
        len = 1;
    } else if (cp < 0x800) {
        out[0] = (char)(0xC0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3F));
        len = 2;
    } else if (cp < 0x10000) {
        out[0] = (char)(0xE0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3F));
        out[2] = (char)(0x80 | (cp & 0x3F));
        len = 3;
    } else {
        out[0] = (char)(0xF0 | cp >> 18);
        out[1] = (char)(0x80 | (cp >> 12 & 0x3F));
        out[2] = (char)(0x80 | (cp >> 6 & 0x3F));
        out[3] = (char)(0x80 | (cp & 0x3F));
        len = 4;
    }
    keep(c, out, len);
}

/* A first surrogate half that turned out to be alone becomes U+FFFD. */
static void flush_surrogate(struct cursor *c)
{
    if (c->scan->surrogate)
        keep_code_point(c, 0xFFFD);
    c->scan->surrogate = 0;
}

static void keep_unit(struct cursor *c, uint16_t unit)
{
    struct json_scan *scan = c->scan;

    if (scan->surrogate && unit >= 0xDC00 && unit <= 0xDFFF) {
        keep_code_point(c, 0x10000u + ((scan->surrogate - 0xD800u) << 10) + (unit - 0xDC00u));
        scan->surrogate = 0;
        return;
    }
    flush_surrogate(c);
    if (unit >= 0xD800 && unit <= 0xDBFF)
        scan->surrogate = unit;
    else
        keep_code_point(c, unit >= 0xDC00 && unit <= 0xDFFF ? 0xFFFD : unit);
}

/* The first byte at or behind `p` that means something inside a string. */
static const char *string_run(const char *p, const char *end)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\');
    const __m128i last_control = _mm_set1_epi8(0x1F);

    for (; end - p >= 16; p += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i hit = _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, backslash));
        hit = _mm_or_si128(hit, _mm_cmpeq_epi8(_mm_min_epu8(v, last_control), v));
        unsigned mask = (unsigned)_mm_movemask_epi8(hit);
        if (mask)
            return p + __builtin_ctz(mask);
    }
#endif
    while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p > 0x1F)
        p++;
    return p;
}

static void begin_string(struct cursor *c, bool key)
{
    c->scan->key = key;
    c->scan->text_len = 0;
    c->scan->surrogate = 0;
    c->scan->state = STRING;
}

static void scan_string(struct cursor *c)
{
    const char *stop = string_run(c->at, c->end);

    if (stop > c->at) {
        flush_surrogate(c);
        keep(c, c->at, (size_t)(stop - c->at));
    }
    c->at = stop;
    if (stop == c->end)
        return;
    c->at++;
    if (*stop == '\\') {
        c->scan->state = ESCAPE;
    } else if (*stop == '"') {
        flush_surrogate(c);
        c->scan->state = c->scan->key ? COLON : AFTER;
        emit(c, c->scan->key ? SCAN_KEY : SCAN_STRING);
    } else {
        c->scan->state = BAD;
    }
}

static void scan_escape(struct cursor *c)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char ch = *c->at++;

    if (ch == 'u') {
        c->scan->unit = 0;
        c->scan->hex_left = 4;
        c->scan->state = UNICODE;
        return;
    }
    const char *found = ch ? strchr(from, ch) : NULL;
    if (!found) {
        c->scan->state = BAD;
        return;
    }
    flush_surrogate(c);
    keep(c, &to[found - from], 1);
    c->scan->state = STRING;
}

static int hex_value(char ch)
{
    if (ch >= '0' && ch <= '9')
        return ch - '0';
    ch = (char)(ch | 0x20);
    return ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

static void scan_unicode(struct cursor *c)
{
    int digit = hex_value(*c->at++);

    if (digit < 0) {
        c->scan->state = BAD;
        return;
    }
    c->scan->unit = (uint16_t)(c->scan->unit << 4 | digit);
    if (--c->scan->hex_left == 0) {
        keep_unit(c, c->scan->unit);
        c->scan->state = STRING;
    }
}

static bool is_scalar_byte(char ch)
{
    return (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') || ch == '-' || ch == '+' ||
           ch == '.' || ch == 'E';
}

static size_t digits(struct slice s, size_t from)
{
    size_t i = from;
    while (i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9')
        i++;
    return i - from;
}

/* RFC 8259 §6. */
static bool is_number(struct slice s)
{
    size_t i = s.len && s.ptr[0] == '-' ? 1 : 0;
    size_t whole = digits(s, i), part;

    if (whole == 0 || (whole > 1 && s.ptr[i] == '0'))
        return false;
    i += whole;
    if (i < s.len && s.ptr[i] == '.') {
        if ((part = digits(s, i + 1)) == 0)
            return false;
        i += 1 + part;
    }
    if (i < s.len && (s.ptr[i] | 0x20) == 'e') {
        i++;
        if (i < s.len && (s.ptr[i] == '+' || s.ptr[i] == '-'))
            i++;
        if ((part = digits(s, i)) == 0)
            return false;
        i += part;
    }
    return i == s.len;
}

static void end_scalar(struct cursor *c)
{
    struct slice text = slice_of(c->sink->text, c->scan->text_len);
    /* A number too long to be kept is taken on trust: nobody here reads one. */
    bool good = c->scan->text_len > c->sink->text_size || slice_eq(text, SLICE("null")) ||
                slice_eq(text, SLICE("true")) || slice_eq(text, SLICE("false")) || is_number(text);

    c->scan->state = good ? AFTER : BAD;
    if (good)
        emit(c, SCAN_SCALAR);
}

static void scan_scalar(struct cursor *c)
{
    const char *stop = c->at;

    while (stop < c->end && is_scalar_byte(*stop))
        stop++;
    keep(c, c->at, (size_t)(stop - c->at));
    c->at = stop;
    if (stop < c->end)
        end_scalar(c);
}

static void open_container(struct cursor *c, bool object)
{
    struct json_scan *scan = c->scan;
    unsigned depth = scan->depth;

    if (depth == SCAN_DEPTH_MAX) {
        scan->state = BAD;
        return;
    }
    emit(c, object ? SCAN_OBJECT : SCAN_ARRAY);
    uint64_t bit = UINT64_C(1) << (depth % 64);
    scan->object[depth / 64] = (scan->object[depth / 64] & ~bit) | (object ? bit : 0);
    scan->depth++;
    scan->state = object ? FIRST_KEY : FIRST_ITEM;
}

static void close_container(struct cursor *c, char bracket)
{
    struct json_scan *scan = c->scan;

    if (scan->depth == 0 || inside_object(scan) != (bracket == '}')) {
        scan->state = BAD;
        return;
    }
    scan->depth--;
    scan->state = AFTER;
    emit(c, SCAN_CLOSE);
}

static void scan_value(struct cursor *c)
{
    char ch = *c->at;

    if (is_scalar_byte(ch)) {
        c->scan->text_len = 0;
        c->scan->state = SCALAR;
        return;
    }
    c->at++;
    switch (ch) {
    case '"': begin_string(c, false); break;
    case '{': open_container(c, true); break;
    case '[': open_container(c, false); break;
    default: c->scan->state = BAD; break;
    }
}

static void scan_key(struct cursor *c)
{
    if (*c->at++ == '"')
        begin_string(c, true);
    else
        c->scan->state = BAD;
}

static void scan_after(struct cursor *c)
{
    char ch = *c->at++;

    if (ch == '}' || ch == ']')
        close_container(c, ch);
    else if (ch == ',' && c->scan->depth)
        c->scan->state = inside_object(c->scan) ? KEY : VALUE;
    else
        c->scan->state = BAD;
}

/* One byte, or one run, of what stands between tokens. */
static void scan_structure(struct cursor *c)
{
    while (c->at < c->end && is_space(*c->at))
        c->at++;
    if (c->at == c->end)
        return;
    switch ((enum state)c->scan->state) {
    case FIRST_ITEM:
        if (*c->at == ']') {
            c->at++;
            close_container(c, ']');
            return;
        }
        scan_value(c);
        return;
    case FIRST_KEY:
        if (*c->at == '}') {
            c->at++;
            close_container(c, '}');
            return;
        }
        scan_key(c);
        return;
    case VALUE: scan_value(c); return;
    case KEY: scan_key(c); return;
    case COLON: c->scan->state = *c->at++ == ':' ? VALUE : BAD; return;
    case AFTER: scan_after(c); return;
    case STRING:
    case ESCAPE:
    case UNICODE:
    case SCALAR:
    case BAD: return;
    }
}

void json_scan_init(struct json_scan *scan)
{
    *scan = (struct json_scan){.state = VALUE};
}

void json_scan_feed(struct json_scan *scan, const struct json_sink *sink, const char *data,
                    size_t len)
{
    struct cursor c = {scan, sink, data, data + len};

    if (len == 0)
        return;
    while (c.at < c.end && scan->state != BAD) {
        switch (scan->state) {
        case STRING: scan_string(&c); break;
        case ESCAPE: scan_escape(&c); break;
        case UNICODE: scan_unicode(&c); break;
        case SCALAR: scan_scalar(&c); break;
        default: scan_structure(&c); break;
        }
    }
}

bool json_scan_finish(struct json_scan *scan, const struct json_sink *sink)
{
    struct cursor c = {scan, sink, NULL, NULL};

    if (scan->state == SCALAR && scan->depth == 0)
        end_scalar(&c);
    return scan->state == AFTER && scan->depth == 0;
}

bool json_scan_bad(const struct json_scan *scan)
{
    return scan->state == BAD;
}
