#include "mock/fault.h"

#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "mock/errors.h"

enum { COUNT_MAX = 1000000000, MS_MAX = 86400000 };

static const struct {
    const char *name;
    bool argument;
    const char *help;
} kinds[] = {
#define X(kind, name, argument, help) {name, argument, help},
    FAULT_TABLE(X)
#undef X
};

#define AT(member) offsetof(struct fault, member)

static const struct field fault_fields[] = {
    {"fault", FIELD_TEXT, AT(name), 0, NULL, "the name of a fault"},
    {"key", FIELD_TEXT, AT(key), 0, NULL, "a key"},
    {"path", FIELD_TEXT, AT(path), 0, NULL, "a path such as /v1/responses"},
    {"model", FIELD_TEXT, AT(model), 0, NULL, "the name of a model"},
    {"stream", FIELD_TRILEAN, AT(stream), 0, NULL, "true or false"},
    {"rate", FIELD_RATE, AT(rate_ppm), 0, NULL, "a number from 0 to 1"},
    {"count", FIELD_INTEGER, AT(count), COUNT_MAX, NULL, "a whole number of requests"},
    {"every", FIELD_INTEGER, AT(every), COUNT_MAX, NULL, "a whole number of requests"},
    {"skip", FIELD_INTEGER, AT(skip), COUNT_MAX, NULL, "a whole number of requests"},
    {"after", FIELD_INTEGER, AT(after), COUNT_MAX, NULL, "a whole number of events"},
    {"retry_after_ms", FIELD_INTEGER, AT(retry_after_ms), MS_MAX, NULL, "milliseconds"},
    {"delay_ms", FIELD_INTEGER, AT(delay_ms), MS_MAX, NULL, "milliseconds"},
    {"nested", FIELD_BOOL, AT(nested), 0, NULL, "true or false"},
    {"code", FIELD_TEXT, AT(code), 0, NULL, "an error code"},
};

enum { FIELD_COUNT = sizeof(fault_fields) / sizeof(fault_fields[0]) };

const char *fault_kind_name(enum fault_kind kind)
{
    return kinds[kind].name;
}

const char *fault_kind_help(enum fault_kind kind)
{
    return kinds[kind].help;
}

static bool find_kind(struct slice name, bool argument, enum fault_kind *ret)
{
    for (unsigned i = 0; i < FAULT_KINDS; i++) {
        if (slice_eq(name, slice_str(kinds[i].name)) && kinds[i].argument == argument) {
            *ret = (enum fault_kind)i;
            return true;
        }
    }
    return false;
}

/* "kind" or "kind:argument". */
static bool read_name(struct fault *fault, const json_t *json, struct problem *problem)
{
    struct slice name = slice_str(fault->name);
    const char *colon = strchr(fault->name, ':');
    struct slice kind = colon ? slice_of(name.ptr, (size_t)(colon - name.ptr)) : name;
    struct slice argument = colon ? slice_from(name, kind.len + 1) : slice_of(NULL, 0);
    uint64_t status = 0;

    if (!find_kind(kind, colon != NULL, &fault->kind))
        return problem_set(problem, json, "fault",
                           "no fault is called \"%s\"; docs/mock.md lists them", fault->name);
    if (fault->kind == FAULT_ERROR && !error_row_exists(argument))
        return problem_set(problem, json, "fault",
                           "the error table has no row \"%.*s\"; GET /state lists them",
                           (int)argument.len, argument.ptr);
    if (fault->kind != FAULT_STATUS && fault->kind != FAULT_HTML)
        return true;
    if (number_parse(argument, 599, &status) != STATUS_OK || status < 200)
        return problem_set(problem, json, "fault",
                           "expected a status from 200 to 599 after \"%.*s:\"", (int)kind.len,
                           kind.ptr);
    fault->status = (int)status;
    return true;
}

struct fault *fault_new(const json_t *json, struct problem *problem)
{
    struct fault *fault = calloc(1, sizeof(*fault));
    if (!fault) {
        problem_set(problem, json, "", "out of memory");
        return NULL;
    }
    list_init(&fault->node);
    fault->stream = -1;
    fault->rate_ppm = 1000000;
    fault->after = fault->retry_after_ms = -1;
    slice_copy(SLICE("server_error"), fault->code, sizeof(fault->code));

    bool good = json_is_object(json) || problem_set(problem, json, "", "expected {fault: …}");
    if (!good || !fields_read(fault_fields, FIELD_COUNT, json, fault, problem) ||
        !read_name(fault, json, problem)) {
        fault_free(fault);
        return NULL;
    }
    return fault;
}

void fault_free(struct fault *fault)
{
    if (fault)
        list_remove(&fault->node);
    free(fault);
}

void faults_clear(struct list *list)
{
    while (!list_empty(list))
        fault_free(container_of(list->next, struct fault, node));
}

static void append_all(struct list *list, struct list *more)
{
    while (!list_empty(more)) {
        struct list *node = more->next;
        list_remove(node);
        list_append(list, node);
    }
}

bool faults_read(const json_t *array, struct list *list, uint64_t *next_id, struct problem *problem)
{
    struct list fresh;
    size_t i;
    json_t *item;

    list_init(&fresh);
    if (!json_is_array(array) || json_array_size(array) > FAULTS_MAX)
        return problem_set(problem, array, "", "expected a list of faults");
    json_array_foreach(array, i, item)
    {
        struct fault *fault = fault_new(item, problem);
        if (!fault) {
            faults_clear(&fresh);
            return false;
        }
        fault->id = ++*next_id;
        list_append(&fresh, &fault->node);
    }
    append_all(list, &fresh);
    return true;
}

static bool text_matches(const char *wanted, struct slice given)
{
    return wanted[0] == '\0' || slice_eq(slice_str(wanted), given);
}

static bool matches(const struct fault *fault, const struct fault_query *query)
{
    return text_matches(fault->key, query->key) && text_matches(fault->path, query->path) &&
           text_matches(fault->model, query->model) &&
           (fault->stream < 0 || (fault->stream == 1) == query->stream);
}

static bool fires(struct fault *fault, struct rng *rng)
{
    int64_t nth = ++fault->seen - fault->skip;

    if (nth <= 0 || (fault->count && fault->fired >= fault->count))
        return false;
    if (fault->every && nth % fault->every != 0)
        return false;
    return fault->rate_ppm >= 1000000 || (int64_t)rng_below(rng, 1000000) < fault->rate_ppm;
}

struct fault *faults_pick(struct list *list, const struct fault_query *query, struct rng *rng)
{
    for (struct list *l = list->next; l != list; l = l->next) {
        struct fault *fault = container_of(l, struct fault, node);
        if (matches(fault, query) && fires(fault, rng)) {
            fault->fired++;
            return fault;
        }
    }
    return NULL;
}

json_t *fault_json(const struct fault *fault)
{
    json_t *json = fields_write(fault_fields, FIELD_COUNT, fault);
    json_object_set_new(json, "id", json_integer((json_int_t)fault->id));
    json_object_set_new(json, "seen", json_integer(fault->seen));
    json_object_set_new(json, "fired", json_integer(fault->fired));
    return json;
}

json_t *faults_json(const struct list *list)
{
    json_t *array = json_array();
    for (const struct list *l = list->next; l != list; l = l->next)
        json_array_append_new(array, fault_json(container_of(l, struct fault, node)));
    return array;
}
