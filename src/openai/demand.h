/* The demand: what the engine must know of a request before its first attempt, read from its
 * endpoint and from what the peek has seen of its body. */
#ifndef SPAREKEY_OPENAI_DEMAND_H
#define SPAREKEY_OPENAI_DEMAND_H

#include "openai/endpoint.h"
#include "openai/peek.h"
#include "pool/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

struct demand {
    struct endpoint endpoint;
    struct slice method;
    const struct peek *peek; /* finished; nothing in it when the body is no JSON */
    struct slice json;       /* the body when it is JSON, else empty */
    bool affinity;           /* SPAREKEY_PROMPT_AFFINITY */
};

/* Fills all of it but the deadline and the drill, which are 0. The model is a slice of the peek. */
void demand_plan(const struct demand *demand, struct plan_request *ret_request);

#ifdef __cplusplus
}
#endif
#endif
