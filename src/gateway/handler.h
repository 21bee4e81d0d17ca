/* Who a request belongs to once its head has been let in: an exchange, or one of our own answers.
 * server_conn.user points to the `struct request_handler` that either begins with. */
#ifndef SPAREKEY_GATEWAY_HANDLER_H
#define SPAREKEY_GATEWAY_HANDLER_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct request_handler;

/* The calls of server_ops behind `head`, passed on. */
struct request_handler_ops {
    void (*body)(struct request_handler *handler, const char *data, size_t len);
    void (*complete)(struct request_handler *handler);
    void (*gone)(struct request_handler *handler);
    void (*drained)(struct request_handler *handler);
};

struct request_handler {
    const struct request_handler_ops *ops;
};

#ifdef __cplusplus
}
#endif
#endif
