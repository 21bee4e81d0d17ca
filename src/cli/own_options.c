#include "cli/own_options.h"

#include <stdio.h>
#include <string.h>

#include "settings/names.h"
#include "settings/options.h"
#include "settings/report.h"

static struct slice name_of(const char *argument)
{
    return slice_of(argument, strcspn(argument, "="));
}

static const struct own_option *find(const struct own_option *own, struct slice name)
{
    for (; own->name; own++) {
        if (slice_eq(slice_str(own->name), name))
            return own;
    }
    return NULL;
}

/* The own option that is nearer to the name than any setting's, or NULL. */
static const char *near_own(const struct own_option *own, struct slice name, bool settings_too)
{
    struct name_search search = {.name = name};
    char flag[OPTION_FLAG_MAX];

    for (int id = 0; settings_too && id < OPTION_IDS; id++) {
        option_flag(&option_table[id], flag);
        name_offer(&search, slice_str(flag), "");
    }
    for (; own->name; own++)
        name_offer(&search, slice_str(own->name), own->name);
    return search.match && *search.match ? search.match : NULL;
}

static bool is_misspelt(const struct own_option *own, const char *argument)
{
    struct slice name = name_of(argument);

    return slice_starts(name, SLICE("--")) && name.len > 2 && option_find_flag(name) < 0 &&
           near_own(own, name, true);
}

static void complain(const struct own_option *own, const char *argument, bool settings_too)
{
    char quoted[REPORT_QUOTE_MAX];
    bool option = argument[0] == '-';
    struct slice shown = option ? name_of(argument) : slice_str(argument);
    const char *near = option ? near_own(own, shown, settings_too) : NULL;

    (void)fprintf(stderr, "sparekey: command line: %s %s%s%s%s\n",
                  option ? "unknown option" : "unexpected argument",
                  report_quote(shown, false, quoted), near ? "; did you mean " : "",
                  near ? near : "", near ? "?" : "");
}

void own_options_refuse(const struct own_option *own, const char *argument)
{
    complain(own, argument, false);
}

/* One option at `*at`; moves on to its last argument. */
static bool take(const struct own_option *option, char ***at)
{
    const char *equals = strchr(**at, '=');

    if (option->flag && !equals) {
        *option->flag = true;
        return true;
    }
    if (option->text && (equals || (*at)[1])) {
        *option->text = equals ? equals + 1 : *++*at;
        return true;
    }
    (void)fprintf(stderr, "sparekey: command line: %s: %s\n", option->name,
                  option->flag ? "takes no value" : "a value must follow");
    return false;
}

bool own_options_take(const struct own_option *own, char **arguments)
{
    char **to = arguments;
    bool good = true;

    for (char **at = arguments; good && *at; at++) {
        const struct own_option *option = find(own, name_of(*at));
        if (option) {
            good = take(option, &at);
        } else if (is_misspelt(own, *at)) {
            complain(own, *at, true);
            good = false;
        } else {
            *to++ = *at;
        }
    }
    if (good)
        *to = NULL;
    return good;
}
