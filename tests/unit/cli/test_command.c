/* The command as a shell meets it: exit codes, what goes to which stream, one line for a mistake. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs `sparekey ARGUMENTS` in an empty directory and environment. What it wrote to standard
 * output and standard error, together, is in `output`. */
static int run(const char *environment, const char *arguments, char *output, size_t size)
{
    const char *binary = getenv("SPAREKEY_BINARY");
    char line[1024];

    assert_non_null(binary);
    (void)snprintf(line, sizeof line, "env -i %s '%s' 2>&1 %s", environment, binary, arguments);
    FILE *pipe = popen(line, "r");
    assert_non_null(pipe);
    size_t len = fread(output, 1, size - 1, pipe);
    output[len] = '\0';
    int status = pclose(pipe);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

struct row {
    const char *environment, *arguments;
    int code;
    const char *output; /* exactly */
};

static void answers_mistakes_with_one_line(void **state)
{
    static const struct row rows[] = {
        {"", "srve", 2, "sparekey: unknown command \"srve\"; did you mean serve?\n"},
        {"", "confg --check", 2, "sparekey: unknown command \"confg\"; did you mean config?\n"},
        {"", "frobnicate", 2, "sparekey: unknown command \"frobnicate\"; see sparekey --help\n"},
        {"", "help frobnicate", 2,
         "sparekey: unknown command \"frobnicate\"; see sparekey --help\n"},
        {"", "version now", 2, "sparekey: version takes no arguments\n"},
        {"", "config extra", 2, "sparekey: command line: unexpected argument \"extra\"\n"},
        {"", "config --lisen x", 2,
         "sparekey: command line: unknown option \"--lisen\"; did you mean --listen?\n"
         "sparekey: command line: unexpected argument \"x\"\n"},
        {"", "config --config none.yaml", 2,
         "sparekey: none.yaml: cannot be read: No such file or directory\n"},
        {"", "config --sample xml", 2, "sparekey: --sample: expected env or yaml\n"},
        {"SPAREKEY_WORKERS=many", "config --check", 2,
         "sparekey: environment: SPAREKEY_WORKERS: expected a whole number from 0 to 256, got "
         "\"many\"\n"},
        {"", "--listen 127.0.0.1:0", 2,
         "sparekey: unknown option \"--listen\"; options follow a command, as in sparekey serve "
         "--listen 127.0.0.1:7539; see sparekey --help\n"},
        {"", "help serve exec", 2, "sparekey: help explains one command at a time\n"},
        {"", "config --chek", 2,
         "sparekey: command line: unknown option \"--chek\"; did you mean --check?\n"},
        {"", "config --check=yes", 2, "sparekey: command line: --check: takes no value\n"},
        {"", "status --al", 2,
         "sparekey: command line: unknown option \"--al\"; did you mean --all?\n"},
        {"", "status --url", 2, "sparekey: command line: --url: a value must follow\n"},
        {"", "top --ur=x", 2,
         "sparekey: command line: unknown option \"--ur\"; did you mean --url?\n"},
        {"", "check --liv", 2,
         "sparekey: command line: unknown option \"--liv\"; did you mean --live?\n"},
        {"", "test --injct 429", 2,
         "sparekey: command line: unknown option \"--injct\"; did you mean --inject?\n"},
        {"", "status --lisen x", 2,
         "sparekey: command line: unknown option \"--lisen\"; did you mean --listen?\n"
         "sparekey: command line: unexpected argument \"x\"\n"},
        {"", "mock --lisen x", 2,
         "sparekey: command line: unknown option \"--lisen\"; did you mean --listen?\n"},
        {"", "mock --workers 2", 2, "sparekey: command line: unknown option \"--workers\"\n"},
        {"", "mock extra", 2, "sparekey: command line: unexpected argument \"extra\"\n"},
        {"", "mock --seed", 2, "sparekey: command line: --seed: a value must follow\n"},
        {"", "mock --listen bad", 2,
         "sparekey mock: --listen: expected ADDRESS:PORT with a numeric address, as 127.0.0.1:0 or "
         "[::1]:8080, or localhost, got \"bad\"\n"},
        {"", "mock --listen somewhere:0", 2,
         "sparekey mock: --listen: expected ADDRESS:PORT with a numeric address, as 127.0.0.1:0 or "
         "[::1]:8080, or localhost, got \"somewhere:0\"\n"},
        {"", "mock --control 127.0.0.1:65536", 2,
         "sparekey mock: --control: expected ADDRESS:PORT with a numeric address, as 127.0.0.1:0 "
         "or "
         "[::1]:8080, or localhost, got \"127.0.0.1:65536\"\n"},
        {"", "mock --listen 192.0.2.1:0", 2, /* RFC 5737: nobody's */
         "sparekey mock: 192.0.2.1:0: this machine has no such address\n"},
        {"OPENAI_API_KEY=sk-1", "serve --listen 127.0.0.1:0 --ca-file none.pem", 2,
         "sparekey: command line: --ca-file: cannot read \"none.pem\": No such file or "
         "directory\n"},
        {"OPENAI_API_KEY=sk-1", "serve --listen 127.0.0.1:0 --ca-file /dev/null", 2,
         "sparekey: SPAREKEY_CA_FILE: cannot trust /dev/null: it holds nothing in PEM form\n"},
        {"OPENAI_API_KEY=sk-1", "test --url https://127.0.0.1:1 --ca-file /dev/null", 2,
         "sparekey test: SPAREKEY_CA_FILE: cannot trust /dev/null: it holds nothing in PEM form\n"},
        {"", "config >/dev/full", 1, "sparekey: standard output: No space left on device\n"},
        {"", "help serve >/dev/full", 1, "sparekey: standard output: No space left on device\n"},
        {"", "version >/dev/full", 1, "sparekey: standard output: No space left on device\n"},
        {"", "demo >/dev/full", 1, "sparekey: standard output: No space left on device\n"},
    };
    char output[8192];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int code = run(rows[i].environment, rows[i].arguments, output, sizeof output);
        assert_string_equal(output, rows[i].output);
        assert_int_equal(code, rows[i].code);
    }
}

