/* What failed attempts are summed as where only sums are kept: by whoever counts them (keyring/tally.h)
 * and whoever remembers them (store/history.h). */
#ifndef SPAREKEY_POOL_HISTORY_GROUP_H
#define SPAREKEY_POOL_HISTORY_GROUP_H

#include "pool/verdict.h"

#ifdef __cplusplus
extern "C" {
#endif

/* name as in the API and a column of the history's file */
#define HISTORY_GROUP_TABLE(X)                                                                     \
    X(HISTORY_RATE_LIMITED, rate_limited) /* a limit of requests or tokens */                      \
    X(HISTORY_QUOTA, quota)               /* no credit, a spend limit */                           \
    X(HISTORY_KEY, key_fault)             /* revoked, not permitted, wrong account */              \
    X(HISTORY_SERVICE, service)           /* 5xx, overloaded, answers that make no sense */        \
    X(HISTORY_NETWORK, network)           /* no connection, no answer in time, cut */              \
    X(HISTORY_CALLER, caller)             /* the request itself was refused, or its client left */

enum history_group {
#define X(code, name) code,
    HISTORY_GROUP_TABLE(X)
#undef X
        HISTORY_GROUPS
};

/* The group of a class of failures. */
enum history_group history_group_of(enum failure failure);
const char *history_group_name(enum history_group group);

/* Of one key, or of all, in a stretch of time. */
struct history_counts {
    uint64_t requests;  /* attempts at the key that ended */
    uint64_t successes; /* of them */
    uint64_t failures[HISTORY_GROUPS];
    uint64_t failovers; /* requests it took over after another key had failed */
};

#ifdef __cplusplus
}
#endif
#endif
