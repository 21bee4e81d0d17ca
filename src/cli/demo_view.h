/* What the demo shows: a live table of the keys while traffic runs, and the summary. */
#ifndef SPAREKEY_CLI_DEMO_VIEW_H
#define SPAREKEY_CLI_DEMO_VIEW_H

#include <stdbool.h>

#include "cli/demo_traffic.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One key of the cast. */
struct demo_key {
    const char *variable, *secret, *role;
};

struct demo_view {
    const struct demo_key *keys;
    unsigned key_count;
    bool terminal;        /* redraw in place, colours */
    unsigned lines_drawn; /* of the live table, to go back over */
    unsigned looks;
};

/* demo_target.show; `context` is the view. */
void demo_view_show(void *context, const struct demo_result *so_far, struct slice health);

void demo_view_summary(const struct demo_view *view, const struct demo_result *without,
                       const struct demo_result *with);

#ifdef __cplusplus
}
#endif
#endif
