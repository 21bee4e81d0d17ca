/* sparekey exec -- CMD: a private gateway for one command's lifetime.
 *
 * The gateway listens on a free loopback port and takes one client token, made for this run. The
 * command finds both in OPENAI_BASE_URL and OPENAI_API_KEY, where every SDK looks, and never sees
 * a real key. Standard error is the command's own: unless SPAREKEY_LOG_LEVEL is set, the gateway
 * writes there only what a person has to see to.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/serving.h"

enum {
    TOKEN_BYTES = 24,
    ADDED_VARIABLES = 4,
    PROXIES_MAX = 4,           /* HTTPS_PROXY in either case, and doubles */
    EXIT_NOT_EXECUTABLE = 126, /* as env(1) and the shells have it */
    EXIT_NOT_FOUND = 127,
    EXIT_SIGNAL_BASE = 128,
};

struct exec {
    struct serving serving;
    char token[sizeof "OPENAI_API_KEY=sk-sparekey-" + 2 * TOKEN_BYTES];
    char gateway_token[sizeof "SPAREKEY_CLIENT_TOKENS=sk-sparekey-" + 2 * TOKEN_BYTES];
    char base_url[160], listen[32];
    char *no_proxy;
    char *proxies[PROXIES_MAX]; /* copies for the gateway, which wipes what it has read */
    char **own_environment, **child_environment;
    int signals;
    sigset_t signals_before;
    pid_t child;
};

/* ---- environments ------------------------------------------------------------------------ */

static bool starts(const char *variable, const char *prefix)
{
    return strncmp(variable, prefix, strlen(prefix)) == 0;
}

static size_t count_variables(void)
{
    size_t count = 0;
    while (environ[count])
        count++;
    return count;
}

/* What the gateway of this run sees: the user's settings, but its own address and token. */
static bool hidden_from_gateway(const char *variable)
{
    return starts(variable, "SPAREKEY_CLIENT_TOKENS") || starts(variable, "SPAREKEY_LISTEN=");
}

/* What the command must not see: keys, tokens, and where its variables pointed before. */
static bool hidden_from_child(const char *variable)
{
    return starts(variable, "OPENAI_API_KEY") || starts(variable, "OPENAI_BASE_URL=") ||
           starts(variable, "SPAREKEY_") || starts(variable, "no_proxy=") ||
           starts(variable, "NO_PROXY=");
}

/* The process's environment without the hidden variables and with room for more. */
static char **filtered(bool (*hidden)(const char *variable), size_t *ret_count)
{
    char **copy = calloc(count_variables() + ADDED_VARIABLES + 1, sizeof *copy);

    *ret_count = 0;
    for (char **v = environ; copy && *v; v++) {
        if (!hidden(*v))
            copy[(*ret_count)++] = *v;
    }
    return copy;
}

