#include "mock/script.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "mock/yaml_json.h"

enum { REASON_MAX = 4096 };

static bool apply_keys(struct keyring *ring, const json_t *document, json_t *keys,
                       struct problem *problem)
{
    size_t i;
    json_t *entry;

    if (!json_is_array(keys))
        return problem_set(problem, document, "keys", "expected a list of keys");
    json_array_foreach(keys, i, entry)
    {
        const json_t *key = json_object_get(entry, "key");
        struct slice text = slice_of(json_string_value(key), json_string_length(key));
        if (text.len == 0)
            return problem_set(problem, json_is_object(entry) ? entry : keys, "key",
                               "each of keys needs \"key: sk-…\"");
        if (keyring_find(ring, text))
            return problem_set(problem, entry, "key", "this key stands here twice");
        if (!keyring_put(ring, text, entry, problem))
            return false;
    }
    return true;
}

static bool apply_member(struct keyring *ring, const json_t *document, const char *name,
                         json_t *value, struct problem *problem)
{
    if (strcmp(name, "keys") == 0)
        return apply_keys(ring, document, value, problem);
    if (strcmp(name, "default") == 0)
        return keyring_set_default(ring, value, problem);
    if (strcmp(name, "models") == 0)
        return keyring_set_models(ring, value, problem);
    if (strcmp(name, "faults") == 0)
        return faults_read(value, &ring->faults, &ring->next_fault_id, problem);
    return problem_set(problem, document, name,
                       "unknown name; expected one of: keys, models, default, faults");
}

bool script_apply(struct keyring *ring, json_t *document, struct problem *problem)
{
    const char *name;
    json_t *value;

    if (!json_is_object(document))
        return problem_set(problem, document, "", "expected names: keys, models, default, faults");
    /* A script that says nothing of unknown keys means that there are none. */
    ring->fallback_set = false;
    json_object_foreach(document, name, value)
    {
        if (apply_member(ring, document, name, value, problem))
            continue;
        /* A scalar where a container belongs has no mark of its own: its member has. */
        if (!json_is_object(problem->container) && !json_is_array(problem->container)) {
            problem->container = document;
            slice_copy(slice_str(name), problem->member, sizeof(problem->member));
        }
        return false;
    }
    return true;
}

static enum status explain(struct buffer *reason, const char *file_name, int line,
                           const char *member, const char *message)
{
    enum status status = line ? buffer_printf(reason, REASON_MAX, "%s:%d: ", file_name, line)
                              : buffer_printf(reason, REASON_MAX, "%s: ", file_name);
    if (status == STATUS_OK && member[0])
        status = buffer_printf(reason, REASON_MAX, "%s: ", member);
    if (status == STATUS_OK)
        status = buffer_printf(reason, REASON_MAX, "%s", message);
    return status == STATUS_OK ? STATUS_INVALID : status;
}

enum status script_read(struct keyring *ring, struct slice text, const char *file_name,
                        struct buffer *reason)
{
    struct yaml_json doc;
    struct problem problem = {0};
    enum status status = yaml_json_read(&doc, text);

    if (status == STATUS_INVALID)
        status = explain(reason, file_name, doc.error_line, "", doc.error);
    else if (status == STATUS_OK && !script_apply(ring, doc.root, &problem))
        status = explain(reason, file_name, yaml_json_line(&doc, problem.container, problem.member),
                         problem.member, problem.message);
    yaml_json_clear(&doc);
    return status;
}

enum status script_load(struct keyring *ring, const char *file_name, struct buffer *reason)
{
    struct buffer text = {0};
    char chunk[4096];
    size_t len;
    enum status status = STATUS_OK;

    FILE *file = fopen(file_name, "re");
    if (!file) {
        status = explain(reason, file_name, 0, "", strerror(errno));
        return status == STATUS_INVALID ? STATUS_IO : status;
    }
    while (status == STATUS_OK && (len = fread(chunk, 1, sizeof(chunk), file)) > 0)
        status = buffer_append(&text, slice_of(chunk, len), SCRIPT_BYTES_MAX);
    bool failed = ferror(file) != 0;
    fclose(file);
    if (failed || status != STATUS_OK) {
        status =
            explain(reason, file_name, 0, "", failed ? "cannot be read" : "larger than 16 MiB");
        status = status == STATUS_INVALID ? STATUS_IO : status;
    } else {
        status = script_read(ring, buffer_slice(&text), file_name, reason);
    }
    buffer_clear(&text);
    return status;
}
