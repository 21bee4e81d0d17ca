/* The sparekey command: a table of subcommands, each in a file of its own. */
#ifndef SPAREKEY_CLI_CLI_H
#define SPAREKEY_CLI_CLI_H

#ifdef __cplusplus
extern "C" {
#endif

/* Exit codes. exec returns its child's. */
enum {
    EXIT_OK = 0,
    EXIT_FAILED = 1, /* the work itself went wrong */
    EXIT_USAGE = 2,  /* bad setting, argument, address or file: nothing was begun */
};

/* Each takes the arguments after its name, NULL-terminated, and returns the exit code. */
int cmd_serve(char **arguments);
int cmd_exec(char **arguments);
int cmd_config(char **arguments);
int cmd_mock(char **arguments);
int cmd_demo(char **arguments);
int cmd_version(char **arguments);
int cmd_help(char **arguments);

#ifdef __cplusplus
}
#endif
#endif
