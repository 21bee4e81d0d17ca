/* The demo's own processes: this same program as mock and as gateway, in a directory of their own. */
#ifndef SPAREKEY_CLI_DEMO_PROCESS_H
#define SPAREKEY_CLI_DEMO_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DEMO_READY_MS 10000 /* a child that has not said it is ready by then has failed */
#define DEMO_LINE_MAX 512

struct demo_process {
    pid_t pid; /* 0 = not running */
    int output;
    char ready[DEMO_LINE_MAX]; /* the line it printed when it was ready */
};

/* Starts /proc/self/exe with these arguments and this environment in `directory`, its standard
 * error going to the file `log_name` there, and waits for its first line of output. False, with a
 * line on standard error, when it does not come. */
bool demo_process_start(struct demo_process *process, const char *directory, const char *log_name,
                        const char *const arguments[], char *const environment[]);

/* SIGTERM, then waits. Harmless when not running. */
void demo_process_stop(struct demo_process *process);

#ifdef __cplusplus
}
#endif
#endif
