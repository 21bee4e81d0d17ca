/* What a person can do when no key could serve a request. */
#ifndef SPAREKEY_OPENAI_ADVICE_H
#define SPAREKEY_OPENAI_ADVICE_H

#include "pool/verdict.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One clause without a full stop, about the class of failure that stands in the way. Static storage,
 * never NULL. */
const char *advice_on(enum failure failure);

#ifdef __cplusplus
}
#endif
#endif
