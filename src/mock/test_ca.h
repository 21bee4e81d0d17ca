/* A certificate authority for one process: made at start, gone with it. */
#ifndef SPAREKEY_MOCK_TEST_CA_H
#define SPAREKEY_MOCK_TEST_CA_H

#include "base/buffer.h"
#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The server's certificate and key as files that have a path but no place on a disk (memfd), for
 * tls_server_context_new. */
struct test_ca {
    int cert_fd, key_fd;
    char cert_path[32], key_path[32];
};

/* Makes a CA and a certificate for localhost, 127.0.0.1 and ::1 (P-256, valid from yesterday for
 * 30 days), and writes the CA's certificate to `ca_out`. The CA's key is forgotten. STATUS_TLS, STATUS_IO:
 * `reason` says why. */
NODISCARD
enum status test_ca_make(struct test_ca *ca, const char *ca_out, struct buffer *reason);
void test_ca_clear(struct test_ca *ca);

#ifdef __cplusplus
}
#endif
#endif
