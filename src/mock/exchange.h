/* One request at the mock, from its head to the end of its answer: the server's callbacks. */
#ifndef SPAREKEY_MOCK_EXCHANGE_H
#define SPAREKEY_MOCK_EXCHANGE_H

#include "mock/delivery.h"
#include "mock/mock.h"

#ifdef __cplusplus
extern "C" {
#endif

struct exchange {
    struct mock *mock;
    struct list node; /* in mock->exchanges */
    struct server_conn *request;
    struct wheel_timer timer; /* latency, the next event, or the reset after a flush */
    uint64_t n;               /* in the journal */
    uint64_t serial;
    void *digest; /* EVP_MD_CTX of the body */
    struct buffer method, path, content_type, bearer, body;
    uint64_t body_bytes;
    bool body_too_large;
    struct mock_key *key; /* NULL: unknown */
    struct call call;
    struct reply reply;
    struct delivery delivery;
    int64_t latency_ms;
    /* delivery's progress */
    enum {
        EXCHANGE_RECEIVING,
        EXCHANGE_DELAYED,
        EXCHANGE_STALLED,
        EXCHANGE_SENDING,
        EXCHANGE_ENDING
    } phase;
    size_t next; /* event or byte to be sent next */
    bool head_sent;
    uint64_t bytes_sent;
};

extern const struct server_ops exchange_ops;

/* A stalled answer goes on, and may be over inside the call. False: it is not stalled. */
bool exchange_release(struct exchange *exchange);

#ifdef __cplusplus
}
#endif
#endif