static void checks_settings(void **state)
{
    static const struct row rows[] = {
        {"", "config --check", 0, "settings are valid: 0 keys\n"},
        {"OPENAI_API_KEY=sk-1 OPENAI_API_KEY_FALLBACK_1=sk-2", "config --check", 0,
         "settings are valid: 2 keys\n"},
        {"OPENAI_API_KEY=sk-1 OPENAI_API_KEY_FALLBACK_1=sk-1", "config --check", 0,
         "sparekey: warning: environment: OPENAI_API_KEY_FALLBACK_1: the same key as "
         "OPENAI_API_KEY (...); dropped\n"
         "settings are valid: 1 key, with warnings\n"},
        {"SPAREKEY_LISTEN=0.0.0.0:1", "config --check", 2,
         "sparekey: SPAREKEY_LISTEN: address 0.0.0.0 is public and no client tokens are set: "
         "anyone who reaches it could spend your keys. Set SPAREKEY_CLIENT_TOKENS (or "
         "SPAREKEY_CLIENT_TOKENS_FILE), or listen on 127.0.0.1\n"},
    };
    char output[8192];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int code = run(rows[i].environment, rows[i].arguments, output, sizeof output);
        assert_string_equal(output, rows[i].output);
        assert_int_equal(code, rows[i].code);
    }
}

static void explains_itself(void **state)
{
    static const struct {
        const char *arguments;
        int code;
        const char *part;
    } rows[] = {
        {"", 2, "usage: sparekey COMMAND"},
        {"--help", 0, "usage: sparekey COMMAND"},
        {"-h", 0, "usage: sparekey COMMAND"},
        {"help", 0, "usage: sparekey COMMAND"},
        {"help config", 0, "--drain-timeout DURATION, SPAREKEY_DRAIN_TIMEOUT"},
        {"config --help", 0, "--drain-timeout DURATION, SPAREKEY_DRAIN_TIMEOUT"},
        {"config --workers 3 -h", 0, "usage: sparekey config"},
        {"exec --help", 0, "usage: sparekey exec"},
        {"exec --workers 2 --fallback-enabled --help", 0, "usage: sparekey exec"},
        {"mock --help", 0, "usage: sparekey mock"},
        {"help help", 0, "usage: sparekey help"},
        {"status --help", 0, "--url URL"},
        {"top --help", 0, "q quits"},
        {"check --help", 0, "--live"},
        {"version", 0, "sparekey 0."},
        {"--version", 0, "sparekey 0."},
        {"config --workers 3", 0, "SPAREKEY_WORKERS"},
        {"config --sample env", 0, "#SPAREKEY_WORKERS=0\n"},
        {"config --sample=yaml", 0, "#sparekey_workers: 0\n"},
    };
    static char output[1 << 16];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(run("", rows[i].arguments, output, sizeof output), rows[i].code);
        if (!strstr(output, rows[i].part))
            fail_msg("sparekey %s: %s", rows[i].arguments, output);
    }
}

static void keeps_usage_off_standard_output(void **state)
{
    char output[4096];

    (void)state;
    assert_int_equal(run("", "2>/dev/null", output, sizeof output), 2);
    assert_string_equal(output, "");
    assert_int_equal(run("", "--help 2>/dev/full", output, sizeof output), 0);
}

static void shows_no_key(void **state)
{
    char output[16384];

    (void)state;
    assert_int_equal(
        run("OPENAI_API_KEY=sk-proj-SECRETSECRETSECRET1234", "config", output, sizeof output), 0);
    assert_non_null(strstr(output, "sk-proj...1234"));
    assert_null(strstr(output, "SECRET"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_mistakes_with_one_line),
        cmocka_unit_test(checks_settings),
        cmocka_unit_test(explains_itself),
        cmocka_unit_test(keeps_usage_off_standard_output),
        cmocka_unit_test(shows_no_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
