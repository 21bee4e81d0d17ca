/* sparekey demo: mock, gateway and an application in one command, no key needed.
 *
 * The same traffic runs twice, each time against a fresh mock with the same cast of keys: once as
 * an application with only the primary key, once through the gateway with all five.
 */
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/number.h"
#include "cli/cli.h"
#include "cli/demo_process.h"
#include "cli/demo_traffic.h"
#include "cli/demo_view.h"

static const struct demo_key cast[] = {
    {"OPENAI_API_KEY", "sk-proj-demo-primary-0000000000rate", "primary, 90 requests/min"},
    {"OPENAI_API_KEY_FALLBACK_1", "sk-proj-demo-revoked-0000000000dead", "revoked"},
    {"OPENAI_API_KEY_FALLBACK_2", "sk-proj-demo-no-money-00000000empt", "out of quota"},
    {"OPENAI_API_KEY_FALLBACK_3", "sk-proj-demo-unstable-00000000flky", "flaky: 30 % errors"},
    {"OPENAI_API_KEY_FALLBACK_4", "sk-proj-demo-reliable-00000000good", "good"},
};

enum { CAST = sizeof cast / sizeof cast[0] };

/* The cast as the mock's script. */
static const char script[] =
    "keys:\n"
    "  - {key: sk-proj-demo-primary-0000000000rate, organization: org-main, project: proj_main,"
    " rpm: 90, latency_ms: [4, 12]}\n"
    "  - {key: sk-proj-demo-revoked-0000000000dead, organization: org-old, project: proj_old,"
    " state: revoked}\n"
    "  - {key: sk-proj-demo-no-money-00000000empt, organization: org-empty, project: proj_empty,"
    " state: insufficient_quota}\n"
    "  - key: sk-proj-demo-unstable-00000000flky\n"
    "    organization: org-flaky\n"
    "    project: proj_flaky\n"
    "    latency_ms: [4, 12]\n"
    "    faults:\n"
    "      - {fault: 'status:500', rate: 0.2}\n"
    "      - {fault: reset_before_head, rate: 0.1}\n"
    "  - {key: sk-proj-demo-reliable-00000000good, organization: org-good, project: proj_good,"
    " latency_ms: [4, 12]}\n";

struct demo {
    char directory[64];
    struct demo_process mock, gateway;
    char mock_url[DEMO_LINE_MAX];
    struct demo_view view;
};

/* ---- processes --------------------------------------------------------------------------- */

static bool write_script(const struct demo *demo)
{
    char path[128];

    (void)snprintf(path, sizeof path, "%s/cast.yaml", demo->directory);
    FILE *file = fopen(path, "w");
    if (!file) {
        (void)fprintf(stderr, "sparekey demo: %s: %s\n", path, strerror(errno));
        return false;
    }
    bool written = fputs(script, file) >= 0;
    return fclose(file) == 0 && written;
}

static bool start_mock(struct demo *demo)
{
    const char *arguments[] = {"sparekey",  "mock",        "--listen", "127.0.0.1:0",
                               "--control", "127.0.0.1:0", "--script", "cast.yaml",
                               "--seed",    "7",           NULL};

    if (!demo_process_start(&demo->mock, demo->directory, "mock.log", arguments, environ))
        return false;
    json_t *line = json_loads(demo->mock.ready, 0, NULL);
    const char *url = json_string_value(json_object_get(line, "url"));
    if (url)
        (void)snprintf(demo->mock_url, sizeof demo->mock_url, "%s", url);
    json_decref(line);
    if (!url)
        (void)fprintf(stderr, "sparekey demo: the mock said: %s\n", demo->mock.ready);
    return url != NULL;
}

/* Nothing of the user's own environment: no real key may reach the demo. */
static bool start_gateway(struct demo *demo)
{
    const char *arguments[] = {"sparekey", "serve", "--listen", "127.0.0.1:0", NULL};
    char *environment[CAST + 3] = {NULL};
    bool complete = true;

    for (unsigned i = 0; i < CAST; i++)
        complete &= asprintf(&environment[i], "%s=%s", cast[i].variable, cast[i].secret) > 0;
    complete &= asprintf(&environment[CAST], "SPAREKEY_UPSTREAM_URL=%s", demo->mock_url) > 0;
    bool started = complete && demo_process_start(&demo->gateway, demo->directory, "gateway.log",
                                                  arguments, environment);
    for (unsigned i = 0; i <= CAST; i++)
        free(environment[i]);
    return started;
}

