/* sparekey check: the doctor. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/check.h"
#include "cli/cli.h"
#include "cli/own_options.h"

/* Exit codes of its own; EXIT_OK is 0, nothing found. */
enum { EXIT_FOUND = 1, EXIT_NOT_CHECKED = 2 };

struct request {
    bool live, json;
};

static int not_checked(struct slice why)
{
    (void)fprintf(stderr, "sparekey: check could not run: %.*s\n", (int)why.len,
                  why.len ? why.ptr : "");
    return EXIT_NOT_CHECKED;
}

static int tell(const struct findings *f, const struct request *request, size_t keys, bool live)
{
    struct buffer out = {0};
    enum status status = request->json ? findings_write_json(f, keys, live, &out)
                                       : findings_write(f, keys, live, &out);

    if (f->no_memory) {
        buffer_clear(&out);
        return not_checked(SLICE("out of memory"));
    }
    int code = cli_print(status, &out);
    if (code != EXIT_OK)
        return EXIT_NOT_CHECKED;
    return findings_any(f) ? EXIT_FOUND : EXIT_OK;
}

/* With settings that could be read. */
static int check_all(const struct settings *settings, const struct request *request,
                     struct findings *f)
{
    struct buffer reason = {0};
    int code;

    check_keys(settings, f);
    check_key_count(settings, f);
    check_place(settings, environ, f);
    if (request->live && !check_live(settings, f, &reason))
        code = not_checked(buffer_slice(&reason));
    else
        code = tell(f, request, settings->key_count, request->live);
    buffer_clear(&reason);
    return code;
}

/* Settings with errors, as far as they could be read; NULL: not at all. Keys are not counted, because
 * some may be behind an error, and no service is asked, because it may be the wrong one. */
static int check_rest(const struct settings *settings, const struct request *request,
                      struct findings *f)
{
    if (settings) {
        check_keys(settings, f);
        check_place(settings, environ, f);
    }
    return tell(f, request, settings ? settings->key_count : 0, false);
}

static int run(char **arguments, const struct request *request, struct vault *vault,
               struct findings *f)
{
    struct settings_sources sources = {
        .arguments = arguments, .environment = environ, .directory = ".", .keep_faulty = true};
    struct settings_report report = {{0}, {0}};
    struct settings *settings = NULL;
    enum status status = settings_load(&sources, vault, &report, NULL, &settings);
    int code;

    check_report(&report, f);
    if (status == STATUS_OK)
        code = check_all(settings, request, f);
    else if (status == STATUS_INVALID)
        code = check_rest(settings, request, f);
    else
        code = not_checked(slice_str(status_text(status)));
    settings_report_clear(&report);
    settings_unref(settings);
    return code;
}

int cmd_check(char **arguments)
{
    struct request request = {0};
    struct findings findings = {0};
    struct vault *vault;

    const struct own_option own[] = {
        {"--live", .flag = &request.live}, {"--json", .flag = &request.json}, {NULL}};
    if (!own_options_take(own, arguments))
        return EXIT_NOT_CHECKED;
    if (vault_new(&vault) != STATUS_OK)
        return not_checked(SLICE("out of memory"));
    int code = run(arguments, &request, vault, &findings);
    findings_clear(&findings);
    vault_free(vault);
    return code;
}
