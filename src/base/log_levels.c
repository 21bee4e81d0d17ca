#include "base/log_levels.h"

#include "base/text.h"

static const char *const severity_names[] = {
#define X(code, name) name,
    LOG_SEVERITY_TABLE(X)
#undef X
};

static const char *const component_names[] = {
#define X(code, name) name,
    LOG_COMPONENT_TABLE(X)
#undef X
};

const char *log_severity_name(enum log_severity severity)
{
    return (unsigned)severity < LOG_SEVERITIES ? severity_names[severity] : "unknown";
}

const char *log_component_name(enum log_component component)
{
    return (unsigned)component < LOG_COMPONENTS ? component_names[component] : "unknown";
}

/* The place of `word` in `names`; -1 for none. */
static int find(const char *const *names, int count, struct slice word)
{
    for (int i = 0; i < count; i++) {
        if (slice_ieq(word, slice_str(names[i])))
            return i;
    }
    return -1;
}

/* One item. `named` remembers which components have a level of their own. */
static enum status take_item(struct slice item, struct log_levels *levels, bool named[])
{
    struct slice left = item, first;

    (void)slice_next_item(&left, '=', &first);
    if (!memchr(item.ptr, '=', item.len)) {
        int severity = find(severity_names, LOG_SEVERITIES, item);
        if (severity < 0)
            return STATUS_INVALID;
        levels->base = (uint8_t)severity;
        return STATUS_OK;
    }
    int component = find(component_names, LOG_COMPONENTS, first);
    int severity = find(severity_names, LOG_SEVERITIES, slice_trim(left));
    if (component < 0 || severity < 0)
        return STATUS_INVALID;
    levels->of[component] = (uint8_t)severity;
    named[component] = true;
    return STATUS_OK;
}

enum status log_levels_parse(struct slice text, struct log_levels *ret)
{
    struct log_levels levels = {.base = LOG_SEVERITY_INFO};
    bool named[LOG_COMPONENTS] = {false};
    struct slice rest = text, item;
    bool any = false;

    while (slice_next_item(&rest, ',', &item)) {
        if (item.len == 0 || take_item(item, &levels, named) != STATUS_OK)
            return STATUS_INVALID;
        any = true;
    }
    if (!any)
        return STATUS_INVALID;
    for (int i = 0; i < LOG_COMPONENTS; i++) {
        if (!named[i])
            levels.of[i] = levels.base;
    }
    *ret = levels;
    return STATUS_OK;
}

enum status log_levels_format(const struct log_levels *levels, struct buffer *out)
{
    struct text t = text_into(out, SIZE_MAX);

    text_put_str(&t, log_severity_name((enum log_severity)levels->base));
    for (int i = 0; i < LOG_COMPONENTS; i++) {
        if (levels->of[i] == levels->base)
            continue;
        text_put(&t, SLICE(","));
        text_put_str(&t, component_names[i]);
        text_put(&t, SLICE("="));
        text_put_str(&t, log_severity_name((enum log_severity)levels->of[i]));
    }
    return t.status;
}
