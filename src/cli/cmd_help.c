#include <stdio.h>

#include "cli/cli.h"

enum { HELP_MAX_BYTES = 1 << 20 };

static enum status write_overview(struct buffer *out)
{
    enum status status =
        buffer_printf(out, HELP_MAX_BYTES,
                      "Sparekey keeps an application talking to OpenAI when a key does not.\n\n"
                      "usage: sparekey COMMAND [OPTIONS]\n\n");

    for (const struct command *c = command_table; c->name && status == STATUS_OK; c++)
        status = buffer_printf(out, HELP_MAX_BYTES, "  %-9s %s\n", c->name, c->summary);
    if (status != STATUS_OK)
        return status;
    return buffer_printf(out, HELP_MAX_BYTES,
                         "\nsparekey help COMMAND explains one, with its options.\n");
}

int help_overview(bool to_stderr)
{
    struct buffer text = {0};
    enum status status = write_overview(&text);

    if (!to_stderr)
        return cli_print(status, &text);
    if (status == STATUS_OK)
        (void)fwrite(text.data, 1, text.len, stderr);
    buffer_clear(&text);
    return EXIT_OK;
}

static enum status write_command(const struct command *command, struct buffer *out)
{
    enum status status =
        buffer_printf(out, HELP_MAX_BYTES, "usage: sparekey %s%s%s\n\n%s\n%s%s", command->name,
                      *command->usage ? " " : "", command->usage, command->summary,
                      *command->details ? "\n" : "", command->details);

    if (status == STATUS_OK && command->takes_settings)
        status = buffer_append(out, SLICE("\n"), HELP_MAX_BYTES);
    if (status == STATUS_OK && command->takes_settings)
        status = settings_help(out);
    return status;
}

int cmd_help(char **arguments)
{
    struct buffer text = {0};

    if (!*arguments)
        return help_overview(false);
    if (arguments[1]) {
        (void)fprintf(stderr, "sparekey: help explains one command at a time\n");
        return EXIT_USAGE;
    }
    const struct command *command = command_find(*arguments);
    if (!command)
        return command_unknown(*arguments);
    return cli_print(write_command(command, &text), &text);
}
