/* Performing: a composed request goes out, now or later. */
#ifndef SPAREKEY_CLIENT_PERFORM_H
#define SPAREKEY_CLIENT_PERFORM_H

#include "client/call.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Checks what every function takes: client, where the result goes, and what was said of the call, of
 * which `ret_call` becomes a copy of our own version. A sparekey_status. */
int perform_check(sparekey_client *client, const sparekey_call_options *call,
                  sparekey_result **ret_result, sparekey_call_options *ret_call,
                  sparekey_error *error);

/* Whether the caller wants the answer streamed. */
bool perform_streams(const sparekey_call_options *call);

/* Performs the request, whose buffers are freed in any case; `composed` is SPAREKEY_OK, or why there
 * is none. Synchronous: returns when it has ended. With `on_done`: returns when it is on its way. */
int perform(sparekey_client *client, struct request *request, int composed,
            const sparekey_call_options *call, sparekey_result **ret_result, sparekey_error *error);

#ifdef __cplusplus
}
#endif
#endif
