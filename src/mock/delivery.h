/* How an answer goes out: what a fault makes of a true reply. Pure; exchange.c carries it out. */
#ifndef SPAREKEY_MOCK_DELIVERY_H
#define SPAREKEY_MOCK_DELIVERY_H

#include "mock/fault.h"
#include "mock/reply.h"

#ifdef __cplusplus
extern "C" {
#endif

enum ending {
    ENDING_WHOLE, /* framed as complete */
    ENDING_ABORT, /* closed without the framing's end */
    ENDING_RESET, /* the same with RST */
};

struct delivery {
    const char *raw;                   /* instead of a head: these bytes; NULL: a true head */
    bool head;                         /* whether a head goes out at all */
    bool stream;                       /* units are events; else bytes of the body */
    int64_t length;                    /* content-length; -1: chunked */
    size_t stop;                       /* units to send before the ending (or the stall) */
    bool stall_at_head, stall_at_stop; /* wait there; after a release all of it is sent */
    enum ending ending;
    bool whole; /* the answer is what was meant: the journal says "complete", else "cut" */
};

/* The delivery of `reply` under `fault` (NULL: none). May change the reply: cut events off, append
 * an in-stream error, cut its JSON. A fault of streams leaves other answers whole, except that
 * cut_stream cuts and stall_mid_body stalls any body in its middle. */
void delivery_plan(struct delivery *delivery, struct reply *reply, const struct fault *fault);

#ifdef __cplusplus
}
#endif
#endif
