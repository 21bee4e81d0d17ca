/* SPAREKEY_LAST_RESORT: a file {"text": "…"} or a URL, told apart by how it begins. */
#include <jansson.h>

#include "settings/address.h"
#include "settings/loading.h"

#define FILE_EXPECTED "a JSON object with a string \"text\""

static bool is_url(const char *value)
{
    return slice_starts(slice_str(value), SLICE("http://")) ||
           slice_starts(slice_str(value), SLICE("https://"));
}

static void refuse(struct loading *l, const char *expected, const char *why)
{
    report_error(&l->reporter, &l->loaded->origins[OPTION_LAST_RESORT],
                 option_table[OPTION_LAST_RESORT].name, "expected %s: %s", expected, why);
}

static enum status read_url(struct loading *l, struct settings *settings)
{
    const char *why;
    enum status status = url_parse(slice_str(settings->last_resort), &l->loaded->strings, &why,
                                   &settings->last_resort_url);

    if (status != STATUS_INVALID)
        return status;
    refuse(l, URL_EXPECTED, why);
    return STATUS_OK;
}

static enum status read_text(struct loading *l, struct slice document, struct settings *settings)
{
    json_error_t error;
    json_t *root = json_loadb(document.ptr ? document.ptr : "", document.len, 0, &error);
    const json_t *text = json_object_get(root, "text");
    enum status status = STATUS_OK;

    if (json_is_string(text)) {
        settings->last_resort_text = arena_copy(
            &l->loaded->strings, slice_of(json_string_value(text), json_string_length(text)));
        status = settings->last_resort_text ? STATUS_OK : STATUS_NO_MEMORY;
    } else {
        refuse(l, FILE_EXPECTED, root ? "there is none" : error.text);
    }
    json_decref(root);
    return status;
}

enum status last_resort_collect(struct loading *l)
{
    struct settings *settings = &l->loaded->settings;
    struct buffer document = {0};
    bool found = false;

    if (!settings->last_resort)
        return STATUS_OK;
    if (is_url(settings->last_resort))
        return read_url(l, settings);
    enum status status =
        loading_read(l, settings->last_resort, loading_find(l, SLICE("SPAREKEY_LAST_RESORT")),
                     &document, &found);
    if (status == STATUS_OK && found)
        status = read_text(l, buffer_slice(&document), settings);
    buffer_clear(&document);
    return status;
}
