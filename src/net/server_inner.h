/* What the two halves of a server share: server.c reads and keeps the states, server_reply.c
 * answers. Nobody else includes this. */
#ifndef SPAREKEY_NET_SERVER_INNER_H
#define SPAREKEY_NET_SERVER_INNER_H

#include "net/server.h"

#ifdef __cplusplus
extern "C" {
#endif

enum server_state { SERVER_WAITING, SERVER_HEAD, SERVER_REQUEST, SERVER_CLOSING };

/* The connection is about to close: nothing is timed any more. */
void server_stop_timers(struct server_conn *s);

/* After a write: a client that is behind now must get on. Costs a look at the queue's length. */
void server_watch_writes(struct server_conn *s);

/* Closes once everything written has gone out. */
void server_finish_conn(struct server_conn *s);

/* After an answer: the next request, or the end. */
void server_next_request(struct server_conn *s);

#ifdef __cplusplus
}
#endif
#endif
