#include "cli/serving.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "settings/address.h"
#include "settings/options.h"

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

static void explain_no_key(void)
{
    (void)fputs(
        "sparekey: no API key: set OPENAI_API_KEY, and OPENAI_API_KEY_FALLBACK_1, _2, … for "
        "the others, in the environment or in .env.local\n"
        "sparekey: to see it work without any key: sparekey demo\n",
        stderr);
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

/* What is larger goes back to the system when it is freed. Left alone, malloc takes the first large
 * array that is freed for a habit and keeps the room of the next ones: what a reload of a million
 * keys needs for half a second would stay for good. */
static void give_back_large_arrays(void)
{
    enum { LARGE_BYTES = 4 << 20 };

    (void)mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
}

int serving_load(struct serving *s, char **arguments, char **environment, char ***ret_rest)
{
    memset(s, 0, sizeof *s);
    process_limits_take(&s->limits_before);
    give_back_large_arrays();
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
    s->started = settings_ref(s->settings);
    settings_wipe_environment(s->settings, environment);
    if (log_new(STDERR_FILENO, LOG_SEVERITY_INFO, &s->log) != STATUS_OK)
        return EXIT_FAILED;
    log_set_levels(s->log, &s->settings->log_levels);
    return check(s);
}

void serving_be_private(struct serving *s)
{
    if (!option_given(s->settings, OPTION_LOG_LEVEL))
        log_set_quiet(s->log);
    s->settings->tls_cert = s->settings->tls_key = NULL;
}

/* The gateway has the keys now. Kept here, too, they would cost memory, and those at the start would
 * outlive every reload that drops them. */
static void hand_over_keys(struct serving *s, struct settings *settings)
{
    s->key_count = settings->key_count;
    settings_drop_keys(settings);
}

int serving_start(struct serving *s)
{
    struct buffer reason = {0};
    enum status status = gateway_new(s->settings, s->log, &reason, &s->gateway);

    if (status == STATUS_OK) {
        hand_over_keys(s, s->settings);
        status = gateway_start(s->gateway, &reason);
    }
    if (status != STATUS_OK) {
        if (reason.len)
            print_reason(&reason);
        else
            (void)fprintf(stderr, "sparekey: cannot start: %s\n", status_text(status));
    }
    buffer_clear(&reason);
    return status == STATUS_OK ? EXIT_OK : EXIT_USAGE;
}

/* Whether the address that is served stays guarded under the new settings. */
static bool stays_guarded(const struct serving *s, const struct settings *settings)
{
    return settings->client_token_count || listen_is_loopback(&s->started->listen);
}

static void warn_of_restart(struct serving *s, const struct settings *settings)
{
    struct buffer names = {0};

    if (settings_fixed_changes(s->started, settings, &names) == STATUS_OK && names.len)
        log_line(s->log, LOG_SEVERITY_WARN, "restart_needed",
                 "changed, but only a restart applies it: %.*s", (int)names.len, names.data);
    buffer_clear(&names);
}

static void swap_in(struct serving *s, struct settings *settings)
{
    struct buffer reason = {0};

    if (gateway_reload(s->gateway, settings, &reason) != STATUS_OK) {
        log_line(s->log, LOG_SEVERITY_ERROR, "reload_refused", "%.*s; the old settings stay",
                 (int)reason.len, reason.len ? reason.data : "");
    } else {
        settings_unref(s->settings);
        s->settings = settings_ref(settings);
        hand_over_keys(s, settings);
        log_set_levels(s->log, &settings->log_levels);
        warn_of_restart(s, settings);
        log_line(s->log, LOG_SEVERITY_INFO, "reloaded", "%zu keys", s->key_count);
    }
    buffer_clear(&reason);
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
    } else if (!stays_guarded(s, settings)) {
        log_line(s->log, LOG_SEVERITY_ERROR, "reload_refused",
                 "without client tokens the public address %s would be open to anyone; the old "
                 "settings stay",
                 s->started->listen.host);
    } else {
        swap_in(s, settings);
    }
    settings_unref(settings);
}

void serving_fini(struct serving *s)
{
    gateway_free(s->gateway);
    settings_unref(s->settings);
    settings_unref(s->started);
    log_free(s->log);
    vault_free(s->vault);
    memset(s, 0, sizeof *s);
}
