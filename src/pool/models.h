/* Models, for people: the names behind the hashes the engine works with, and what a key has of each.
 *
 * The names of the last MODEL_NAMES_MAX models that were news to somebody are kept; an older one is
 * shown as nameless, never as another.
 */
#ifndef SPAREKEY_POOL_MODELS_H
#define SPAREKEY_POOL_MODELS_H

#include "pool/pool.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MODEL_NAMES_MAX 256 /* a power of two */
#define MODEL_NAME_MAX  64  /* bytes with the terminator; longer names are cut */

struct model_name {
    uint64_t hash; /* 0: free */
    char text[MODEL_NAME_MAX];
};

struct model_names {
    struct model_name slots[MODEL_NAMES_MAX];
};

/* Remembers what this model is called; empty names are nothing. */
void models_name(struct model_names *names, uint64_t hash, struct slice name);

/* "" when it is not known (any more). */
const char *models_find(const struct model_names *names, uint64_t hash);

/* The pool's own. */
struct model_names *pool_model_names(struct pool *pool);

#define MODEL_VIEWS_MAX 16 /* models of one key that are shown */

/* One model as seen from one key: the worst breaker that concerns only it, and the least that is
 * left of its limits, of project and organisation. */
struct model_view {
    uint64_t hash;
    char name[MODEL_NAME_MAX]; /* "" = not known */
    enum circuit circuit;
    enum scope scope;
    enum failure reason;
    int64_t until_ns;                      /* CIRCUIT_OPEN: its end */
    int64_t requests_left, requests_limit; /* -1 = not known */
    int64_t tokens_left, tokens_limit;
};

/* Of the index-th loaded key, index < pool_count; how many, at most MODEL_VIEWS_MAX. */
size_t pool_view_models(const struct pool *pool, size_t index, int64_t now_ns,
                        struct model_view views[MODEL_VIEWS_MAX]);

#ifdef __cplusplus
}
#endif
#endif
