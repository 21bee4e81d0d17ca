#include "cli/demo_view.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { LOOKS_BETWEEN_PLAIN_TABLES = 8 }; /* without a terminal: a table every two seconds */

static const char *paint(const struct demo_view *view, const char *code)
{
    return view->terminal ? code : "";
}

#define GREEN  "\033[32m"
#define YELLOW "\033[33m"
#define RED    "\033[31m"
#define BOLD   "\033[1m"
#define PLAIN  "\033[0m"

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static long long number_of(const json_t *object, const char *name)
{
    return (long long)json_integer_value(json_object_get(object, name));
}

/* "rate limited, back in 2 s" */
static void state_of(const json_t *key, char *out, size_t size, const char **ret_colour)
{
    const json_t *reason = json_object_get(key, "reason");

    if (strcmp(text_of(key, "circuit"), "closed") == 0) {
        *ret_colour = GREEN;
        (void)snprintf(out, size, "ready");
        return;
    }
    *ret_colour = json_is_true(json_object_get(key, "isRateLimited")) ? YELLOW : RED;
    (void)snprintf(out, size, "%s, asked again in %lld s", text_of(reason, "class"),
                   (number_of(reason, "opensInMs") + 999) / 1000);
}

static void draw_key(const struct demo_view *view, const struct demo_key *cast, const json_t *key)
{
    char state[96];
    const char *colour;

    state_of(key, state, sizeof state, &colour);
    (void)printf("  %-18s %-24s %8lld %8lld   %s%-42s%s\n", text_of(key, "keyId"), cast->role,
                 number_of(key, "totalRequests"), number_of(key, "successCount"),
                 paint(view, colour), state, paint(view, PLAIN));
}

static unsigned draw(const struct demo_view *view, const struct demo_result *so_far,
                     const json_t *health)
{
    const json_t *keys = json_object_get(health, "keys");
    unsigned lines = 2;

    (void)printf("  %s%-18s %-24s %8s %8s   %-42s%s\n", paint(view, BOLD), "key", "what it is",
                 "attempts", "served", "state", paint(view, PLAIN));
    for (unsigned i = 0; i < view->key_count && i < json_array_size(keys); i++, lines++)
        draw_key(view, &view->keys[i], json_array_get(keys, i));
    (void)printf("  requests %u/%u   answered %u   %sfailures seen by the caller: %u%s\n",
                 so_far->sent, DEMO_REQUESTS, so_far->succeeded,
                 paint(view, so_far->failed ? RED : GREEN), so_far->failed, paint(view, PLAIN));
    return lines;
}

static void draw_document(struct demo_view *view, const struct demo_result *so_far,
                          struct slice health)
{
    json_t *document = json_loadb(health.ptr ? health.ptr : "", health.len, 0, NULL);

    if (view->terminal && view->lines_drawn)
        (void)printf("\033[%uA", view->lines_drawn);
    view->lines_drawn = draw(view, so_far, document);
    json_decref(document);
    (void)fflush(stdout);
}

static void draw_plain_progress(const struct demo_view *view, const struct demo_result *so_far)
{
    (void)printf("%s  requests %u/%u   answered %u   failed %u%s", view->terminal ? "\r" : "",
                 so_far->sent, DEMO_REQUESTS, so_far->succeeded, so_far->failed,
                 view->terminal ? "   " : "\n");
    (void)fflush(stdout);
}

void demo_view_show(void *context, const struct demo_result *so_far, struct slice health)
{
    struct demo_view *view = context;

    bool last = so_far->succeeded + so_far->failed == DEMO_REQUESTS;

    if (!view->terminal && !last && view->looks++ % LOOKS_BETWEEN_PLAIN_TABLES != 0)
        return;
    if (health.len)
        draw_document(view, so_far, health);
    else
        draw_plain_progress(view, so_far);
}

static double percent(unsigned part, unsigned whole)
{
    return whole ? 100.0 * part / whole : 0.0;
}

static void summary_row(const struct demo_view *view, const char *name, const struct demo_result *r)
{
    (void)printf("  %-34s %8u %10u %s%8u  %6.1f %%%s   %6.1f ms\n", name, r->sent, r->succeeded,
                 paint(view, r->failed ? RED : GREEN), r->failed, percent(r->failed, r->sent),
                 paint(view, PLAIN), r->latency_ms_median);
}

void demo_view_summary(const struct demo_view *view, const struct demo_result *without,
                       const struct demo_result *with)
{
    (void)printf("\n  %s%-34s %8s %10s %8s  %8s   %9s%s\n", paint(view, BOLD), "the same traffic",
                 "requests", "answered", "failed", "rate", "median", paint(view, PLAIN));
    summary_row(view, "without fallback (primary only)", without);
    summary_row(view, "with Sparekey (five keys)", with);
    (void)puts("\n  With your own keys:\n"
               "    export OPENAI_API_KEY=sk-…  OPENAI_API_KEY_FALLBACK_1=sk-…\n"
               "    sparekey exec -- python3 app.py       # any program that uses an OpenAI SDK\n"
               "    sparekey serve                        # or: "
               "OPENAI_BASE_URL=http://127.0.0.1:7539/v1\n");
}
