/* Every byte of every answer comes past here, so the search must cost next to nothing: memchr looks
 * for the one byte of the secret that is least likely to stand in JSON or in a header, and only
 * where it stands the rest is compared. */
#include "keyring/echo.h"

#include <string.h>

#include "openai/error_body.h"

enum {
    ANCHOR_WINDOW = 16,                  /* the anchor is chosen among so many last bytes */
    EVIDENCE_TAIL_MIN = ECHO_SECRET_MIN, /* a shorter beginning of the secret tells nothing */
};

/* How rare a byte is in what an API answers; the greatest number is the best anchor. */
static const unsigned char rarity_of[256] = {
    ['A'] = 2, ['B'] = 2, ['C'] = 2, ['D'] = 2, ['E'] = 2, ['F'] = 2, ['G'] = 2,
    ['H'] = 2, ['I'] = 2, ['J'] = 3, ['K'] = 3, ['L'] = 2, ['M'] = 2, ['N'] = 2,
    ['O'] = 2, ['P'] = 2, ['Q'] = 3, ['R'] = 2, ['S'] = 2, ['T'] = 2, ['U'] = 2,
    ['V'] = 3, ['W'] = 3, ['X'] = 3, ['Y'] = 3, ['Z'] = 3, ['q'] = 1, ['z'] = 1,
};

static unsigned rarity(char c)
{
    return rarity_of[(unsigned char)c];
}

static size_t anchor_of(struct slice secret)
{
    size_t best = secret.len - 1;

    for (size_t i = 2; i <= ANCHOR_WINDOW && i <= secret.len && rarity(secret.ptr[best]) < 3; i++) {
        if (rarity(secret.ptr[secret.len - i]) > rarity(secret.ptr[best]))
            best = secret.len - i;
    }
    return best;
}

/* Where the whole secret stands first in `text`, NULL: nowhere. */
static const char *find(struct slice secret, size_t anchor, struct slice text)
{
    size_t behind = secret.len - anchor; /* the anchor and what follows it */

    if (text.len < secret.len)
        return NULL;
    const char *at = text.ptr + anchor, *end = text.ptr + text.len - behind + 1;
    while (at < end && (at = memchr(at, secret.ptr[anchor], (size_t)(end - at)))) {
        if (memcmp(at - anchor, secret.ptr, secret.len) == 0)
            return at - anchor;
        at++;
    }
    return NULL;
}

bool echo_mask(struct slice secret, char *text, size_t len)
{
    bool found = false;
    const char *at;

    if (secret.len < ECHO_SECRET_MIN || len < secret.len)
        return false;
    char *end = text + len;
    size_t anchor = anchor_of(secret);
    while ((at = find(secret, anchor, slice_of(text, (size_t)(end - text))))) {
        text += at - text;
        memset(text, '*', secret.len);
        text += secret.len;
        found = true;
    }
    return found;
}

void echo_mask_error(struct slice secret, char *text, size_t len)
{
    (void)echo_mask(secret, text, len);
    redact_keys(text, len);
}

/* ---- other secrets, word by word --------------------------------------------------------- */

/* What keys consist of, whoever made them: letters, digits, and the signs of base64 and URLs. */
static bool is_word_byte(char c)
{
    char lower = (char)(c | 0x20);
    return (c >= '0' && c <= '9') || (lower >= 'a' && lower <= 'z') ||
           (c && memchr("-_.~+/", c, 6));
}

/* The rest of a JSON escape that begins the word behind a backslash: "\nKEY", "\u003cKEY". */
static size_t escape_len(const char *text, size_t at, size_t end)
{
    size_t len = at == 0 || text[at - 1] != '\\' ? 0 : text[at] == 'u' ? 5 : 1;
    return len < end - at ? len : end - at;
}

static size_t word_end(const char *text, size_t at, size_t len)
{
    while (at < len && is_word_byte(text[at]))
        at++;
    return at;
}

/* How much of the word is a secret: all of it with its padding, without, or without the dots that
 * end or break off the sentence. 0: nothing. */
static size_t secret_len(const struct secret *secret, const char *text, size_t len, size_t padding)
{
    enum { DOTS_MAX = 3 };
    size_t least = len > DOTS_MAX ? len - DOTS_MAX : 0;

    for (size_t tried = len + padding; tried >= least && tried >= ECHO_WORD_MIN; tried--) {
        if (tried <= SECRET_MAX_BYTES && secret_beside(secret, slice_of(text, tried)))
            return tried;
        if (tried <= len && text[tried - 1] != '.')
            return 0;
    }
    return 0;
}

