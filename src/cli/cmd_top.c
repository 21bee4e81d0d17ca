/* sparekey top: the keys of a running gateway, live in the terminal. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/gateway_client.h"
#include "cli/health_view.h"
#include "cli/own_options.h"
#include "cli/screen.h"

#define TOP_REFRESH_MS       2000
#define TOP_FAILOVER_MINUTES 5
#define TOP_HEAD_LINES       4 /* above and below the keys */

enum { LINE_MAX_BYTES = 1024 };

struct top {
    struct gateway_client client;
    struct screen screen;
    struct health health; /* the latest */
    bool known;           /* there is one */
    int64_t at_ms;        /* when it was asked for */
    double per_s;         /* attempts, since the one before; -1 = not known yet */
    json_int_t failovers; /* of the last minutes; -1 = no history */
    char trouble[512];    /* why there is no news; "" = there is */
};

/* ---- news -------------------------------------------------------------------------------- */

static void take_health(struct top *t, const struct fetch *fetch)
{
    struct health next;

    if (!gateway_client_understands(&t->client, fetch, t->trouble, sizeof t->trouble))
        return;
    if (health_read(buffer_slice(&fetch->body), fetch->sent_wall_ms + fetch->took_ms, &next) !=
        STATUS_OK) {
        (void)snprintf(t->trouble, sizeof t->trouble,
                       "the answer is no health document of a sparekey gateway");
        return;
    }
    int64_t passed_ms = fetch->sent_wall_ms - t->at_ms;
    t->per_s = -1;
    if (t->known && passed_ms > 0 && next.requests >= t->health.requests)
        t->per_s = (double)(next.requests - t->health.requests) * 1000 / (double)passed_ms;
    health_clear(&t->health);
    health_sort(&next);
    t->health = next;
    t->at_ms = fetch->sent_wall_ms;
    t->known = true;
    t->trouble[0] = '\0';
}

static void take_history(struct top *t, const struct fetch *fetch)
{
    json_t *root = fetch->status == STATUS_OK && fetch->code == 200
                       ? json_loadb(fetch->body.data, fetch->body.len, 0, NULL)
                       : NULL;
    const json_t *failovers = json_object_get(root, "failovers");

    t->failovers = json_is_array(failovers) ? 0 : -1;
    for (size_t i = 0; i < json_array_size(failovers); i++)
        t->failovers += json_integer_value(json_array_get(failovers, i));
    json_decref(root);
}

/* False: a key or a signal came first. */
static bool ask(struct top *t)
{
    struct fetch fetches[2];
    struct buffer reason = {0};
    char target[64];

    (void)snprintf(target, sizeof target, "/api/openai/history?minutes=%d", TOP_FAILOVER_MINUTES);
    gateway_client_ask(&t->client, "/api/openai/health", &fetches[0]);
    gateway_client_ask(&t->client, target, &fetches[1]);
    enum status status = fetch_run(fetches, 2, t->client.settings, t->screen.watch, &reason);
    bool done = status != STATUS_OK || fetches[0].status != STATUS_CANCELLED;
    if (status != STATUS_OK)
        (void)snprintf(t->trouble, sizeof t->trouble, "%.*s", (int)reason.len,
                       reason.len ? reason.data : status_text(status));
    else if (done)
        take_health(t, &fetches[0]);
    if (status == STATUS_OK && fetches[1].status != STATUS_CANCELLED)
        take_history(t, &fetches[1]);
    buffer_clear(&fetches[0].body);
    buffer_clear(&fetches[1].body);
    buffer_clear(&reason);
    return done;
}

/* ---- the picture ------------------------------------------------------------------------- */

static enum status put_head(const struct top *t, struct buffer *out)
{
    char line[LINE_MAX_BYTES], failovers[64] = "", rate[32] = "-";

