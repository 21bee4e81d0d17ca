/* Answers the gateway makes itself: always JSON in OpenAI's error shape, so that every SDK raises
 * the right class. */
#ifndef SPAREKEY_GATEWAY_RESPOND_H
#define SPAREKEY_GATEWAY_RESPOND_H

#include "base/slice.h"
#include "net/server.h"

#ifdef __cplusplus
extern "C" {
#endif

/* error.type of everything made here. */
#define RESPOND_ERROR_TYPE "sparekey_error"

/* An error answer, complete. `fields`: further ready lines, may be empty. */
void respond_error(struct server_conn *request, int status, const char *code, struct slice fields,
                   const char *format, ...) __attribute__((format(printf, 5, 6)));

/* server_ops.error: the body of answers net/server.c makes. */
void respond_server_error(struct server *server, int status, const char *message,
                          struct buffer *out);

/* A JSON document. */
void respond_json(struct server_conn *request, int status, struct slice body);

#ifdef __cplusplus
}
#endif
#endif
