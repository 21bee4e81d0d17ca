#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

#include "cli/process.h"
#include "settings/names.h"
#include "settings/options.h"
#include "settings/report.h"

/* In the order of --help. A new subcommand is a line here and a file in meson.build. */
const struct command command_table[] = {
    {"serve", cmd_serve, "[OPTIONS]", "run the gateway",
     "Serves OpenAI's API at http://127.0.0.1:7539/v1 (--listen), with fallback over the "
     "configured\n"
     "keys. Point an SDK's base URL there; any API key will do, unless client tokens are set.\n"
     "SIGTERM drains, SIGHUP reads the settings anew.\n",
     true, false},
    {"exec", cmd_exec, "[OPTIONS] -- CMD [ARGUMENTS]", "run a command with a private gateway",
     "Starts a gateway on a free loopback port for as long as CMD runs, and gives CMD its URL in\n"
     "OPENAI_BASE_URL and a one-time token in OPENAI_API_KEY. Signals are passed on; the exit "
     "code\n"
     "is CMD's. Of the gateway's log only what needs a person is printed, unless --log-level says\n"
     "otherwise.\n",
     true, true},
    {"demo", cmd_demo, "", "see it work, without any key",
     "Runs the same traffic against a mock OpenAI twice, without and with fallback.\n", false,
     false},
    {"test", cmd_test,
     "[--type text|models|chat] [--inject FAULT] [--n N] [--url URL | --direct] [--json] [OPTIONS]",
     "try fallback: one request, or a drill, and who answered it",
     "Sends one operation through a running gateway and prints every attempt. Exit code: 0 "
     "served,\n"
     "1 not served, 2 could not ask.\n"
     "  --type text|models|chat  the operation (default text); text and chat spend a few tokens\n"
     "  --prompt TEXT, --model MODEL, --max-tokens N  of text and chat\n"
     "  --inject FAULT           a drill: 429, 401, quota, 500, timeout, reset or cut, played to "
     "the\n"
     "                           first keys without touching them\n"
     "  --n N                    how many keys fail so (default 1)\n"
     "  --url URL                the gateway (default: where these settings listen)\n"
     "  --direct                 a private gateway with these settings, for this one test\n"
     "  --json                   the gateway's answer as it is\n",
     true, false},
    {"config", cmd_config, "[--check | --sample env|yaml] [OPTIONS]",
     "show the settings in effect and where each comes from",
     "Prints every setting with its effective value and origin, then the keys, masked.\n"
     "  --check         only validate: print what is wrong, exit with 2 if anything is\n"
     "  --sample env    print a commented .env.local with every default\n"
     "  --sample yaml   print a commented sparekey.yaml with every default\n",
     true, false},
    {"check", cmd_check, "[--live] [--json] [OPTIONS]",
     "the doctor: what is wrong with keys and settings",
     "Looks at keys, settings and files, and tells of each finding what to do about it. Exit code: "
     "0\n"
     "nothing found, 1 something, 2 the check could not run.\n"
     "  --live   also ask the service: a free GET /models with every key\n"
     "  --json   findings as JSON\n",
     true, false},
    {"status", cmd_status, "[--url URL] [--all] [--json] [OPTIONS]",
     "the keys of a running gateway",
     "Exit code: 0 healthy or degraded, 1 unhealthy, 2 no gateway reached. The token, where the\n"
     "gateway asks for one, is the first of SPAREKEY_CLIENT_TOKENS, or SPAREKEY_ADMIN_TOKEN.\n"
     "  --url URL   the gateway; without it, where serve would listen with these settings\n"
     "  --all       every key; otherwise the 50 worst, when there are more\n"
     "  --json      the health document as it is\n",
     true, false},
    {"top", cmd_top, "[--url URL] [OPTIONS]", "the same, live in the terminal",
     "Every two seconds, or at any key; q quits.\n"
     "  --url URL   the gateway; without it, where serve would listen with these settings\n",
     true, false},
    {"mock", cmd_mock,
     "[--listen ADDRESS:PORT] [--control ADDRESS:PORT] [--script FILE.yaml] [--seed N] [--tls …]",
     "an OpenAI that misbehaves on request, to rehearse failure offline",
     "Prints one line of JSON with its addresses, then serves until SIGTERM or SIGINT.\n"
     "  --listen ADDRESS:PORT   the API; port 0 takes a free one (default 127.0.0.1:0)\n"
     "  --control ADDRESS:PORT  settings, faults and the journal over HTTP (default 127.0.0.1:0)\n"
     "  --script FILE.yaml      keys, limits and faults; without it every key is good\n"
     "  --seed N                of everything that is left to chance (default 1)\n"
     "  --tls --ca-out FILE     HTTPS with a CA made now, whose certificate goes to FILE\n"
     "  --tls-cert FILE --tls-key FILE  HTTPS with a certificate of your own (PEM)\n",
     false, false},
    {"version", cmd_version, "", "print the version", "", false, false},
    {"help", cmd_help, "[COMMAND]", "explain a command and its options", "", false, false},
    {NULL, NULL, NULL, NULL, NULL, false, false},
};

const struct command *command_find(const char *name)
{
    for (const struct command *c = command_table; c->name; c++) {
        if (strcmp(c->name, name) == 0)
            return c;
    }
    return NULL;
}

static int option_unplaced(const char *shown)
{
    (void)fprintf(stderr,
                  "sparekey: unknown option %s; options follow a command, as in sparekey serve "
                  "--listen 127.0.0.1:7539; see sparekey --help\n",
                  shown);
    return EXIT_USAGE;
}

int command_unknown(const char *name)
{
    struct name_search search = {.name = slice_str(name)};
    char quoted[REPORT_QUOTE_MAX];
    const char *shown = report_quote(search.name, false, quoted); /* it may be a key */

    if (*name == '-')
        return option_unplaced(shown);
    for (const struct command *c = command_table; c->name; c++)
        name_offer(&search, slice_str(c->name), c->name);
    if (search.match)
        (void)fprintf(stderr, "sparekey: unknown command %s; did you mean %s?\n", shown,
                      search.match);
    else
        (void)fprintf(stderr, "sparekey: unknown command %s; see sparekey --help\n", shown);
    return EXIT_USAGE;
}

static bool is_help(const char *argument)
{
    return strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0;
}

/* Whether the next argument is this option's value. */
static bool takes_value(const char *argument)
{
    int id = option_find_flag(slice_str(argument)); /* "--name=value" is no flag: it has its own */

    return id >= 0 && option_table[id].type != OPTION_BOOL;
}

/* Whether the command is asked about rather than run. What stands behind "--", or belongs to the
 * program that exec runs, is not ours to read. */
static bool asks_for_help(const struct command *command, char **arguments)
{
    for (; *arguments && strcmp(*arguments, "--") != 0; arguments++) {
        if (is_help(*arguments))
            return true;
        if (command->runs_command && (*arguments)[0] != '-')
            return false;
        if (command->runs_command && takes_value(*arguments) && arguments[1])
            arguments++;
    }
    return false;
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        (void)help_overview(true);
        return EXIT_USAGE;
    }
    if (is_help(argv[1]))
        return help_overview(false);
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
        return cmd_version(argv + 2);
    const struct command *command = command_find(argv[1]);
    if (!command)
        return command_unknown(argv[1]);
    if (asks_for_help(command, argv + 2))
        return cmd_help((char *[]){argv[1], NULL});
    return command->run(argv + 2);
}

int main(int argc, char **argv)
{
    if (!process_fill_standard_fds())
        return EXIT_FAILED;
    return cli_end_output(run(argc, argv));
}
