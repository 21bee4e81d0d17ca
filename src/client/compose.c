#include "client/compose.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "client/document.h"
#include "client/fault.h"
#include "openai/error_body.h"

enum { OPTIONS_SIZE_MAX = 4096 };

static void fail(struct composer *c, int code)
{
    if (c->code == SPAREKEY_OK)
        c->code = code;
}

static void note(struct composer *c, enum status status)
{
    if (status != STATUS_OK)
        fail(c, fault_status(c->error, status, SPAREKEY_ERROR_MEMORY, "composing the request"));
}

void compose_raw(struct composer *c, struct slice text)
{
    if (c->code == SPAREKEY_OK)
        note(c, buffer_append(c->out, text, SIZE_MAX));
}

/* A document of this kind; NULL: the failure is told. */
static json_t *parse(struct composer *c, const char *argument, const char *text,
                     enum json_kind kind)
{
    json_t *document = NULL;

    if (document_read(slice_str(text), &document) == STATUS_NO_MEMORY) {
        note(c, STATUS_NO_MEMORY);
        return NULL;
    }
    if (document && (kind == JSON_OF_ARRAY ? json_is_array(document) : json_is_object(document)))
        return document;
    json_decref(document);
    fail(c, fault_argument(c->error, argument,
                           kind == JSON_OF_ARRAY ? "not a JSON array" : "not a JSON object"));
    return NULL;
}

static struct slice between_braces(const char *text)
{
    const char *open = strchr(text, '{'), *close = strrchr(text, '}');

    return slice_of(open + 1, (size_t)(close - open - 1));
}

void compose_begin(struct composer *c, struct buffer *out, const char *extra, sparekey_error *error)
{
    *c = (struct composer){.out = out, .error = error, .first = true};
    if (extra) {
        c->extra = parse(c, "options.extra", extra, JSON_OF_OBJECT);
        if (c->extra && json_object_size(c->extra))
            c->extra_text = between_braces(extra);
    }
    compose_raw(c, SLICE("{"));
}

bool compose_member(struct composer *c, const char *name)
{
    if (c->code != SPAREKEY_OK || (c->extra && json_object_get(c->extra, name)))
        return false;
    compose_raw(c, c->first ? SLICE("\"") : SLICE(",\""));
    compose_raw(c, slice_str(name));
    compose_raw(c, SLICE("\":"));
    c->first = false;
    return true;
}

void compose_string(struct composer *c, const char *argument, const char *value)
{
    struct slice text = slice_str(value);

    if (c->code != SPAREKEY_OK)
        return;
    if (!utf8_valid(text))
        fail(c, fault_argument(c->error, argument, "not valid UTF-8"));
    else
        note(c, json_write_long(c->out, text));
}

void compose_text(struct composer *c, const char *name, const char *argument, const char *value)
{
    if (value && compose_member(c, name))
        compose_string(c, argument, value);
}

void compose_json(struct composer *c, const char *name, const char *argument, const char *text,
                  enum json_kind kind)
{
    if (!text || c->code != SPAREKEY_OK)
        return;
    json_t *document = parse(c, argument, text, kind);
    if (document && compose_member(c, name))
        compose_raw(c, slice_str(text));
    json_decref(document);
}

void compose_integer(struct composer *c, const char *name, const char *argument, int64_t value,
                     int64_t least, int64_t most)
{
    char digits[24];

    if (value == SPAREKEY_UNSET || c->code != SPAREKEY_OK)
        return;
    if (value < least || value > most) {
        fail(c, fault_set(c->error, SPAREKEY_ERROR_ARGUMENT, "%s: not from %lld to %lld", argument,
                          (long long)least, (long long)most));
        return;
    }
    (void)snprintf(digits, sizeof digits, "%lld", (long long)value);
    if (compose_member(c, name))
        compose_raw(c, slice_str(digits));
}

/* Millionths, so that no locale has a say in how a fraction is written. */
void compose_decimal(struct composer *c, const char *name, const char *argument, double value,
                     double most)
{
    char digits[32];

    if (value == SPAREKEY_UNSET || c->code != SPAREKEY_OK)
        return;
    if (!(value >= 0 && value <= most)) { /* no number is not within either */
        fail(c, fault_set(c->error, SPAREKEY_ERROR_ARGUMENT, "%s: not from 0 to %d", argument,
                          (int)most));
        return;
    }
    unsigned long millionths = (unsigned long)(value * 1e6 + 0.5);
    (void)snprintf(digits, sizeof digits, "%lu.%06lu", millionths / 1000000, millionths % 1000000);
    if (compose_member(c, name))
        compose_raw(c, slice_str(digits));
}

void compose_bool(struct composer *c, const char *name, bool value)
{
    if (compose_member(c, name))
        compose_raw(c, value ? SLICE("true") : SLICE("false"));
}

int compose_end(struct composer *c)
{
    if (c->extra_text.len && !c->first)
        compose_raw(c, SLICE(","));
    compose_raw(c, c->extra_text);
    compose_raw(c, SLICE("}"));
    json_decref(c->extra);
    return c->code;
}

/* ---- arguments --------------------------------------------------------------------------- */

int check_text(sparekey_error *error, const char *argument, const char *value)
{
    if (!value)
        return fault_argument(error, argument, "is NULL");
    if (!*value)
        return fault_argument(error, argument, "is empty");
    if (!utf8_valid(slice_str(value)))
        return fault_argument(error, argument, "not valid UTF-8");
    return SPAREKEY_OK;
}

int check_choice(sparekey_error *error, const char *argument, const char *value,
                 const char *allowed)
{
    struct slice rest = slice_str(allowed), item;

    while (value && slice_next_item(&rest, '|', &item)) {
        if (slice_eq(item, slice_str(value)))
            return SPAREKEY_OK;
    }
    return value ? fault_set(error, SPAREKEY_ERROR_ARGUMENT, "%s: not one of %s", argument, allowed)
                 : SPAREKEY_OK;
}

int check_options(sparekey_error *error, void *own, size_t own_size, const void *given)
{
    const unsigned char *bytes = given;
    size_t size;

    if (!given)
        return SPAREKEY_OK;
    memcpy(&size, given, sizeof size);
    if (size < sizeof size || size > OPTIONS_SIZE_MAX)
        return fault_argument(error, "options.size",
                              "begin with the value of the struct's _init function");
    for (size_t i = own_size; i < size; i++) {
        if (bytes[i])
            return fault_argument(error, "options.size",
                                  "made for a newer libsparekey, and uses what this one lacks");
    }
    memcpy(own, given, size < own_size ? size : own_size);
    return SPAREKEY_OK;
}
