/* Any endpoint: a method, a path, and a body in one of three forms. */
#include <stdio.h>
#include <sys/random.h>

#include "client/compose.h"
#include "client/document.h"
#include "client/fault.h"
#include "client/perform.h"

enum { BOUNDARY_MAX = 48, PATH_BYTES_MAX = 32768 };

static int note(sparekey_error *error, enum status status)
{
    return status == STATUS_OK ? SPAREKEY_OK
                               : fault_status(error, status, SPAREKEY_ERROR_MEMORY, "the body");
}

/* ---- multipart --------------------------------------------------------------------------- */

/* Between quotes (RFC 7578, and the escapes of browsers). */
static enum status put_quoted(struct buffer *out, const char *text)
{
    enum status status = STATUS_OK;

    for (; *text && status == STATUS_OK; text++) {
        struct slice as = slice_of(text, 1);
        if (*text == '"')
            as = SLICE("%22");
        else if (*text == '\r')
            as = SLICE("%0D");
        else if (*text == '\n')
            as = SLICE("%0A");
        status = buffer_append(out, as, SIZE_MAX);
    }
    return status;
}

static enum status put_str(struct buffer *out, const char *text)
{
    return buffer_append(out, slice_str(text), SIZE_MAX);
}

static enum status put_file_name(struct buffer *out, const sparekey_part *part)
{
    enum status status = STATUS_OK;

    if (!part->file_name)
        return STATUS_OK;
    status = put_str(out, "; filename=\"");
    if (status == STATUS_OK)
        status = put_quoted(out, part->file_name);
    return status == STATUS_OK ? put_str(out, "\"") : status;
}

static enum status put_type(struct buffer *out, const sparekey_part *part)
{
    const char *type = part->content_type;
    enum status status = STATUS_OK;

    if (!type && part->file_name)
        type = "application/octet-stream";
    if (!type)
        return STATUS_OK;
    status = put_str(out, "\r\ncontent-type: ");
    return status == STATUS_OK ? put_str(out, type) : status;
}

static enum status put_part(struct buffer *out, const char *boundary, const sparekey_part *part)
{
    enum status status = put_str(out, "--");

    if (status == STATUS_OK)
        status = put_str(out, boundary);
    if (status == STATUS_OK)
        status = put_str(out, "\r\ncontent-disposition: form-data; name=\"");
    if (status == STATUS_OK)
        status = put_quoted(out, part->name);
    if (status == STATUS_OK)
        status = put_str(out, "\"");
    if (status == STATUS_OK)
        status = put_file_name(out, part);
    if (status == STATUS_OK)
        status = put_type(out, part);
    if (status == STATUS_OK)
        status = put_str(out, "\r\n\r\n");
    if (status == STATUS_OK)
        status = buffer_append(out, slice_of(part->data, part->len), SIZE_MAX);
    return status == STATUS_OK ? put_str(out, "\r\n") : status;
}

/* 128 bits of chance: no body contains it. */
static void make_boundary(char out[BOUNDARY_MAX])
{
    unsigned long long words[2] = {0, 0};

    (void)!getrandom(words, sizeof words, 0); /* without chance it is still a boundary */
    (void)snprintf(out, BOUNDARY_MAX, "sparekey-%016llx%016llx", words[0], words[1]);
}

static bool has_control(const char *text)
{
    for (; text && *text; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return true;
    }
    return false;
}

static int check_part(sparekey_error *error, const sparekey_part *part)
{
    int code = check_text(error, "options.parts.name", part->name);

    if (code != SPAREKEY_OK)
        return code;
    if (!part->data && part->len)
        return fault_argument(error, "options.parts.data", "is NULL");
    if (has_control(part->content_type))
        return fault_argument(error, "options.parts.content_type", "holds a control character");
    if (part->reserved[0] || part->reserved[1])
        return fault_argument(error, "options.parts.reserved", "not NULL: zero the struct first");
    return SPAREKEY_OK;
}

