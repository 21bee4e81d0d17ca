/* GET /api/openai/events: the events as they happen, as server-sent events (docs/events.md).
 *
 *     events ──wake──▶ worker (mail) ──▶ event_streams_wake ──▶ each stream reads on from its place
 *
 * Always true:
 * - a stream holds a place in the ring and no copies: what its client does not take is not formatted
 *   (EVENT_STREAM_QUEUED), and the socket holds little (EVENT_STREAM_SOCKET);
 * - who falls behind by the whole ring, or takes nothing for SPAREKEY_CLIENT_TIMEOUT, is cut off and
 *   counted; it may come back with Last-Event-ID and is told how many it missed;
 * - there are at most EVENT_STREAMS_MAX in the process;
 * - a drain ends every stream, behind the last event.
 *
 * Threads: all on the worker's.
 */
#ifndef SPAREKEY_GATEWAY_EVENT_STREAM_H
#define SPAREKEY_GATEWAY_EVENT_STREAM_H

#include "gateway/own.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EVENT_STREAMS_MAX         64    /* of all workers together; 503 beyond */
#define EVENT_STREAM_HEARTBEAT_MS 15000 /* between two comments that keep proxies from hanging up */
#define EVENT_STREAM_RETRY_MS     100   /* a client that was behind is looked at again after */
#define EVENT_STREAM_QUEUED       32768 /* bytes not taken by the client; no more are added */
#define EVENT_STREAM_SOCKET       16384 /* bytes asked of the socket's own buffer */

void event_stream_answer(struct own_request *own);

/* Something was told: every stream of this worker reads on. */
void event_streams_wake(struct worker *worker);

/* The worker drains. */
void event_streams_end(struct worker *worker);

#ifdef __cplusplus
}
#endif
#endif
