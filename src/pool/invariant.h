/* What happens when the engine finds itself broken: say which rule, and stop. Never reached by
 * anything a peer, a file or a caller's data can do; only by a programmer's mistake. */
#ifndef SPAREKEY_POOL_INVARIANT_H
#define SPAREKEY_POOL_INVARIANT_H

#ifdef __cplusplus
extern "C" {
#endif

/* Writes the message to standard error and aborts. */
void invariant_broken(const char *format, ...)
    __attribute__((format(printf, 1, 2), cold, noreturn));

#define INVARIANT(holds, ...)                                                                      \
    do {                                                                                           \
        if (__builtin_expect(!(holds), 0))                                                         \
            invariant_broken(__VA_ARGS__);                                                         \
    } while (0)

#ifdef __cplusplus
}
#endif
#endif
