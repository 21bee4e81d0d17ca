/* sparekey.yaml as a source: option names in lower or upper case, and a list of keys.
 *
 *     sparekey_listen: 127.0.0.1:7539
 *     keys:
 *       - key_env: TEAM_A_KEY
 *         organization: org-a
 *         models: [gpt-5.4-mini, gpt-image-2]
 *       - key: sk-…
 *
 * Unlike a variable of an environment, which may be meant for anybody, an unknown name here can
 * only be a mistake, so it is an error. libyaml's document is walked once; its scalars and input
 * buffer are overwritten before they are freed, because keys may stand in them.
 */
#include "settings/loading.h"

#include <yaml.h>

#include "settings/names.h"

struct walk {
    struct loading *l;
    yaml_document_t *document;
    const char *file;
};

static struct origin origin_of(const struct walk *w, const yaml_node_t *node)
{
    return (struct origin){ORIGIN_YAML, (unsigned)node->start_mark.line + 1, w->file};
}

static struct slice scalar(const yaml_node_t *node)
{
    return slice_of((const char *)node->data.scalar.value, node->data.scalar.length);
}

/* A plain `~`, `null` or nothing says that there is no value. */
static bool is_null(const yaml_node_t *node)
{
    struct slice text = scalar(node);

    return node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (text.len == 0 || slice_eq(text, SLICE("~")) || slice_ieq(text, SLICE("null")));
}

static enum status keep(struct walk *w, struct slice text, struct slice *ret)
{
    *ret = slice_of(arena_copy(&w->l->scratch, text), text.len);
    return ret->ptr ? STATUS_OK : STATUS_NO_MEMORY;
}

/* The items of a list as "a,b,c" in the scratch arena. */
static enum status join(struct walk *w, const yaml_node_t *list, const char *name,
                        struct slice *ret)
{
    size_t len = 0, at = 0;
    const yaml_node_item_t *first = list->data.sequence.items.start;
    const yaml_node_item_t *end = list->data.sequence.items.top;

    for (const yaml_node_item_t *item = first; item < end; item++) {
        const yaml_node_t *node = yaml_document_get_node(w->document, *item);
        struct origin origin = origin_of(w, node);
        if (node->type != YAML_SCALAR_NODE) {
            report_error(&w->l->reporter, &origin, name, "expected a list of plain values");
            return STATUS_INVALID;
        }
        len += node->data.scalar.length + 1;
    }
    char *text = arena_alloc(&w->l->scratch, len + 1);
    if (!text)
        return STATUS_NO_MEMORY;
    for (const yaml_node_item_t *item = first; item < end; item++) {
        struct slice value = scalar(yaml_document_get_node(w->document, *item));
        if (at)
            text[at++] = ',';
        if (value.len)
            memcpy(text + at, value.ptr, value.len);
        at += value.len;
    }
    *ret = slice_of(text, at);
    return STATUS_OK;
}

/* A scalar, or where `list` allows it, a list. STATUS_INVALID: reported. */
static enum status read_value(struct walk *w, const yaml_node_t *node, const char *name, bool list,
                              struct slice *ret)
{
    struct origin origin = origin_of(w, node);

    if (node->type == YAML_SEQUENCE_NODE && list)
        return join(w, node, name, ret);
    if (node->type != YAML_SCALAR_NODE) {
        report_error(&w->l->reporter, &origin, name, "expected %s",
                     list ? "a value or a list of values" : "a single value");
        return STATUS_INVALID;
    }
    return keep(w, is_null(node) ? slice_of(NULL, 0) : scalar(node), ret);
}

/* Reported faults are no reason to stop reading. */
static enum status go_on(enum status status)
{
    return status == STATUS_INVALID ? STATUS_OK : status;
}

