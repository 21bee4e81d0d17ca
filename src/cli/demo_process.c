#include "cli/demo_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int spawn(struct demo_process *process, const char *directory, const char *log_name,
                 const char *const arguments[], char *const environment[], int output)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;

    sigemptyset(&none);
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_addchdir_np(&actions, directory);
    (void)posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    (void)posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, log_name,
                                           O_WRONLY | O_CREAT | O_APPEND, 0600);
    (void)posix_spawnattr_init(&attributes);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    int error = posix_spawn(&process->pid, "/proc/self/exe", &actions, &attributes,
                            (char *const *)(uintptr_t)arguments, environment);
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    if (error)
        process->pid = 0;
    return error;
}

/* One line, without its end; false when the pipe closes or DEMO_READY_MS pass first. */
static bool read_line(int fd, char line[DEMO_LINE_MAX])
{
    size_t len = 0;
    struct pollfd p = {.fd = fd, .events = POLLIN};

    while (len < DEMO_LINE_MAX - 1) {
        if (poll(&p, 1, DEMO_READY_MS) <= 0 || read(fd, line + len, 1) != 1)
            return false;
        if (line[len] == '\n') {
            line[len] = '\0';
            return true;
        }
        len++;
    }
    return false;
}

bool demo_process_start(struct demo_process *process, const char *directory, const char *log_name,
                        const char *const arguments[], char *const environment[])
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0) {
        (void)fprintf(stderr, "sparekey demo: pipe: %s\n", strerror(errno));
        return false;
    }
    int error = spawn(process, directory, log_name, arguments, environment, ends[1]);
    close(ends[1]);
    process->output = ends[0];
    if (error) {
        (void)fprintf(stderr, "sparekey demo: cannot start %s: %s\n", arguments[1],
                      strerror(error));
        close(ends[0]);
        return false;
    }
    if (read_line(ends[0], process->ready))
        return true;
    (void)fprintf(stderr, "sparekey demo: %s did not start; its messages are in %s/%s\n",
                  arguments[1], directory, log_name);
    demo_process_stop(process);
    return false;
}

void demo_process_stop(struct demo_process *process)
{
    if (!process->pid)
        return;
    (void)kill(process->pid, SIGTERM);
    while (waitpid(process->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    close(process->output);
    process->pid = 0;
}
