#include "cli/process.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

bool process_fill_standard_fds(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        /* The lowest free number is `fd`: all below it are open by now. */
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDWR) != fd)
            return false;
    }
    return true;
}

static struct process_limits limits_now(void)
{
    struct process_limits now = {{0, 0}, {0, 0}};

    (void)getrlimit(RLIMIT_CORE, &now.core);
    (void)getrlimit(RLIMIT_NOFILE, &now.files);
    return now;
}

struct process_limits process_limits_set(const struct process_limits *limits)
{
    struct process_limits before = limits_now();
    /* The hard limits as they are: what is lowered there never comes back. */
    struct rlimit core = {limits->core.rlim_cur, before.core.rlim_max};
    struct rlimit files = {limits->files.rlim_cur, before.files.rlim_max};

    /* Neither may fail below the hard limit; without them the program still works. */
    (void)setrlimit(RLIMIT_CORE, &core);
    (void)setrlimit(RLIMIT_NOFILE, &files);
    return before;
}

void process_limits_take(struct process_limits *ret_before)
{
    struct process_limits wanted = limits_now();

    wanted.core.rlim_cur = 0;
    wanted.files.rlim_cur = wanted.files.rlim_max;
    *ret_before = process_limits_set(&wanted);
}
