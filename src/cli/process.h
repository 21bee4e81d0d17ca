/* What a process is born with and this one wants otherwise: descriptors and limits. */
#ifndef SPAREKEY_CLI_PROCESS_H
#define SPAREKEY_CLI_PROCESS_H

#include <stdbool.h>
#include <sys/resource.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Opens /dev/null where standard input, output or error is closed. Otherwise the first descriptors
 * opened would take their numbers, and a log line or a prompt would go to an epoll or a client.
 * First thing in main. False: not even that can be opened. */
bool process_fill_standard_fds(void);

struct process_limits {
    struct rlimit core, files;
};

/* No core dumps (they would hold what the vault guards, in its copies on the wire), and as many
 * open files as the hard limit allows. Only soft limits move, so that they can move back.
 * `*ret_before`: for process_limits_set. */
void process_limits_take(struct process_limits *ret_before);

/* Sets the soft limits to these; returns those in force until now. */
struct process_limits process_limits_set(const struct process_limits *limits);

#ifdef __cplusplus
}
#endif
#endif
