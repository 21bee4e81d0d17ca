/* What the tests of this room share: pools of keys, and requests on them. */
#ifndef SPAREKEY_TESTS_POOL_TEST_H
#define SPAREKEY_TESTS_POOL_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../support/verdicts.h"
#include "pool/plan.h"

/* Owners "" are unknown. */
struct owner_names {
    const char *org, *project;
};

#define POOL_OF_MAX 256

/* A pool of these keys; their identities and cookies (0, 1, …) are set here. */
static inline struct pool *pool_of_specs(const struct pool_options *options,
                                         const struct key_spec *specs, size_t count)
{
    struct key_spec numbered[POOL_OF_MAX];
    struct pool *pool;

    assert_true(count <= POOL_OF_MAX);
    for (size_t i = 0; i < count; i++) {
        numbered[i] = specs[i];
        numbered[i].identity = 1000 + i;
        numbered[i].cookie = i;
    }
    assert_int_equal(pool_new(options, &pool), STATUS_OK);
    assert_int_equal(pool_load(pool, numbered, count, 0), STATUS_OK);
    pool_check(pool);
    return pool;
}

static inline struct pool *pool_of(const struct pool_options *options, size_t count,
                                   const struct owner_names *owners)
{
    struct key_spec specs[POOL_OF_MAX] = {0};

    for (size_t i = 0; owners && i < count; i++) {
        specs[i].organization = slice_str(owners[i].org);
        specs[i].project = slice_str(owners[i].project);
    }
    return pool_of_specs(options, specs, count);
}

static inline struct pool_options options_of(enum strategy strategy)
{
    struct pool_options options;

    pool_options_init(&options);
    options.strategy = strategy;
    options.proof_wait_ns = 0;
    options.max_wait_ns = 0; /* tests of waiting turn it on */
    return options;
}

static inline void begin_with(struct plan *plan, struct pool *pool, struct plan_request request,
                              int64_t now)
{
    if (!request.deadline_ns)
        request.deadline_ns = now + 600 * S;
    plan_start(plan, pool, &request, now);
}

static inline void begin(struct plan *plan, struct pool *pool, int64_t now)
{
    begin_with(plan, pool, (struct plan_request){.stateless = true, .model = SLICE("m")}, now);
}

static inline struct plan_step next(struct plan *plan, int64_t now)
{
    struct plan_step step;

    plan_next(plan, now, &step);
    pool_check(plan->pool);
    return step;
}

/* The time at which the plan will go on by itself. */
static inline int64_t wait_of(struct plan *plan, int64_t now)
{
    struct plan_step step = next(plan, now);

    assert_int_equal(step.action, PLAN_WAIT);
    assert_true(step.until_ns > now);
    return step.until_ns;
}

/* The key is sent on, and it is this one (by cookie). */
#define assert_sends(plan, now, wanted)                                                            \
    do {                                                                                           \
        struct plan_step step_ = next(plan, now);                                                  \
        assert_int_equal(step_.action, PLAN_SEND);                                                 \
        assert_int_equal(pool_key_cookie((plan)->pool, step_.key), wanted);                        \
    } while (0)

/* Tells the plan of an answer with this status. */
static inline bool hear(struct plan *plan, struct verdict verdict, int status, int64_t now)
{
    struct evidence evidence = {.status = status, .code = "test"};
    bool keep = plan_hear(plan, &verdict, &evidence, now);

    pool_check(plan->pool);
    return keep;
}

/* Starts a request that is sent on `wanted`. */
static inline void send_one(struct plan *plan, struct pool *pool, uint64_t wanted, int64_t now)
{
    begin(plan, pool, now);
    assert_sends(plan, now, wanted);
}

static inline void one(struct pool *pool, uint64_t wanted, struct verdict v, int64_t now)
{
    struct plan plan;

    send_one(&plan, pool, wanted, now);
    hear(&plan, v, v.reaction == REACT_SUCCESS ? 200 : 429, now);
    plan_end(&plan, now);
}

static inline struct pool *rotating_pool(size_t count, const struct owner_names *owners)
{
    struct pool_options options = options_of(STRATEGY_ROUND_ROBIN);

    return pool_of(&options, count, owners);
}

static inline struct pool *plain_pool(size_t count)
{
    struct pool_options options = options_of(STRATEGY_PRIMARY_FIRST);

    return pool_of(&options, count, NULL);
}

static inline struct key_view view(struct pool *pool, size_t index, int64_t now)
{
    struct key_view v;

    pool_view(pool, index, now, &v);
    return v;
}

#endif