static void refuse_name(struct walk *w, const struct origin *origin, struct slice name,
                        const char *meant)
{
    char quoted[REPORT_QUOTE_MAX];

    report_error(&w->l->reporter, origin, NULL, "unknown name %s%s%s%s",
                 report_quote(name, false, quoted), meant ? "; did you mean " : "",
                 meant ? meant : "", meant ? "?" : "");
}

/* ---- keys ------------------------------------------------------------------------------------- */

static const char *const field_names[] = {
#define X(id, name) [YAML_KEY_##id] = name,
    YAML_KEY_FIELDS(X)
#undef X
};

static int find_field(struct slice name, const char **ret_near)
{
    struct name_search search = {.name = name};

    for (int i = 0; i < YAML_KEY_FIELD_COUNT; i++) {
        if (slice_eq(name, slice_str(field_names[i])))
            return i;
        name_offer(&search, slice_str(field_names[i]), field_names[i]);
    }
    *ret_near = search.match;
    return -1;
}

static enum status read_field(struct walk *w, const yaml_node_t *name, const yaml_node_t *value,
                              struct yaml_key *key)
{
    const char *near = NULL;
    struct origin origin = origin_of(w, name);
    struct slice text = name->type == YAML_SCALAR_NODE ? scalar(name) : SLICE("");
    int field = find_field(text, &near);

    if (field < 0) {
        refuse_name(w, &origin, text, near);
        return STATUS_OK;
    }
    struct entry *entry = &key->fields[field];
    if (entry->name.len) {
        report_error(&w->l->reporter, &origin, field_names[field], "given twice");
        return STATUS_OK;
    }
    *entry = (struct entry){slice_str(field_names[field]), {NULL, 0}, origin};
    return go_on(read_value(w, value, field_names[field], field == YAML_KEY_MODELS, &entry->value));
}

static enum status read_key(struct walk *w, const yaml_node_t *node)
{
    struct loading *l = w->l;
    struct yaml_key key = {.origin = origin_of(w, node)};

    if (node->type != YAML_MAPPING_NODE) {
        report_error(&l->reporter, &key.origin, "keys",
                     "expected a mapping with key or key_env, as \"- key_env: TEAM_A_KEY\"");
        return STATUS_OK;
    }
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        enum status status = read_field(w, yaml_document_get_node(w->document, pair->key),
                                        yaml_document_get_node(w->document, pair->value), &key);
        if (status != STATUS_OK)
            return status;
    }
    enum status status =
        array_grow(&l->yaml_keys, &l->yaml_key_capacity, l->yaml_key_count, sizeof key);
    if (status == STATUS_OK)
        l->yaml_keys[l->yaml_key_count++] = key;
    return status;
}

static enum status read_keys(struct walk *w, const yaml_node_t *node)
{
    struct origin origin = origin_of(w, node);

    if (node->type == YAML_SCALAR_NODE && is_null(node))
        return STATUS_OK;
    if (node->type != YAML_SEQUENCE_NODE) {
        report_error(&w->l->reporter, &origin, "keys", "expected a list of keys");
        return STATUS_OK;
    }
    for (const yaml_node_item_t *item = node->data.sequence.items.start;
         item < node->data.sequence.items.top; item++) {
        enum status status = read_key(w, yaml_document_get_node(w->document, *item));
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* ---- the document ----------------------------------------------------------------------------- */

/* The series' later members are named by their own name, in upper case. */
static enum status upper_name(struct walk *w, struct slice name, struct slice *ret)
{
    char *copy = arena_copy(&w->l->scratch, name);

    if (!copy)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < name.len; i++) {
        if (copy[i] >= 'a' && copy[i] <= 'z')
            copy[i] = (char)(copy[i] - 'a' + 'A');
    }
    *ret = slice_of(copy, name.len);
    return STATUS_OK;
}

static bool is_given(const struct loading *l, struct slice name)
{
    for (size_t i = 0; i < l->entry_count; i++) {
        if (l->entries[i].origin.rank == ORIGIN_YAML && slice_eq(l->entries[i].name, name))
            return true;
    }
    return false;
}

static enum status read_option(struct walk *w, int id, const yaml_node_t *name_node,
                               const yaml_node_t *value_node)
{
    struct origin origin = origin_of(w, name_node);
    const struct option *option = &option_table[id];
    struct slice name, value;

    enum status status = upper_name(w, scalar(name_node), &name);
    if (status != STATUS_OK)
        return status;
    if (is_given(w->l, name)) {
        report_error(&w->l->reporter, &origin, name.ptr, "given twice");
        return STATUS_OK;
    }
    status = read_value(w, value_node, option->name, option->type == OPTION_TOKENS, &value);
    if (status == STATUS_OK)
        status = loading_add(w->l, name, value, &origin);
    return go_on(status);
}

static enum status read_pair(struct walk *w, const yaml_node_t *name, const yaml_node_t *value)
{
    struct origin origin = origin_of(w, name);
    struct slice text = name->type == YAML_SCALAR_NODE ? scalar(name) : SLICE("");

