#include "openai/advice.h"

const char *advice_on(enum failure failure)
{
    switch (failure) {
    case FAILURE_RATE:
    case FAILURE_SLOW_DOWN: return "every key that could serve this request is rate limited";
    case FAILURE_QUOTA:
        return "every key that could serve this request has used up its quota or credit; see the "
               "billing page of each organisation";
    case FAILURE_REVOKED:
    case FAILURE_DEACTIVATED:
    case FAILURE_MISMATCHED:
        return "no configured key is accepted by OpenAI; check OPENAI_API_KEY and its fallbacks";
    case FAILURE_SCOPE:
    case FAILURE_FORBIDDEN:
    case FAILURE_MODEL:
    case FAILURE_UNVERIFIED:
    case FAILURE_TIER: return "no configured key has access to this model or endpoint";
    case FAILURE_EGRESS_IP:
    case FAILURE_REGION: return "OpenAI refuses requests from this machine's address or region";
    case FAILURE_NETWORK:
        return "OpenAI could not be reached; check the network and "
               "SPAREKEY_UPSTREAM_URL";
    case FAILURE_TIMEOUT: return "OpenAI did not answer in time";
    case FAILURE_OVERLOADED:
    case FAILURE_SERVER:
    case FAILURE_CUT:
    case FAILURE_GARBAGE: return "OpenAI failed repeatedly";
    case FAILURE_DISABLED:
        return "every key that could serve this request has been disabled by an operator";
    case FAILURE_NONE:
    case FAILURE_CALLER:
    case FAILURE_POLICY:
    case FAILURE_TOO_LARGE:
    case FAILURE_CONFLICT:
    case FAILURE_ABANDONED:
    case FAILURE_COUNT: break;
    }
    return "no key could serve this request";
}
