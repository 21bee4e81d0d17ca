/* From a JSON object to a struct and back, by table.
 *
 * The script file, the control API and GET /state speak of keys and faults with the same members;
 * each member stands once, in a table, with its place, its range and the words that tell a person
 * what was expected.
 */
#ifndef SPAREKEY_MOCK_FIELDS_H
#define SPAREKEY_MOCK_FIELDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FIELD_TEXT_MAX 128 /* char[FIELD_TEXT_MAX + 1] in the struct */
#define FIELD_LIST_MAX 1024

enum field_kind {
    FIELD_TEXT,    /* char[FIELD_TEXT_MAX + 1] */
    FIELD_INTEGER, /* int64_t, 0 … max */
    FIELD_RATE,    /* number 0…1 → int64_t millionths */
    FIELD_BOOL,    /* bool */
    FIELD_TRILEAN, /* bool → int64_t 1 or 0; what the struct holds before stands for "either" */
    FIELD_SPAN,    /* integer or [low, high] → int64_t[2] */
    FIELD_STRINGS, /* array of strings, or null → json_t *, a reference owned by the struct */
    FIELD_NAME,    /* one of `names` → int64_t index */
    FIELD_OTHER,   /* known, but read by the caller */
};

struct field {
    const char *name;
    enum field_kind kind;
    size_t offset;
    int64_t max;              /* FIELD_INTEGER, FIELD_SPAN */
    const char *const *names; /* FIELD_NAME, ends with NULL */
    const char *expected;     /* "a number of milliseconds, or [low, high]" */
};

/* What is wrong, and where: the object or array and the member or index in it, so that whoever
 * read it from a file can tell the line. */
struct problem {
    const json_t *container;
    char member[FIELD_TEXT_MAX + 1];
    char message[512];
};

/* Fills `problem` and returns false. */
bool problem_set(struct problem *problem, const json_t *container, const char *member,
                 const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Writes the members of `json` that are present into `base`; a member that no row names is a
 * problem. On false `base` may be half written: read into a copy. */
bool fields_read(const struct field *fields, size_t count, const json_t *json, void *base,
                 struct problem *problem);

/* A new object of all rows but FIELD_OTHER; NULL when memory ran out. */
json_t *fields_write(const struct field *fields, size_t count, const void *base);

#ifdef __cplusplus
}
#endif
#endif
