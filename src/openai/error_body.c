#include "openai/error_body.h"

#include <stdint.h>

#include "base/utf8.h"

/* The longest text an error may quote. Escaped, a byte takes six at most: what is appended is
 * bounded by this, whatever `out` holds already. */
#define ERROR_TEXT_MAX 65536

/* ---- writing ---- */

static enum status append(struct buffer *out, struct slice bytes)
{
    return buffer_append(out, bytes, out->len + bytes.len);
}

/* Bytes from the front of `s` that may stand in a JSON string as they are. */
static size_t plain_length(struct slice s)
{
    size_t i = 0;
    while (i < s.len && (unsigned char)s.ptr[i] >= 0x20 && (unsigned char)s.ptr[i] < 0x80 &&
           s.ptr[i] != '"' && s.ptr[i] != '\\' && s.ptr[i] != 0x7F)
        i++;
    return i;
}

static enum status append_control(struct buffer *out, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    char escape[] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

    return append(out, slice_of(escape, sizeof escape));
}

/* One character that may not, or is not ASCII; the bytes used up are in `*ret_len`. */
static enum status append_special(struct buffer *out, struct slice s, size_t *ret_len)
{
    unsigned char c = (unsigned char)s.ptr[0];

    *ret_len = 1;
    switch (c) {
    case '"': return append(out, SLICE("\\\""));
    case '\\': return append(out, SLICE("\\\\"));
    case '\n': return append(out, SLICE("\\n"));
    case '\r': return append(out, SLICE("\\r"));
    case '\t': return append(out, SLICE("\\t"));
    default: break;
    }
    if (c < 0x20 || c == 0x7F)
        return append_control(out, c);
    size_t len = utf8_length(s);
    if (len == 0)
        return append(out, SLICE("\xEF\xBF\xBD"));
    *ret_len = len;
    return append(out, slice_of(s.ptr, len));
}

enum status json_write_string(struct buffer *out, struct slice text)
{
    return text.len > ERROR_TEXT_MAX ? STATUS_LIMIT : json_write_long(out, text);
}

enum status json_write_long(struct buffer *out, struct slice text)
{
    enum status status = append(out, SLICE("\""));

    while (status == STATUS_OK && text.len) {
        size_t len = plain_length(text);
        if (len)
            status = append(out, slice_of(text.ptr, len));
        else
            status = append_special(out, text, &len);
        text = slice_from(text, len);
    }
    return status == STATUS_OK ? append(out, SLICE("\"")) : status;
}

enum status error_object_write(struct buffer *out, struct slice message, struct slice type,
                               struct slice code)
{
    enum status status = append(out, SLICE("{\"message\":"));

    if (status == STATUS_OK)
        status = json_write_string(out, message);
    if (status == STATUS_OK)
        status = append(out, SLICE(",\"type\":"));
    if (status == STATUS_OK)
        status = json_write_string(out, type);
    if (status == STATUS_OK)
        status = append(out, SLICE(",\"param\":null,\"code\":"));
    if (status == STATUS_OK)
        status = code.len ? json_write_string(out, code) : append(out, SLICE("null"));
    if (status == STATUS_OK)
        status = append(out, SLICE("}"));
    return status;
}

enum status error_body_write(struct buffer *out, struct slice message, struct slice type,
                             struct slice code)
{
    size_t before = out->len;
    enum status status = append(out, SLICE("{\"error\":"));

    if (status == STATUS_OK)
        status = error_object_write(out, message, type, code);
    if (status == STATUS_OK)
        status = append(out, SLICE("}"));
    if (status != STATUS_OK)
        out->len = before;
    return status;
}

/* ---- redaction ---- */

/* A key is its prefix and a run of these; '*' and the dots of a shortened one belong to it. */
static bool is_key_byte(char c)
{
    char lower = (char)(c | 0x20);
    return (c >= '0' && c <= '9') || (lower >= 'a' && lower <= 'z') || c == '-' || c == '_' ||
           c == '*' || c == '.';
}

/* The bytes a token may not follow, or it would be the tail of a word ("task-force", "risk-free"). */
static bool is_word_byte(char c)
{
    return is_key_byte(c) && c != '*' && c != '.';
}

/* Whether a token may begin at `at`. The letter of a JSON escape ("\nsk-…") is no word. */
static bool at_boundary(const char *text, size_t at)
{
    if (at == 0 || !is_word_byte(text[at - 1]))
        return true;
    return at >= 2 && text[at - 2] == '\\' && memchr("nrtbf", text[at - 1], 5);
}

struct prefix {
    struct slice text;
    bool anywhere; /* no word contains it: redacted even where no token begins */
};

/* The length of the key prefix at `at`, 0 when there is none. Prefixes that tell the kind of key
 * stay readable: they help whoever reads the message and open nothing. */
static size_t prefix_length(const char *text, size_t at, size_t len)
{
    static const struct prefix prefixes[] = {
        {SLICE("sk-proj-"), true}, {SLICE("sk-svcacct-"), true}, {SLICE("sk-admin-"), true},
        {SLICE("sk-"), false},     {SLICE("sess-"), false},      {SLICE("ek_"), false},
    };

    if (text[at] != 's' && text[at] != 'e')
        return 0;
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        if (slice_starts(slice_of(text + at, len - at), prefixes[i].text))
            return prefixes[i].anywhere || at_boundary(text, at) ? prefixes[i].text.len : 0;
    }
    return 0;
}

/* The end of the key whose secret part begins at `start`: a dot or dash that ends the sentence
 * rather than stands inside the key is not part of it. */
static size_t key_end(const char *text, size_t start, size_t len)
{
    size_t end = start;

    while (end < len && is_key_byte(text[end]))
        end++;
    while (end > start && (text[end - 1] == '.' || text[end - 1] == '-'))
        end--;
    return end;
}

void redact_keys(char *text, size_t len)
{
    size_t at = 0;

    while (at < len) {
        size_t prefix = prefix_length(text, at, len);
        if (!prefix) {
            at++;
            continue;
        }
        size_t end = key_end(text, at + prefix, len);
        memset(text + at + prefix, '*', end - at - prefix);
        at = end;
    }
}
