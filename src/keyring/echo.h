/* The echo: a key that comes back in what the upstream says, taken out before anybody sees it.
 *
 * Error texts quote the key they refuse, and a proxy in between may send a request's fields back.
 * What is looked for is the very secret that was sent, whatever it looks like; it becomes as many
 * '*', so that lengths and framing stay true. Keys known by their look alone: error_body.h.
 *
 * How far it goes, by what a search costs. In every answer: the secret that was sent. In texts of
 * errors, which are small and rare, also keys by their look, and every other secret of the vault
 * that stands there as a word. What is compressed (nobody asked for that) is not looked into: an
 * error that is goes out as one of our own (attempt.c), any other answer as it came.
 */
#ifndef SPAREKEY_KEYRING_ECHO_H
#define SPAREKEY_KEYRING_ECHO_H

#include <stdbool.h>

#include "base/slice.h"
#include "pool/verdict.h"
#include "settings/vault.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A secret shorter than this is none: its bytes would be found in any text. */
#define ECHO_SECRET_MIN 8

/* Overwrites the secret wherever it stands in `text`; true when it did. */
bool echo_mask(struct slice secret, char *text, size_t len);

/* echo_mask, and keys known by their look: for texts of errors. */
void echo_mask_error(struct slice secret, char *text, size_t len);

/* echo_mask_error, and whatever else the secret's vault holds, where it is a word of at least
 * ECHO_WORD_MIN bytes. Every such word is hashed: some 30 ns each. */
#define ECHO_WORD_MIN 16 /* other services' keys have 32 and more */
void echo_mask_all(const struct secret *secret, char *text, size_t len);

/* echo_mask_error for a text that was cut to fit: it may end in the middle of the secret. */
void echo_mask_cut(struct slice secret, char *text, size_t len);

/* The same for the texts of evidence. */
void echo_mask_evidence(struct slice secret, struct evidence *evidence);

/* Text that passes in pieces: the secret is found across them. What may be its beginning waits for
 * the next piece; as those bytes are the secret's own, only their number is kept: `*held`, 0 at
 * first. */
struct echo_sink {
    void (*put)(void *ctx, const char *data, size_t len);
    void *ctx;
};
void echo_pass(struct slice secret, size_t *held, struct slice piece, const struct echo_sink *sink);

/* No more pieces. */
void echo_end(struct slice secret, size_t *held, const struct echo_sink *sink);

#ifdef __cplusplus
}
#endif
#endif
