/* TLS contexts: what is trusted, what is offered. OpenSSL underneath. */
#ifndef SPAREKEY_NET_TLS_H
#define SPAREKEY_NET_TLS_H

#include "base/buffer.h"
#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tls_context;

/* For connections to servers: TLS 1.2 or later, system trust store plus `ca_file` (PEM, may be
 * NULL), host verification and SNI for the name dialled (IP literals are verified as addresses),
 * ALPN http/1.1. Sessions are kept per host and port for resumption, at most
 * TLS_SESSIONS_MAX. A context belongs to one loop's thread. On failure `reason` says why, and names
 * SPAREKEY_CA_FILE where that is it: `ca_file` never comes from elsewhere. */
#define TLS_SESSIONS_MAX 64
NODISCARD
enum status tls_client_context_new(const char *ca_file, struct buffer *reason,
                                   struct tls_context **ret_context);

/* For a listener: certificate chain and key in PEM. */
NODISCARD
enum status tls_server_context_new(const char *cert_file, const char *key_file,
                                   struct buffer *reason, struct tls_context **ret_context);

void tls_context_free(struct tls_context *context); /* NULL is allowed; connections keep it alive */

#ifdef __cplusplus
}
#endif
#endif
