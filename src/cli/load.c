/* What the subcommands share: loading settings as a process does, printing a text. */
#include <errno.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <unistd.h>

#include "cli/cli.h"

static void print_lines(const char *prefix, const struct buffer *lines)
{
    struct slice rest = buffer_slice(lines), line;

    while (slice_next_item(&rest, '\n', &line))
        (void)fprintf(stderr, "sparekey: %s%.*s\n", prefix, (int)line.len, line.ptr);
}

void cli_print_report(const struct settings_report *report)
{
    print_lines("warning: ", &report->warnings);
    print_lines("", &report->errors);
}

static int out_of_memory(void)
{
    (void)fprintf(stderr, "sparekey: out of memory\n");
    return EXIT_FAILED;
}

int cli_load_settings(char **arguments, char ***ret_rest, struct vault **ret_vault,
                      struct settings **ret_settings, bool *ret_warned)
{
    struct settings_sources sources = {
        .arguments = arguments, .environment = environ, .directory = "."};
    struct settings_report report = {{0}, {0}};
    struct vault *vault;

    if (vault_new(&vault) != STATUS_OK)
        return out_of_memory();
    enum status status = settings_load(&sources, vault, &report, ret_rest, ret_settings);
    cli_print_report(&report);
    if (ret_warned)
        *ret_warned = report.warnings.len != 0;
    settings_report_clear(&report);
    if (status == STATUS_OK) {
        *ret_vault = vault;
        return EXIT_OK;
    }
    vault_free(vault);
    return status == STATUS_INVALID ? EXIT_USAGE : out_of_memory();
}

/* `error`: the errno of a write that failed, or 0. */
static int end_output(int code, int error)
{
    if (!error && fflush(stdout) != 0)
        error = errno;
    if (!error && !ferror(stdout))
        return code;
    (void)fprintf(stderr, "sparekey: standard output: %s\n",
                  error ? strerror(error) : "not all of it could be written");
    __fpurge(stdout);
    clearerr(stdout);
    return code == EXIT_OK ? EXIT_FAILED : code;
}

int cli_end_output(int code)
{
    return end_output(code, 0);
}

int cli_print(enum status status, struct buffer *text)
{
    int code = EXIT_OK;

    if (status == STATUS_OK) {
        bool written = fwrite(text->data, 1, text->len, stdout) == text->len;
        code = end_output(code, written ? 0 : errno);
    } else {
        (void)fprintf(stderr, "sparekey: %s\n", status_text(status));
        code = EXIT_FAILED;
    }
    buffer_clear(text);
    return code;
}
