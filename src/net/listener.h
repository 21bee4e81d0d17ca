/* A listening TCP socket on a loop: hands out accepted descriptors, in small portions, and pauses
 * when the process has run out of them. */
#ifndef SPAREKEY_NET_LISTENER_H
#define SPAREKEY_NET_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include "net/loop.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LISTENER_BACKLOG 4096

struct listener {
    struct net_loop *loop;
    /* The descriptor (non-blocking, close-on-exec) is the callee's. */
    void (*accepted)(struct listener *listener, int fd);
    uv_poll_t *poll; /* NULL = closed */
    int fd;
    uint16_t port;
    struct wheel_timer pause; /* out of descriptors: accepting again when it fires */
};

/* Prepares; nothing is opened. */
void listener_init(struct listener *listener, struct net_loop *loop,
                   void (*accepted)(struct listener *listener, int fd));

/* Listens on a numeric address with SO_REUSEPORT; `port` 0 takes a free one, listener->port tells.
 * STATUS_IN_USE, STATUS_INVALID (address), STATUS_IO, STATUS_NO_MEMORY: as before. */
NODISCARD
enum status listener_open(struct listener *listener, const char *host, uint16_t port);

/* Harmless when closed; may be opened again. */
void listener_close(struct listener *listener);

/* Whether nobody listens on this address yet: SO_REUSEPORT alone would not tell. */
bool listener_port_free(const char *host, uint16_t port);

/* Claims an address for this process: SO_REUSEPORT would let a second one of the same user share
 * the port silently. To be made before the first listener_open and held (`*ret_claim`, a
 * descriptor) for as long as any listens. STATUS_IN_USE: somebody claims it or listens there.
 * STATUS_OK with -1 when claims cannot be made here, or for port 0 or an address that
 * listener_open will refuse. */
NODISCARD
enum status listener_claim(const char *host, uint16_t port, int *ret_claim);

#ifdef __cplusplus
}
#endif
#endif
