#include "pool/breaker.h"

#include "pool/invariant.h"

const char *circuit_name(enum circuit circuit)
{
    static const char *const names[] = {"closed", "open", "half-open"};
    return (unsigned)circuit < 3 ? names[circuit] : "unknown";
}

bool scope_has_detail(enum scope scope)
{
    return scope == SCOPE_KEY_FAMILY || scope == SCOPE_PROJECT_MODEL || scope == SCOPE_ORG_MODEL ||
           scope == SCOPE_ORG_MODEL_STREAM || scope == SCOPE_SERVICE_MODEL;
}

bool scope_is_wide(enum scope scope)
{
    return scope == SCOPE_SERVICE_MODEL || scope == SCOPE_SERVICE || scope == SCOPE_EGRESS;
}

void breaker_enter(struct breaker *b, enum circuit to)
{
    static const bool legal[3][3] = {
        [CIRCUIT_CLOSED] = {[CIRCUIT_OPEN] = true},
        [CIRCUIT_OPEN] = {[CIRCUIT_HALF_OPEN] = true, [CIRCUIT_CLOSED] = true},
        [CIRCUIT_HALF_OPEN] = {[CIRCUIT_OPEN] = true, [CIRCUIT_CLOSED] = true},
    };

    INVARIANT(legal[b->state][to], "breaker at %s: illegal move from %s to %s",
              scope_name(b->place.scope), circuit_name(b->state), circuit_name(to));
    b->state = (uint8_t)to;
    b->lease = 0;
}

/* base * 2^n without overflow: stops doubling at the cap. */
static int64_t backoff(int64_t base_ns, int64_t cap_ns, unsigned exponent)
{
    int64_t wait = base_ns > 0 ? base_ns : 0;
    int64_t cap = cap_ns > 0 && cap_ns < BREAKER_WAIT_MAX_NS ? cap_ns : BREAKER_WAIT_MAX_NS;

    while (exponent-- > 0 && wait < cap && wait > 0)
        wait *= 2; /* < 2 * BREAKER_WAIT_MAX_NS, far from INT64_MAX */
    return wait < cap ? wait : cap;
}

static int64_t jittered(int64_t wait_ns, struct rng *rng)
{
    return wait_ns + (int64_t)rng_below(rng, (uint64_t)wait_ns / BREAKER_JITTER_DIVISOR + 1);
}

static int64_t clamp_hint(int64_t hint_ns)
{
    return hint_ns < BREAKER_WAIT_MAX_NS ? hint_ns : BREAKER_WAIT_MAX_NS;
}

/* The part of a long wait after which it is tried whether it is over. */
static int64_t step_of(int64_t wait_ns, unsigned exponent)
{
    int64_t step_ns = wait_ns / BREAKER_STEPS_SHARE;

    if (step_ns < BREAKER_FIRST_STEP_NS)
        step_ns = BREAKER_FIRST_STEP_NS;
    while (exponent-- > 0 && step_ns < wait_ns)
        step_ns *= 2;
    return step_ns < wait_ns ? step_ns : wait_ns;
}

int64_t breaker_wait(const struct verdict *verdict, unsigned exponent, struct rng *rng)
{
    int64_t own = backoff(verdict->base_ns, verdict->cap_ns, exponent);
    int64_t hint = clamp_hint(verdict->wait_ns);
    int64_t wait = hint > own ? hint : own;

    if (verdict->probe == PROBE_LIVE && wait > BREAKER_LONG_NS)
        wait = step_of(wait, exponent);
    return wait > 0 ? jittered(wait, rng) : 0;
}

static void remember(struct breaker *b, const struct verdict *verdict,
                     const struct evidence *evidence)
{
    b->reason = (uint8_t)verdict->failure;
    b->probe = (uint8_t)verdict->probe;
    if (evidence)
        b->evidence = *evidence;
}

void breaker_open(struct breaker *b, const struct verdict *verdict, const struct evidence *evidence,
                  int64_t wait_ns, int64_t now_ns)
{
    breaker_enter(b, CIRCUIT_OPEN);
    remember(b, verdict, evidence);
    b->witness = false;
    b->exponent = 0;
    b->since_ns = b->opened_ns = b->blamed_ns = now_ns;
    b->due_ns = now_ns + wait_ns;
}

void breaker_reopen(struct breaker *b, const struct verdict *verdict,
                    const struct evidence *evidence, int64_t wait_ns, int64_t now_ns)
{
    breaker_enter(b, CIRCUIT_OPEN);
    remember(b, verdict, evidence);
    if (b->exponent < UINT8_MAX)
        b->exponent++;
    b->opened_ns = b->blamed_ns = now_ns;
    b->due_ns = now_ns + wait_ns;
}

void breaker_prolong(struct breaker *b, const struct verdict *verdict,
                     const struct evidence *evidence, struct rng *rng, int64_t now_ns)
{
    struct verdict news = *verdict;
    int64_t wait;

    b->blamed_ns = now_ns;
    /* The same reason again is the same news, but for what its evidence says; another reason
     * brings its own backoff along. */
    if (b->reason == verdict->failure)
        news.base_ns = 0;
    wait = breaker_wait(&news, 0, rng);
    if (wait == 0 || now_ns + wait <= b->due_ns)
        return;
    if (b->reason != verdict->failure)
        b->exponent = 0;
    remember(b, verdict, evidence);
    b->due_ns = now_ns + wait;
}

void breaker_suspect(struct breaker *b, uint64_t key, enum failure failure, int64_t now_ns)
{
    if (!b->witness)
        b->since_ns = now_ns;
    b->suspect = key;
    b->witness = true;
    b->reason = (uint8_t)failure;
    b->due_ns = now_ns + BREAKER_SUSPICION_NS;
}

bool breaker_is_second(const struct breaker *b, uint64_t key, enum failure failure, int64_t now_ns)
{
    return b->witness && b->suspect != key && b->reason == failure && now_ns < b->due_ns;
}
