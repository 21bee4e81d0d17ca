/* The sparekey command: a table of subcommands, each in a file of its own. */
#ifndef SPAREKEY_CLI_CLI_H
#define SPAREKEY_CLI_CLI_H

#include <stdbool.h>

#include "base/buffer.h"
#include "settings/settings.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Exit codes. exec returns its child's. */
enum {
    EXIT_OK = 0,
    EXIT_FAILED = 1, /* the work itself went wrong */
    EXIT_USAGE = 2,  /* bad setting, argument, address or file: nothing was begun */
};

/* One line of the table in main.c. */
struct command {
    const char *name;
    int (*run)(char **arguments);
    const char *usage;   /* what follows "sparekey NAME" */
    const char *summary; /* one line of --help */
    const char *details; /* of `sparekey help NAME`; lines, the last one ended */
    bool takes_settings; /* its help lists the options of settings */
    bool runs_command;   /* arguments behind the first that is no option belong to someone else */
};

extern const struct command command_table[]; /* ended by a NULL name */

/* The line of this name, or NULL. */
const struct command *command_find(const char *name);

/* "unknown command …; did you mean …?" on standard error; returns EXIT_USAGE. */
int command_unknown(const char *name);

/* Each takes the arguments after its name, NULL-terminated, and returns the exit code. */
int cmd_serve(char **arguments);
int cmd_exec(char **arguments);
int cmd_config(char **arguments);
int cmd_test(char **arguments);
int cmd_mock(char **arguments);
int cmd_demo(char **arguments);
int cmd_version(char **arguments);
int cmd_status(char **arguments);
int cmd_top(char **arguments);
int cmd_check(char **arguments);
int cmd_help(char **arguments);

/* `sparekey help` with no command, to either stream: the short help. */
int help_overview(bool to_stderr);

/* Loads settings from this process's arguments, environment and working directory; warnings and
 * errors go to standard error. Returns EXIT_OK with a vault and settings that are the caller's (to
 * be dropped settings first), else an exit code and nothing. `ret_rest` as in settings_load.
 * `ret_warned`, when not NULL, receives whether something was warned about. */
int cli_load_settings(char **arguments, char ***ret_rest, struct vault **ret_vault,
                      struct settings **ret_settings, bool *ret_warned);

/* Warnings and errors of a load, each line with its prefix, on standard error. */
void cli_print_report(const struct settings_report *report);

/* Flushes standard output. When it did not take all that was written since the last call, says so on
 * standard error and turns EXIT_OK into EXIT_FAILED. main ends every command with it. */
int cli_end_output(int code);

/* Prints the buffer to standard output and frees it. EXIT_FAILED (and said) when it does not take
 * all of it, or when `status` is a failure. */
int cli_print(enum status status, struct buffer *text);

#ifdef __cplusplus
}
#endif
#endif
