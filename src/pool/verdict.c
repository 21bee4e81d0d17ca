#include "pool/verdict.h"

const char *scope_name(enum scope scope)
{
    static const char *const names[] = {
#define X(code, name) [code] = name,
        SCOPE_TABLE(X)
#undef X
    };
    return (unsigned)scope < SCOPE_COUNT ? names[scope] : "unknown";
}

const char *failure_name(enum failure failure)
{
    static const char *const names[] = {
#define X(code, name) [code] = name,
        FAILURE_TABLE(X)
#undef X
    };
    return (unsigned)failure < FAILURE_COUNT ? names[failure] : "unknown";
}
