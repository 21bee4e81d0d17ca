#include "client/event_reader.h"

void event_reader_init(struct event_reader *r)
{
    *r = (struct event_reader){.has_data = false};
}

void event_reader_fini(struct event_reader *r)
{
    buffer_clear(&r->line);
    buffer_clear(&r->data);
    event_reader_init(r);
}

static struct slice without_bom(struct event_reader *r, struct slice line)
{
    static const struct slice bom = {"\xEF\xBB\xBF", 3};
    bool first = !r->begun;

    r->begun = true;
    return first && slice_starts(line, bom) ? slice_from(line, bom.len) : line;
}

static enum status add_data(struct event_reader *r, struct slice value)
{
    enum status status = STATUS_OK;

    if (r->has_data)
        status = buffer_append(&r->data, SLICE("\n"), EVENT_BYTES_MAX);
    r->has_data = true;
    return status == STATUS_OK ? buffer_append(&r->data, value, EVENT_BYTES_MAX) : status;
}

static enum status dispatch(struct event_reader *r, event_sink *sink, void *context)
{
    enum status status = STATUS_OK;

    if (r->has_data) {
        status = buffer_append(&r->data, slice_of("", 1), EVENT_BYTES_MAX);
        if (status == STATUS_OK && !sink(context, r->name, r->data.data, r->data.len - 1))
            status = STATUS_CANCELLED;
    }
    r->data.len = 0;
    r->has_data = false;
    r->name[0] = '\0';
    return status;
}

static enum status take_line(struct event_reader *r, struct slice line, event_sink *sink,
                             void *context)
{
    line = without_bom(r, line);
    if (!line.len)
        return dispatch(r, sink, context);
    const char *colon = memchr(line.ptr, ':', line.len);
    struct slice field = colon ? slice_of(line.ptr, (size_t)(colon - line.ptr)) : line;
    struct slice value = colon ? slice_from(line, field.len + 1) : slice_of(NULL, 0);
    if (value.len && value.ptr[0] == ' ')
        value = slice_from(value, 1);
    if (slice_eq(field, SLICE("data")))
        return add_data(r, value);
    if (slice_eq(field, SLICE("event")))
        (void)slice_copy(value, r->name, sizeof r->name);
    return STATUS_OK;
}

static size_t length_to_line_end(struct slice bytes)
{
    const char *lf = memchr(bytes.ptr, '\n', bytes.len);
    size_t len = lf ? (size_t)(lf - bytes.ptr) : bytes.len;
    const char *cr = memchr(bytes.ptr, '\r', len);

    return cr ? (size_t)(cr - bytes.ptr) : len;
}

enum status event_reader_feed(struct event_reader *r, struct slice bytes, event_sink *sink,
                              void *context)
{
    while (bytes.len) {
        if (r->after_cr && bytes.ptr[0] == '\n')
            bytes = slice_from(bytes, 1);
        r->after_cr = false;
        if (!bytes.len)
            break;
        size_t len = length_to_line_end(bytes);
        enum status status = buffer_append(&r->line, slice_of(bytes.ptr, len), EVENT_BYTES_MAX);
        if (status != STATUS_OK || len == bytes.len)
            return status;
        r->after_cr = bytes.ptr[len] == '\r';
        bytes = slice_from(bytes, len + 1);
        status = take_line(r, buffer_slice(&r->line), sink, context);
        r->line.len = 0;
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}
