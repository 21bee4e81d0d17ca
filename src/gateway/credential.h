/* The lines of an upstream request that depend on the key: where it goes and as whom. Shared by
 * callers' requests and probes, so that both look the same to OpenAI. */
#ifndef SPAREKEY_GATEWAY_CREDENTIAL_H
#define SPAREKEY_GATEWAY_CREDENTIAL_H

#include "base/text.h"
#include "keyring/keyring.h"

#ifdef __cplusplus
extern "C" {
#endif

/* " HTTP/1.1" and Host alone, each line ended: for a service that gets no credential. */
void credential_put_host(struct text *t, const struct service_url *url);

/* " HTTP/1.1", Host, the key's configured organisation and project, and the credential's field up
 * to where the secret itself belongs: the secret goes from the vault to the socket and is never
 * part of a buffer. What follows it begins with the end of that line. */
void credential_put_head(struct text *t, const struct service_url *url,
                         const struct entry_traits *key);

#ifdef __cplusplus
}
#endif
#endif
