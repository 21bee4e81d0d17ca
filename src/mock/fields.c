#include "mock/fields.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/slice.h"

bool problem_set(struct problem *problem, const json_t *container, const char *member,
                 const char *format, ...)
{
    va_list args;

    problem->container = container;
    slice_copy(slice_str(member), problem->member, sizeof(problem->member));
    va_start(args, format);
    vsnprintf(problem->message, sizeof(problem->message), format, args);
    va_end(args);
    return false;
}

static bool read_integer(const json_t *value, int64_t max, int64_t *ret)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > max)
        return false;
    *ret = json_integer_value(value);
    return true;
}

static bool read_text(const json_t *value, char *out)
{
    size_t len = json_string_length(value);
    if (!json_is_string(value) || len > FIELD_TEXT_MAX ||
        strpbrk(json_string_value(value), "\r\n")) /* some end up in header fields */
        return false;
    slice_copy(slice_of(json_string_value(value), len), out, FIELD_TEXT_MAX + 1);
    return true;
}

static bool read_rate(const json_t *value, int64_t *ret)
{
    if (!json_is_number(value) || json_number_value(value) < 0 || json_number_value(value) > 1)
        return false;
    *ret = (int64_t)(json_number_value(value) * 1000000 + 0.5);
    return true;
}

static bool read_span(const json_t *value, int64_t max, int64_t *ret)
{
    if (read_integer(value, max, &ret[0])) {
        ret[1] = ret[0];
        return true;
    }
    return json_array_size(value) == 2 && read_integer(json_array_get(value, 0), max, &ret[0]) &&
           read_integer(json_array_get(value, 1), max, &ret[1]) && ret[0] <= ret[1];
}

static bool read_strings(json_t *value, json_t **ret)
{
    size_t i;
    json_t *item;

    if (!json_is_null(value) && (!json_is_array(value) || json_array_size(value) > FIELD_LIST_MAX))
        return false;
    json_array_foreach(value, i, item)
    {
        if (!json_is_string(item))
            return false;
    }
    json_decref(*ret);
    *ret = json_is_null(value) ? NULL : json_incref(value);
    return true;
}

static bool read_name(const json_t *value, const char *const *names, int64_t *ret)
{
    char digits[24] = "";
    const char *text = json_string_value(value);

    if (json_is_integer(value)) { /* a name such as 404, without quotes */
        snprintf(digits, sizeof(digits), "%lld", (long long)json_integer_value(value));
        text = digits;
    }
    for (int64_t i = 0; text && names[i]; i++) {
        if (strcmp(names[i], text) == 0) {
            *ret = i;
            return true;
        }
    }
    return false;
}

static bool read_field(const struct field *field, json_t *value, void *base)
{
    void *at = (char *)base + field->offset;

    switch (field->kind) {
    case FIELD_TEXT: return read_text(value, at);
    case FIELD_INTEGER: return read_integer(value, field->max, at);
    case FIELD_RATE: return read_rate(value, at);
    case FIELD_BOOL: *(bool *)at = json_is_true(value); return json_is_boolean(value);
    case FIELD_TRILEAN: *(int64_t *)at = json_is_true(value); return json_is_boolean(value);
    case FIELD_SPAN: return read_span(value, field->max, at);
    case FIELD_STRINGS: return read_strings(value, at);
    case FIELD_NAME: return read_name(value, field->names, at);
    case FIELD_OTHER: return true;
    }
    return false;
}

static const struct field *find_field(const struct field *fields, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(fields[i].name, name) == 0)
            return &fields[i];
    }
    return NULL;
}

static bool unknown_member(const struct field *fields, size_t count, const json_t *json,
                           const char *name, struct problem *problem)
{
    char known[400] = "";
    size_t len = 0;
    for (size_t i = 0; i < count && len < sizeof(known); i++)
        len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%s", i ? ", " : "",
                                fields[i].name);
    return problem_set(problem, json, name, "unknown name; expected one of: %s", known);
}

bool fields_read(const struct field *fields, size_t count, const json_t *json, void *base,
                 struct problem *problem)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)json, name, value)
    {
        const struct field *field = find_field(fields, count, name);
        if (!field)
            return unknown_member(fields, count, json, name, problem);
        if (!read_field(field, value, base))
            return problem_set(problem, json, name, "expected %s", field->expected);
    }
    return true;
}

static json_t *write_field(const struct field *field, const void *base)
{
    const void *at = (const char *)base + field->offset;

    switch (field->kind) {
    case FIELD_TEXT: return json_string(at);
    case FIELD_INTEGER: return json_integer(*(const int64_t *)at);
    case FIELD_RATE: return json_real((double)*(const int64_t *)at / 1000000);
    case FIELD_BOOL: return json_boolean(*(const bool *)at);
    case FIELD_TRILEAN:
        return *(const int64_t *)at < 0 ? json_null() : json_boolean(*(const int64_t *)at);
    case FIELD_SPAN:
        return json_pack("[I, I]", (json_int_t)((const int64_t *)at)[0],
                         (json_int_t)((const int64_t *)at)[1]);
    case FIELD_STRINGS: {
        json_t *list = *(json_t *const *)at;
        return list ? json_incref(list) : json_null();
    }
    case FIELD_NAME: return json_string(field->names[*(const int64_t *)at]);
    case FIELD_OTHER: break;
    }
    return NULL;
}

json_t *fields_write(const struct field *fields, size_t count, const void *base)
{
    json_t *json = json_object();
    for (size_t i = 0; i < count; i++) {
        if (fields[i].kind != FIELD_OTHER &&
            json_object_set_new(json, fields[i].name, write_field(&fields[i], base)) != 0) {
            json_decref(json);
            return NULL;
        }
    }
    return json;
}
