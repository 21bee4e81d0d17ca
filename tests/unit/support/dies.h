/* Runs something that must abort, in a child, and reads its last words. */
#ifndef SPAREKEY_TESTS_DIES_H
#define SPAREKEY_TESTS_DIES_H

#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Fills `words` with what the child wrote to standard error; true when it aborted. */
static inline bool dies(void (*act)(void *), void *argument, char *words, size_t size)
{
    int ends[2], status;
    size_t length = 0;
    ssize_t got;
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        act(argument);
        _exit(0);
    }
    close(ends[1]);
    while ((got = read(ends[0], words + length, size - 1 - length)) > 0)
        length += (size_t)got;
    words[length] = 0;
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

#endif
