/* Composing: JSON bodies out of options, and what options must be.
 *
 * Members are written in order as text. A caller's `extra` members replace ours of the same name and
 * come last; only where there are some, or a text in JSON, a document is parsed. The first failure
 * sticks. */
#ifndef SPAREKEY_CLIENT_COMPOSE_H
#define SPAREKEY_CLIENT_COMPOSE_H

#include <jansson.h>
#include <stdbool.h>

#include "base/buffer.h"
#include "sparekey/sparekey.h"

#ifdef __cplusplus
extern "C" {
#endif

struct composer {
    struct buffer *out;
    sparekey_error *error; /* of the caller's; NULL is allowed */
    json_t *extra;
    struct slice extra_text; /* between its braces */
    int code;                /* SPAREKEY_OK, or why there is no body */
    bool first;
};

enum json_kind { JSON_OF_OBJECT, JSON_OF_ARRAY };

/* Begins an object; `extra` NULL: none. */
void compose_begin(struct composer *c, struct buffer *out, const char *extra,
                   sparekey_error *error);

/* A member; nothing where the value is NULL or unset, or `extra` has one of that name. `argument` is
 * what the value is called in messages. */
void compose_text(struct composer *c, const char *name, const char *argument, const char *value);
void compose_json(struct composer *c, const char *name, const char *argument, const char *text,
                  enum json_kind kind);
void compose_integer(struct composer *c, const char *name, const char *argument, int64_t value,
                     int64_t least, int64_t most);
void compose_decimal(struct composer *c, const char *name, const char *argument, double value,
                     double most);
void compose_bool(struct composer *c, const char *name, bool value);

/* The name of a member and its colon, for a value written with the functions below; false: left out. */
bool compose_member(struct composer *c, const char *name);
void compose_raw(struct composer *c, struct slice text);
void compose_string(struct composer *c, const char *argument, const char *value);

/* Ends the object and frees; returns the code. Once for each begin. */
int compose_end(struct composer *c);

/* ---- arguments ---- */

/* A text: not NULL, not empty, UTF-8. */
int check_text(sparekey_error *error, const char *argument, const char *value);

/* NULL, or one of the names in `allowed`, which are separated by '|'. */
int check_choice(sparekey_error *error, const char *argument, const char *value,
                 const char *allowed);

/* Copies options of any version into our own struct, which holds the defaults. `size` is at the front
 * of both. `given` NULL: defaults. What is beyond ours must be zero. */
int check_options(sparekey_error *error, void *own, size_t own_size, const void *given);

#ifdef __cplusplus
}
#endif
#endif