static int make_token(struct exec *e)
{
    unsigned char bytes[TOKEN_BYTES];
    char hex[2 * TOKEN_BYTES + 1];

    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        return EXIT_FAILED;
    for (size_t i = 0; i < sizeof bytes; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    (void)snprintf(e->token, sizeof e->token, "OPENAI_API_KEY=sk-sparekey-%s", hex);
    (void)snprintf(e->gateway_token, sizeof e->gateway_token,
                   "SPAREKEY_CLIENT_TOKENS=sk-sparekey-%s", hex);
    return EXIT_OK;
}

/* The command may need the proxy for its own connections. */
static int copy_proxies(struct exec *e)
{
    size_t copied = 0;

    for (char **v = e->own_environment; *v && copied < PROXIES_MAX; v++) {
        if (strncasecmp(*v, "HTTPS_PROXY=", strlen("HTTPS_PROXY=")) != 0)
            continue;
        e->proxies[copied] = *v = strdup(*v);
        if (!e->proxies[copied++])
            return EXIT_FAILED;
    }
    return EXIT_OK;
}

static int prepare_gateway_environment(struct exec *e)
{
    size_t count;

    e->own_environment = filtered(hidden_from_gateway, &count);
    if (!e->own_environment || copy_proxies(e) != EXIT_OK || make_token(e) != EXIT_OK)
        return EXIT_FAILED;
    e->own_environment[count++] = e->gateway_token;
    (void)snprintf(e->listen, sizeof e->listen, "SPAREKEY_LISTEN=127.0.0.1:0");
    e->own_environment[count] = e->listen;
    return EXIT_OK;
}

/* A proxy for the outside must not be asked for the loopback gateway. */
static char *no_proxy_variable(void)
{
    const char *before = getenv("NO_PROXY");
    char *variable;

    if (!before)
        before = getenv("no_proxy");
    if (asprintf(&variable, "NO_PROXY=%s%s127.0.0.1,localhost", before ? before : "",
                 before && *before ? "," : "") < 0)
        return NULL;
    return variable;
}

static int prepare_child_environment(struct exec *e)
{
    char url[128];
    size_t count;

    gateway_url(e->serving.gateway, url, sizeof url);
    (void)snprintf(e->base_url, sizeof e->base_url, "OPENAI_BASE_URL=%s", url);
    e->no_proxy = no_proxy_variable();
    e->child_environment = filtered(hidden_from_child, &count);
    if (!e->no_proxy || !e->child_environment)
        return EXIT_FAILED;
    e->child_environment[count++] = e->base_url;
    e->child_environment[count++] = e->token;
    e->child_environment[count] = e->no_proxy;
    return EXIT_OK;
}

/* ---- the child --------------------------------------------------------------------------- */

static void block_signals(struct exec *e)
{
    static const int forwarded[] = {SIGTERM, SIGINT,  SIGHUP,   SIGQUIT,
                                    SIGUSR1, SIGUSR2, SIGWINCH, SIGCHLD};
    sigset_t set;

    (void)signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof forwarded / sizeof forwarded[0]; i++)
        sigaddset(&set, forwarded[i]);
    (void)pthread_sigmask(SIG_BLOCK, &set, &e->signals_before);
    e->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* With the signal mask and dispositions this process was given. */
static int spawn(struct exec *e, char **command)
{
    posix_spawnattr_t attributes;
    sigset_t defaults;

    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    (void)posix_spawnattr_init(&attributes);
    (void)posix_spawnattr_setsigmask(&attributes, &e->signals_before);
    (void)posix_spawnattr_setsigdefault(&attributes, &defaults);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    /* The command's limits are not ours to change. There is no attribute for them; nobody is served
     * yet who would notice. */
    struct process_limits ours = process_limits_set(&e->serving.limits_before);
    int error =
        posix_spawnp(&e->child, command[0], NULL, &attributes, command, e->child_environment);
    (void)process_limits_set(&ours);
    (void)posix_spawnattr_destroy(&attributes);
    if (error == 0)
        return EXIT_OK;
    (void)fprintf(stderr, "sparekey exec: %s: %s\n", command[0], strerror(error));
    return error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}

/* Whether the child has ended; then its exit code as a shell would give it. */
static bool child_ended(const struct exec *e, int *ret_code)
{
    int status;

    if (waitpid(e->child, &status, WNOHANG) != e->child)
        return false;
    if (WIFSIGNALED(status))
        *ret_code = EXIT_SIGNAL_BASE + WTERMSIG(status);
    else if (WIFEXITED(status))
        *ret_code = WEXITSTATUS(status);
    else
        return false;
    return true;
}

/* A signal from the terminal has reached the child too: it is in the same process group. */
static void forward(const struct exec *e, const struct signalfd_siginfo *info)
{
    if (info->ssi_signo != SIGCHLD && info->ssi_code != SI_KERNEL)
        (void)kill(e->child, (int)info->ssi_signo);
}

static int wait_for_child(struct exec *e)
{
    struct pollfd fd = {.fd = e->signals, .events = POLLIN};
    struct signalfd_siginfo info;
    int code = EXIT_FAILED;

    while (!child_ended(e, &code)) {
        if (poll(&fd, 1, -1) < 0 && errno != EINTR)
            break;
        while (read(e->signals, &info, sizeof info) == sizeof info)
            forward(e, &info);
    }
    return code;
}

/* ---- the command ------------------------------------------------------------------------- */

static void clear(struct exec *e)
{
    serving_fini(&e->serving);
    free(e->own_environment);
    free(e->child_environment);
    free(e->no_proxy);
    for (size_t i = 0; i < PROXIES_MAX; i++)
        free(e->proxies[i]);
    if (e->signals >= 0)
        close(e->signals);
    explicit_bzero(e->token, sizeof e->token);
    explicit_bzero(e->gateway_token, sizeof e->gateway_token);
}

static int run(struct exec *e, char **arguments)
{
    char **command = NULL;
    int code = prepare_gateway_environment(e);

    if (code == EXIT_OK)
        code = serving_load(&e->serving, arguments, e->own_environment, &command);
    if (code != EXIT_OK)
        return code;
    if (!command || !*command) {
        (void)fputs("sparekey exec: no command: sparekey exec [options] -- CMD [ARGUMENTS]\n",
                    stderr);
        return EXIT_USAGE;
    }
    serving_be_private(&e->serving);
    code = serving_start(&e->serving);
    if (code == EXIT_OK)
        code = prepare_child_environment(e);
    if (code == EXIT_OK)
        code = spawn(e, command);
    return code == EXIT_OK ? wait_for_child(e) : code;
}

int cmd_exec(char **arguments)
{
    struct exec e = {.signals = -1};

    block_signals(&e);
    int code = run(&e, arguments);
    clear(&e);
    return code;
}
