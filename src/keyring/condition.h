/* The condition of a key in the words of docs/health.md, for whoever shows it. */
#ifndef SPAREKEY_KEYRING_CONDITION_H
#define SPAREKEY_KEYRING_CONDITION_H

#include "pool/pool.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How one key counts: exactly one of the three. */
enum condition { CONDITION_HEALTHY, CONDITION_RATE_LIMITED, CONDITION_UNHEALTHY, CONDITION_COUNT };

enum condition condition_of(const struct key_view *view);

/* What brings the key back; NULL: nothing has to. */
const char *condition_readmission(const struct key_view *view);

#ifdef __cplusplus
}
#endif
#endif