/* The padding of base64 behind a word. */
static size_t padding_at(const char *text, size_t at, size_t len)
{
    enum { PADDING_MAX = 2 }; /* RFC 4648 §4 */
    size_t count = 0;

    while (count < PADDING_MAX && at + count < len && text[at + count] == '=')
        count++;
    return count;
}

static void mask_words(const struct secret *secret, char *text, size_t len)
{
    for (size_t at = 0; at < len; at++) {
        size_t end = word_end(text, at, len);
        at += escape_len(text, at, end);
        if (end - at >= ECHO_WORD_MIN)
            memset(text + at, '*',
                   secret_len(secret, text + at, end - at, padding_at(text, end, len)));
        at = end;
    }
}

void echo_mask_all(const struct secret *secret, char *text, size_t len)
{
    echo_mask_error(secret_bytes(secret), text, len);
    mask_words(secret, text, len);
}

/* ---- evidence ---------------------------------------------------------------------------- */

/* The longest beginning of the secret, but not the whole, that `text` ends with. */
static size_t begun_at_end(struct slice secret, struct slice text)
{
    size_t len = text.len < secret.len ? text.len : secret.len - 1;

    if (!text.len || !memchr(secret.ptr, text.ptr[text.len - 1], secret.len))
        return 0; /* by far the most pieces end in a line's end or a bracket */
    while (len && memcmp(text.ptr + text.len - len, secret.ptr, len) != 0)
        len--;
    return len;
}

void echo_mask_cut(struct slice secret, char *text, size_t len)
{
    echo_mask_error(secret, text, len);
    if (secret.len < ECHO_SECRET_MIN)
        return;
    size_t begun = begun_at_end(secret, slice_of(text, len));
    if (begun >= EVIDENCE_TAIL_MIN)
        memset(text + len - begun, '*', begun);
}

void echo_mask_evidence(struct slice secret, struct evidence *evidence)
{
    echo_mask_cut(secret, evidence->code, strlen(evidence->code));
    echo_mask_cut(secret, evidence->request_id, strlen(evidence->request_id));
}

/* ---- in pieces --------------------------------------------------------------------------- */

static void put_stars(size_t count, const struct echo_sink *sink)
{
    static const char stars[] = "********************************";

    while (count) {
        size_t len = count < sizeof stars - 1 ? count : sizeof stars - 1;
        sink->put(sink->ctx, stars, len);
        count -= len;
    }
}

static void put(struct slice bytes, const struct echo_sink *sink)
{
    if (bytes.len)
        sink->put(sink->ctx, bytes.ptr, bytes.len);
}

/* Goes on with a secret that began in earlier pieces; returns what of this piece it did not take.
 * Where it turns out to be none, a later part of what was held may still begin one. */
static struct slice go_on(struct slice secret, size_t *held, struct slice piece,
                          const struct echo_sink *sink)
{
    while (*held && piece.len) {
        size_t left = secret.len - *held, len = piece.len < left ? piece.len : left;
        if (memcmp(piece.ptr, secret.ptr + *held, len) != 0) {
            size_t keep = begun_at_end(secret, slice_of(secret.ptr + 1, *held - 1));
            put(slice_of(secret.ptr, *held - keep), sink);
            *held = keep;
            continue;
        }
        *held += len;
        piece = slice_from(piece, len);
        if (*held == secret.len) {
            put_stars(secret.len, sink);
            *held = 0;
        }
    }
    return piece;
}

void echo_pass(struct slice secret, size_t *held, struct slice piece, const struct echo_sink *sink)
{
    const char *at;

    if (secret.len < ECHO_SECRET_MIN) {
        put(piece, sink);
        return;
    }
    size_t anchor = anchor_of(secret);
    piece = go_on(secret, held, piece, sink);
    while ((at = find(secret, anchor, piece))) {
        size_t before = (size_t)(at - piece.ptr);
        put(slice_of(piece.ptr, before), sink);
        put_stars(secret.len, sink);
        piece = slice_from(piece, before + secret.len);
    }
    if (!piece.len)
        return;
    *held = begun_at_end(secret, piece);
    put(slice_of(piece.ptr, piece.len - *held), sink);
}

void echo_end(struct slice secret, size_t *held, const struct echo_sink *sink)
{
    size_t plain = *held < ECHO_SECRET_MIN ? *held : ECHO_SECRET_MIN;

    put(slice_of(secret.ptr, plain), sink); /* as much as the kind of key, or chance */
    put_stars(*held - plain, sink);
    *held = 0;
}
