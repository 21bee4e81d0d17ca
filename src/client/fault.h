/* Faults: what a failed call tells its caller, as sparekey_error. */
#ifndef SPAREKEY_CLIENT_FAULT_H
#define SPAREKEY_CLIENT_FAULT_H

#include "openai/verdict.h"
#include "pool/plan.h"
#include "sparekey/sparekey.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Empty, of our own size. */
void fault_init(sparekey_error *error);

/* Fills `error` (NULL is allowed) with a code and a message, all else empty; returns the code. */
int fault_set(sparekey_error *error, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* "<argument>: <what is wrong>", as SPAREKEY_ERROR_ARGUMENT. */
int fault_argument(sparekey_error *error, const char *argument, const char *wrong);

/* A status of the rooms below: out of memory, or `otherwise`. */
int fault_status(sparekey_error *error, enum status status, int otherwise, const char *doing);

/* Copies as much as the caller's struct has room for; returns the code. `to` NULL is allowed. */
int fault_copy(sparekey_error *to, const sparekey_error *from);

/* The code for a class of failures. */
int fault_code(enum failure failure);

/* What one failed answer says, in words without a secret. `secret` is that of the key it was sent
 * with; `detail` may add what libcurl knows, or is "". The attempts are left alone. */
void fault_from_answer(sparekey_error *error, const struct answer *answer,
                       const struct verdict *verdict, const struct evidence *evidence,
                       struct slice secret, const char *detail);

/* The plan has given up. The attempts are left alone. */
void fault_from_plan(sparekey_error *error, const struct plan_step *step);

#ifdef __cplusplus
}
#endif
#endif
