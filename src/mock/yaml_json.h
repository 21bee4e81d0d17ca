/* YAML into JSON, remembering lines: so that a script file and the control API are read by the
 * same code, and an error in the file still says where. */
#ifndef SPAREKEY_MOCK_YAML_JSON_H
#define SPAREKEY_MOCK_YAML_JSON_H

#include <jansson.h>

#include "base/buffer.h"

#ifdef __cplusplus
extern "C" {
#endif

#define YAML_DEPTH_MAX 32
#define YAML_NODES_MAX ((size_t)1 << 20)

struct yaml_mark {
    const json_t *container;
    const char *member; /* of an object: interned in it; of an array: NULL */
    int line;
};

struct yaml_json {
    json_t *root;
    struct yaml_mark *marks; /* the line of each member and of each container (member "") */
    size_t mark_count, mark_capacity;
    int error_line;
    char error[256];
};

/* Plain scalars become numbers, booleans and null where they look like it (YAML 1.2 core schema:
 * true, false, null, ~); quoted ones stay strings. Anchors and aliases, several documents and
 * duplicate names are refused. An empty text is an empty object. STATUS_INVALID: error and
 * error_line say why. Always yaml_json_clear afterwards. */
NODISCARD
enum status yaml_json_read(struct yaml_json *doc, struct slice text);
void yaml_json_clear(struct yaml_json *doc);

/* The line of a member (or, with "", of the container itself); of the container when the member
 * has none; 0: unknown. */
int yaml_json_line(const struct yaml_json *doc, const json_t *container, const char *member);

#ifdef __cplusplus
}
#endif
#endif