static int compose_parts(struct request *request, const sparekey_request_options *o,
                         sparekey_error *error)
{
    char boundary[BOUNDARY_MAX];
    int code = SPAREKEY_OK;

    make_boundary(boundary);
    (void)snprintf(request->content_type, sizeof request->content_type,
                   "multipart/form-data; boundary=%s", boundary);
    for (size_t i = 0; i < o->part_count && code == SPAREKEY_OK; i++) {
        code = check_part(error, &o->parts[i]);
        if (code == SPAREKEY_OK)
            code = note(error, put_part(&request->body, boundary, &o->parts[i]));
    }
    if (code == SPAREKEY_OK)
        code = note(error, put_str(&request->body, "--"));
    if (code == SPAREKEY_OK)
        code = note(error, put_str(&request->body, boundary));
    return code == SPAREKEY_OK ? note(error, put_str(&request->body, "--\r\n")) : code;
}

/* ---- the other forms --------------------------------------------------------------------- */

static int compose_json_body(struct request *request, const char *json, sparekey_error *error)
{
    if (!document_is_valid(slice_str(json)))
        return fault_argument(error, "options.json", "not a JSON document");
    request->is_json = true;
    (void)slice_copy(SLICE("application/json"), request->content_type,
                     sizeof request->content_type);
    return note(error, put_str(&request->body, json));
}

static int compose_raw_body(struct request *request, const sparekey_request_options *o,
                            sparekey_error *error)
{
    struct slice type = slice_str(o->content_type);

    if (!type.len || type.len >= sizeof request->content_type || has_control(o->content_type))
        return fault_argument(error, "options.content_type", "missing, too long, or malformed");
    (void)slice_copy(type, request->content_type, sizeof request->content_type);
    request->is_json = slice_starts(type, SLICE("application/json"));
    return note(error, buffer_append(&request->body, slice_of(o->body, o->body_len), SIZE_MAX));
}

static int compose_body(struct request *request, const sparekey_request_options *o,
                        sparekey_error *error)
{
    int forms = (o->json != NULL) + (o->part_count != 0) + (o->body_len != 0);

    if (forms > 1)
        return fault_argument(error, "options.body", "only one of json, parts and body");
    if (o->part_count)
        return o->parts ? compose_parts(request, o, error)
                        : fault_argument(error, "options.parts", "is NULL");
    if (o->json)
        return compose_json_body(request, o->json, error);
    if (o->body_len)
        return o->body ? compose_raw_body(request, o, error)
                       : fault_argument(error, "options.body", "is NULL");
    return SPAREKEY_OK;
}

/* ---- method and path --------------------------------------------------------------------- */

static bool is_visible_ascii(const char *text)
{
    for (; *text; text++) {
        if (*text <= ' ' || *text > '~' || *text == '#')
            return false;
    }
    return true;
}

static int set_target(struct request *request, const sparekey_request_options *o,
                      sparekey_error *error)
{
    int code = check_text(error, "options.path", o->path);

    if (code != SPAREKEY_OK)
        return code;
    if (o->path[0] != '/' || !is_visible_ascii(o->path) || strlen(o->path) > PATH_BYTES_MAX)
        return fault_argument(error, "options.path",
                              "does not begin with '/', is too long, or holds what a URL may not");
    code = check_choice(error, "options.method", o->method, "GET|POST|DELETE|PUT|PATCH|HEAD");
    if (code != SPAREKEY_OK)
        return code;
    bool body = o->json || o->part_count || o->body_len;
    request->method = o->method ? o->method : body ? "POST" : "GET";
    return note(error, put_str(&request->path, o->path));
}

/* The caller's text may be gone when the request is: ours stays. */
static const char *own_method(const char *method)
{
    static const char *const methods[] = {"GET", "POST", "DELETE", "PUT", "PATCH", "HEAD"};

    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        if (strcmp(methods[i], method) == 0)
            return methods[i];
    }
    return "GET";
}

int sparekey_request(sparekey_client *client, const sparekey_request_options *options,
                     sparekey_result **ret_result, sparekey_error *error)
{
    sparekey_request_options o = sparekey_request_options_init();
    sparekey_call_options call;
    struct request request = {.kind = RESULT_RAW};
    int code = options ? check_options(error, &o, sizeof o, options)
                       : fault_argument(error, "options", "is NULL");

    if (code == SPAREKEY_OK)
        code = perform_check(client, o.call, ret_result, &call, error);
    if (code != SPAREKEY_OK)
        return code;
    code = set_target(&request, &o, error);
    if (code == SPAREKEY_OK) {
        request.method = own_method(request.method);
        code = compose_body(&request, &o, error);
    }
    return perform(client, &request, code, &call, ret_result, error);
}
