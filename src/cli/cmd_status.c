/* sparekey status: the keys of a running gateway, once. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/gateway_client.h"
#include "cli/health_view.h"
#include "cli/own_options.h"

/* Of more keys than this, the worst are shown, unless all are asked for. */
#define STATUS_ROWS_MAX 50

struct request {
    const char *url;
    bool json, all;
};

static enum status write_all(struct health *health, const struct request *request,
                             struct buffer *out)
{
    const struct health_style style = {.colour = isatty(STDOUT_FILENO) == 1};
    size_t rows = health->row_count;

    if (!request->all && rows > STATUS_ROWS_MAX) {
        rows = STATUS_ROWS_MAX;
        health_sort(health);
    }
    enum status status = health_table(health, rows, &style, out);
    if (status == STATUS_OK && rows < health->row_count)
        status =
            buffer_printf(out, HEALTH_TEXT_MAX, "… the worst %zu of %zu keys; --all shows all\n",
                          rows, health->row_count);
    return status == STATUS_OK ? health_summary(health, &style, out) : status;
}

static int show(const struct fetch *fetch, const struct request *request)
{
    struct health health;
    struct buffer out = {0};
    enum status status =
        health_read(buffer_slice(&fetch->body), fetch->sent_wall_ms + fetch->took_ms, &health);

    if (status != STATUS_OK) {
        (void)fprintf(stderr, "sparekey: the answer is no health document of a sparekey gateway\n");
        return EXIT_UNREACHABLE;
    }
    bool unhealthy = strcmp(health.overall, "unhealthy") == 0;
    if (request->json)
        status = buffer_printf(&out, HEALTH_TEXT_MAX + 1, "%.*s\n", (int)fetch->body.len,
                               fetch->body.data);
    else
        status = write_all(&health, request, &out);
    int code = cli_print(status, &out);
    health_clear(&health);
    return code != EXIT_OK || !unhealthy ? code : EXIT_UNHEALTHY;
}

int cmd_status(char **arguments)
{
    struct request request = {0};
    struct gateway_client client;
    struct fetch fetch = {0};
    struct buffer reason = {0};
    char why[512];

    const struct own_option own[] = {{"--url", .text = &request.url},
                                     {"--json", .flag = &request.json},
                                     {"--all", .flag = &request.all},
                                     {NULL}};
    if (!own_options_take(own, arguments))
        return EXIT_USAGE;
    int code = gateway_client_open(&client, arguments, request.url);
    if (code == EXIT_OK) {
        gateway_client_ask(&client, "/api/openai/health", &fetch);
        fetch.status = fetch_run(&fetch, 1, client.settings, -1, &reason) == STATUS_OK
                           ? fetch.status
                           : STATUS_IO;
        code = EXIT_UNREACHABLE;
        if (gateway_client_understands(&client, &fetch, why, sizeof why))
            code = show(&fetch, &request);
        else
            (void)fprintf(stderr, "sparekey: %s%.*s\n", why, (int)reason.len,
                          reason.len ? reason.data : "");
    }
    buffer_clear(&fetch.body);
    buffer_clear(&reason);
    gateway_client_close(&client);
    return code;
}
