/* The command line as a source: `--name value`, `--name=value`, and for switches `--name` alone. */
#include "settings/loading.h"
#include "settings/value.h"

static const struct origin command_line = {ORIGIN_ARGUMENTS, 0, NULL};

static void refuse_unknown(struct loading *l, struct slice flag)
{
    char near[OPTION_FLAG_MAX], quoted[REPORT_QUOTE_MAX];
    const char *meant = option_near_flag(flag, near);

    report_error(&l->reporter, &command_line, NULL, "unknown option %s%s%s%s",
                 report_quote(flag, false, quoted), meant ? "; did you mean " : "",
                 meant ? meant : "", meant ? "?" : "");
}

static void refuse_secret(struct loading *l, const struct option *option)
{
    report_error(&l->reporter, &command_line, option->name,
                 "refused: every user of this machine can read arguments; put it into %s in the "
                 "environment or in .env.local",
                 option->name);
}

/* A switch may stand alone. Where a command may follow it takes the next argument only when that is
 * one of the words for true and false, so that `exec --fallback-enabled python3` runs python3; where
 * none may, whatever is no option, so that a wrong word is told as one. */
static bool takes_next(const struct option *option, const char *next, bool command_follows)
{
    bool ignored;

    if (option->type != OPTION_BOOL)
        return true;
    return next &&
           (command_follows ? value_bool(slice_str(next), &ignored) == STATUS_OK : next[0] != '-');
}

/* One option at `*at`, which is moved behind it. */
static enum status read_option(struct loading *l, char ***at, bool command_follows)
{
    struct slice flag = slice_str(*(*at)++);
    const char *equals = memchr(flag.ptr, '=', flag.len);
    struct slice value = SLICE("true");

    if (equals) {
        value = slice_str(equals + 1);
        flag.len = (size_t)(equals - flag.ptr);
    }
    int id = option_find_flag(flag);
    if (id < 0) {
        refuse_unknown(l, flag);
        return STATUS_OK;
    }
    const struct option *option = &option_table[id];
    if (!equals && takes_next(option, **at, command_follows)) {
        if (!**at) {
            report_error(&l->reporter, &command_line, option->name, "a value must follow");
            return STATUS_OK;
        }
        value = slice_str(*(*at)++);
    }
    if (option->flags & SECRET) {
        refuse_secret(l, option);
        return STATUS_OK;
    }
    return loading_add(l, slice_str(option->name), value, &command_line);
}

enum status arguments_read(struct loading *l, char **arguments, char ***ret_rest)
{
    char **at = arguments;
    char quoted[REPORT_QUOTE_MAX];

    while (*at && (*at)[0] == '-' && (*at)[1] != '\0') {
        if (strcmp(*at, "--") == 0) {
            at++;
            break;
        }
        enum status status = read_option(l, &at, ret_rest != NULL);
        if (status != STATUS_OK)
            return status;
    }
    if (ret_rest)
        *ret_rest = *at ? at : NULL;
    else if (*at)
        report_error(&l->reporter, &command_line, NULL, "unexpected argument %s",
                     report_quote(slice_str(*at), false, quoted));
    return STATUS_OK;
}