    if (t->per_s >= 0)
        (void)snprintf(rate, sizeof rate, "%.1f", t->per_s);
    if (t->failovers >= 0)
        (void)snprintf(failovers, sizeof failovers, "   failovers in %d min: %lld",
                       TOP_FAILOVER_MINUTES, (long long)t->failovers);
    (void)snprintf(line, sizeof line, "sparekey %s:%u   attempts/s: %s   active: %llu%s",
                   t->client.url.host, t->client.url.port, rate,
                   (unsigned long long)t->health.in_flight, failovers);
    return buffer_printf(out, HEALTH_TEXT_MAX, "%.*s\n", (int)t->screen.columns, line);
}

static enum status put_foot(const struct top *t, size_t rows, struct buffer *out)
{
    char line[LINE_MAX_BYTES], more[64] = "";

    if (rows < t->health.row_count)
        (void)snprintf(more, sizeof more, "the worst %zu of %zu keys   ", rows,
                       t->health.row_count);
    (void)snprintf(line, sizeof line, "%s%s%sq quits", t->trouble, t->trouble[0] ? "   " : "",
                   more);
    return buffer_printf(out, HEALTH_TEXT_MAX, "%.*s\n", (int)t->screen.columns, line);
}

static bool draw(struct top *t)
{
    const struct health_style style = {true, t->screen.columns};
    struct buffer out = {0};
    size_t rows = t->screen.rows > TOP_HEAD_LINES ? t->screen.rows - TOP_HEAD_LINES : 0;
    enum status status = STATUS_OK;

    if (rows > t->health.row_count)
        rows = t->health.row_count;
    if (t->known)
        status = put_head(t, &out);
    if (t->known && status == STATUS_OK)
        status = health_summary(&t->health, &style, &out);
    if (t->known && status == STATUS_OK)
        status = health_table(&t->health, rows, &style, &out);
    if (status == STATUS_OK)
        status = put_foot(t, rows, &out);
    bool drawn = status == STATUS_OK && screen_draw(&t->screen, buffer_slice(&out));
    buffer_clear(&out);
    return drawn;
}

/* ---- the loop ---------------------------------------------------------------------------- */

static int64_t clock_ms(void)
{
    return (int64_t)(uv_hrtime() / 1000000);
}

/* Until it is time for news; redraws on the way. False: quit. */
static bool idle(struct top *t, int64_t until_ms)
{
    for (;;) {
        int64_t left_ms = until_ms - clock_ms();
        enum screen_event event = screen_wait(&t->screen, left_ms > 0 ? left_ms : 0);
        if (event == SCREEN_QUIT)
            return false;
        if (event == SCREEN_RESIZED && !draw(t))
            return false;
        if (event == SCREEN_KEY) /* impatience */
            return true;
        if (event == SCREEN_NOTHING && clock_ms() >= until_ms)
            return true;
    }
}

static void run(struct top *t)
{
    bool on = true;

    while (on) {
        int64_t next_ms = clock_ms() + TOP_REFRESH_MS;
        if (ask(t))
            on = draw(t) && idle(t, next_ms);
        else
            on = idle(t, clock_ms()); /* what came first is read there */
    }
}

int cmd_top(char **arguments)
{
    struct top t = {.per_s = -1, .failovers = -1};
    const char *url = NULL;
    const struct own_option own[] = {{"--url", .text = &url}, {NULL}};

    if (!own_options_take(own, arguments))
        return EXIT_USAGE;
    int code = gateway_client_open(&t.client, arguments, url);

    if (code == EXIT_OK && !screen_enter(&t.screen)) {
        (void)fputs("sparekey: top needs a terminal; for scripts: sparekey status --json\n",
                    stderr);
        code = EXIT_USAGE;
    } else if (code == EXIT_OK) {
        run(&t);
        screen_leave(&t.screen);
        if (!t.known) {
            (void)fprintf(stderr, "sparekey: %s\n", t.trouble[0] ? t.trouble : "no answer yet");
            code = EXIT_UNREACHABLE;
        }
    }
    health_clear(&t.health);
    gateway_client_close(&t.client);
    return code;
}
