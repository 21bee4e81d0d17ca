/* The status every fallible function returns: 0 or a negative code, from one table. */
#ifndef SPAREKEY_BASE_STATUS_H
#define SPAREKEY_BASE_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define NODISCARD __attribute__((warn_unused_result))
#else
#define NODISCARD
#endif

/* code, value, what it means to a person */
#define STATUS_TABLE(X)                                                                            \
    X(STATUS_OK, 0, "success")                                                                     \
    X(STATUS_NO_MEMORY, -1, "out of memory")                                                       \
    X(STATUS_INVALID, -2, "invalid argument or input")                                             \
    X(STATUS_LIMIT, -3, "a named limit was reached")                                               \
    X(STATUS_RANGE, -4, "number out of range")                                                     \
    X(STATUS_NOT_FOUND, -5, "not found")                                                           \
    X(STATUS_IO, -6, "input or output failed")                                                     \
    X(STATUS_DNS, -7, "name could not be resolved")                                                \
    X(STATUS_CONNECT, -8, "connection could not be made")                                          \
    X(STATUS_TLS, -9, "TLS handshake or certificate verification failed")                          \
    X(STATUS_TIMEOUT, -10, "timed out")                                                            \
    X(STATUS_RESET, -11, "connection reset by the peer")                                           \
    X(STATUS_EOF, -12, "connection closed by the peer")                                            \
    X(STATUS_PROTOCOL, -13, "the peer broke the protocol")                                         \
    X(STATUS_CANCELLED, -14, "cancelled")                                                          \
    X(STATUS_IN_USE, -15, "already in use")                                                        \
    X(STATUS_REFUSED, -16, "refused")

enum status {
#define X(code, value, text) code = value,
    STATUS_TABLE(X)
#undef X
};

/* The table's text; never NULL, also for values outside the table. Static storage. */
const char *status_text(enum status status);

#ifdef __cplusplus
}
#endif
#endif
