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

static const struct {
    const char *name;
    bool passes;
    enum rank rank;
} classes[] = {
#define X(code, name, lasting, rank) [code] = {name, (lasting) == PASSES, rank},
    FAILURE_TABLE(X)
#undef X
};

const char *failure_name(enum failure failure)
{
    return (unsigned)failure < FAILURE_COUNT ? classes[failure].name : "unknown";
}

bool failure_passes(enum failure failure)
{
    return (unsigned)failure < FAILURE_COUNT && classes[failure].passes;
}

enum rank failure_rank(enum failure failure)
{
    return (unsigned)failure < FAILURE_COUNT ? classes[failure].rank : RANK_NONE;
}
