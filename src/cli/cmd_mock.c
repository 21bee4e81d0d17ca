/* sparekey mock: src/mock in a process of its own. */
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "cli/cli.h"
#include "cli/own_options.h"
#include "mock/mock.h"

/* The loop and what ends it. */
struct process {
    struct net_loop loop;
    struct mock *mock;
    uv_signal_t signals[2];
    int signal_count;
};

struct arguments {
    struct mock_options mock;
    const char *seed;
    bool tls;
};

static int wrong(const char *subject, const char *what)
{
    (void)fprintf(stderr, "sparekey mock: %s: %s\n", subject, what);
    return EXIT_USAGE;
}

static int check(struct arguments *arguments)
{
    struct mock_options *mock = &arguments->mock;

    if (arguments->seed &&
        number_parse(slice_str(arguments->seed), UINT64_MAX, &mock->seed) != STATUS_OK)
        return wrong("--seed", "expected a whole number");
    if (!mock->tls_cert != !mock->tls_key)
        return wrong(mock->tls_cert ? "--tls-cert" : "--tls-key", "needs the other one as well");
    if (arguments->tls && mock->tls_cert)
        return wrong("--tls", "makes a certificate of its own; leave --tls-cert out");
    if (arguments->tls && !mock->ca_out)
        return wrong("--tls", "needs --ca-out FILE, to write the test CA's certificate to");
    if (mock->ca_out && !arguments->tls)
        return wrong("--ca-out", "belongs to --tls");
    return EXIT_OK;
}

static int read_arguments(char **at, struct arguments *ret)
{
    struct mock_options *mock = &ret->mock;
    const struct own_option own[] = {{"--listen", .text = &mock->listen},
                                     {"--control", .text = &mock->control},
                                     {"--script", .text = &mock->script},
                                     {"--tls-cert", .text = &mock->tls_cert},
                                     {"--tls-key", .text = &mock->tls_key},
                                     {"--ca-out", .text = &mock->ca_out},
                                     {"--seed", .text = &ret->seed},
                                     {"--tls", .flag = &ret->tls},
                                     {NULL}};

    *ret =
        (struct arguments){.mock = {.listen = "127.0.0.1:0", .control = "127.0.0.1:0", .seed = 1}};
    if (!own_options_take(own, at))
        return EXIT_USAGE;
    if (*at) {
        own_options_refuse(own, *at);
        return EXIT_USAGE;
    }
    return check(ret);
}

/* Closes what keeps the loop alive: uv_run returns when all of it is gone. */
static void stop(struct process *process)
{
    for (int i = 0; i < process->signal_count; i++) {
        if (!uv_is_closing((uv_handle_t *)&process->signals[i]))
            uv_close((uv_handle_t *)&process->signals[i], NULL);
    }
    if (process->mock)
        mock_close(process->mock);
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    stop(handle->data);
}

static bool watch_signals(struct process *process)
{
    static const int numbers[] = {SIGTERM, SIGINT};

    for (int i = 0; i < 2; i++) {
        uv_signal_t *handle = &process->signals[i];
        if (uv_signal_init(&process->loop.uv, handle) != 0)
            return false;
        handle->data = process;
        process->signal_count++;
        if (uv_signal_start(handle, on_signal, numbers[i]) != 0)
            return false;
    }
    return true;
}

/* The one line on standard output: whoever started the process waits for it. */
static bool announce(const struct mock *mock)
{
    json_t *json = mock_ready_json(mock);
    char *line = json ? json_dumps(json, JSON_COMPACT) : NULL;
    bool good = line && puts(line) >= 0 && fflush(stdout) == 0;

    free(line);
    json_decref(json);
    return good;
}

static int run(struct process *process, const struct mock_options *options)
{
    struct buffer reason = {0};
    int code = EXIT_FAILED;
    enum status status = mock_new(&process->loop, options, &reason, &process->mock);

    if (status != STATUS_OK) {
        struct slice why = reason.len ? buffer_slice(&reason) : slice_str(status_text(status));
        (void)fprintf(stderr, "sparekey mock: %.*s\n", (int)why.len, why.ptr);
        code = EXIT_USAGE;
    } else if (!watch_signals(process) || !announce(process->mock)) {
        (void)fprintf(stderr, "sparekey mock: standard output or signals could not be used\n");
    } else {
        code = EXIT_OK;
        uv_run(&process->loop.uv, UV_RUN_DEFAULT);
    }
    buffer_clear(&reason);
    return code;
}

int cmd_mock(char **arguments)
{
    struct process process = {0};
    struct arguments options;
    int code = read_arguments(arguments, &options);

    if (code != EXIT_OK)
        return code;
    (void)signal(SIGPIPE, SIG_IGN); /* a client that left is an error of its socket, not of ours */
    if (net_loop_init(&process.loop) != STATUS_OK)
        return wrong("event loop", "could not be made");
    code = run(&process, &options.mock);
    if (code != EXIT_OK) {
        stop(&process);
        uv_run(&process.loop.uv, UV_RUN_DEFAULT);
    }
    mock_free(process.mock);
    net_loop_fini(&process.loop);
    return code;
}
