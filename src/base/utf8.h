/* UTF-8 as RFC 3629 has it: no overlong forms, no surrogates. */
#ifndef SPAREKEY_BASE_UTF8_H
#define SPAREKEY_BASE_UTF8_H

#include "base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The length of the sequence at the beginning of `s`, which is not empty; 0 when it is none. */
size_t utf8_length(struct slice s);

/* Whether all of `s` is UTF-8. */
bool utf8_valid(struct slice s);

#ifdef __cplusplus
}
#endif
#endif
