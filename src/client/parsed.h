/* A parsed document: JSON read once, for looking things up in it.
 *
 * Made by the scanner of openai/json_scan.h, which costs a tenth of what a general parser does on an
 * answer of OpenAI's: two or three blocks of memory, whatever the document. It borrows the text it was
 * read from. All functions take NULL for "no such node" and pass it on.
 */
#ifndef SPAREKEY_CLIENT_PARSED_H
#define SPAREKEY_CLIENT_PARSED_H

#include <stdbool.h>

#include "base/slice.h"
#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum parsed_kind { PARSED_OBJECT, PARSED_ARRAY, PARSED_STRING, PARSED_SCALAR };

struct parsed_node {
    const char *key;     /* of a member; NULL elsewhere */
    const char *value;   /* STRING: decoded, SCALAR: as written; both end in a zero byte */
    struct slice raw;    /* OBJECT, ARRAY: the text it was read from */
    uint32_t first;      /* OBJECT, ARRAY: index of the first child, 0 = none */
    uint32_t last, next; /* … of the last child; of the node behind this one */
    uint32_t count;      /* children */
    enum parsed_kind kind;
};

struct parsed {
    struct parsed_node *nodes; /* the root is the first */
    uint32_t count, capacity;
    char *text;
    size_t text_len;
};

/* STATUS_INVALID: no document, or not UTF-8. STATUS_NO_MEMORY. The tree is to be cleared in any case. */
NODISCARD
enum status parsed_read(struct parsed *tree, struct slice text);
void parsed_clear(struct parsed *tree);

const struct parsed_node *parsed_root(const struct parsed *tree);

/* The member of that name, the last one if there are several. */
const struct parsed_node *parsed_get(const struct parsed *tree, const struct parsed_node *object,
                                     const char *name);

/* The first element, and the one behind; NULL: none. */
const struct parsed_node *parsed_first(const struct parsed *tree, const struct parsed_node *array);
const struct parsed_node *parsed_next(const struct parsed *tree, const struct parsed_node *node);

/* How many elements. */
size_t parsed_count(const struct parsed_node *array);

/* NULL where it is none. */
const char *parsed_string(const struct parsed_node *node);

/* False where it is none, or has a fraction. */
bool parsed_integer(const struct parsed_node *node, int64_t *ret);

/* 0 where it is none. As exact as a float; no locale has a say. */
double parsed_number(const struct parsed_node *node);

#ifdef __cplusplus
}
#endif
#endif
