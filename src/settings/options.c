#include "settings/options.h"

#include "settings/names.h"

static const char *const strategy_names[] = {
    [STRATEGY_PRIMARY_FIRST] = "primary-first", [STRATEGY_ROUND_ROBIN] = "round-robin",
    [STRATEGY_WEIGHTED] = "weighted",           [STRATEGY_LEAST_LOADED] = "least-loaded",
    [STRATEGY_HEADROOM] = "headroom",           NULL,
};

const struct option option_table[OPTION_IDS] = {
#define X(id, name, type, unit, min, max, standard, choices, flags, field, group, help)            \
    [OPTION_##id] = {name,    OPTION_##type, unit,                                                 \
                     min,     max,           standard,                                             \
                     choices, flags,         offsetof(struct settings, field),                     \
                     group,   help},
    OPTION_TABLE(X)
#undef X
};

/* The field of each line has the size its type writes. */
enum {
    FIELD_BOOL = sizeof(bool),
    FIELD_COUNT = sizeof(uint32_t),
    FIELD_DURATION = sizeof(int64_t),
    FIELD_SIZE = sizeof(uint64_t),
    FIELD_CHOICE = sizeof(int),
    FIELD_LEVELS = sizeof(struct log_levels),
    FIELD_TEXT = sizeof(char *),
    FIELD_PATH = sizeof(char *),
    FIELD_URL = sizeof(struct service_url),
    FIELD_ADDRESS = sizeof(struct listen_address),
    FIELD_KEY = sizeof(struct key_setting *),
    FIELD_KEY_SERIES = sizeof(struct key_setting *),
    FIELD_TOKEN = sizeof(struct secret *),
    FIELD_WEBHOOK = sizeof(struct secret *),
    FIELD_PROXY = sizeof(struct secret *),
    FIELD_TOKENS = sizeof(struct secret **),
};
#define X(id, name, type, unit, min, max, standard, choices, flags, field, ...)                    \
    _Static_assert(sizeof(((struct settings *)0)->field) == FIELD_##type, name);
OPTION_TABLE(X)
#undef X

const char *const option_group_titles[OPTION_GROUPS] = {
    [GROUP_KEYS] = "Keys and upstream", [GROUP_GATEWAY] = "Gateway", [GROUP_TIMES] = "Times",
    [GROUP_LIMITS] = "Limits",          [GROUP_OTHER] = "Other",
};

/* Whether `name` is the option's, or a later member of its series ("…_FALLBACK_17"). What the
 * number looks like is judged by keys.c. */
static bool is_named(const struct option *option, struct slice name, bool any_case)
{
    struct slice own = slice_str(option->name);

    if (option->type == OPTION_KEY_SERIES) {
        own.len--; /* without the 1 */
        if (name.len <= own.len)
            return false;
        name.len = own.len;
    }
    return any_case ? slice_ieq(name, own) : slice_eq(name, own);
}

int option_find(struct slice name, bool any_case)
{
    for (int id = 0; id < OPTION_IDS; id++) {
        if (is_named(&option_table[id], name, any_case))
            return id;
    }
    return -1;
}

struct slice option_name_of_variable(struct slice variable)
{
    static const enum option_id lower_too[] = {OPTION_HTTPS_PROXY, OPTION_NO_PROXY};

    for (size_t i = 0; i < sizeof lower_too / sizeof lower_too[0]; i++) {
        struct slice name = slice_str(option_table[lower_too[i]].name);
        if (slice_ieq(variable, name))
            return name;
    }
    return variable;
}

/* The name without the part that the command line leaves out. */
static struct slice short_name(const struct option *option)
{
    static const struct slice prefixes[] = {{"SPAREKEY_", 9}, {"OPENAI_", 7}};
    struct slice name = slice_str(option->name);

    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        if (slice_starts(name, prefixes[i]))
            return slice_from(name, prefixes[i].len);
    }
    return name;
}

void option_flag(const struct option *option, char out[OPTION_FLAG_MAX])
{
    struct slice name = short_name(option);
    size_t at = 0;

    out[at++] = '-';
    out[at++] = '-';
    for (size_t i = 0; i < name.len && at < OPTION_FLAG_MAX - 1; i++) {
        char c = name.ptr[i];
        out[at++] = c == '_' ? '-' : (c >= 'A' && c <= 'Z') ? (char)(c - 'A' + 'a') : c;
    }
    out[at] = '\0';
}

int option_find_flag(struct slice flag)
{
    char own[OPTION_FLAG_MAX];

    for (int id = 0; id < OPTION_IDS; id++) {
        option_flag(&option_table[id], own);
        if (slice_eq(flag, slice_str(own)))
            return id;
    }
    return -1;
}

const char *option_near(struct slice name)
{
    struct name_search search = {.name = name};

    for (int id = 0; id < OPTION_IDS; id++) {
        name_offer(&search, slice_str(option_table[id].name), option_table[id].name);
        /* "listen" for SPAREKEY_LISTEN: too far by letters, yet clear. */
        name_offer(&search, short_name(&option_table[id]), option_table[id].name);
    }
    return search.match;
}

const char *option_near_flag(struct slice flag, char out[OPTION_FLAG_MAX])
{
    struct name_search search = {.name = flag};

    for (int id = 0; id < OPTION_IDS; id++) {
        if (option_table[id].flags & SECRET)
            continue;
        option_flag(&option_table[id], out);
        name_offer(&search, slice_str(out), option_table[id].name);
    }
    if (!search.match)
        return NULL;
    option_flag(&option_table[option_find(slice_str(search.match), false)], out);
    return out;
}
