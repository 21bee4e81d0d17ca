/* The last resort: what answers when every key is out (SPAREKEY_LAST_RESORT).
 *
 * It stands between the plan's "give up" and the error that would tell the client so:
 *
 *     plan gives up ──▶ last_resort_takes ──no──▶ answer_give_up, answer_return (kept)
 *                            │ file                      ▲
 *                            ├──▶ a canned answer        │ it fails, or answers with an error
 *                            └──▶ the server ────────────┘
 *
 * - Only where keys or the service are to blame; a caller's own fault is never covered up.
 * - No key and nothing of it goes there. Such answers carry x-sparekey-last-resort: file or server.
 * - The canned answer knows chat completions and responses, whole and streamed; other endpoints get
 *   the error, and so does who wants more choices ("n") than are made here. The server is asked for whatever was asked for, with the model that was named.
 * - The server's answer flows as it comes: once its head is good nothing else is tried.
 */
#ifndef SPAREKEY_GATEWAY_LAST_RESORT_H
#define SPAREKEY_GATEWAY_LAST_RESORT_H

#include "pool/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

struct exchange;

/* Whether it answers in place of this end of the plan. True: `x` may be gone. */
bool last_resort_takes(struct exchange *x, const struct plan_step *step);

#ifdef __cplusplus
}
#endif
#endif