/* "…http://127.0.0.1:1234/v1" → 1234; 0 when there is none. */
static uint16_t port_of(const char *text)
{
    const char *host = strstr(text, "://127.0.0.1:");
    uint64_t port = 0;

    if (!host)
        return 0;
    const char *digits = host + strlen("://127.0.0.1:");
    if (number_parse(slice_of(digits, strspn(digits, "0123456789")), UINT16_MAX, &port) !=
        STATUS_OK)
        return 0;
    return (uint16_t)port;
}

/* ---- the two runs ------------------------------------------------------------------------ */

static bool run_traffic(struct demo *demo, struct demo_target *target, struct demo_result *ret)
{
    target->show = demo_view_show;
    target->context = &demo->view;
    demo->view.lines_drawn = 0;
    demo->view.looks = 0;
    enum status status = target->port ? demo_traffic_run(target, ret) : STATUS_INVALID;
    if (status != STATUS_OK)
        (void)fprintf(stderr, "sparekey demo: traffic: %s\n", status_text(status));
    return status == STATUS_OK;
}

static bool run_without(struct demo *demo, struct demo_result *ret)
{
    (void)printf(
        "\n  1. Without fallback: the application has its primary key and nothing else.\n\n");
    if (!start_mock(demo))
        return false;
    struct demo_target target = {
        .host = "127.0.0.1", .port = port_of(demo->mock_url), .key = cast[0].secret};
    bool done = run_traffic(demo, &target, ret);
    if (done)
        demo_view_show(&demo->view, ret, slice_of(NULL, 0));
    (void)putchar('\n');
    demo_process_stop(&demo->mock);
    return done;
}

static bool run_with(struct demo *demo, struct demo_result *ret)
{
    (void)printf("\n  2. With Sparekey: the same traffic, one changed URL, five keys.\n\n");
    if (!start_mock(demo) || !start_gateway(demo))
        return false;
    struct demo_target target = {.host = "127.0.0.1",
                                 .port = port_of(demo->gateway.ready),
                                 .key = "not-a-real-key",
                                 .health = "/api/openai/health"};
    return run_traffic(demo, &target, ret);
}

/* ---- the command ------------------------------------------------------------------------- */

static void remove_file(const struct demo *demo, const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", demo->directory, name);
    (void)unlink(path);
}

static void clear(struct demo *demo, bool succeeded)
{
    demo_process_stop(&demo->gateway);
    demo_process_stop(&demo->mock);
    if (!succeeded)
        return; /* the logs may say why */
    remove_file(demo, "cast.yaml");
    remove_file(demo, "mock.log");
    remove_file(demo, "gateway.log");
    (void)rmdir(demo->directory);
}

static bool run(struct demo *demo)
{
    struct demo_result without, with;

    if (!write_script(demo) || !run_without(demo, &without) || !run_with(demo, &with))
        return false;
    demo_view_summary(&demo->view, &without, &with);
    return with.failed == 0;
}

/* Who cannot be shown anything should not wait for it. */
static bool introduce(void)
{
    (void)printf("sparekey demo: a mock OpenAI, five keys, four of them bad; about %d seconds.\n",
                 2 * DEMO_REQUESTS * DEMO_INTERVAL_MS / 1000);
    return cli_end_output(EXIT_OK) == EXIT_OK;
}

int cmd_demo(char **arguments)
{
    struct demo demo = {
        .view = {.keys = cast, .key_count = CAST, .terminal = isatty(STDOUT_FILENO)}};

    if (arguments[0]) {
        (void)fprintf(stderr, "sparekey demo: takes no arguments, got \"%s\"\n", arguments[0]);
        return EXIT_USAGE;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    if (!introduce())
        return EXIT_FAILED;
    (void)snprintf(demo.directory, sizeof demo.directory, "/tmp/sparekey-demo-XXXXXX");
    if (!mkdtemp(demo.directory)) {
        (void)fprintf(stderr, "sparekey demo: %s: %s\n", demo.directory, strerror(errno));
        return EXIT_FAILED;
    }
    bool succeeded = run(&demo);
    clear(&demo, succeeded);
    return succeeded ? EXIT_OK : EXIT_FAILED;
}
