/* The router: who may ask, and what for. Every request head passes here first. */
#ifndef SPAREKEY_GATEWAY_ROUTER_H
#define SPAREKEY_GATEWAY_ROUTER_H

#include "net/server.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The callbacks of a worker's server; server.user is the struct worker. */
extern const struct server_ops router_ops;

#ifdef __cplusplus
}
#endif
#endif
