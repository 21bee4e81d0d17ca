#include "client/parsed.h"

#include <stdlib.h>

#include "base/number.h"
#include "base/utf8.h"
#include "openai/json_scan.h"

enum { NODES_FIRST = 64, EXPONENT_MAX = 400, DIGITS_MAX = 18 };

/* ---- building ---------------------------------------------------------------------------- */

struct builder {
    struct parsed *tree;
    size_t room;                   /* of tree->text */
    uint32_t open[SCAN_DEPTH_MAX]; /* containers around the next token */
    unsigned depth;
    const char *key; /* of the next value */
    bool no_memory;
};

/* A copy with a zero byte behind it. What is decoded is shorter than what was written, by its quotes
 * or by what follows a scalar: so all of it has room where the text would have. */
static const char *keep(struct builder *b, struct slice text)
{
    char *at = b->tree->text + b->tree->text_len;

    if (text.len + 1 > b->room - b->tree->text_len) {
        b->no_memory = true;
        return "";
    }
    if (text.len)
        memcpy(at, text.ptr, text.len);
    at[text.len] = '\0';
    b->tree->text_len += text.len + 1;
    return at;
}

static bool grow(struct parsed *t)
{
    uint32_t more = t->capacity ? t->capacity * 2 : NODES_FIRST;
    struct parsed_node *nodes = realloc(t->nodes, more * sizeof *nodes);

    if (!nodes)
        return false;
    t->nodes = nodes;
    t->capacity = more;
    return true;
}

/* Behind the last child of the innermost container. */
static void link_node(struct builder *b, uint32_t index)
{
    struct parsed *t = b->tree;

    if (!b->depth)
        return;
    struct parsed_node *parent = &t->nodes[b->open[b->depth - 1]];
    if (parent->last)
        t->nodes[parent->last].next = index;
    else
        parent->first = index;
    parent->last = index;
    parent->count++;
}

static void add(struct builder *b, enum parsed_kind kind, const struct json_token *token)
{
    struct parsed *t = b->tree;

    if (b->no_memory || (t->count == t->capacity && !grow(t))) {
        b->no_memory = true;
        return;
    }
    uint32_t index = t->count++;
    t->nodes[index] = (struct parsed_node){.key = b->key, .kind = kind};
    b->key = NULL;
    link_node(b, index);
    if (kind == PARSED_STRING || kind == PARSED_SCALAR) {
        t->nodes[index].value = keep(b, token->text);
        return;
    }
    t->nodes[index].raw.ptr = token->end - 1;
    b->open[b->depth++] = index;
}

static void close_container(struct builder *b, const struct json_token *token)
{
    if (b->no_memory)
        return;
    struct parsed_node *node = &b->tree->nodes[b->open[--b->depth]];
    node->raw.len = (size_t)(token->end - node->raw.ptr);
}

static void on_token(void *context, const struct json_token *token)
{
    struct builder *b = context;

    switch (token->event) {
    case SCAN_OBJECT: add(b, PARSED_OBJECT, token); return;
    case SCAN_ARRAY: add(b, PARSED_ARRAY, token); return;
    case SCAN_CLOSE: close_container(b, token); return;
    case SCAN_KEY: b->key = keep(b, token->text); return;
    case SCAN_STRING: add(b, PARSED_STRING, token); return;
    case SCAN_SCALAR: add(b, PARSED_SCALAR, token); return;
    }
}

enum status parsed_read(struct parsed *t, struct slice text)
{
    struct builder b = {.tree = t, .room = text.len + 2};
    struct json_scan scan;
    char *scratch = malloc(text.len + 1);

    *t = (struct parsed){.text = malloc(b.room)};
    if (!scratch || !t->text) {
        free(scratch);
        return STATUS_NO_MEMORY;
    }
    struct json_sink sink = {on_token, &b, scratch, text.len};
    json_scan_init(&scan);
    json_scan_feed(&scan, &sink, text.ptr, text.len);
    bool whole = json_scan_finish(&scan, &sink);
    free(scratch);
    if (b.no_memory)
        return STATUS_NO_MEMORY;
    return whole && t->count && utf8_valid(text) ? STATUS_OK : STATUS_INVALID;
}

void parsed_clear(struct parsed *t)
{
    free(t->nodes);
    free(t->text);
    *t = (struct parsed){.nodes = NULL};
}

/* ---- asking ------------------------------------------------------------------------------ */

const struct parsed_node *parsed_root(const struct parsed *t)
{
    return t->count ? &t->nodes[0] : NULL;
}

const struct parsed_node *parsed_first(const struct parsed *t, const struct parsed_node *array)
{
    return array && array->first ? &t->nodes[array->first] : NULL;
}

const struct parsed_node *parsed_next(const struct parsed *t, const struct parsed_node *node)
{
    return node && node->next ? &t->nodes[node->next] : NULL;
}

const struct parsed_node *parsed_get(const struct parsed *t, const struct parsed_node *object,
                                     const char *name)
{
    const struct parsed_node *found = NULL, *at;

    if (!object || object->kind != PARSED_OBJECT)
        return NULL;
    for (at = parsed_first(t, object); at; at = parsed_next(t, at)) {
        if (strcmp(at->key, name) == 0)
            found = at;
    }
    return found;
}

size_t parsed_count(const struct parsed_node *array)
{
    return array && array->kind == PARSED_ARRAY ? array->count : 0;
}

const char *parsed_string(const struct parsed_node *node)
{
    return node && node->kind == PARSED_STRING ? node->value : NULL;
}

static const char *scalar(const struct parsed_node *node)
{
    return node && node->kind == PARSED_SCALAR ? node->value : "";
}

bool parsed_integer(const struct parsed_node *node, int64_t *ret)
{
    const char *text = scalar(node);
    bool negative = *text == '-';
    uint64_t value;

    if (number_parse(slice_str(text + negative), INT64_MAX, &value) != STATUS_OK)
        return false;
    *ret = negative ? -(int64_t)value : (int64_t)value;
    return true;
}

/* Digits into a whole number; those that no float can show only count as places. */
static const char *read_digits(const char *at, uint64_t *value, int *used, int *dropped)
{
    for (; *at >= '0' && *at <= '9'; at++) {
        if (*used == DIGITS_MAX) {
            ++*dropped;
            continue;
        }
        *value = *value * 10 + (uint64_t)(*at - '0');
        *used += *value != 0;
    }
    return at;
}

static double scale(double value, int exponent)
{
    for (; exponent > 0; exponent--)
        value *= 10;
    for (; exponent < 0; exponent++)
        value /= 10;
    return value;
}

static int read_exponent(const char *at)
{
    uint64_t exponent = 0;

    if (*at != 'e' && *at != 'E')
        return 0;
    at++;
    bool negative = *at == '-';
    if (*at == '-' || *at == '+')
        at++;
    if (number_parse(slice_str(at), EXPONENT_MAX, &exponent) != STATUS_OK)
        exponent = EXPONENT_MAX;
    return negative ? -(int)exponent : (int)exponent;
}

double parsed_number(const struct parsed_node *node)
{
    const char *at = scalar(node);
    bool negative = *at == '-';
    uint64_t value = 0;
    int used = 0, dropped = 0, places = 0;

    at = read_digits(at + negative, &value, &used, &dropped);
    if (*at == '.') {
        int whole = dropped;
        const char *fraction = at + 1;
        at = read_digits(fraction, &value, &used, &dropped);
        places = (int)(at - fraction) - (dropped - whole);
        dropped = whole;
    }
    double number = scale((double)value, dropped - places + read_exponent(at));
    return negative ? -number : number;
}
