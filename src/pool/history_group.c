#include "pool/history_group.h"

enum history_group history_group_of(enum failure failure)
{
    switch (failure) {
    case FAILURE_RATE:
    case FAILURE_TOO_LARGE:
    case FAILURE_SLOW_DOWN: return HISTORY_RATE_LIMITED;
    case FAILURE_QUOTA: return HISTORY_QUOTA;
    case FAILURE_REVOKED:
    case FAILURE_DEACTIVATED:
    case FAILURE_MISMATCHED:
    case FAILURE_EGRESS_IP:
    case FAILURE_SCOPE:
    case FAILURE_FORBIDDEN:
    case FAILURE_REGION:
    case FAILURE_UNVERIFIED:
    case FAILURE_MODEL:
    case FAILURE_TIER:
    case FAILURE_DISABLED: return HISTORY_KEY;
    case FAILURE_OVERLOADED:
    case FAILURE_SERVER:
    case FAILURE_GARBAGE: return HISTORY_SERVICE;
    case FAILURE_NETWORK:
    case FAILURE_TIMEOUT:
    case FAILURE_CUT: return HISTORY_NETWORK;
    case FAILURE_NONE:
    case FAILURE_CALLER:
    case FAILURE_POLICY:
    case FAILURE_CONFLICT:
    case FAILURE_ABANDONED:
    case FAILURE_COUNT: break;
    }
    return HISTORY_CALLER;
}

const char *history_group_name(enum history_group group)
{
    static const char *const names[] = {
#define X(code, name) #name,
        HISTORY_GROUP_TABLE(X)
#undef X
    };
    return names[group];
}
