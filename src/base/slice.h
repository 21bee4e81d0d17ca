/* A view of bytes: pointer and length, owned by someone else.
 *
 * Everything that comes off the wire is a slice: it need not end in a zero byte, may contain one,
 * and lives only as long as the buffer behind it. An empty slice may have a NULL pointer.
 */
#ifndef SPAREKEY_BASE_SLICE_H
#define SPAREKEY_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#ifdef __cplusplus
extern "C" {
#endif

struct slice {
    const char *ptr;
    size_t len;
};

/* A slice of a string literal; the length is a constant. */
#define SLICE(literal) ((struct slice){"" literal, sizeof(literal) - 1})

static inline struct slice slice_of(const char *ptr, size_t len)
{
    struct slice s = {ptr, len};
    return s;
}

/* NULL gives an empty slice. */
static inline struct slice slice_str(const char *text)
{
    return slice_of(text, text ? strlen(text) : 0);
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

#define SLICE_WORD_BYTES 8
#define SLICE_CASE_BITS  UINT64_C(0x2020202020202020) /* 0x20 in every byte */

static inline uint64_t slice_word(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* Equality without regard to the case of ASCII letters. Field names are mostly written as they are
 * looked for, and names that differ mostly do so at their ends: words decide both. Only what differs
 * in nothing but case bits is worth a look at each byte, since not every such pair is a letter's. */
static inline bool slice_ieq(struct slice a, struct slice b)
{
    if (a.len != b.len)
        return false;
    if (a.len < SLICE_WORD_BYTES)
        return a.len == 0 ||
               ((((a.ptr[0] ^ b.ptr[0]) | (a.ptr[a.len - 1] ^ b.ptr[a.len - 1])) & ~0x20) == 0 &&
                strncasecmp(a.ptr, b.ptr, a.len) == 0);
    size_t tail = a.len - SLICE_WORD_BYTES;
    uint64_t differ = slice_word(a.ptr + tail) ^ slice_word(b.ptr + tail);
    for (size_t i = 0; i < tail && !(differ & ~SLICE_CASE_BITS); i += SLICE_WORD_BYTES)
        differ |= slice_word(a.ptr + i) ^ slice_word(b.ptr + i);
    if (differ & ~SLICE_CASE_BITS)
        return false;
    return differ == 0 || strncasecmp(a.ptr, b.ptr, a.len) == 0;
}

static inline bool slice_starts(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && slice_eq(slice_of(s.ptr, prefix.len), prefix);
}

static inline bool slice_ends(struct slice s, struct slice suffix)
{
    return s.len >= suffix.len &&
           slice_eq(slice_of(s.ptr + (s.len - suffix.len), suffix.len), suffix);
}

/* The bytes from `from` on; empty when there are none. */
static inline struct slice slice_from(struct slice s, size_t from)
{
    return from >= s.len ? slice_of(NULL, 0) : slice_of(s.ptr + from, s.len - from);
}

/* Without spaces and tabs at either end. */
static inline struct slice slice_trim(struct slice s)
{
    while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) {
        s.ptr++;
        s.len--;
    }
    while (s.len && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* Whether `needle` occurs in `s`, ASCII case ignored; an empty needle always does. */
bool slice_contains_nocase(struct slice s, struct slice needle);

/* Copies into `out` of `size` bytes, cut to fit and always zero-terminated; returns the length. */
size_t slice_copy(struct slice s, char *out, size_t size);

/* Percent-decodes a piece of a URL (RFC 3986, section 2.1) into `out`, cut to fit and zero-terminated;
 * returns the length. What is no escape stands for itself; with `form`, as forms write it, '+' is a
 * space. */
size_t slice_unescape(struct slice s, bool form, char *out, size_t size);

/* Takes the next item of a list separated by `separator` out of `*rest`, trimmed.
 * Returns false when the list is used up. */
bool slice_next_item(struct slice *rest, char separator, struct slice *ret_item);

#ifdef __cplusplus
}
#endif
#endif
