/* The condition of keys in the words of docs/health.md, for whoever shows it. */
#ifndef SPAREKEY_KEYRING_CONDITION_H
#define SPAREKEY_KEYRING_CONDITION_H

#include "pool/figures.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The state of all keys together: "healthy", "degraded" or "unhealthy", by how many can serve some
 * request (key_is_ready) and how many count as unhealthy (key_condition_of). */
const char *condition_overall(size_t ready, size_t unhealthy);

/* What brings the key back; NULL: nothing has to. */
const char *condition_readmission(const struct key_view *view);

#ifdef __cplusplus
}
#endif
#endif
