#include "mock/yaml_json.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct reader {
    struct yaml_json *doc;
    yaml_parser_t parser;
    size_t nodes;
};

static enum status fail(struct reader *r, size_t line, const char *message)
{
    r->doc->error_line = (int)line + 1;
    snprintf(r->doc->error, sizeof(r->doc->error), "%s", message);
    return STATUS_INVALID;
}

static enum status mark(struct yaml_json *doc, const json_t *container, const char *member,
                        size_t line)
{
    if (doc->mark_count == doc->mark_capacity) {
        size_t capacity = doc->mark_capacity ? doc->mark_capacity * 2 : 64;
        struct yaml_mark *marks = realloc(doc->marks, capacity * sizeof(*marks));
        if (!marks)
            return STATUS_NO_MEMORY;
        doc->marks = marks;
        doc->mark_capacity = capacity;
    }
    doc->marks[doc->mark_count++] = (struct yaml_mark){container, member, (int)line + 1};
    return STATUS_OK;
}

/* The next event; the caller deletes it. */
static enum status next(struct reader *r, yaml_event_t *event)
{
    if (!yaml_parser_parse(&r->parser, event))
        return fail(r, r->parser.problem_mark.line,
                    r->parser.problem ? r->parser.problem : "not YAML");
    return STATUS_OK;
}

static json_t *number_of(const char *text)
{
    char *end = NULL;
    const char *digits = text[0] == '-' ? text + 1 : text;

    if (!isdigit((unsigned char)digits[0]))
        return NULL;
    errno = 0;
    long long integer = strtoll(text, &end, 10);
    if (*end == '\0' && errno == 0)
        return json_integer(integer);
    double real = strtod(text, &end);
    return *end == '\0' && strpbrk(text, "xXnN") == NULL ? json_real(real) : NULL;
}

static json_t *plain_scalar(const char *text, size_t len)
{
    static const char *const nulls[] = {"", "~", "null"};

    for (size_t i = 0; i < sizeof(nulls) / sizeof(nulls[0]); i++) {
        if (strcmp(text, nulls[i]) == 0)
            return json_null();
    }
    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
        return json_boolean(text[0] == 't');
    json_t *number = number_of(text);
    return number ? number : json_stringn(text, len);
}

static json_t *scalar(const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    size_t len = event->data.scalar.length;
    return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE ? plain_scalar(text, len)
                                                               : json_stringn(text, len);
}

static enum status read_node(struct reader *r, yaml_event_t *event, int depth, json_t **ret);

static enum status read_list(struct reader *r, size_t line, int depth, json_t **ret)
{
    json_t *list = json_array(), *item = NULL;
    enum status status = mark(r->doc, list, "", line);

    while (status == STATUS_OK) {
        yaml_event_t event;
        status = next(r, &event);
        if (status != STATUS_OK)
            break;
        bool end = event.type == YAML_SEQUENCE_END_EVENT;
        if (!end)
            status = read_node(r, &event, depth + 1, &item);
        yaml_event_delete(&event);
        if (end)
            break;
        if (status == STATUS_OK && json_array_append_new(list, item) != 0)
            status = STATUS_NO_MEMORY;
    }
    if (status == STATUS_OK)
        *ret = list;
    else
        json_decref(list);
    return status;
}

/* One name and its value. */
static enum status read_member(struct reader *r, const yaml_event_t *name, int depth, json_t *map)
{
    yaml_event_t event;
    json_t *value = NULL;

    if (name->type != YAML_SCALAR_EVENT)
        return fail(r, name->start_mark.line, "a name must be plain text");
    const char *text = (const char *)name->data.scalar.value;
    if (json_object_get(map, text))
        return fail(r, name->start_mark.line, "this name stands here twice");
    enum status status = next(r, &event);
    if (status != STATUS_OK)
        return status;
    status = read_node(r, &event, depth + 1, &value);
    yaml_event_delete(&event);
    if (status != STATUS_OK)
        return status;
    if (json_object_set_new(map, text, value) != 0)
        return fail(r, name->start_mark.line, "a name must be UTF-8");
    /* The map owns a copy of the name that lives as long as the member. */
    const char *interned = json_object_iter_key(json_object_iter_at(map, text));
    return mark(r->doc, map, interned, name->start_mark.line);
}

static enum status read_map(struct reader *r, size_t line, int depth, json_t **ret)
{
    json_t *map = json_object();
    enum status status = mark(r->doc, map, "", line);

    while (status == STATUS_OK) {
        yaml_event_t event;
        status = next(r, &event);
        if (status != STATUS_OK)
            break;
        bool end = event.type == YAML_MAPPING_END_EVENT;
        if (!end)
            status = read_member(r, &event, depth, map);
        yaml_event_delete(&event);
        if (end)
            break;
    }
    if (status == STATUS_OK)
        *ret = map;
    else
        json_decref(map);
    return status;
}

static enum status read_node(struct reader *r, yaml_event_t *event, int depth, json_t **ret)
{
    size_t line = event->start_mark.line;

    if (depth > YAML_DEPTH_MAX || ++r->nodes > YAML_NODES_MAX)
        return fail(r, line, "nested too deep, or too much of it");
    if (event->type == YAML_SEQUENCE_START_EVENT)
        return read_list(r, line, depth, ret);
    if (event->type == YAML_MAPPING_START_EVENT)
        return read_map(r, line, depth, ret);
    if (event->type != YAML_SCALAR_EVENT)
        return fail(r, line, "anchors and aliases are not understood here");
    *ret = scalar(event);
    return *ret ? STATUS_OK : fail(r, line, "text must be UTF-8");
}

/* Document start … end; nothing, or a second document, may follow. */
static enum status read_stream(struct reader *r)
{
    enum status status = STATUS_OK;
    bool over = false;

    while (status == STATUS_OK && !over) {
        yaml_event_t event;
        status = next(r, &event);
        if (status != STATUS_OK)
            break;
        over = event.type == YAML_STREAM_END_EVENT;
        bool frame = over || event.type == YAML_STREAM_START_EVENT ||
                     event.type == YAML_DOCUMENT_START_EVENT ||
                     event.type == YAML_DOCUMENT_END_EVENT;
        if (!frame && r->doc->root)
            status = fail(r, event.start_mark.line, "one document only");
        else if (!frame)
            status = read_node(r, &event, 0, &r->doc->root);
        yaml_event_delete(&event);
    }
    return status;
}

enum status yaml_json_read(struct yaml_json *doc, struct slice text)
{
    struct reader r = {.doc = doc};

    *doc = (struct yaml_json){0};
    if (!yaml_parser_initialize(&r.parser))
        return STATUS_NO_MEMORY;
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)(text.ptr ? text.ptr : ""),
                                 text.len);
    enum status status = read_stream(&r);
    yaml_parser_delete(&r.parser);
    if (status == STATUS_OK && (!doc->root || json_is_null(doc->root)))
        doc->root = json_object();
    return status;
}

void yaml_json_clear(struct yaml_json *doc)
{
    json_decref(doc->root);
    free(doc->marks);
    *doc = (struct yaml_json){0};
}

static int find_mark(const struct yaml_json *doc, const json_t *container, const char *member)
{
    for (size_t i = 0; i < doc->mark_count; i++) {
        if (doc->marks[i].container == container && strcmp(doc->marks[i].member, member) == 0)
            return doc->marks[i].line;
    }
    return 0;
}

int yaml_json_line(const struct yaml_json *doc, const json_t *container, const char *member)
{
    int line = find_mark(doc, container, member);
    return line ? line : find_mark(doc, container, "");
}
