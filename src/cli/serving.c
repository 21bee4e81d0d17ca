#include "cli/serving.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cli/cli.h"

/* One line, the reason of a refusal. */
static void print_reason(const struct buffer *reason)
{
    (void)fprintf(stderr, "sparekey: %.*s\n", (int)reason->len, reason->len ? reason->data : "");
}

static enum status read_settings(struct serving *s, char ***ret_rest, struct settings **ret)
{
    struct settings_report report = {0};
    enum status status = settings_load(&s->sources, s->vault, &report, ret_rest, ret);

    cli_print_report(&report);
    if (status != STATUS_OK && report.errors.len == 0)
        (void)fprintf(stderr, "sparekey: settings: %s\n", status_text(status));
    settings_report_clear(&report);
    return status;
}

/* Cores would hold what the vault guards in its pages' copies on the wire. */
static void forbid_cores(void)
{
    struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
}

static void explain_no_key(void)
{
    (void)fputs(
        "sparekey: no API key: set OPENAI_API_KEY, and OPENAI_API_KEY_FALLBACK_1, _2, … for "
        "the others, in the environment or in .env.local\n"
        "sparekey: to see it work without any key: sparekey demo\n",
        stderr);
}

static enum log_severity least_severity(const struct settings *settings)
{
    return (enum log_severity)settings->log_level;
}

static int check(struct serving *s)
{
    struct buffer reason = {0};

    if (s->settings->key_count == 0) {
        explain_no_key();
        return EXIT_USAGE;
    }
    if (!settings_servable(s->settings, &reason)) {
        print_reason(&reason);
        buffer_clear(&reason);
        return EXIT_USAGE;
    }
    buffer_clear(&reason);
    return EXIT_OK;
}

int serving_load(struct serving *s, char **arguments, char **environment, char ***ret_rest)
{
    memset(s, 0, sizeof *s);
    forbid_cores();
    s->sources = (struct settings_sources){
        .arguments = arguments,
        .environment = environment,
        .directory = ".",
    };
    if (vault_new(&s->vault) != STATUS_OK) {
        (void)fputs("sparekey: out of memory\n", stderr);
        return EXIT_FAILED;
    }
    if (read_settings(s, ret_rest, &s->settings) != STATUS_OK)
        return EXIT_USAGE;
    settings_wipe_environment(s->settings, environment);
    if (log_new(STDERR_FILENO, least_severity(s->settings), &s->log) != STATUS_OK)
        return EXIT_FAILED;
    return check(s);
}

int serving_start(struct serving *s)
{
    struct buffer reason = {0};
    enum status status = gateway_new(s->settings, s->log, &reason, &s->gateway);

    if (status == STATUS_OK)
        status = gateway_start(s->gateway, &reason);
    if (status != STATUS_OK) {
        if (reason.len)
            print_reason(&reason);
        else
            (void)fprintf(stderr, "sparekey: cannot start: %s\n", status_text(status));
    }
    buffer_clear(&reason);
    return status == STATUS_OK ? EXIT_OK : EXIT_USAGE;
}

void serving_reload(struct serving *s)
{
    struct settings *settings = NULL;

    s->sources.previous = s->settings;
    if (read_settings(s, NULL, &settings) != STATUS_OK) {
        log_line(s->log, LOG_SEVERITY_ERROR, "reload_refused",
                 "the new settings are broken; the old ones stay");
        return;
    }
    if (settings->key_count == 0) {
        log_line(s->log, LOG_SEVERITY_ERROR, "reload_refused",
                 "the new settings have no key; the old ones stay");
    } else if (gateway_reload(s->gateway, settings) != STATUS_OK) {
        log_line(s->log, LOG_SEVERITY_ERROR, "reload_refused",
                 "out of memory; the old settings stay");
    } else {
        settings_unref(s->settings);
        s->settings = settings_ref(settings);
        log_set_least(s->log, least_severity(settings));
        log_line(s->log, LOG_SEVERITY_INFO, "reloaded", "%zu keys", settings->key_count);
    }
    settings_unref(settings);
}

void serving_fini(struct serving *s)
{
    gateway_free(s->gateway);
    settings_unref(s->settings);
    log_free(s->log);
    vault_free(s->vault);
    memset(s, 0, sizeof *s);
}
