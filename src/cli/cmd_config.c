#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/own_options.h"

/* What of the arguments is config's own. */
struct request {
    bool check;
    const char *sample; /* "env", "yaml", or NULL */
};

static int print_sample(const char *form)
{
    struct buffer text = {0};

    if (strcmp(form, "env") == 0)
        return cli_print(settings_sample(SAMPLE_ENV, &text), &text);
    if (strcmp(form, "yaml") == 0)
        return cli_print(settings_sample(SAMPLE_YAML, &text), &text);
    (void)fprintf(stderr, "sparekey: --sample: expected env or yaml\n");
    return EXIT_USAGE;
}

/* What serve would refuse, said before it is started. */
static int check(const struct settings *settings, bool warned)
{
    struct buffer text = {0};

    if (!settings_servable(settings, &text)) {
        (void)fprintf(stderr, "sparekey: %.*s\n", (int)text.len, text.data);
        buffer_clear(&text);
        return EXIT_USAGE;
    }
    return cli_print(buffer_printf(&text, 256, "settings are valid: %zu key%s%s\n",
                                   settings->key_count, settings->key_count == 1 ? "" : "s",
                                   warned ? ", with warnings" : ""),
                     &text);
}

static int show(const struct settings *settings)
{
    struct buffer text = {0};

    return cli_print(settings_describe(settings, &text), &text);
}

int cmd_config(char **arguments)
{
    struct request request = {0};
    struct vault *vault;
    struct settings *settings;
    bool warned = false;

    const struct own_option own[] = {
        {"--check", .flag = &request.check}, {"--sample", .text = &request.sample}, {NULL}};
    if (!own_options_take(own, arguments))
        return EXIT_USAGE;
    if (request.sample)
        return print_sample(request.sample);
    int code = cli_load_settings(arguments, NULL, &vault, &settings, &warned);
    if (code != EXIT_OK)
        return code;
    code = request.check ? check(settings, warned) : show(settings);
    settings_unref(settings);
    vault_free(vault);
    return code;
}
