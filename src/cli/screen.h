/* The terminal as a live view needs it: keys at once and unseen, a screen of its own, its size, and
 * signals as bytes of a descriptor. What was there before comes back with screen_leave.
 */
#ifndef SPAREKEY_CLI_SCREEN_H
#define SPAREKEY_CLI_SCREEN_H

#include <stdbool.h>
#include <stdint.h>
#include <termios.h>

#include "base/buffer.h"

#ifdef __cplusplus
extern "C" {
#endif

struct screen {
    struct termios before;
    int watch; /* readable when a key was pressed or a signal came */
    int signals;
    unsigned rows, columns;
};

enum screen_event {
    SCREEN_NOTHING, /* the time is over */
    SCREEN_QUIT,    /* q, Ctrl-C, SIGTERM, SIGHUP, or the terminal is gone */
    SCREEN_RESIZED, /* rows and columns are new */
    SCREEN_KEY,     /* any other key */
};

/* Standard input and output are terminals (else false, and nothing is changed). */
bool screen_enter(struct screen *screen);
void screen_leave(struct screen *screen);

/* Waits for at most `wait_ms`. */
enum screen_event screen_wait(struct screen *screen, int64_t wait_ms);

/* Puts these lines in the place of what is there; no more than there are rows. False: the terminal
 * does not take them. */
bool screen_draw(struct screen *screen, struct slice text);

#ifdef __cplusplus
}
#endif
#endif
