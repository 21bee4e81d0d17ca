#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/serving.h"

/* The signals serve lives by, blocked in every thread and read from a descriptor. SIGPIPE is for
 * programs that write to pipes and do not look; this one looks. */
static int open_signals(void)
{
    sigset_t set;

    (void)signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* The first SIGTERM or SIGINT drains, a second one stops at once. */
static void take_signal(struct serving *s, int signals, int *stops)
{
    struct signalfd_siginfo info;

    if (read(signals, &info, sizeof info) != sizeof info)
        return;
    if (info.ssi_signo == SIGHUP) {
        serving_reload(s);
    } else if ((*stops)++ == 0) {
        log_line(s->log, LOG_SEVERITY_INFO, "draining",
                 "finishing requests in progress for up to %lld s; again to stop at once",
                 (long long)(s->settings->drain_timeout_ms / 1000));
        gateway_drain(s->gateway);
    } else {
        gateway_stop(s->gateway);
    }
}

static void run(struct serving *s, int signals)
{
    struct pollfd fds[2] = {
        {.fd = signals, .events = POLLIN},
        {.fd = gateway_done_fd(s->gateway), .events = POLLIN},
    };
    int stops = 0;

    for (;;) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return;
        if (fds[1].revents)
            return;
        if (fds[0].revents)
            take_signal(s, signals, &stops);
    }
}

static void announce(const struct serving *s)
{
    char url[128];

    gateway_url(s->gateway, url, sizeof url);
    (void)printf("sparekey: ready at %s\n", url);
    (void)cli_end_output(
        EXIT_OK); /* said; those who do not wait for the line are served all the same */
    log_line(s->log, LOG_SEVERITY_INFO, "ready", "%zu keys, upstream %s, listening at %s",
             s->key_count, s->settings->upstream.text, url);
}

int cmd_serve(char **arguments)
{
    struct serving s;
    int signals = open_signals();
    int code = serving_load(&s, arguments, environ, NULL);

    if (code == EXIT_OK)
        code = serving_start(&s);
    if (code == EXIT_OK) {
        announce(&s);
        run(&s, signals);
        log_line(s.log, LOG_SEVERITY_INFO, "stopped", "all requests ended");
    }
    serving_fini(&s);
    if (signals >= 0)
        close(signals);
    return code;
}