    if (slice_eq(text, SLICE("keys")))
        return read_keys(w, value);
    int id = option_find(text, true);
    if (id >= 0)
        return read_option(w, id, name, value);
    refuse_name(w, &origin, text, option_near(text));
    return STATUS_OK;
}

static enum status read_document(struct walk *w)
{
    const yaml_node_t *root = yaml_document_get_root_node(w->document);

    if (!root || (root->type == YAML_SCALAR_NODE && is_null(root)))
        return STATUS_OK; /* empty, or comments only */
    struct origin origin = origin_of(w, root);
    if (root->type != YAML_MAPPING_NODE) {
        report_error(&w->l->reporter, &origin, NULL, "expected lines of the form name: value");
        return STATUS_OK;
    }
    for (const yaml_node_pair_t *pair = root->data.mapping.pairs.start;
         pair < root->data.mapping.pairs.top; pair++) {
        enum status status = read_pair(w, yaml_document_get_node(w->document, pair->key),
                                       yaml_document_get_node(w->document, pair->value));
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* ---- libyaml ---------------------------------------------------------------------------------- */

static void wipe_document(yaml_document_t *document)
{
    for (yaml_node_t *node = document->nodes.start; node < document->nodes.top; node++) {
        if (node->type == YAML_SCALAR_NODE)
            explicit_bzero(node->data.scalar.value, node->data.scalar.length);
    }
    yaml_document_delete(document);
}

static void wipe_parser(yaml_parser_t *parser)
{
    explicit_bzero(parser->raw_buffer.start,
                   (size_t)(parser->raw_buffer.end - parser->raw_buffer.start));
    explicit_bzero(parser->buffer.start, (size_t)(parser->buffer.end - parser->buffer.start));
    yaml_parser_delete(parser);
}

static enum status report_syntax(struct loading *l, const yaml_parser_t *parser, const char *file)
{
    struct origin origin = {ORIGIN_YAML, (unsigned)parser->problem_mark.line + 1, file};

    if (parser->error == YAML_MEMORY_ERROR)
        return STATUS_NO_MEMORY;
    report_error(&l->reporter, &origin, NULL, "not valid YAML: %s",
                 parser->problem ? parser->problem : "unreadable");
    return STATUS_OK;
}

enum status yaml_read(struct loading *l, struct slice text, const char *file)
{
    yaml_parser_t parser;
    yaml_document_t document;
    enum status status;

    if (!yaml_parser_initialize(&parser))
        return STATUS_NO_MEMORY;
    yaml_parser_set_input_string(&parser, (const unsigned char *)text.ptr, text.len);
    if (yaml_parser_load(&parser, &document)) {
        struct walk w = {l, &document, file};
        status = read_document(&w);
        wipe_document(&document);
    } else {
        status = report_syntax(l, &parser, file);
    }
    wipe_parser(&parser);
    return status;
}
