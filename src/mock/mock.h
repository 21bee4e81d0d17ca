/* sparekey mock: an OpenAI that misbehaves on request, in one thread on one loop.
 *
 *   HTTP ──▶ exchange (mock.c): head ▶ body ▶ decide ▶ latency ▶ deliver
 *              │ keys, limits, faults, shapes: pure, one file each
 *   control ──▶ control.c: changes them at run time, reads the journal, releases the stalled
 *
 * The control port is another one, so that the API's listener can be closed ("refused") and opened
 * again.
 */
#ifndef SPAREKEY_MOCK_MOCK_H
#define SPAREKEY_MOCK_MOCK_H

#include "base/rng.h"
#include "mock/bucket.h"
#include "mock/journal.h"
#include "mock/keys.h"
#include "mock/test_ca.h"
#include "net/server.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MOCK_BODY_MAX        ((size_t)512 << 20) /* of one request; beyond: 413 */
#define MOCK_CONNECTIONS_MAX 65536

struct mock_options {
    const char *listen;             /* "127.0.0.1:0", "[::1]:8080" */
    const char *control;            /* likewise */
    const char *script;             /* YAML file; NULL: every key is good */
    const char *tls_cert, *tls_key; /* PEM files; NULL: plain HTTP, unless … */
    const char *ca_out; /* … this is set: a test CA is made and its certificate written here */
    uint64_t seed;
};

struct control;

struct mock {
    struct net_loop *loop;
    struct server server;
    struct control *control;
    struct tls_context *tls;
    struct test_ca ca;
    char host[64];
    uint16_t port;
    struct keyring ring;
    struct bucket_set buckets;
    struct journal journal;
    struct rng rng;
    struct list exchanges; /* requests under way */
    struct wheel_timer reopen;
    uint64_t seed, serial;
    bool listening;
};

/* Reads the script, opens both ports. On failure `reason` has one line for a person. STATUS_INVALID
 * (script, address), STATUS_IN_USE, STATUS_IO, STATUS_TLS, STATUS_NO_MEMORY. */
NODISCARD
enum status mock_new(struct net_loop *loop, const struct mock_options *options,
                     struct buffer *reason, struct mock **ret_mock);

/* {"event":"ready","url":…,"control":…}; a new reference. */
json_t *mock_ready_json(const struct mock *mock);

/* Closes everything; run the loop until it is idle, then mock_free. */
void mock_close(struct mock *mock);
void mock_free(struct mock *mock); /* NULL is allowed */

/* Closes or opens the API's listener, also drops its connections when `drop`; with `for_ms` it
 * goes back by itself. STATUS_IN_USE, STATUS_IO: it could not be opened. */
NODISCARD
enum status mock_listen(struct mock *mock, bool open, bool drop, int64_t for_ms);

/* Lets stalled answers go on: those of `key` (empty: all), or the one numbered `n` (0: all).
 * Returns how many. */
unsigned mock_release(struct mock *mock, struct slice key, uint64_t n);

/* "host:port" with a numeric host, [] around IPv6; "localhost" is 127.0.0.1. */
bool mock_parse_address(const char *text, char host[64], uint16_t *ret_port);

#ifdef __cplusplus
}
#endif
#endif
